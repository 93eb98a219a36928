# Runs in the guest for sources.sh: makes cgroups that do I/O, runs the watcher's own tests, records and plays.
# It refuses to end green where the guest lacks what it was booted for.
set -u
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok: $1"; }
bad() { failed=$((failed + 1)); echo "FAILED: $1"; }
verdict() { if "${@:2}" >/tmp/verdict 2>&1; then ok "$1"; else bad "$1: $(tail -n 3 /tmp/verdict | cut -c 1-600)"; fi; }
mkdir -p /results
chmod +x watcher node-steward
root=/sys/fs/cgroup
# The guest's own root disk is NVMe. `nvme0c0n1` is a path to it, no disk.
disk=/dev/$(find /sys/block -maxdepth 1 -name 'nvme*' -printf '%f\n' | grep -E -m 1 '^nvme[0-9]+n[0-9]+$')
[ -b "$disk" ] || { echo "FAILED: the guest has no NVMe disk"; ls /sys/block; exit 1; }
echo "$disk; hidden paths to it: $(find /sys/block -maxdepth 1 -name 'nvme*c*' | wc -l)"

# 100 pods of 10 containers, as kubelet's systemd driver names them; every container reads a block of its own.
pods=100 containers=10
slice=$root/kubepods.slice
mkdir -p "$slice"
echo +io >"$root/cgroup.subtree_control"
echo +io >"$slice/cgroup.subtree_control"
for pod in $(seq $pods); do
    printf -v uid '0a1b2c3d_0000_4000_8000_%012x' "$pod"
    mkdir "$slice/kubepods-pod$uid.slice"
    echo +io >"$slice/kubepods-pod$uid.slice/cgroup.subtree_control"
    for container in $(seq $containers); do
        printf -v id '%064x' "$((pod * 16 + container))"
        groups+=("$slice/kubepods-pod$uid.slice/cri-containerd-$id.scope")
    done
done
printf '%s\n' "${groups[@]}" | xargs mkdir
# One process walks through them: a thousand programs would take minutes here.
# shellcheck disable=SC2016 # perl's own variables
printf '%s\n' "${groups[@]}" | perl -e '
    open(my $disk, "<:raw", shift) or die;
    while (my $group = <STDIN>) {
        chomp $group;
        open(my $procs, ">", "$group/cgroup.procs") or die "$group: $!";
        syswrite($procs, $$) or die "$group: $!";
        sysseek($disk, $. * 1048576 + 524288, 0);
        sysread($disk, my $block, 4096) or die "read: $!";
    }' "$disk" || bad "no I/O in the cgroups"
made=$(find "$slice" -name io.stat | wc -l)
echo "$made cgroups with io.stat"

verdict "the watcher's own tests pass here" sh -c './watcher --nocapture --test-threads 1 >/results/watcher.log 2>&1; code=$?; tail -n 5 /results/watcher.log; exit $code'
grep -E 'one look|^nvme' /results/watcher.log | cut -c 1-300
verdict "cgroups count I/O here" sh -c '! grep "^cgroup_io.*Unknown" /results/watcher.log'
verdict "the controller's health page came by ioctl" grep -q 'smart: Fresh.*temperature_k: 323' /results/watcher.log

# What the kernel alone takes for the same files, by a program that does nothing else.
best=999999999
for _ in 1 2 3 4 5; do
    find "$root" -mindepth 2 -name io.stat >/tmp/files
    TIMEFORMAT='%U %S'
    took=$( { time xargs cat </tmp/files >/dev/null; } 2>&1 | awk '{print int(($1 + $2) * 1000000)}')
    [ "$took" -ge "$best" ] || best=$took
done
ours=$(sed -n 's/^one look that asks for contributors: \([0-9]*\) us.*/\1/p' /results/watcher.log)
groups=$(sed -n 's/^one look that asks for contributors:.*(\([0-9]*\) cgroups.*/\1/p' /results/watcher.log)
echo "$groups cgroups read by us in $ours us of CPU, finding them included (emulated machine); cat reads the same files in $best us"
# A few blocks were in memory already.
verdict "nearly all of them are seen" test "${groups:-0}" -ge $((pods * containers * 9 / 10))
# A debug build on an emulated machine; the walk and the parsing beside cat's bare reads.
verdict "that is at most four times what cat needs" test "${ours:-999999999}" -le $((best * 4))

verdict "a recording is made" ./node-steward capture /results/recording --turns 3 --period 2s
verdict "no serial number is in it" sh -c '[ "$(cat /sys/class/nvme/nvme0/serial | xargs)" = root ] && ! find /results/recording -name "*serial*" -size +0 | grep .'
verdict "so are the cgroups" test "$(find /results/recording/root/sys/fs/cgroup -name io.stat | wc -l)" -ge $((pods * containers * 9 / 10))
play() { ./node-steward run --replay /results/recording >/results/"$1" 2>/results/"$1".err; }
verdict "it is played" play first.jsonl
verdict "a second time too" play second.jsonl
verdict "both give the same bytes" cmp /results/first.jsonl /results/second.jsonl
verdict "a line a turn" test "$(wc -l </results/first.jsonl)" = 3
(cd /results && tar -czf recording.tar.gz recording && rm -r recording)
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

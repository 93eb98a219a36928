# Runs in the guest for watch.sh: a baseline, a greedy pod, its end, and the sums of three writers.
# It refuses to wait by the clock where it can wait for a fact; each wait has an end, and says what it saw last.
set -u
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok: $1"; }
bad() { failed=$((failed + 1)); echo "FAILED: $1"; }
verdict() { if "${@:2}" >/tmp/verdict 2>&1; then ok "$1"; else bad "$1: $(tail -n 3 /tmp/verdict | cut -c 1-600)"; fi; }
# await SECONDS TITLE COMMAND...: until COMMAND succeeds.
await() {
    await_end=$((SECONDS + $1)) await_title=$2
    shift 2
    until "$@" >/tmp/await 2>&1; do
        if [ "$SECONDS" -ge "$await_end" ]; then bad "$await_title: not within its time; last: $(tail -n 3 /tmp/await | cut -c 1-600)"; return 1; fi
        sleep 1
    done
    ok "$await_title (after $SECONDS s)"
}
running() { systemctl is-active -q node-steward && pgrep -f '[/]load path=/data/f' >/dev/null; }
status() { node-steward status -o json; }
disk=$(basename "$(readlink -f /dev/disk/by-label/kubelet)")
saturated() { node-steward problems -o json | jq -e --arg disk "$disk" '.problems[] | select(.kind == "DiskSaturated" and .subject == $disk)'; }
calm() { ! saturated; }
baseline() { status | jq -e --arg disk "$disk" '.disks[] | select(.name == $disk) | .baseline.small != null'; }

mkdir -p /results
echo "kubelet's disk is $disk; $(node-steward --version); $(systemctl --version | head -n 1)"
await 150 "the daemon and the steady pod run" running || { systemctl status --no-pager -n 20 node-steward kubelet; journalctl -b --no-pager -u kubelet | tail -n 5; }
await 120 "a baseline is learned" baseline
# What the unit forbids must not be what the daemon needs.
verdict "under its unit it may read all that it asks for" sh -c 'node-steward status -o json | jq -e "[.sources[] | select((.why // \"\") | test(\"[Pp]ermi|EPERM|EACCES\"))] == [] and (.sources | any(.name == \"clock\" and .state == \"working\"))" || { node-steward status -o json | jq -c .sources; exit 1; }'
verdict "no problem above advice so far" sh -c 'node-steward problems -o json | jq -e "[.problems[] | select(.severity != \"advice\")] == []" || { node-steward problems; exit 1; }'

cp greedy.json /etc/kubernetes/manifests/
await 120 "the disk is found saturated" saturated
named() { saturated | jq -e '.contributors[0].who | .what == "container" and .namespace == "shop" and .pod == "greedy-guest" and .container == "shredder"'; }
await 40 "and the guilty container is named first" named || saturated
saturated >/results/problem.json
verdict "the root volume is shared with container state, as advice" sh -c 'node-steward problems -o json | jq -e ".problems[] | select(.kind == \"RootVolumeShared\" and .severity == \"advice\")"' && echo "shown: RootVolumeShared"
verdict "the saturated disk has evidence and advice" jq -e '(.evidence | length) > 5 and (.advice | length) > 0' /results/problem.json && echo "shown: DiskSaturated"
jq -c '.contributors[] | [.who, .shareOfBytes, .shareOfOperations]' /results/problem.json
verdict "its share of the operations is over two thirds" jq -e '.contributors[0].shareOfOperations > 0.66' /results/problem.json
verdict "all shares add up to 1" jq -e '([.contributors[].shareOfBytes] | add) as $sum | ($sum - 1 | fabs) < 0.001' /results/problem.json
check() { COLUMNS=120 node-steward check >/results/check.txt 2>&1; code=$?; cat /results/check.txt; [ "$code" = 3 ] && grep -q "DiskSaturated" /results/check.txt && grep -q "greedy-guest" /results/check.txt && grep -q shredder /results/check.txt; }
verdict "check says so and ends with 3" check
grep -A8 -E 'DiskSaturated' /results/check.txt | head -n 14
metrics() { curl -sf --unix-socket /run/node-steward/api.sock http://localhost/metrics >/results/metrics.txt && grep -E '^node_steward_problem.*DiskSaturated' /results/metrics.txt && grep -q 'greedy-guest' /results/metrics.txt; }
verdict "so do the metrics" metrics
verdict "and the journal, once" sh -c 'test "$(journalctl -b -u node-steward --no-pager -o cat | grep -c "DiskSaturated .*began\|began.*DiskSaturated\|DiskSaturated.*'"$disk"'")" -ge 1'
node-steward decisions -o json >/results/decisions.json
verdict "and it is not acted upon, for a named reason" jq -e '.decisions[] | select(.kind == "DiskSaturated") | .verdict == "withheld" and (.reason | length > 0)' /results/decisions.json

rm /etc/kubernetes/manifests/greedy.json
await 120 "it ends after the pod is gone" calm

# From here on the runtime alone knows whose a container is: the names of the logs are hidden, and a new run of the daemon has not seen them.
# To be read alone: kubelet makes what it misses there.
mount -t tmpfs -o ro hidden /var/log/pods
mount -t tmpfs -o ro hidden /var/log/containers
systemctl restart node-steward
await 30 "the next run has the baseline" baseline
by_runtime() { status | jq -c '.sources[] | select(.name == "pod_names")' | tee /dev/stderr | jq -e '.state == "working"'; }
await 150 "the runtime has told its containers" by_runtime

# Two known writers (the steady pod, a unit) and a hidden one: a process in the root cgroup, which no cgroup's io.stat counts. Together they ask
# for more than the quota, so that shares are looked for; what the hidden one wrote in just those windows is read from its own counters.
hidden() { echo $BASHPID >/sys/fs/cgroup/cgroup.procs && exec ./load path=/var/lib/kubelet/hidden size=16 direct=1 threads=8 rate=110 seconds=80; }
./load path=/var/lib/kubelet/known size=16 fill=1 >/dev/null
./load path=/var/lib/kubelet/hidden size=16 fill=1 >/dev/null
sync
systemd-run -q --unit known-writer -p IOAccounting=yes "$PWD/load" path=/var/lib/kubelet/known size=16 direct=1 threads=8 rate=150 seconds=100000
hidden >/results/hidden & hider=$!
trace() { while written=$(awk '/^write_bytes/ {print $2}' "/proc/$hider/io" 2>/dev/null) && [ -n "$written" ]; do echo "$(awk '{print $1 * 1000}' /proc/uptime) $written"; sleep 0.1; done; }
trace >/results/hidden.trace &
sums() {
    for round in $(seq 60); do
        status | jq -c --arg disk "$disk" '(.disks[] | select(.name == $disk).window) as $window
            | {from: $window.startMs, to: $window.endMs, parts: [.contributors[] | select(.[0] == $disk) | .[1][]]}'
        sleep 1
    done | jq -s -c 'unique_by(.to) | map(select(.parts | any(.who.what == "unattributed"))) | .[1:-1]'
}
sums >/results/sums.json
wait
# Both sides over the same windows, in bytes.
jq -c --rawfile trace /results/hidden.trace '($trace | split("\n") | map(select(length > 0) | split(" ") | map(tonumber))) as $points
    | def written($at): ([$points[] | select(.[0] <= $at)] | last) as $a | ([$points[] | select(.[0] > $at)] | first) as $b
        | $a[1] + ($b[1] - $a[1]) * ($at - $a[0]) / ($b[0] - $a[0]);
    map(select(.from >= $points[0][0] and .to < $points[-1][0]))
    | {windows: length, hidden: (map(written(.to) - written(.from)) | add),
       unattributed: (map((.to - .from) / 1000 * (.parts[] | select(.who.what == "unattributed").writeBytesPerS)) | add)}' \
    /results/sums.json | tee /results/hidden.json
verdict "unattributed is the hidden writer, within 5 %" jq -e '.windows >= 8 and (.unattributed / .hidden - 1 | fabs) <= 0.05' /results/hidden.json
verdict "the known unit and the steady pod are named, the pod by its runtime's word" jq -e '.[-1].parts | any(.who.unit? == "known-writer.service") and any(.who.pod? == "steady-guest" and .who.container? == "ledger")' /results/sums.json
systemctl stop known-writer
verdict "names have a source that works" sh -c 'node-steward status -o json | jq -e ".sources[] | select(.name == \"pod_names\") | .state == \"working\"" || { node-steward status -o json | jq -c .sources; exit 1; }'
# The names of the logs as the daemon saw them.
verdict "and it is not the names of the logs" sh -c 'found=$(nsenter --target "$(systemctl show -P MainPID node-steward)" --mount ls -A /var/log/pods /var/log/containers | grep -vc -e "^/" -e "^\$") ; test "$found" = 0 || { echo "$found names"; exit 1; }'
umount /var/log/pods /var/log/containers

# An API server's address that is not this machine's own by its look, where nobody listens: the unit must let the daemon find that out.
ip address add 10.9.9.9/32 dev lo
cp cluster.toml /etc/node-steward/config.d/60-cluster.toml
systemctl reload node-steward
refused() { status | jq -c .apiServer | tee /dev/stderr | grep -qi 'refused'; }
await 60 "under its unit it reaches for the API server" refused
rm /etc/node-steward/config.d/60-cluster.toml
systemctl reload node-steward

# A program far over its own memory.high: nearly all that wants to run waits for memory, while the node has plenty, so it is advice.
stalled() { node-steward problems -o json | jq -e '.problems[] | select(.kind == "MemoryPressureStall")'; }
systemd-run -q --unit memory-hog -p MemoryHigh=64M tail /dev/zero
await 60 "waiting for memory is found" stalled
verdict "as advice, since the node has memory left" sh -c 'node-steward problems -o json | jq -e ".problems[] | select(.kind == \"MemoryPressureStall\") | .severity == \"advice\""' && echo "shown: MemoryPressureStall"
node-steward problems -o json | jq -r '.problems[] | select(.kind == "MemoryPressureStall") | .summary'
systemctl kill -s KILL memory-hog
await 60 "and it ends after the program is gone" sh -c '! node-steward problems -o json | grep -q MemoryPressureStall'

stop() { before=$(date +%s%N); systemctl stop node-steward; after=$(date +%s%N); echo $(((after - before) / 1000000)) ms; [ $((after - before)) -lt 3000000000 ]; }
verdict "the daemon stops at once" stop
node-steward check >/results/alone.txt 2>&1
verdict "alone, check says what it cannot know" grep -qi 'baseline' /results/alone.txt
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

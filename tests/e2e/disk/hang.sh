#!/usr/bin/env bash
# The daemon beside disks that hang: a frozen file system, a FUSE file system that never answers, a disk that answers nothing, and at last
# its own root on such a disk. Caches are dropped first. The turns must go on, the stuck probe be told, nothing be read from a disk, SIGTERM
# still end it, and after a kill it must be back as soon as the disk is.
# It refuses to freeze or hang anything that it did not make itself.
#
#   hang.sh [SECONDS]        how long each hang lasts (default 40)      NODE_STEWARD=BINARY
set -uo pipefail
lab_here=$(cd "$(dirname "$0")" && pwd)
. "$lab_here/../../lib.sh"
. "$lab_here/lab.sh"
seconds=${1:-40}
[ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program"
lab_enter "$@"
. "$lab_here/steward.sh"
need fsfreeze util-linux || skip "lacks fsfreeze"

disk_up frozen 2000 100 0.5 512M || exit 1
disk_up stuck 2000 100 0.5 512M || exit 1
# The node's own logs lie on it, in this namespace alone.
mkdir "$(disk_mnt stuck)/pods"
mount "$(disk_dev stuck)" /var/log || exit 1
mkdir "$LAB/mute"
period=2
cat >"$steward_config" <<END
[watch]
period = "${period}s"
probe_deadline = "2s"
END

turns() { steward_get /v1/status | jq -r ".turns.$1"; }
gaps() { steward_get /v1/status | jq -r '.turns.gaps | map("<= \(.[0]) ms: \(.[1])") | join(", ")'; }

# hang NAME SUBJECT BEGIN END [ALSO]: caches dropped, BEGIN, so many seconds, looked at, END. Without SUBJECT no look is expected to be stuck.
# What a run does once is done: the first turns, and the first search for a cluster.
settled() { steward_get /v1/status | jq -e '.turns.count >= 4 and (.cluster | startswith("local-only: no kubeconfig"))'; }
hang() {
    hang_name=$1 hang_subject=$2
    sync -f "$LAB" && echo 3 >/proc/sys/vm/drop_caches
    hang_faults=$(major_faults) hang_count=$(turns count)
    $3
    hang_begun=$(clock)
    # Ten seconds to the next look, ten until it is stuck, and the turn that says so.
    [ -z "$hang_subject" ] || began "$hang_name" ProbeStuck "$hang_subject" "$((seconds > 30 ? seconds : 30))"
    [ -z "${5:-}" ] || $5
    hang_rest=$(awk -v s="$seconds" -v t="$(since "$hang_begun")" 'BEGIN {print (s > t ? s - t : 0)}')
    sleep "$hang_rest"
    hang_turned=$(($(turns count) - hang_count))
    check "$hang_name: $hang_turned turns in $seconds s" [ "$hang_turned" -ge $((seconds / period - 1)) ]
    check "$hang_name: the longest gap so far is $(turns longestGapMs) ms" [ "$(turns longestGapMs)" -le $((2 * period * 1000)) ]
    check "$hang_name: major faults of the main thread grew by $(($(major_faults) - hang_faults))" [ "$(major_faults)" = "$hang_faults" ]
    $4
    [ -z "$hang_subject" ] || over "$hang_name" ProbeStuck "$hang_subject" 30
}
freeze() { fsfreeze -f "$(disk_mnt frozen)"; dd if=/dev/zero of="$(disk_mnt frozen)/f" bs=4k count=1 2>/dev/null & own $!; }
thaw() { fsfreeze -u "$(disk_mnt frozen)"; }
trap 'thaw 2>/dev/null; umount -l /var/log; umount -lR "$(disk_mnt root)" 2>/dev/null; lab_cleanup' EXIT
mute_up() { mute "$LAB/mute" >"$LAB/mute.out" & muted=$!; own $muted; }
mute_down() { kill $muted; wait $muted 2>/dev/null; umount -l "$LAB/mute"; }
stuck_up() { disk_mode stuck hang; dd if=/dev/zero of="$(disk_mnt stuck)/f" bs=4k count=1 conv=fsync 2>/dev/null & writer=$!; own $writer; }
stuck_down() { disk_mode stuck normal; wait $writer; }
stalled() { check "the hung disk is DiskStalled too" until_true 30 problem DiskStalled "$(basename "$(disk_dev stuck)")"; }

steward_up || { finish; exit 1; }
until_true 20 settled || :
sleep 4
# A frozen file system answers all looks; only writers wait.
hang "a frozen file system" "" freeze thaw
hang "a FUSE file system that never answers" "$LAB/mute" mute_up mute_down
hang "a disk that answers nothing" /var/log stuck_up stuck_down stalled
printf 'gaps between turns: %s; longest %s ms of a period of %s ms\n' "$(gaps)" "$(turns longestGapMs)" $((period * 1000))

# All three at once, and then the end.
freeze; mute_up; stuck_up
sleep 10
steward_down
check "SIGTERM ends it in $took s while all three hang (exit code $steward_code)" at_most "$took" 1
check "it ended by itself, cleanly" [ "$steward_code" = 0 ]
thaw; mute_down; stuck_down
none_left() { ! pgrep -f -- "run --config $steward_config" >/dev/null; }
check "no process of it is left after the release" until_true 10 none_left

# Its own root: program, libraries, settings and all that it looks at lie on the disk that hangs; only /proc, /sys, /dev and /run are memory.
disk_up root 2000 100 0.5 512M || exit 1
root=$(disk_mnt root)
mkdir -p "$root"/{usr/bin,etc,var/lib/kubelet,var/log/pods,proc,sys,dev,run,tmp}
install "$NODE_STEWARD" "$root/usr/bin/node-steward"
for library in $(ldd "$NODE_STEWARD" 2>/dev/null | grep -o '/[^ ]*'); do install -D "$library" "$root$library"; done
cp "$steward_config" /etc/group "$root/etc/"
steward_config=/etc/$(basename "$steward_config")
for memory in proc sys dev run; do mount --rbind "/$memory" "$root/$memory"; done
steward_program=(chroot "$root" /usr/bin/node-steward)
root_up() { disk_mode root hang; }
root_down() { disk_mode root normal; }
root_stalled() { check "the root's disk is DiskStalled too, by the look alone" until_true 30 problem DiskStalled "$(basename "$(disk_dev root)")"; }
steward_up || { finish; exit 1; }
until_true 20 settled || :
sleep 4
hang "its own root on a disk that answers nothing" / root_up root_down root_stalled
root_up
sleep 5
kill -KILL "$steward"
wait "$steward" 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
"${steward_program[@]}" run --config "$steward_config" >"$LAB/steward.out" 2>"$LAB/steward.log" </dev/null & steward=$!
own $steward
sleep 3
# What a stuck probe of the first one still maps stays in memory, so the program may come up before the disk is back; it need not.
steward_get /v1/status >/dev/null && early='it was up before' || early='it waited for its disk'
root_down
check "killed, and started again on a root that hangs: it is back at the latest 5 s after the release ($early)" until_true 5 steward_get /v1/status
root_up
sleep 5
steward_down
check "SIGTERM ends it in $took s while its root hangs (exit code $steward_code)" at_most "$took" 1
root_down
check "no process of it is left after the release of its root" until_true 10 none_left
finish

#!/usr/bin/env bash
# Real faults of file systems and of the kernel, seen by the daemon: ext4 that goes on after errors, ext4 that stops writing, XFS that
# shuts down, a hung task and an OOM kill; each by its state and by the kernel's own lines in the real /dev/kmsg.
# It refuses to write any kernel line itself: every line is the kernel's. Kernel settings that it changes are put back.
#
#   faults.sh        NODE_STEWARD=BINARY
set -uo pipefail
lab_here=$(cd "$(dirname "$0")" && pwd)
. "$lab_here/../../lib.sh"
. "$lab_here/lab.sh"
[ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program"
lab_enter "$@"
. "$lab_here/steward.sh"
need mkfs.xfs xfsprogs || skip "lacks mkfs.xfs"

cat >"$steward_config" <<END
[watch]
period = "2s"
[rules]
hold = "15s"
[detect.task_hung]
after = "10s"
END
# The kinds of the five kernel rules.
block_kind=BlockIoError ext4_kind=Ext4Error xfs_kind=XfsShutdown task_kind=KernelHungTask oom_kind=OomKill
hung=/proc/sys/kernel/hung_task_timeout_secs warnings=/proc/sys/kernel/hung_task_warnings
old_hung=$(cat $hung 2>/dev/null) old_warnings=$(cat $warnings 2>/dev/null)
trap '[ -z "$old_hung" ] || { echo $old_hung >$hung; echo $old_warnings >$warnings; }; lab_cleanup' EXIT

# kernel TEXT PATTERN
kernel() { if until_true 5 grep -qE "$2" "$LAB/kernel"; then ok "$1: the kernel said: $(grep -E -m 1 "$2" "$LAB/kernel" | cut -c 16-140)"; else failed "$1: the kernel did not say $2"; fi; }
listen() {
    [ -z "${listener:-}" ] || { kill "$listener"; wait "$listener" 2>/dev/null; }
    dmesg -W >"$LAB/kernel" 2>/dev/null &
    listener=$!
    own $listener
    sleep 0.3
}

# What an earlier run left in the kernel's log is forgotten first: nothing may stand before the fault.
well() { if until_true 40 no_problem "$2" "$3"; then ok "$1: well before the fault: no $2"; else failed "$1: $2 stands before the fault"; fi; }

# A file system with something to read that no cache holds.
cold() { # NAME ext4|xfs OPTIONS
    disk_up "$1" 0 0 0.1 512M "$2" "$3" || { failed "no disk $1"; return 1; }
    fault_mnt=$(disk_mnt "$1") fault_dev=$(basename "$(disk_dev "$1")")
    mkdir "$fault_mnt/d" && : >"$fault_mnt/d/file"
    umount "$fault_mnt" && mount -t "$2" -o "$3" "$(disk_dev "$1")" "$fault_mnt"
    sleep 5 # The daemon sees it well first.
    listen
}

steward_up || { finish; exit 1; }

cold goes-on ext4 errors=continue
well "ext4, continue" FilesystemErrors "$fault_mnt"
well "ext4, continue" "$ext4_kind" "$fault_dev"
well "ext4, continue" "$block_kind" "$fault_dev"
disk_mode goes-on eio
ls "$fault_mnt/d" >/dev/null 2>&1
disk_mode goes-on normal
kernel "ext4, continue" "EXT4-fs error .device $fault_dev"
check "ext4, continue: the mount shows nothing of it" sh -c "! grep -F ' $fault_mnt ' /proc/self/mountinfo | grep -q emergency_ro"
began "ext4, continue" FilesystemErrors "$fault_mnt" 15
began "ext4, continue, by the kernel's line" "$ext4_kind" "$fault_dev" 15
began "ext4, continue, by the kernel's line" "$block_kind" "$fault_dev" 15
sleep 6
check "ext4, continue: what ext4 counted stays until somebody cleans up" problem FilesystemErrors "$fault_mnt"
disk_down goes-on
over "ext4, continue, from the clean-up" FilesystemErrors "$fault_mnt" 30
over "ext4, continue, by the kernel's line" "$ext4_kind" "$fault_dev" 60
over "ext4, continue, by the kernel's line" "$block_kind" "$fault_dev" 60

cold stops ext4 errors=remount-ro
well "ext4, remount-ro" FilesystemErrors "$fault_mnt"
well "ext4, remount-ro" "$ext4_kind" "$fault_dev"
disk_mode stops eio
ls "$fault_mnt/d" >/dev/null 2>&1
disk_mode stops normal
kernel "ext4, remount-ro" "EXT4-fs .$fault_dev.: Remounting filesystem read-only"
# Kernels from 6.12 on say emergency_ro and stay rw; older ones say ro, which is a finding of its own.
if grep -F " $fault_mnt " /proc/self/mountinfo | grep -q emergency_ro; then word='nothing more' kind=FilesystemErrors; else word=read-only kind=FilesystemReadOnly; fi
began "ext4, remount-ro" "$kind" "$fault_mnt" 15
check "ext4, remount-ro: it says that nothing is written any more, critical" sh -c 'printf "%s" "$1" | jq -es ".[0] | .severity == \"critical\" and (.summary | test(\"$2\"))" >/dev/null' sh "$(problem "$kind" "$fault_mnt")" "$word"
began "ext4, remount-ro, by the kernel's line" "$ext4_kind" "$fault_dev" 15
disk_down stops
over "ext4, remount-ro, from the clean-up" "$kind" "$fault_mnt" 30

cold remounted ext4 defaults
well "remounted read-only" FilesystemReadOnly "$fault_mnt"
mount -o remount,ro "$fault_mnt"
began "remounted read-only" FilesystemReadOnly "$fault_mnt" 15
mount -o remount,rw "$fault_mnt"
over "remounted rw" FilesystemReadOnly "$fault_mnt" 30
disk_down remounted

cold shuts-down xfs defaults
well "XFS" FilesystemErrors "$fault_mnt"
well "XFS" "$xfs_kind" "$fault_dev"
ls "$fault_mnt" "$fault_mnt/d" >/dev/null # So that the log is what fails, not the way there.
: >"$fault_mnt/d/new"
disk_mode shuts-down eio
sync -f "$fault_mnt" 2>/dev/null
disk_mode shuts-down normal
kernel "XFS" "XFS .$fault_dev.: Filesystem has been shut down"
check "XFS: the mount shows nothing of it" sh -c "grep -F ' $fault_mnt ' /proc/self/mountinfo | grep -q ' rw,'"
began "XFS, by the kernel's line" "$xfs_kind" "$fault_dev" 15
began "XFS, by its answer to stat" FilesystemErrors "$fault_mnt" 90
disk_down shuts-down
over "XFS, from the clean-up" FilesystemErrors "$fault_mnt" 30

# The node's own logs lie on it, in this namespace alone; kubelet's thresholds are not here, so it is advice.
disk_up fills 0 0 0.1 256M && mount --bind "$(disk_mnt fills)" /var/log || exit 1
well "a full disk" FilesystemFull /var/log
well "a full disk" InodesFull /var/log
fallocate -l "$(($(stat -f -c '%a * %S' /var/log | sed 's/^/(/; s/$/)/') - 4194304))" /var/log/fill
began "a full disk" FilesystemFull /var/log 30
rm /var/log/fill
over "from the room made" FilesystemFull /var/log 60
python3 - "$(($(stat -f -c %d /var/log) - 100))" <<'PY'
import sys
for number in range(int(sys.argv[1])):
    open(f"/var/log/{number}", "x").close()
PY
began "no inodes" InodesFull /var/log 30
find /var/log -xdev -type f -name '[0-9]*' -delete
over "from the files removed" InodesFull /var/log 60
umount /var/log
disk_down fills

if [ -n "$old_hung" ]; then
    cold hangs ext4 defaults || exit 1
    well "a hung task" "$task_kind" node
    echo 10 >$warnings
    echo 5 >$hung
    disk_mode hangs hang
    dd if=/dev/zero of="$fault_mnt/new" bs=4k count=1 conv=fsync 2>/dev/null &
    writer=$!
    own $writer
    began "a hung task" "$task_kind" node 40
    kernel "a hung task" "INFO: task .* blocked for more than"
    began "a hung task, by its state" TaskHung "" 60
    disk_mode hangs normal
    wait $writer
    echo "$old_hung" >$hung
    disk_down hangs
else
    failed "a hung task: this kernel has no hung-task detector"
fi

listen
if [ -d /sys/fs/cgroup/memory ]; then memory=/sys/fs/cgroup/memory/lab-oom limit=memory.limit_in_bytes; else memory=/sys/fs/cgroup/lab-oom limit=memory.max; fi
well "an OOM kill" "$oom_kind" "cgroup /lab-oom"
if mkdir "$memory" && echo 33554432 >"$memory/$limit"; then
    sh -c 'echo $$ >"$1/cgroup.procs"; exec python3 -c "x = bytearray(200 << 20)"' sh "$memory" >/dev/null 2>&1
    began "an OOM kill" "$oom_kind" "cgroup /lab-oom" 15
    kernel "an OOM kill" "Killed process [0-9]+ .python3"
    sleep 0.5
    rmdir "$memory"
else
    failed "an OOM kill: no memory cgroup can be made here"
fi
printf -- '--- what the daemon said\n'; sed 's/^/    /' "$LAB/steward.log" | cut -c 1-240
steward_down
check "SIGTERM ends it in $took s" at_most "$took" 1
finish

# Shell words of the disk lab: disks with quotas, made and taken away, and the words that count results. Sourced, after tests/lib.sh.
# It refuses to run outside a mount namespace of its own (lab_enter makes one), and to end what it did not start.
#
#   lab_enter "$@"                                  first line of a script: checks, namespace, $LAB, tools, cleanup
#   disk_up NAME IOPS MIBPS LAT_MS SIZE [ext4|xfs|none] [MOUNT_OPTIONS]
#   disk_mode NAME hang|eio|normal                  disk_limits NAME IOPS MIBPS LAT_MS
#   disk_down NAME                                  disk_dev NAME · disk_mnt NAME · disk_counters NAME
#   mount_run                                       /run/node-steward of the run's own
#   own PID                                         end PID with the script
#   ok TEXT · failed TEXT · check TEXT COMMAND...   finish

lab_enter() {
    [ "$(id -u)" = 0 ] || skip "lacks root: loop devices, mounts and FUSE"
    [ -e /dev/fuse ] || skip "lacks /dev/fuse"
    [ -e /dev/loop-control ] || skip "lacks /dev/loop-control"
    need unshare util-linux || skip "lacks unshare"
    unshare -m true 2>/dev/null || skip "lacks the right to make a mount namespace"
    # With the namespace all mounts of a run end, whichever way the run ends.
    [ -n "${LAB_INSIDE:-}" ] || LAB_INSIDE=1 exec unshare -m --propagation private "$0" "$@"
    unset LAB_INSIDE
    need mkfs.ext4 e2fsprogs || skip "lacks mkfs.ext4"
    need curl curl || skip "lacks curl"
    need python3 python3 || skip "lacks python3"
    tools=$("$lab_here/build.sh") || { code=$?; printf '%s\n' "$tools"; exit "$code"; }
    PATH=$tools:$PATH PYTHONDONTWRITEBYTECODE=1
    export PATH PYTHONDONTWRITEBYTECODE
    LAB=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-disk.XXXXXX")
    export LAB
    # The volumes lie in memory: what they cost comes from their quota alone, not from this machine's own disk.
    mkdir "$LAB/memory" "$LAB/disks"
    mount -t tmpfs -o size=8g,mode=700 lab "$LAB/memory"
    lab_owned='' passed=0 failures=0
    trap lab_cleanup EXIT
    trap 'exit 130' INT TERM
}

# The daemon's directory becomes a file system of the run's own, so that it meets no other node-steward of this machine.
mount_run() { mkdir -p /run/node-steward && mount -t tmpfs -o mode=755 steward /run/node-steward; }
own() { lab_owned="$lab_owned $1"; }
# Ours to end: started by this very shell, and not another that has its number by now.
lab_ours() { [ "$(sed 's/.*) . //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" = $$ ]; }

lab_cleanup() {
    for lab_disk in "$LAB"/disks/*; do [ ! -e "$lab_disk/pid" ] || disk_mode "$(basename "$lab_disk")" normal 2>/dev/null; done
    for lab_pid in $lab_owned; do ! lab_ours "$lab_pid" || kill "$lab_pid" 2>/dev/null; done
    sleep 0.3
    for lab_pid in $lab_owned; do ! lab_ours "$lab_pid" || kill -9 "$lab_pid" 2>/dev/null; done
    for lab_disk in "$LAB"/disks/*; do [ ! -e "$lab_disk/pid" ] || disk_down "$(basename "$lab_disk")"; done
    umount "$LAB/memory" 2>/dev/null || umount -l "$LAB/memory"
    [ -n "${LAB_KEEP:-}" ] || rm -rf --one-file-system "$LAB"
}

disk_dev() { cat "$LAB/disks/$1/dev"; }
disk_mnt() { printf '%s\n' "$LAB/disks/$1/mnt"; }
disk_counters() { cat "$LAB/disks/$1/fuse/counters"; }
disk_mode() { printf '%s\n' "$2" >"$LAB/disks/$1/fuse/control"; }
disk_limits() { printf 'limits %s %s %s\n' "$2" "$3" "$4" >"$LAB/disks/$1/fuse/control"; }

disk_up() {
    lab_disk=$LAB/disks/$1 lab_fs=${6:-ext4}
    mkdir "$lab_disk" "$lab_disk/fuse" "$lab_disk/mnt"
    truncate -s "$5" "$LAB/memory/$1"
    # Without limits until the file system is made.
    quotadisk "$LAB/memory/$1" "$lab_disk/fuse" 0 0 0 2>"$lab_disk/log" &
    printf '%s\n' $! >"$lab_disk/pid"
    for _ in $(seq 50); do [ ! -e "$lab_disk/fuse/disk" ] || break; sleep 0.1; done
    [ -e "$lab_disk/fuse/disk" ] || { say "quotadisk $1 does not come up: $(cat "$lab_disk/log")"; return 1; }
    # Others take loop devices too: the free one may be gone by the time it is asked for.
    for _ in $(seq 20); do
        losetup --find --show --direct-io=on "$lab_disk/fuse/disk" >"$lab_disk/dev" 2>"$lab_disk/log" && break
        sleep 0.2
    done
    [ -s "$lab_disk/dev" ] || { say "no loop device for $1: $(cat "$lab_disk/log")"; return 1; }
    lab_dev=$(cat "$lab_disk/dev")
    case $lab_fs in
        ext4) mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$lab_dev" >"$lab_disk/log" 2>&1 ;;
        xfs) need mkfs.xfs xfsprogs && mkfs.xfs -q -f -K "$lab_dev" >"$lab_disk/log" 2>&1 ;;
        none) ;;
    esac || { say "no file system on $1: $(cat "$lab_disk/log")"; return 1; }
    [ "$lab_fs" = none ] || mount -t "$lab_fs" -o "${7:-defaults}" "$lab_dev" "$lab_disk/mnt" || return 1
    disk_limits "$1" "$2" "$3" "$4"
}

disk_down() {
    lab_disk=$LAB/disks/$1
    disk_mode "$1" normal 2>/dev/null
    disk_limits "$1" 0 0 0 2>/dev/null
    # Not mountpoint(1): on an XFS that has shut down stat fails, and the mount would stay.
    if grep -qF " $lab_disk/mnt " /proc/self/mountinfo; then umount "$lab_disk/mnt" 2>/dev/null || umount -l "$lab_disk/mnt"; fi
    [ ! -s "$lab_disk/dev" ] || losetup -d "$(cat "$lab_disk/dev")" 2>/dev/null
    umount "$lab_disk/fuse" 2>/dev/null || umount -l "$lab_disk/fuse" 2>/dev/null
    kill "$(cat "$lab_disk/pid")" 2>/dev/null
    wait "$(cat "$lab_disk/pid")" 2>/dev/null
    rm -rf --one-file-system "$lab_disk" "$LAB/memory/$1"
}

ok() { passed=$((passed + 1)); printf 'ok %s\n' "$*"; }
failed() { failures=$((failures + 1)); printf 'FAILED %s\n' "$*"; }
check() { lab_text=$1; shift; if "$@"; then ok "$lab_text"; else failed "$lab_text"; fi; }
finish() { printf '%s passed, %s failed\n' "$passed" "$failures"; [ "$failures" = 0 ] && [ "$passed" -gt 0 ]; }

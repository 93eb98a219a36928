#!/bin/sh
# Container state on its own disk: finds the disk named in /etc/node-steward/container-volume.env, formats it when nothing is on
# it, and mounts it before the container runtime starts. Run by node-steward-container-volume.service; a second run does nothing.
# It refuses the disk that the system runs from, a partition, a disk in use, a disk with anything on it but the one file system
# that is asked for (not a byte of it is written), and to hide what lies under the mount point.
#
#   VOLUME=vol-0123...        EBS volume id, or
#   DEVICE=/dev/sdb           the name in the block device mapping, or any device path
#   MOUNT=/var/lib/containerd  FSTYPE=xfs  OPTIONS=noatime  WAIT=30 (seconds for the disk to appear)
#   COPY=yes                  an image's own containers and images under MOUNT are copied to the new file system once
set -eu
MOUNT=${MOUNT:-/var/lib/containerd} FSTYPE=${FSTYPE:-xfs} OPTIONS=${OPTIONS:-noatime} WAIT=${WAIT:-30}
say() { echo "container volume: $*" >&2; }
stop() { say "$*"; exit 1; }

# The disk that goes by $VOLUME or $DEVICE, as /dev/NAME; fails while there is none.
find_disk() {
    if [ -n "${VOLUME:-}" ]; then
        # NVMe shows the volume id without its hyphen as the serial number, padded with blanks.
        want=$(printf %s "$VOLUME" | tr -d -)
        for serial in /sys/block/*/device/serial; do
            [ "$(tr -d ' \n' <"$serial" 2>/dev/null)" = "$want" ] || continue
            name=${serial#/sys/block/}
            # A path of NVMe multipath (nvme1c1n1) shows the same serial, but is no device.
            if [ -b "/dev/${name%%/*}" ]; then echo "/dev/${name%%/*}"; return 0; fi
        done
        return 1
    fi
    short=${DEVICE#/dev/}
    for path in "/dev/$short" "/dev/xvd${short#sd}"; do
        if [ -b "$path" ]; then readlink -f "$path"; return 0; fi
    done
    # Without udev's links, the controller still knows the mapping's name.
    if command -v ebsnvme-id >/dev/null 2>&1; then
        for path in /dev/nvme*n1; do
            mapped=$(ebsnvme-id -b "$path" 2>/dev/null) || continue
            mapped=${mapped#/dev/}
            if [ "$mapped" = "$short" ] || [ "$mapped" = "xvd${short#sd}" ]; then echo "$path"; return 0; fi
        done
    fi
    return 1
}

# What is mounted on / or elsewhere from the disk or one of its partitions (NUMBERS, each in blanks): one mount point a line.
# Plain shell: a missing tool in a pipe would read as "nothing is mounted".
mounted_from() {
    while read -r _ _ number _ point rest; do
        source=${rest#* - }
        source=${source#* }
        case "$1" in *" $number "*) echo "$point"; continue ;; esac
        case "${source%% *}" in "$disk" | "$disk"[0-9]* | "$disk"p[0-9]*) echo "$point" ;; esac
    done </proc/self/mountinfo
}

[ -n "${VOLUME:-}${DEVICE:-}" ] || stop "neither VOLUME nor DEVICE is set in /etc/node-steward/container-volume.env"
case $MOUNT in
    /?*) ;;
    *) stop "MOUNT=$MOUNT is no absolute path below /" ;;
esac
waited=0
until disk=$(find_disk); do
    [ "$waited" -lt "$WAIT" ] || stop "found no disk for ${VOLUME:-$DEVICE} within $WAIT s"
    sleep 1
    waited=$((waited + 1))
done
[ -b "$disk" ] || stop "$disk is no block device"
name=${disk#/dev/}
[ ! -e "/sys/class/block/$name/partition" ] || stop "$disk is a partition; a whole disk is expected"

major=$(stat -c %t "$disk") minor=$(stat -c %T "$disk")
numbers=" $((0x$major)):$((0x$minor)) "
for partition in "/sys/block/$name/$name"*/dev; do
    [ ! -e "$partition" ] || numbers="$numbers$(cat "$partition") "
done
points=$(mounted_from "$numbers")
case "
$points
" in
    *"
/
"*) stop "$disk holds the root file system" ;;
    *"
$MOUNT
"*) say "$disk is mounted on $MOUNT already"; exit 0 ;;
esac
[ -z "$points" ] || stop "$disk is in use: mounted on $(printf %s "$points" | tr '\n' ' ')"
for holder in "/sys/block/$name/holders"/*; do
    [ ! -e "$holder" ] || stop "$disk is in use by ${holder##*/}"
done
while read -r _ _ _ _ point _; do
    [ "$point" != "$MOUNT" ] || stop "something else is mounted on $MOUNT already"
done </proc/self/mountinfo
for runtime in containerd crio docker; do
    ! systemctl is-active --quiet "$runtime.service" || stop "$runtime runs already: its state would vanish under the mount"
done

mkdir -p "$MOUNT"
if [ -n "$(ls -A "$MOUNT")" ] && [ "${COPY:-}" != yes ]; then
    stop "$MOUNT is not empty and is left alone; COPY=yes copies it to a new volume and mounts that over it"
fi

# blkid's "nothing found" (2) also stands for a disk that cannot be read: read both ends first, and want silence beside the code.
found=0
size=$(blockdev --getsize64 "$disk") || stop "cannot ask $disk for its size"
for skip in 0 $((size / 1048576 - 1)); do
    dd if="$disk" of=/dev/null bs=1M count=1 skip="$skip" iflag=fullblock 2>/dev/null || stop "cannot read $disk; nothing was written"
done
what=$(blkid -p -o export "$disk" 2>&1) || found=$?
fresh=''
case $found in
    0)
        type=$(printf '%s\n' "$what" | sed -n 's/^TYPE=//p')
        [ "$type" = "$FSTYPE" ] ||
            stop "$disk is not empty (${type:-$(printf '%s\n' "$what" | sed -n 's/^PTTYPE=/partition table /p')}) and is left as it is; expected nothing, or $FSTYPE"
        ;;
    2)
        [ -z "$what" ] || stop "blkid cannot judge $disk: $what"
        # blkid knows signatures, not data: a raw database or a detached header has none.
        cmp -s -n 1048576 "$disk" /dev/zero ||
            stop "$disk has no signature, but its first MiB is not empty: it is left as it is; clear it with blkdiscard or dd to use it"
        say "nothing is on $disk: making $FSTYPE"
        "mkfs.$FSTYPE" -q -L node-steward "$disk" </dev/null || stop "mkfs.$FSTYPE failed on $disk"
        fresh=yes
        ;;
    *) stop "blkid cannot judge $disk (exit code $found): $what" ;;
esac

# A copy that was cut short is told by its marker and done again; the original stays beneath the mount.
if [ -n "$(ls -A "$MOUNT")" ]; then
    stage=$(mktemp -d /run/node-steward-volume.XXXXXX)
    mount -t "$FSTYPE" -o "$OPTIONS" "$disk" "$stage"
    copied=0
    if [ -n "$fresh" ] || [ -e "$stage/.node-steward-copying" ]; then
        : >"$stage/.node-steward-copying"
        { cp -a "$MOUNT/." "$stage/" && sync -f "$stage" && rm "$stage/.node-steward-copying"; } || copied=$?
    fi
    umount "$stage"
    rmdir "$stage"
    [ "$copied" = 0 ] || stop "could not copy $MOUNT to $disk; $MOUNT is as it was"
elif [ -n "$fresh" ]; then
    fresh=mode
fi
mode=$(stat -c %a "$MOUNT")
mount -t "$FSTYPE" -o "$OPTIONS" "$disk" "$MOUNT"
[ "$fresh" != mode ] || chmod "$mode" "$MOUNT"
[ -z "$fresh" ] || ! command -v restorecon >/dev/null 2>&1 || restorecon -R "$MOUNT" || say "could not label $MOUNT"
say "$disk is mounted on $MOUNT"

#!/usr/bin/env bash
# The container-volume hook on real block devices: loop devices that are blank, formatted, partitioned, signed, unreadable, in use.
# Every refused disk must be the same afterwards, byte for byte. It refuses to see the machine's own disks: each case runs in a
# chroot of its own, inside a private mount namespace, where /dev and /sys hold only what the case put there.
set -euo pipefail
. "$(dirname "$0")/words.sh"
[ "$(id -u)" = 0 ] || skip "loop devices and mounts need root"
if [ -z "${VOLUME_TEST_INSIDE:-}" ]; then
    need losetup mount || skip "lacks losetup"
    need mkfs.xfs xfsprogs || skip "lacks mkfs.xfs"
    need mkfs.ext4 e2fsprogs || skip "lacks mkfs.ext4"
    need sfdisk fdisk || skip "lacks sfdisk"
    need pvcreate lvm2 || skip "lacks pvcreate"
    losetup -f >/dev/null 2>&1 || skip "this machine has no loop devices"
    exec env VOLUME_TEST_INSIDE=yes unshare -m --propagation private bash "$0" "$@"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-volume.XXXXXX")
loops=()
cleanup() {
    # The mounts end with the namespace, which keeps loop devices busy until then: detach lazily.
    cd /
    awk -v w="$work" 'index($5, w) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r point; do umount -l "$point"; done
    for loop in ${loops[@]+"${loops[@]}"}; do losetup -d "$loop" 2>/dev/null || true; done
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT

# case_root NAME [ROOT_LOOP]: a chroot with the machine's programs, its own /dev, /sys and /run; systemctl is a stand-in.
case_root() {
    root=$work/$1/root image=$work/$1/disk.img
    mkdir -p "$root"
    if [ $# = 2 ]; then mount "$2" "$root"; else mount --bind "$root" "$root"; fi
    mkdir -p "$root"/{usr,dev,sys/block,sys/class/block,proc,run,tmp,stub,etc/node-steward,var/lib}
    mount --bind /usr "$root/usr"
    for link in bin sbin lib lib64 lib32; do [ ! -L "/$link" ] || cp -P "/$link" "$root/$link"; done
    cp /etc/ld.so.cache "$root/etc/" 2>/dev/null || true
    [ ! -d /etc/alternatives ] || cp -a /etc/alternatives "$root/etc/"
    mount -t proc proc "$root/proc"
    mount -t tmpfs dev "$root/dev"
    mknod "$root/dev/null" c 1 3
    mknod "$root/dev/zero" c 1 5
    printf '#!/bin/sh\n[ -e /stub/"$3".active ]\n' >"$root/stub/systemctl"
    chmod +x "$root/stub/systemctl"
    cp "$repo/bootstrap/container-volume.sh" "$root/stub/hook"
}
# disk IMAGE NAME SERIAL [losetup options]: attaches IMAGE and shows it as /dev/NAME, as an EBS volume would be; sets $loop
disk() {
    local file=$1 name=$2 serial=$3; shift 3
    loop=$(losetup -f --show "$@" "$file")
    loops+=("$loop")
    local major minor
    major=$((0x$(stat -c %t "$loop"))) minor=$((0x$(stat -c %T "$loop")))
    mknod "$root/dev/$name" b "$major" "$minor"
    mkdir -p "$root/sys/block/$name/device" "$root/sys/block/$name/holders" "$root/sys/class/block/$name"
    printf '%-20s\n' "$serial" >"$root/sys/block/$name/device/serial"
    echo "$major:$minor" >"$root/sys/block/$name/dev"
}
hook() { env -i PATH=/stub:/usr/sbin:/usr/bin:/sbin:/bin "$@" chroot "$root" /stub/hook; }
blank() { truncate -s "${2:-400M}" "$1"; }
mounted() { awk -v m="$root/var/lib/containerd" '$5 == m { n++ } END { print n + 0 }' /proc/self/mountinfo; }
# refused WHAT TEXT [VAR=VALUE...]: exit code 1, the reason, and not one byte of the image changed
refused() {
    local what=$1 text=$2 before; shift 2
    sync -f "$image"
    before=$(sha256sum <"$image")
    run "$what: refused" 1 hook VOLUME=vol-0123456789abcdef0 "$@"
    says "$what: with the reason" "$text"
    equal "$what: the disk is as it was" "$before" "$(sync -f "$image"; sha256sum <"$image")"
    equal "$what: nothing is mounted" 0 "$(mounted)"
}
v=vol0123456789abcdef0

case_root blank
blank "$image"; disk "$image" nvme1n1 "$v"
mkdir -m 711 -p "$root/var/lib/containerd"
run "a blank disk" 0 hook VOLUME=vol-0123456789abcdef0
equal "is formatted and mounted" "xfs node-steward 1" "$(blkid -p -s TYPE -o value "$loop") $(blkid -p -s LABEL -o value "$loop") $(mounted)"
equal "the mount point's mode stays" 711 "$(stat -c %a "$root/var/lib/containerd")"
echo kept >"$root/var/lib/containerd/marker"
run "a second run" 0 hook VOLUME=vol-0123456789abcdef0
says "does nothing" "mounted on /var/lib/containerd already"
equal "one mount" 1 "$(mounted)"
umount "$root/var/lib/containerd"
uuid=$(blkid -p -s UUID -o value "$loop")
run "the next boot" 0 hook VOLUME=vol-0123456789abcdef0
equal "mounts what is there" "$uuid kept" "$(blkid -p -s UUID -o value "$loop") $(cat "$root/var/lib/containerd/marker")"

case_root ext4
blank "$image" 64M; disk "$image" xvdb ''
run "FSTYPE=ext4, by the mapping's name on Xen" 0 hook DEVICE=/dev/sdb FSTYPE=ext4
equal "is formatted and mounted" "ext4 1" "$(blkid -p -s TYPE -o value "$loop") $(mounted)"

case_root link
blank "$image"; disk "$image" nvme1n1 "$v"; ln -s nvme1n1 "$root/dev/sdb"
run "by udev's link" 0 hook DEVICE=sdb
equal "is mounted" 1 "$(mounted)"

case_root multipath
blank "$image"; disk "$image" nvme1n1 "$v"
cp -R "$root/sys/block/nvme1n1" "$root/sys/block/nvme1c1n1"
run "beside a hidden path of NVMe multipath" 0 hook VOLUME=vol-0123456789abcdef0
equal "the disk is mounted" 1 "$(mounted)"

case_root ebsnvme
blank "$image"; disk "$image" nvme1n1 "$v"
printf '#!/bin/sh\n[ "$2" = /dev/nvme1n1 ] && echo sdb\n' >"$root/stub/ebsnvme-id"; chmod +x "$root/stub/ebsnvme-id"
run "by the mapping's name that the controller knows" 0 hook DEVICE=/dev/sdb
equal "is mounted" 1 "$(mounted)"

case_root own
blank "$image"; mkfs.xfs -q "$image"; disk "$image" nvme1n1 "$v"
mkdir "$work/own/mnt"; mount "$loop" "$work/own/mnt"; echo mine >"$work/own/mnt/marker"; umount "$work/own/mnt"
run "a file system of the wanted kind, made by somebody else" 0 hook VOLUME=vol-0123456789abcdef0
equal "is mounted as it is" mine "$(cat "$root/var/lib/containerd/marker")"

case_root formatted
blank "$image" 64M; mkfs.ext4 -q "$image"; disk "$image" nvme1n1 "$v"
refused "ext4 where xfs is wanted" "(ext4)"

for label in gpt dos; do
    case_root "$label"
    blank "$image" 64M; echo ';' | sfdisk -q --label "$label" "$image"; disk "$image" nvme1n1 "$v"
    refused "a $label partition table" "partition table $label"
done
case_root empty-table
blank "$image" 64M; echo 'label: gpt' | sfdisk -q "$image"; disk "$image" nvme1n1 "$v"
refused "a partition table without partitions" "partition table gpt"

case_root lvm
blank "$image"; disk "$image" nvme1n1 "$v"
pvcreate -q -q --driverloaded n --config "devices { filter=[\"a|$loop|\", \"r|.*|\"] use_devicesfile=0 }" "$loop" >/dev/null 2>&1 || true
equal "pvcreate signed the disk" LVM2_member "$(blkid -p -s TYPE -o value "$loop")"
refused "an LVM physical volume" "(LVM2_member)"

case_root swap
blank "$image" 64M; mkswap -q "$image" >/dev/null; disk "$image" nvme1n1 "$v"
refused "swap space" "(swap)"

case_root ambivalent
blank "$image" 64M; mkfs.ext4 -q "$image"; mkswap -q "$work/swap.img" >/dev/null 2>&1 || true
# A second file system's magic number in the room that ext4 leaves before its own: squashfs 4.0.
printf 'hsqs' | dd of="$image" conv=notrunc status=none; printf '\004\000' | dd of="$image" bs=1 seek=28 conv=notrunc status=none
disk "$image" nvme1n1 "$v"
code=0; blkid -p "$loop" >/dev/null 2>&1 || code=$?
equal "blkid calls the disk ambivalent" 8 "$code"
refused "a disk with two signatures" "exit code 8"

case_root raw
blank "$image"; head -c 4096 /dev/urandom | dd of="$image" bs=4096 seek=9 conv=notrunc status=none; disk "$image" nvme1n1 "$v"
refused "data without a signature" "first MiB is not empty"

case_root unreadable
# On a file system with direct I/O, a loop device whose file has become shorter gives real read errors.
truncate -s 600M "$work/backing.img"; mkfs.ext4 -q "$work/backing.img"; mkdir "$work/backing"; mount -o loop "$work/backing.img" "$work/backing"
image=$work/backing/disk.img
blank "$image" 64M; disk "$image" nvme1n1 "$v" --direct-io=on
truncate -s 0 "$image"; echo 3 >/proc/sys/vm/drop_caches; blockdev --flushbufs "$loop"
code=0; blkid -p "$loop" >/dev/null 2>&1 || code=$?
equal "blkid gives an unreadable disk the code of an empty one" 2 "$code"
refused "an unreadable disk" "cannot read"

case_root odd-blkid
blank "$image"; disk "$image" nvme1n1 "$v"
printf '#!/bin/sh\necho "blkid: error" >&2\nexit 2\n' >"$root/stub/blkid"; chmod +x "$root/stub/blkid"
refused "a blkid that complains" "cannot judge"

case_root elsewhere
blank "$image"; mkfs.xfs -q "$image"; disk "$image" nvme1n1 "$v"; mkdir "$root/mnt"; mount "$loop" "$root/mnt"
run "a disk that is mounted elsewhere: refused" 1 hook VOLUME=vol-0123456789abcdef0
says "with the place" "mounted on /mnt"

truncate -s 200M "$work/system.img"; mkfs.ext4 -q "$work/system.img"
system=$(losetup -f --show "$work/system.img"); loops+=("$system")
case_root system "$system"
image=$work/system.img
mknod "$root/dev/nvme0n1" b "$((0x$(stat -c %t "$system")))" "$((0x$(stat -c %T "$system")))"
mkdir -p "$root/sys/block/nvme0n1/device"; echo "$v" >"$root/sys/block/nvme0n1/device/serial"
run "the root disk: refused" 1 hook VOLUME=vol-0123456789abcdef0 FSTYPE=ext4
says "with the reason" "holds the root file system"
# The usual case: the root file system is a partition of the disk.
blank "$work/whole.img" 64M
rm "$root/dev/nvme0n1"; disk "$work/whole.img" nvme0n1 "$v"
mkdir "$root/sys/block/nvme0n1/nvme0n1p1"; echo "$((0x$(stat -c %t "$system"))):$((0x$(stat -c %T "$system")))" >"$root/sys/block/nvme0n1/nvme0n1p1/dev"
run "the disk with the root partition: refused" 1 hook VOLUME=vol-0123456789abcdef0
says "with the reason" "holds the root file system"

case_root partition
blank "$image" 64M; disk "$image" nvme1n1p1 "$v"; echo 1 >"$root/sys/class/block/nvme1n1p1/partition"
refused "a partition" "is a partition" DEVICE=/dev/nvme1n1p1 VOLUME=

case_root held
blank "$image" 64M; disk "$image" nvme1n1 "$v"; mkdir "$root/sys/block/nvme1n1/holders/md0"
refused "a member of a RAID" "in use by md0"

case_root filled
blank "$image"; disk "$image" nvme1n1 "$v"
mkdir -p "$root/var/lib/containerd/images"; echo pause >"$root/var/lib/containerd/images/pause"
refused "an image's own containers under the mount point" "not empty and is left alone"
equal "they are still there" pause "$(cat "$root/var/lib/containerd/images/pause")"
run "COPY=yes" 0 hook VOLUME=vol-0123456789abcdef0 COPY=yes
equal "copies them" "pause 1" "$(cat "$root/var/lib/containerd/images/pause") $(mounted)"
equal "and leaves no trace of the copying" 0 "$(find "$root/var/lib/containerd" "$root/run" -name '*node-steward*' | wc -l)"
echo new >"$root/var/lib/containerd/images/new"; echo changed >"$root/var/lib/containerd/images/pause"
umount "$root/var/lib/containerd"
equal "the original stays beneath" pause "$(cat "$root/var/lib/containerd/images/pause")"
run "the next boot with COPY=yes" 0 hook VOLUME=vol-0123456789abcdef0 COPY=yes
equal "does not copy again" "changed new" "$(cat "$root/var/lib/containerd/images/pause") $(cat "$root/var/lib/containerd/images/new")"
# A copy that was cut short, by power loss say.
rm "$root/var/lib/containerd/images/pause"; touch "$root/var/lib/containerd/.node-steward-copying"; umount "$root/var/lib/containerd"
run "after a copy that was cut short" 0 hook VOLUME=vol-0123456789abcdef0 COPY=yes
equal "it is copied again" pause "$(cat "$root/var/lib/containerd/images/pause")"
equal "and finished" no "$([ -e "$root/var/lib/containerd/.node-steward-copying" ] && echo yes || echo no)"

case_root running
blank "$image"; disk "$image" nvme1n1 "$v"; touch "$root/stub/containerd.service.active"
refused "a runtime that runs already" "containerd runs already"

case_root late
blank "$image"
( sleep 2; disk "$image" nvme1n1 "$v"; echo "$loop" >"$work/late-loop" ) &
run "a disk that appears while it waits" 0 hook VOLUME=vol-0123456789abcdef0 WAIT=20
wait; loops+=("$(cat "$work/late-loop")")
equal "is mounted" 1 "$(mounted)"

case_root missing
run "a disk that never appears" 1 hook VOLUME=vol-0123456789abcdef0 WAIT=1
says "is named" "no disk for vol-0123456789abcdef0 within 1 s"
run "no disk named" 1 hook
run "a relative mount point" 1 hook VOLUME=vol-1 MOUNT=var/lib
finish

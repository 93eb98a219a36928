# Logical volumes over two virtio disks, named as lvm2 names them; one disk has partitions. Sourced in the guest.
# It refuses to use lvm2 itself: device-mapper sees the same table either way.
# disk: 1G virtio-blk-pci,serial=first
# disk: 1G virtio-blk-pci,serial=second
modprobe dm_mod
one=$(readlink -f /dev/disk/by-id/virtio-first) two=$(readlink -f /dev/disk/by-id/virtio-second)
printf 'label: gpt\nsize=100M\nsize=800M\n' | sfdisk -q "$one"
udevadm settle
size=$(blockdev --getsz "${one}2")
printf '0 %s linear %s 0\n%s %s linear %s 0\n' "$size" "${one}2" "$size" 1000000 "$two" | dmsetup create vg0-data --uuid LVM-q0Rz1vY4bXk2m7UoYgTJc8nHs5dWfLeA9aPi3BtC6uNjKxOwVhGyEZrDlQSFMpI
dmsetup mknodes
mkfs.ext4 -q /dev/mapper/vg0-data
mkdir -p /var/lib/containerd && mount /dev/mapper/vg0-data /var/lib/containerd
mkfs.xfs -q "${one}1" 2>/dev/null || mkfs.ext4 -q "${one}1"
mkdir -p /srv && mount "${one}1" /srv

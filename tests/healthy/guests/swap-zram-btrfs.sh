# A root with swap in compressed memory, a btrfs with two subvolumes on one disk, and an empty loop device. Sourced in the guest.
# It refuses to go on without btrfs.
# package: btrfs-progs liblzo2-2
# disk: 1G virtio-blk-pci,serial=btrfs
modprobe -a btrfs zram loop
disk=$(readlink -f /dev/disk/by-id/virtio-btrfs)
mkfs.btrfs -q -f "$disk"
mkdir -p /srv/a /srv/b
mount "$disk" /srv/a
btrfs subvolume create /srv/a/sub
mount -o subvol=sub "$disk" /srv/b
echo 64M >/sys/block/zram0/disksize
mkswap -q /dev/zram0 && swapon /dev/zram0
losetup -f

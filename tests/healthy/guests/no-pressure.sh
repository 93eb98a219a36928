# A kernel started without pressure stall information, as some distributions build theirs. Sourced in the guest.
# It refuses to go on where the kernel tells pressure all the same.
# append: psi=0
# disk: 256M virtio-blk-pci,serial=data
if cat /proc/pressure/io 2>/dev/null; then exit 1; fi
disk=$(readlink -f /dev/disk/by-id/virtio-data)
mkfs.ext4 -q "$disk"
mkdir -p /srv && mount "$disk" /srv

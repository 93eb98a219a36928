# SCSI disks behind virtio-scsi with logical partitions, one of them empty, and a read-only CD. Sourced in the guest.
# It refuses to go on without the disks.
# device: virtio-scsi-pci,id=scsi
# disk: 1G scsi-hd,bus=scsi.0,serial=os,product=PersistentDisk,vendor=Google
# disk: 64M scsi-hd,bus=scsi.0,serial=empty
# disk: 16M scsi-cd,bus=scsi.0,serial=cd
modprobe virtio_scsi; modprobe sd_mod; modprobe sr_mod || true
udevadm settle
[ -b /dev/sda ] && [ -b /dev/sdb ]
printf 'label: dos\nsize=100M\ntype=5\nsize=200M\nsize=200M\n' | sfdisk -q /dev/sda
udevadm settle
mkfs.ext4 -q /dev/sda5
mkfs.xfs -q -f /dev/sda6 2>/dev/null || mkfs.ext4 -q /dev/sda6
mkdir -p /mnt/stateful /mnt/data
mount -o nosuid,nodev,noexec /dev/sda5 /mnt/stateful
mount /dev/sda6 /mnt/data

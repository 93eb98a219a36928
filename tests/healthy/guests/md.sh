# A mirror and a stripe of NVMe disks, as instance-store nodes build them at boot; container state lies on the stripe.
# Sourced in the guest. It refuses a mirror that is not in sync when the recording begins.
# package: mdadm
# disk: 512M nvme,serial=a
# disk: 512M nvme,serial=b
# disk: 512M nvme,serial=c
# disk: 512M nvme,serial=d
modprobe -a raid0 raid1
mdadm --create /dev/md0 --run --level=0 --raid-devices=2 --metadata=1.2 /dev/nvme1n1 /dev/nvme2n1
mdadm --create /dev/md1 --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean /dev/nvme3n1 /dev/nvme4n1
mkfs.xfs -q /dev/md0
mkfs.ext4 -q /dev/md1
mkdir -p /mnt/k8s-disks/0 /srv
mount /dev/md0 /mnt/k8s-disks/0
mount /dev/md1 /srv
mkdir -p /mnt/k8s-disks/0/containerd /var/lib/containerd
mount --bind /mnt/k8s-disks/0/containerd /var/lib/containerd
grep -q 'md1 : active raid1' /proc/mdstat

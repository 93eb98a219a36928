# One NVMe namespace behind two controllers: the kernel shows a head and hides its paths. Sourced in the guest.
# It refuses to go on where the kernel shows two disks.
# append: nvme_core.multipath=Y
# device: nvme-subsys,id=sub,nqn=array
# device: nvme,id=path1,serial=array,subsys=sub
# device: nvme,id=path2,serial=array,subsys=sub
# disk: 512M nvme-ns,bus=path1,nsid=1,shared=on
udevadm settle
ls /sys/block
# A head has a device node, its paths have none.
head=''
for one in /sys/block/nvme*; do if [ "$(cat "$one/size")" = 1048576 ] && [ -b "/dev/${one##*/}" ]; then head=$head${one##*/}; fi; done
[ "${head#nvme?n?}" = '' ] && [ -n "$head" ]
mkfs.xfs -q "/dev/$head"
mkdir -p /srv && mount "/dev/$head" /srv

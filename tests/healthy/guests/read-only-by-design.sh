# Mounts that are read-only and full because they are meant to be: squashfs and erofs images, a bind mount, an ext4 mounted ro from the
# start, an overlay above them. Sourced in the guest. It refuses to go on where one of them can be written.
# package: squashfs-tools liblzo2-2 erofs-utils
mkdir -p /snap/core/1 /snap/core/2 /opt/image /opt/bound /opt/merged /run/upper /run/work
mksquashfs /etc /root/etc.squashfs -quiet -no-progress -comp gzip
mksquashfs /usr/lib/vm /root/vm.squashfs -quiet -no-progress -comp gzip
mount -t squashfs -o ro,loop /root/etc.squashfs /snap/core/1
mount -t squashfs -o ro,loop /root/vm.squashfs /snap/core/2
truncate -s 32M /root/image && mkfs.ext4 -q -d /usr/lib/systemd/network /root/image
mount -o ro,loop /root/image /opt/image
mount --bind /opt/image /opt/bound
mount -o remount,ro,bind /opt/bound
mount -t tmpfs tmpfs /run/upper && mkdir /run/upper/u /run/upper/w
mount -t overlay -o lowerdir=/snap/core/1:/snap/core/2,upperdir=/run/upper/u,workdir=/run/upper/w overlay /opt/merged
! touch /opt/image/x 2>/dev/null

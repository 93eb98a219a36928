#!/usr/bin/env bash
# Builds the guest machine's parts once: a root file system image (Debian stable, systemd, containerd 2) and its kernel.
# Prints the directory that holds them (root.img, vmlinuz, version); the cache key is the content of this file and of guest/.
# It refuses to touch the machine's own apt settings, to run without root, and to leave a half-built directory behind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"

base_suite=trixie
# kubelet 1.36 asks the runtime for its cgroup driver (RuntimeConfig), which stable's containerd 1.7 does not know:
# these few packages, and nothing else, come from the next suite.
next_suite=forky
next_packages="containerd runc containernetworking-plugins"
packages="systemd systemd-sysv dbus udev kmod mount procps util-linux e2fsprogs xfsprogs dmsetup
    iproute2 nftables iptables socat curl jq strace rsyslog cloud-init"
image_mib=8192

key=$(cat "$0" $(find "$here/guest" -type f | LC_ALL=C sort) | sha256sum | cut -c1-16)
out=$NODE_STEWARD_CACHE/vm/$key
mkdir -p "$NODE_STEWARD_CACHE/vm"
exec 7>"$NODE_STEWARD_CACHE/vm/build.lock"
flock 7
if [ -f "$out/version" ]; then touch "$out"; echo "$out"; exit 0; fi
# Images of earlier states of this tree, 660 MB each: kept while anyone used them in the last two days.
find "$NODE_STEWARD_CACHE/vm" -mindepth 1 -maxdepth 1 -type d -name '????????????????' -mtime +1 -exec rm -rf --one-file-system {} +

[ "$(id -u)" = 0 ] || skip "the guest's root file system needs root to be unpacked"
install_libc() { [ -n "$(find /usr/lib -name libc.a -print -quit 2>/dev/null)" ] || install_debian libc6-dev; }
need mmdebstrap mmdebstrap || skip "lacks mmdebstrap"
need mkfs.ext4 e2fsprogs || skip "lacks mkfs.ext4"
need xz xz-utils || skip "lacks xz"
need depmod kmod || skip "lacks depmod"
{ need cc gcc && install_libc; } || skip "lacks a C compiler with a static C library"
# The mirror is the one this machine already uses.
. /etc/os-release
site=$(apt-get indextargets --format '$(SITE) $(RELEASE)' | awk -v r="${VERSION_CODENAME:-}" '$2 == r { print $1; exit }')
[ -n "$site" ] || skip "apt names no mirror for $VERSION_CODENAME"

started=$SECONDS
work=$(mktemp -d "$NODE_STEWARD_CACHE/vm/.build.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
mkdir "$work/out"

cat >"$work/pins" <<EOF
Package: *
Pin: release n=$next_suite
Pin-Priority: 1

Package: $next_packages
Pin: release n=$next_suite
Pin-Priority: 900
EOF
# The kernel package is only unpacked: its dependencies would bring an initrd, which a kernel with NVMe and ext4 built in
# does not need.
cat >"$work/kernel-hook" <<'EOF'
set -eu
root=$1; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: *\(linux-image-[0-9].*\)/\1/p' | head -n 1)
[ -n "$kernel" ]
mkdir "$root/kernel"; chmod 777 "$root/kernel"
cd "$root/kernel"
apt-get download -qq "$kernel"
dpkg -x ./*.deb x
EOF
# A mirror may be a frozen copy whose release file has passed its date: signatures are still checked.
say "vm: root file system ($base_suite, $next_packages from $next_suite)"
mmdebstrap --quiet --variant=minbase --mode=root \
    --include="$(echo $packages $next_packages | tr ' ' ',')" \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/i18n/*' \
    --setup-hook="mkdir -p \"\$1/etc/apt/preferences.d\" && cp $work/pins \"\$1/etc/apt/preferences.d/next\"" \
    --customize-hook="sh $work/kernel-hook \"\$1\"" \
    "$base_suite" "$work/root" "deb $site $base_suite main" "deb $site $next_suite main" >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2; say "vm: mmdebstrap failed"; exit 1; }
say "vm: root file system after $((SECONDS - started)) s"

root=$work/root
mv "$root"/kernel/x/boot/vmlinuz-* "$work/out/vmlinuz"
mv "$root"/kernel/x/usr/lib/modules "$root/usr/lib/modules"
rm -rf "$root/kernel"
release=$(ls "$root/usr/lib/modules")
# An emulated processor spends seconds unpacking modules at each boot: unpack them once here.
find "$root/usr/lib/modules" -name '*.ko.xz' -exec xz -d {} +
depmod -b "$root" "$release"

cp -a "$here/guest/root/." "$root/"
chown -R 0:0 "$root/etc" "$root/usr/lib/vm"
chmod 755 "$root"/usr/lib/vm/*
# No registry is near: the pause image is one static program of our own, in the archive form that containerd imports.
image=$work/image
mkdir -p "$image/rootfs"
cc -static -Os -s -o "$image/rootfs/pause" "$here/guest/pause.c"
tar -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$image/rootfs" -f "$image/layer.tar" pause
printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/pause"],"User":"65535:65535"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(sha256sum <"$image/layer.tar" | cut -d' ' -f1)" >"$image/config.json"
echo '[{"Config":"config.json","RepoTags":["localhost/pause:1"],"Layers":["layer.tar"]}]' >"$image/manifest.json"
tar -c -C "$image" -f "$root/usr/lib/vm/pause.tar" manifest.json config.json layer.tar
in_root() { chroot "$root" "$@"; }
# systemctl says on every call that /proc is not mounted; its words matter only when it fails.
units() { in_root systemctl --quiet "$@" >>"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; return 1; }; }
units enable systemd-networkd vm-run.service pause-image.service
# What costs an emulated boot time, or writes at moments of its own, stays off; a test that wants one enables it.
units disable containerd rsyslog syslog.socket systemd-networkd-wait-online e2scrub_reap \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer getty@tty1
units mask getty.target serial-getty@ttyS0 systemd-binfmt systemd-hwdb-update
units set-default multi-user.target
: >"$root/etc/machine-id"

truncate -s "${image_mib}M" "$work/out/root.img"
mkfs.ext4 -q -F -L guest -m 0 -E lazy_itable_init=1 -d "$root" "$work/out/root.img"
{
    echo "kernel $release"
    in_root dpkg-query -W -f '${Package} ${Version}\n' systemd $next_packages cloud-init
    echo "seconds $((SECONDS - started))"
} >"$work/out/version"
rm -rf --one-file-system "$out"
mv "$work/out" "$out"
say "vm: built in $((SECONDS - started)) s, $(du -sh "$out" | cut -f1): $(head -n 1 "$out/version")"
echo "$out"

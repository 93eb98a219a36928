#!/usr/bin/env bash
# What systemd says to our units in the company of each image's own: no warning, no ordering cycle, and the order that we rely on.
# The neighbours are stand-ins with the ordering of the real ones (nodeadm's, cloud-init's of Amazon Linux and of Debian, kubeadm's).
# It refuses to trust silence alone: a planted cycle and a planted misspelling must be found.
set -euo pipefail
. "$(dirname "$0")/words.sh"
need systemd-analyze systemd || skip "lacks systemd-analyze"
[ -d /usr/lib/systemd/system ] || [ -d /lib/systemd/system ] || skip "lacks systemd's own units"

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-units.XXXXXX")
trap 'rm -rf "$work"' EXIT

# image NAME: a root with systemd's own targets and our units as `make install` puts them
image() {
    root=$work/$1 system=$work/$1/usr/lib/systemd/system
    mkdir -p "$system" "$root"/usr/bin "$root"/etc/systemd/system "$root"/etc/node-steward "$root/usr/lib/node-steward/bootstrap"
    for file in sysinit basic shutdown local-fs local-fs-pre network network-pre network-online multi-user time-sync sockets timers paths \
        slices umount swap remote-fs; do
        cp "$(ls /usr/lib/systemd/system/$file.target /lib/systemd/system/$file.target 2>/dev/null | head -n 1)" "$system/"
    done
    cp -R "$repo/systemd/." "$system/"
    for program in "$root"/usr/bin/{node-steward,kubelet,containerd,nodeadm,cloud-init,systemctl,sh} "$root/usr/lib/node-steward/bootstrap/container-volume.sh"; do
        printf '#!/bin/sh\n' >"$program"; chmod +x "$program"
    done
    ln -s usr/bin "$root/bin" 2>/dev/null || true
    touch "$root/etc/node-steward/container-volume.env"
}
unit() { cat >"$system/$1"; }
want() { mkdir -p "$root/etc/systemd/system/$1.wants"; shift_to=$1; shift; for one; do ln -s "/usr/lib/systemd/system/$one" "$root/etc/systemd/system/$shift_to.wants/$one"; done; }
oneshot() { printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=%s\n' "$1"; }

# cloud-init's four stages; where they stand in the boot differs: $1 is amazon or debian.
cloud_init() {
    { printf '[Unit]\nDefaultDependencies=no\nWants=network-pre.target\nBefore=network-pre.target shutdown.target%s\nConflicts=shutdown.target\n' \
        "$([ "$1" = debian ] && echo ' sysinit.target')"; oneshot /usr/bin/cloud-init; } | unit cloud-init-local.service
    { if [ "$1" = debian ]; then
        printf '[Unit]\nDefaultDependencies=no\nAfter=cloud-init-local.service\nBefore=network-online.target sysinit.target shutdown.target\nConflicts=shutdown.target\nWants=cloud-init-local.service\n'
    else
        printf '[Unit]\nAfter=cloud-init-local.service network.target\nBefore=network-online.target\nWants=cloud-init-local.service\n'
    fi; oneshot /usr/bin/cloud-init; } | unit cloud-init.service
    { printf '[Unit]\nAfter=network-online.target cloud-init.service\nWants=network-online.target\n'; oneshot /usr/bin/cloud-init; } | unit cloud-config.service
    { printf '[Unit]\nAfter=network-online.target time-sync.target cloud-config.service%s\nWants=network-online.target cloud-config.service\n' \
        "$([ "$1" = debian ] && echo ' multi-user.target')"; oneshot /usr/bin/cloud-init; } | unit cloud-final.service
    printf '[Unit]\nAfter=multi-user.target\n' | unit cloud-init.target
    want cloud-init.target cloud-init-local.service cloud-init.service cloud-config.service cloud-final.service
    want multi-user.target cloud-init.target
}
containerd() { printf '[Unit]\nAfter=network.target local-fs.target\n[Service]\nExecStart=/usr/bin/containerd\n' | unit containerd.service; }
kubelet() { printf '[Unit]\nAfter=containerd.service %s\nWants=containerd.service %s\n[Service]\nExecStart=/usr/bin/kubelet\n' "$1" "$1" | unit kubelet.service; }

# silent WHAT UNIT...: systemd-analyze has nothing to say
analyze() { systemd-analyze verify --man=no --root="$root" "$@" >"$work/said" 2>&1; }
silent() {
    local what=$1 code=0; shift
    analyze "$@" || code=$?
    if [ "$code" = 0 ] && [ ! -s "$work/said" ]; then ok "$what"; else bad "$what (exit code $code): $(cat "$work/said")"; fi
}
ours="node-steward.service node-steward-bootstrap.service node-steward-container-volume.service"
all="$ours node-steward-protect.service"

image al2023
cloud_init amazon; containerd; kubelet network-online.target
{ printf '[Unit]\nBefore=cloud-init.service\n'; oneshot /usr/bin/nodeadm; } | unit nodeadm-config.service
{ printf '[Unit]\nAfter=nodeadm-config.service cloud-final.service\nRequires=nodeadm-config.service\n'; oneshot /usr/bin/nodeadm; } | unit nodeadm-run.service
want multi-user.target nodeadm-config.service nodeadm-run.service $ours
want containerd.service node-steward-container-volume.service
silent "EKS AL2023: the whole boot" multi-user.target
silent "EKS AL2023: kubelet, as nodeadm-run starts it" kubelet.service
silent "EKS AL2023: our units alone" $all

image al2
cloud_init amazon; containerd; kubelet network-online.target
want multi-user.target $ours
want containerd.service node-steward-container-volume.service
silent "EKS AL2: the whole boot, our early run enabled though it need not be" multi-user.target
silent "EKS AL2: kubelet, as bootstrap.sh starts it within cloud-final" kubelet.service

image debian
cloud_init debian; containerd; kubelet network-online.target
want multi-user.target containerd.service kubelet.service $ours
want containerd.service node-steward-container-volume.service
silent "Debian with kubeadm: the whole boot" multi-user.target

image bare
silent "no neighbour at all: our units" $all
equal "nothing needs our units to succeed" 0 "$(grep -rlE '^(Requires|Requisite|BindsTo|RequiredBy)=' "$repo/systemd" | wc -l)"

# The words can find something: a cycle on Debian, and a misspelt key.
image planted
cloud_init debian; containerd; kubelet network-online.target
want multi-user.target containerd.service kubelet.service $ours
sed -i 's/^After=nodeadm-config.service/& cloud-final.service/' "$system/node-steward-bootstrap.service"
analyze multi-user.target || true
says "planted: waiting for cloud-final is a cycle on Debian" "ordering cycle"
image misspelt
sed -i 's/^TimeoutStartSec=/TimeoutStartSecs=/' "$system/node-steward-bootstrap.service"
analyze node-steward-bootstrap.service || true
says "planted: a misspelt key" TimeoutStartSecs
finish

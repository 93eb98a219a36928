#!/usr/bin/env bash
# The watch on a whole machine: a guest with cgroup v2, containerd and kubelet; kubelet's state lies on a disk of its own with a quota
# that the emulator holds. One pod writes as much as it can: the daemon must name the disk, the pod and the container, and let go afterwards.
# Then three known writers, one of them hidden in the root cgroup: what nobody was seen to write must be the hidden one's, within 5 %; and a pod whose name
# only its runtime knows. Last, whether the unit lets the daemon reach for an API server.
# It refuses an API server: the pods are static, and the names come from the node itself.
#
#   watch.sh [--keep DIR]
#
#   $NODE_STEWARD   the program, put at /usr/bin/node-steward; its unit comes from systemd/ of this tree
#   $WATCH_IOPS     the quota of the disk, operations per second (240)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"
kube=$here/../kube repo=$here/../../.. iops=${WATCH_IOPS:-240} keep=''
if [ "${1:-}" = --keep ]; then keep=$2; fi
[ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program"
need mkfs.ext4 e2fsprogs || skip "lacks mkfs.ext4"
need cc gcc libc6-dev || skip "lacks a C compiler"
need openssl openssl || skip "lacks openssl"
kubelet=$("$kube/build.sh" kubelet) || { code=$?; printf '%s\n' "$kubelet"; exit "$code"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-watch.XXXXXX")
cleanup() {
    [ -z "$keep" ] || { mkdir -p "$keep"; cp -R "$work/out/." "$keep/" 2>/dev/null || true; }
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

over=$work/over system=$work/over/etc/systemd/system
mkdir -p "$over"/usr/{bin,lib/vm} "$over"/etc/{kubernetes/manifests,eks/kubelet,node-steward/config.d} "$system"/{multi-user.target.wants,kubelet.service.wants} \
    "$work"/{input,image/rootfs}
cp "$kubelet" "$over/usr/bin/kubelet"
cp "$NODE_STEWARD" "$over/usr/bin/node-steward"
cp "$repo/systemd/node-steward.service" "$system/"
ln -s /usr/lib/systemd/system/containerd.service /etc/systemd/system/kubelet.service ../node-steward.service "$system/multi-user.target.wants/"
cp "$here"/watch/kubelet.json "$over/etc/kubernetes/kubelet.json"
echo "NODEADM_KUBELET_ARGS=--config=/etc/kubernetes/kubelet.json --hostname-override=guest" >"$over/etc/eks/kubelet/environment"
cp "$here"/watch/settings.toml "$over/etc/node-steward/config.d/50-test.toml"
cp "$here"/watch/{steady,greedy}.json "$here"/watch/{settings,cluster}.toml "$work/input/"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -days 2 -subj /CN=nobody -out "$work/ca.crt" 2>/dev/null
printf '{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": "https://10.9.9.9:6443", "certificate-authority-data": "%s"}}], "users": [{"name": "u", "user": {"token": "t"}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}\n' \
    "$(base64 -w0 <"$work/ca.crt")" >"$over/etc/node-steward/kubeconfig"
mv "$work/input/steady.json" "$over/etc/kubernetes/manifests/"

# The load as an image of one static program; no registry is near.
cc -static -O2 -pthread -o "$work/image/rootfs/load" "$here/../disk/tools/load.c"
cp "$work/image/rootfs/load" "$work/input/load"
tar -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$work/image/rootfs" -f "$work/image/layer.tar" load
printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/load"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(sha256sum <"$work/image/layer.tar" | cut -d' ' -f1)" >"$work/image/config.json"
echo '[{"Config":"config.json","RepoTags":["localhost/load:1"],"Layers":["layer.tar"]}]' >"$work/image/manifest.json"
tar -c -C "$work/image" -f "$over/usr/lib/vm/load.tar" manifest.json config.json layer.tar
cat >"$system/load-image.service" <<'EOF'
[Unit]
After=containerd.service
Requires=containerd.service
Before=kubelet.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ctr -n k8s.io images import /usr/lib/vm/load.tar
EOF
ln -s ../load-image.service "$system/kubelet.service.wants/"

# kubelet's state on the disk with the quota.
truncate -s 2G "$work/data.img"
mkfs.ext4 -q -F -L kubelet -E lazy_itable_init=0,lazy_journal_init=0 "$work/data.img"
cat >"$system/var-lib-kubelet.mount" <<'EOF'
[Unit]
Before=kubelet.service
[Mount]
What=LABEL=kubelet
Where=/var/lib/kubelet
Type=ext4
EOF
ln -s ../var-lib-kubelet.mount "$system/multi-user.target.wants/"
ln -s ../var-lib-kubelet.mount "$system/kubelet.service.wants/"

code=0
"$here/run.sh" --memory 3072 --over "$over" --deadline 1200 \
    --qemu -drive --qemu "file=$work/data.img,format=raw,if=none,id=data,cache=unsafe,throttling.iops-total=$iops" \
    --qemu -device --qemu "virtio-blk-pci,drive=data,serial=data" \
    "$work/input" "$here/inside/watch.sh" "$work/out" || code=$?
cat "$work/out/script.log" 2>/dev/null || true
case $code in 0 | 77) ;; *) say "watch.sh: the guest's part ended with $code"; grep -a node-steward "$work/out/journal.txt" | tail -n 30 >&2 || true ;; esac
exit "$code"

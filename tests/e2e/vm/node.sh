#!/usr/bin/env bash
# The whole way on a whole machine: the guest boots, node-steward's unit writes kubelet's configuration, kubelet starts with
# it and registers with an API server outside; the Node's allocatable must be the prediction, to the byte.
# It refuses to soften kubelet's settings: cgroups per QoS class, enforcement of pods and systemd's cgroup driver stay.
#
#   node.sh [--drop-in FILE] [--base FILE] [--predict COMMAND] [--memory MIB] [--smp N] [--product TYPE] [--keep DIR] [--pod yes]
#
#   $NODE_STEWARD        the program, put at /usr/bin/node-steward; its units come from systemd/ of this tree
#   --drop-in FILE       instead of node-steward: this file is placed by hand, and the prediction is the test's own arithmetic
#   --base FILE          the main file as an image's own tools wrote it (default: base.json here, as nodeadm writes it, without
#                        kubeReserved, and with serving certificates that nobody needs to sign)
#   --predict COMMAND    run in the guest after node-steward's unit and before kubelet; JSON with "allocatable"
#                        (default: node-steward reserve -o json)
#   --pod yes            run one static pod besides (its path is set by a drop-in 90-lab.conf), and see it Running
# Compared: capacity with the kernel's own figures; allocatable with the prediction and with arithmetic on what was written;
# /configz with each value of the base and of the drop-ins; kubepods.slice's limits; that kubelet started once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"
kube=$here/../kube repo=$here/../../..

drop_in='' base=$here/base.json predict='/usr/bin/node-steward reserve -o json' memory=4096 smp=2 product=m5.large keep='' pod=''
while [ $# -gt 1 ]; do
    case $1 in
        --drop-in) drop_in=$(realpath "$2") ;;
        --base) base=$(realpath "$2") ;;
        --predict) predict=$2 ;;
        --memory) memory=$2 ;;
        --smp) smp=$2 ;;
        --product) product=$2 ;;
        --keep) keep=$2 ;;
        --pod) pod=$2 ;;
        *) break ;;
    esac
    shift 2
done
[ $# = 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ -n "$drop_in" ] || [ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program, and no --drop-in is given"
need jq jq || skip "lacks jq"
kubelet=$("$kube/build.sh" kubelet) || { code=$?; printf '%s\n' "$kubelet"; exit "$code"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-node.XXXXXX")
control=$work/control
cleanup() {
    [ ! -e "$control/server" ] || "$kube/controlplane.sh" stop "$control" || true
    [ -z "$keep" ] || { mkdir -p "$keep"; cp -R "$work/out" "$work"/*.json "$keep/" 2>/dev/null || true; }
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
"$kube/controlplane.sh" start "$control" $$ >"$work/control.log" || { code=$?; cat "$work/control.log"; exit "$code"; }
node=guest
"$kube/controlplane.sh" node-kubeconfig "$control" "$node" "https://10.0.2.2:$(cat "$control/port")" >/dev/null

over=$work/over system=$work/over/etc/systemd/system
mkdir -p "$over"/usr/bin "$over"/etc/kubernetes/{pki,kubelet/config.json.d} "$over"/etc/eks/kubelet "$over"/var/lib/kubelet \
    "$system/multi-user.target.wants" "$work/input"
cp "$kubelet" "$over/usr/bin/kubelet"
cp "$control/ca.crt" "$over/etc/kubernetes/pki/ca.crt"
cp "$control/node-$node.kubeconfig" "$over/var/lib/kubelet/kubeconfig"
cp "$base" "$over/etc/kubernetes/kubelet/config.json"
echo "NODEADM_KUBELET_ARGS=--config=/etc/kubernetes/kubelet/config.json --config-dir=/etc/kubernetes/kubelet/config.json.d" \
    "--kubeconfig=/var/lib/kubelet/kubeconfig --hostname-override=$node --node-ip=10.0.2.15" >"$over/etc/eks/kubelet/environment"
ln -s /usr/lib/systemd/system/containerd.service /etc/systemd/system/kubelet.service "$system/multi-user.target.wants/"
if [ -n "$drop_in" ]; then
    cp "$drop_in" "$over/etc/kubernetes/kubelet/config.json.d/50-node-steward.conf"
else
    cp "$NODE_STEWARD" "$over/usr/bin/node-steward"
    [ -f "$repo/systemd/node-steward-bootstrap.service" ] || { say "this tree has no systemd/node-steward-bootstrap.service"; exit 1; }
    cp -R "$repo/systemd/." "$system/"
    ln -s ../node-steward-bootstrap.service "$system/multi-user.target.wants/"
    cat >"$system/predict.service" <<EOF
[Unit]
After=node-steward-bootstrap.service
Before=kubelet.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c '$predict >/var/predicted.json'
EOF
    ln -s ../predict.service "$system/multi-user.target.wants/"
fi
if [ -n "$pod" ]; then
    mkdir "$over/etc/kubernetes/manifests"
    cp "$here/pod.json" "$over/etc/kubernetes/manifests/"
    echo '{"kind":"KubeletConfiguration","apiVersion":"kubelet.config.k8s.io/v1beta1","staticPodPath":"/etc/kubernetes/manifests"}' \
        >"$over/etc/kubernetes/kubelet/config.json.d/90-lab.conf"
    touch "$work/input/pod"
fi
cp "$control"/{ca.crt,to-kubelet.crt,to-kubelet.key,"node-$node.crt","node-$node.key",port} "$work/input/"
chmod 600 "$work/input"/*.key

code=0
"$here/run.sh" --memory "$memory" --smp "$smp" --smbios "manufacturer=Amazon EC2,product=$product" --deadline 420 \
    --over "$over" "$work/input" "$here/inside/node.sh" "$work/out" || code=$?
if [ "$code" != 0 ]; then
    [ "$code" = 77 ] || { cat "$work/out/script.log"; say "node.sh: the guest's part ended with $code"; }
    exit "$code"
fi
results=$work/out/results
"$kube/controlplane.sh" api "$control" admin GET "/api/v1/nodes/$node" >"$work/node.json"

passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok: $1"; }
bad() { failed=$((failed + 1)); echo "FAILED: $1"; }
equal() { if [ "$2" = "$3" ]; then ok "$1: $2"; else bad "$1: expected $2, found $3"; fi; }
lines() { while read -r verdict text; do if [ "$verdict" = ok ]; then ok "$1: $text"; else bad "$1: $text"; fi; done; }

echo "kubelet $(jq -r .status.nodeInfo.kubeletVersion "$work/node.json"), $(jq -r .status.nodeInfo.containerRuntimeVersion "$work/node.json")," \
    "kernel $(jq -r .status.nodeInfo.kernelVersion "$work/node.json"); Ready $(cat "$results/ready-at") s after boot; $(grep all "$work/out/times")"
jq -c '.status | {capacity, allocatable}' "$work/node.json"
equal "the Node is Ready" True "$(jq -r '.status.conditions[] | select(.type == "Ready").status' "$work/node.json")"

# What was written, as kubelet merges it; the kernel's figures of the same boot.
jq 'reduce .[] as $one ({}; . * $one) | del(.kind, .apiVersion)' "$results/written.json" >"$work/wanted.json"
jq -n -f "$here/arithmetic.jq" --slurpfile wanted "$work/wanted.json" --slurpfile machine "$results/machine.json" >"$work/arithmetic.json"
equal "capacity is the kernel's figures" "$(jq -c .capacity "$work/arithmetic.json")" \
    "$(jq -c '.status.capacity | {cpu, memory, "ephemeral-storage", pods}' "$work/node.json")"
amounts() { # TITLE FILE: each resource that FILE predicts, as a number and as text
    while read -r verdict text; do
        if [ "$verdict" = ok ]; then ok "$1: $text"; else bad "$1: $text"; fi
    done < <(jq -n -r -f "$kube/allocatable.jq" --slurpfile predicted "$2" --slurpfile node "$work/node.json")
}
amounts "arithmetic on what was written" "$work/arithmetic.json"
if [ -z "$drop_in" ]; then
    amounts "node-steward's prediction" "$results/predicted.json"
    if diff -r "$results/config.json.d" "$work/over/etc/kubernetes/kubelet/config.json.d" >"$work/placed" && cmp -s "$base" "$results/config.json"; then
        bad "node-steward placed nothing"
    else
        ok "node-steward placed its own: $(sed -n 's/^Only in .*: //p' "$work/placed" | paste -sd' ')"
    fi
    equal "node-steward's unit" "Result=success ActiveState=active" "$(cat "$results/bootstrap-unit")"
fi

# kubelet omits what is empty; everything else must come back as it was given.
while read -r verdict text; do
    if [ "$verdict" = ok ]; then ok "/configz: $text"; else bad "/configz: $text"; fi
done < <(jq -n -r --slurpfile wanted "$work/wanted.json" --slurpfile configz "$results/configz.json" '
    ($configz[0].kubeletconfig) as $is | $wanted[0]
    | [paths(type != "object") | select(all(.[]; type == "string"))] as $paths
    | [$paths[] as $path | {path: ($path | join(".")), want: getpath($path), is: ($is | getpath($path))}
       | select(.want != .is and ((.want == false or .want == 0) and .is == null | not))] as $differ
    | ($differ[] | "bad \(.path): written \(.want), reported \(.is)"),
      (if $differ == [] then "ok all \($paths | length) values of the base and the drop-ins are reported as written" else empty end)')
equal "cgroups and enforcement as kubelet has them by default" '[true,["pods"],"systemd"]' \
    "$(jq -c '.kubeletconfig | [.cgroupsPerQOS, .enforceNodeAllocatable, .cgroupDriver]' "$results/configz.json")"
equal "kubepods.slice" "$(jq -c .kubepods "$work/arithmetic.json")" "$(jq -c . "$results/kubepods.json")"
equal "kubelet runs once, in runtime.slice" "/runtime.slice/kubelet.service 0" "$(cat "$results/kubelet-unit")"
if [ -n "$pod" ]; then
    equal "the static pod, in its own network" "Running 10.244.0." "$(sed 's/[0-9]*$//' "$results/pod")"
fi
jq -c '"written: \(.kubeReserved // {}) \(.systemReserved // {})"' -r "$work/wanted.json"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

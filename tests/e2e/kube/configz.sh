#!/bin/sh
# The end-to-end check of a written configuration: a real kubelet, registered with a real API server, is asked through
# the API server's proxy (/configz) what it took, and its Node what may be allocated. It refuses to call a key written
# that kubelet does not report, and it changes nothing on this machine: all runs in one private room.
#
#   configz.sh --base FILE [--drop-ins DIR | --config FILE] [--predicted FILE] [--keep DIR]
#
#   --base FILE       kubelet's main file (JSON) before node-steward
#   --drop-ins DIR    the drop-ins after node-steward, or
#   --config FILE     the main file after node-steward; with neither, $NODE_STEWARD runs in the room as
#                     "$NODE_STEWARD bootstrap --base FILE --drop-in DIR -o json", and its answer is the prediction
#   --predicted FILE  JSON with "allocatable": {"cpu":"3920m","memory":"15217680Ki","pods":"58"} (or just that object)
#   --keep DIR        logs, both /configz answers and the Node
#
# Kubelet runs twice, with the same laboratory drop-in sorted last: once with the base, once with what was written.
#   1. each value that was written is reported as it was written
#   2. what differs between the two answers is what was written, nothing else
#   3. where the second answer differs from what was asked of kubelet, the key is one of the laboratory drop-in
#   4. the Node is Ready; its allocatable is the prediction, to the byte and as text
# The laboratory drop-in sets cgroupsPerQOS, enforceNodeAllocatable, cgroupDriver, serverTLSBootstrap (nobody signs
# serving certificates here) and authentication.x509.clientCAFile, for this reason: the host's controllers are on cgroup
# v1, where kubelet may not go, so kubepods cannot be made here. Allocatable subtracts the reservations all the same
# (check 4 would fail otherwise); the limits on kubepods are a matter for the guest.
# The room: mount, pid, cgroup, network, uts namespaces; the fake runtime; a read-only cgroup2; no swap; /proc/sys
# read-only with kubelet's wanted values laid over the six sysctls that it would set; empty /etc, /run, /var/log, /var/lib;
# kubelet's root directory on /var/tmp; node address 192.0.2.10 on the room's own loopback.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
file() { [ -r "$1" ] || { say "cannot read $1"; exit 2; }; realpath "$1"; }

if [ "${1:-}" != --in-the-room ]; then
    base='' drop_ins='' config='' predicted='' keep=''
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || usage
        case $1 in
        --base) base=$(file "$2") ;;
        --drop-ins) drop_ins=$(file "$2") ;;
        --config) config=$(file "$2") ;;
        --predicted) predicted=$(file "$2") ;;
        --keep) mkdir -p "$2"; keep=$(realpath "$2") ;;
        *) usage ;;
        esac
        shift 2
    done
    [ -n "$base" ] || usage
    [ -n "$drop_ins$config" ] || [ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program, and neither --drop-ins nor --config is given"
    [ "$(id -u)" = 0 ] || skip "a kubelet of its own needs root and namespaces"
    need jq jq || skip "no jq"
    need yq yq || skip "no yq"
    jq -e . "${config:-$base}" >/dev/null || { say "${config:-$base} is not JSON, and this check reads no YAML"; exit 2; }
    need ip iproute2 || skip "no ip"
    need openssl openssl || skip "no openssl"
    need curl curl || skip "no curl"
    lab=$(mktemp -d /var/tmp/configz.XXXXXX)
    trap 'rm -rf "$lab"' EXIT
    trap 'exit 130' INT TERM
    for part in kubelet kube-apiserver etcd fakecri; do
        "$here/build.sh" $part >"$lab/$part.path" || { status=$?; cat "$lab/$part.path"; exit $status; }
    done
    status=0
    TEST_ASSET_KUBE_APISERVER=$(cat "$lab/kube-apiserver.path") TEST_ASSET_ETCD=$(cat "$lab/etcd.path") \
        unshare --mount --pid --fork --kill-child --mount-proc --cgroup --net --uts \
        "$0" --in-the-room "$lab" "$base" "$drop_ins" "$config" "$predicted" || status=$?
    [ -z "$keep" ] || cp -r "$lab"/. "$keep"
    exit $status
fi

[ $# = 6 ] || usage
lab=$2 base=$3 drop_ins=$4 config=$5 predicted=$6
node=configz
. "$here/room.sh"
room "$lab"
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok: $1"; }
bad() { failed=$((failed + 1)); echo "FAILED: $1"; }
finish() { echo "$passed passed, $failed failed"; [ $failed = 0 ]; exit $?; }

kubelet_kind='{"kind":"KubeletConfiguration","apiVersion":"kubelet.config.k8s.io/v1beta1"}'
jq -n "$kubelet_kind"' + {cgroupsPerQOS: false, enforceNodeAllocatable: ["none"], cgroupDriver: "cgroupfs",
    serverTLSBootstrap: false, authentication: {x509: {clientCAFile: "/etc/kubernetes/pki/ca.crt"}}}' >"$lab/lab.conf"
mkdir "$lab/before.d" "$lab/after.d" "$lab/written.d"
if [ -n "$drop_ins" ]; then
    cp "$drop_ins"/. "$lab/written.d" -r
elif [ -z "$config" ]; then
    "$NODE_STEWARD" bootstrap --base "$base" --drop-in "$lab/written.d" -o json >"$lab/predicted.json" ||
        { bad "node-steward bootstrap ended with $?"; finish; }
    predicted=$lab/predicted.json
fi
cp -r "$lab/written.d"/. "$lab/after.d"
for phase in before after; do cp "$lab/lab.conf" "$lab/$phase.d/~lab.conf"; done
last=$(find "$lab/after.d" -name '*.conf' | LC_ALL=C sort | tail -n 1)
[ "$last" = "$lab/after.d/~lab.conf" ] || { bad "the laboratory drop-in must sort last, but $last does"; finish; }

control=$lab/control
"$here/controlplane.sh" start "$control" $$ >/dev/null || { bad "no control plane"; finish; }
"$here/controlplane.sh" node-kubeconfig "$control" $node >/dev/null
cp "$control/ca.crt" /etc/kubernetes/pki/ca.crt
cp "$control/node-$node.kubeconfig" /etc/kubernetes/kubelet.conf
api() { "$here/controlplane.sh" api "$control" admin GET "$1" 2>/dev/null; }
fakecri=$(cat "$lab/fakecri.path")
kubelet=$(cat "$lab/kubelet.path")
"$fakecri" -socket "$lab/cri.sock" &

# ask PHASE MAIN-FILE WANT-READY: start kubelet, keep /configz (and the Node), stop kubelet
ask() {
    "$kubelet" --config="$2" --config-dir="$lab/$1.d" --kubeconfig=/etc/kubernetes/kubelet.conf --hostname-override=$node \
        --node-ip="$room_address" >"$lab/kubelet-$1.log" 2>&1 &
    pid=$!
    tries=0
    until api "/api/v1/nodes/$node/proxy/configz" >"$lab/configz-$1.raw" && jq -e .kubeletconfig "$lab/configz-$1.raw" >"$lab/configz-$1.json" 2>/dev/null &&
        { [ "$3" = no ] || { api "/api/v1/nodes/$node" >"$lab/node.json" && jq -e '.status.conditions[] | select(.type == "Ready" and .status == "True")' "$lab/node.json" >/dev/null 2>&1; }; }; do
        tries=$((tries + 1))
        if [ $tries -gt 150 ] || ! kill -0 $pid 2>/dev/null; then
            kill $pid 2>/dev/null || :
            bad "kubelet ($1) did not answer: $(grep -E '^[EF][0-9]' "$lab/kubelet-$1.log" | tail -n 1)"
            return 1
        fi
        sleep 0.2
    done
    kill $pid
    wait $pid 2>/dev/null || :
}
ask before "$base" no || finish
# The first run's Node would be taken for the second's until kubelet's first status update.
"$here/controlplane.sh" api "$control" admin DELETE "/api/v1/nodes/$node" >/dev/null 2>&1 || :
ask after "${config:-$base}" yes || finish
ok "kubelet $(jq -r .status.nodeInfo.kubeletVersion "$lab/node.json") started with what was written and became Ready"

# All drop-ins of a kind in kubelet's order, as one JSON list. Each is one document, YAML or JSON.
list() { find "$1" -name '*.conf' | LC_ALL=C sort | xargs -r -n 1 yq . | jq -s .; }
list "$lab/written.d" >"$lab/written.json"
jq -n -f "$here/configz.jq" --slurpfile base "$base" --slurpfile main "${config:-$base}" --slurpfile written "$lab/written.json" \
    --slurpfile lab "$lab/lab.conf" --slurpfile before "$lab/configz-before.json" --slurpfile after "$lab/configz-after.json" >"$lab/comparison.json"
jq -r '"written: \(.written | length) values; in the laboratory drop-in: \(.lab | length)"' "$lab/comparison.json"
verdict() { # NAME KEY: the list under KEY must be empty
    if jq -e ".$2 == []" "$lab/comparison.json" >/dev/null; then ok "$1"; else bad "$1"; jq -c ".$2[]" "$lab/comparison.json"; fi
}
if jq -e '.written != []' "$lab/comparison.json" >/dev/null; then ok "something was written"; else bad "nothing was written: there is nothing to check"; fi
verdict "each written value is reported as written" missing
verdict "nothing but what was written differs from the base" strays
verdict "what kubelet was asked for and does not report is the laboratory drop-in's, no more" unexplained
jq -r '"laboratory differences: \(.laboratory | map(join(".")) | join(", "))"' "$lab/comparison.json"

jq -c '.status | {capacity, allocatable}' "$lab/node.json"
if [ -n "$predicted" ]; then
    jq -n -r -f "$here/allocatable.jq" --slurpfile predicted "$predicted" --slurpfile node "$lab/node.json" >"$lab/allocatable.txt" ||
        bad "the prediction cannot be read: $predicted"
    while read -r verdict text; do
        if [ "$verdict" = ok ]; then ok "$text"; else bad "$text"; fi
    done <"$lab/allocatable.txt"
else
    echo "no prediction was given: allocatable is printed, not compared"
fi
finish

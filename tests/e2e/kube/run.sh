#!/bin/sh
# Proves the ground that other stages stand on: the built programs, the validator, the control plane, the /configz
# check. It judges these parts with their own cases alone; node-steward is not asked anything here. Needs root, Go
# (or the binaries, see build.sh) and a minute once everything is built; ends with "N passed, N failed".
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"

[ "$(id -u)" = 0 ] || skip "needs root, for namespaces and kubelet"
need jq jq || skip "no jq"
need curl curl || skip "no curl"
out=$(mktemp -d /var/tmp/kube-run.XXXXXX)
control=$out/control
trap '"$here/controlplane.sh" stop "$control" >/dev/null 2>&1 || :; rm -rf "$out"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok: $1"; }
bad() { failed=$((failed + 1)); echo "FAILED: $1"; }
# A process that its parent has not reaped yet is not running.
alive() { grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }
sysctls() { echo $(cat /proc/sys/kernel/panic /proc/sys/vm/overcommit_memory /proc/sys/kernel/panic_on_oops); }
before=$(sysctls)
# same WHAT EXPECTED GOT
same() { if [ "$2" = "$3" ]; then ok "$1: $3"; else bad "$1: expected $2, got $3"; fi; }

echo "== the programs"
started=$(date +%s)
for name in kubelet kubelet-old kube-apiserver etcd fakecri validator; do
    "$here/build.sh" $name >"$out/path" || { status=$?; cat "$out/path"; exit $status; }
    eval "$(echo $name | tr - _)=\$(cat "$out/path")"
done
echo "all there after $(($(date +%s) - started)) s"
pin() { sed -n 's/^\(require \|\t\)k8s.io\/kubernetes \(v[^ ]*\).*/\2/p' "$1"; }
same "kubelet's own version" "Kubernetes $(pin "$here/go.mod")" "$("$kubelet" --version)"
same "the older kubelet's version" "Kubernetes $(pin "$here/old/go.mod")" "$("$kubelet_old" --version)"
same "the API server's version" "Kubernetes $(pin "$here/go.mod")" "$("$kube_apiserver" --version)"

echo "== kubelet's verdicts"
for which in "" --old "--cgroups" "--cgroups --old"; do
    case $which in *--cgroups*) folder=cases-cgroups ;; *) folder=cases ;; esac
    started=$(date +%s%N)
    status=0
    # Two words where there are two.
    # shellcheck disable=SC2086
    "$here/verdict" $which --check "$here/$folder" >"$out/verdict" 2>"$out/verdict-errors" || status=$?
    took=$((($(date +%s%N) - started) / 1000000))
    count=$(grep -c '^{' "$out/verdict" || :)
    cat "$out/verdict-errors"
    if [ $status = 0 ] && [ "$count" -gt 0 ]; then
        ok "$(head -n 1 "$out/verdict" | jq -r .version) $folder: $count as expected, $(grep -c '"accepted"' "$out/verdict") of them accepted, in $took ms"
    else
        bad "verdict $which ended with $status after $count cases"
    fi
done
# The check itself must be able to fail.
cp -r "$here/cases/bad-quantity" "$out/planted"
echo accepted >"$out/planted/expect"
if "$here/verdict" --check "$out/planted" >/dev/null 2>&1; then bad "a wrong expectation passed"; else ok "a wrong expectation fails"; fi

echo "== the control plane"
started=$(date +%s%N)
if "$here/controlplane.sh" start "$control" $$ >"$out/start"; then
    ok "ready after $((($(date +%s%N) - started) / 1000000)) ms"
    code() { "$here/controlplane.sh" api "$control" "$@" -o "$out/body" -w '%{http_code}'; }
    "$here/controlplane.sh" node-kubeconfig "$control" one >/dev/null
    "$here/controlplane.sh" node-kubeconfig "$control" two https://10.0.2.2:1 >"$out/path"
    same "a kubeconfig for a guest names its server" 1 "$(grep -c 'server: "https://10.0.2.2:1"' "$(cat "$out/path")")"
    as_json='Content-Type: application/json'
    for node in one two; do
        same "kubelet $node creates its Node" 201 "$(code node-$node POST /api/v1/nodes -H "$as_json" -d '{"apiVersion":"v1","kind":"Node","metadata":{"name":"'$node'"}}')"
    done
    same "kubelet one reads its Node" 200 "$(code node-one GET /api/v1/nodes/one)"
    same "which is" one "$(jq -r .metadata.name "$out/body")"
    same "kubelet one may not read another" 403 "$(code node-one GET /api/v1/nodes/two)"
    same "kubelet one may not write another" 403 "$(code node-one PATCH /api/v1/nodes/two -H 'Content-Type: application/merge-patch+json' -d '{"spec":{"unschedulable":true}}')"
    same "kubelet one cordons itself" 200 "$(code node-one PATCH /api/v1/nodes/one -H 'Content-Type: application/merge-patch+json' -d '{"spec":{"unschedulable":true}}')"
    same "kubelet one may not taint itself" 403 "$(code node-one PATCH /api/v1/nodes/one -H 'Content-Type: application/merge-patch+json' -d '{"spec":{"taints":[]}}')"
    port=$(cat "$control/port")
    same "nobody without a certificate, and the certificate serves a guest's address for this host" 401 \
        "$(curl -s -o /dev/null -w '%{http_code}' --cacert "$control/ca.crt" --connect-to "10.0.2.2:$port:127.0.0.1:$port" "https://10.0.2.2:$port/api/v1/nodes")"
    pids=$(cut -d' ' -f1 "$control"/*.pid)
    "$here/controlplane.sh" stop "$control"
    left=0
    for pid in $pids; do ! alive "$pid" || left=$((left + 1)); done
    same "servers left after stop" 0 "$left"
else
    bad "the control plane did not start"
fi
# An owner that dies without a word must not leave servers behind.
sleep 300 &
owner=$!
if "$here/controlplane.sh" start "$out/orphan" $owner >/dev/null; then
    pids=$(cut -d' ' -f1 "$out/orphan"/*.pid)
    kill -9 $owner
    wait $owner 2>/dev/null || :
    tries=0 left=2
    while [ $left -gt 0 ] && [ $tries -lt 150 ]; do
        sleep 0.1
        tries=$((tries + 1)) left=0
        for pid in $pids; do ! alive "$pid" || left=$((left + 1)); done
    done
    same "servers left after their owner was killed" 0 "$left"
else
    kill $owner
    bad "the second control plane did not start"
fi

echo "== /configz"
mkdir "$out/good.d" "$out/misspelt.d"
kind='"kind":"KubeletConfiguration","apiVersion":"kubelet.config.k8s.io/v1beta1"'
echo "{$kind,\"kubeReserved\":{\"cpu\":\"70m\",\"memory\":\"893Mi\",\"ephemeral-storage\":\"1Gi\"},\"systemReserved\":{\"memory\":\"100Mi\"},\"maxPods\":58}" >"$out/good.d/50-hand.conf"
echo "{$kind,\"kubeReserved\":{\"memory\":\"893Mi\"},\"maxPod\":58}" >"$out/misspelt.d/50-hand.conf"
# By hand, from the rule: capacity - kube - system - hard eviction; the base has 100Mi.
memory=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) - (893 + 100 + 100) * 1024))
cpus=$(grep -c '^processor' /proc/cpuinfo)
echo "{\"allocatable\":{\"cpu\":\"$((cpus * 1000 - 70))m\",\"memory\":\"${memory}Ki\",\"pods\":\"58\"}}" >"$out/good.json"
echo "{\"allocatable\":{\"cpu\":\"$((cpus * 1000 - 70))m\",\"memory\":\"$((memory - 1))Ki\",\"pods\":\"58\"}}" >"$out/off-by-one.json"
base=$here/cases/good-nodeadm/config.json
configz() { "$here/configz.sh" --base "$base" "$@" >"$out/configz" 2>&1; }
if configz --drop-ins "$out/good.d" --predicted "$out/good.json"; then
    ok "a hand-written drop-in: $(tail -n 1 "$out/configz"), $(sed -n 's/^ok: \(memory: .*\)/\1/p' "$out/configz")"
else
    bad "a hand-written drop-in"
    cat "$out/configz"
fi
if configz --drop-ins "$out/good.d" --predicted "$out/off-by-one.json"; then bad "a prediction wrong by 1 KiB passed"; else
    if grep -q 'FAILED: memory: predicted' "$out/configz"; then ok "a prediction wrong by 1 KiB fails"; else bad "not for the prediction: $(cat "$out/configz")"; fi
fi
if configz --drop-ins "$out/misspelt.d"; then bad "a misspelt key passed"; else
    if grep -q '"path":"maxPod"' "$out/configz"; then ok "a misspelt key, which kubelet drops in silence, fails"; else bad "not for the key: $(cat "$out/configz")"; fi
fi
same "this machine's sysctls, untouched" "$before" "$(sysctls)"
# Another run may be going on: a cgroup is a leftover when the process that it is named after is gone.
left=0
for tree in $(find /sys/fs/cgroup -type d -name 'verdict.*' 2>/dev/null); do
    pid=${tree#*/verdict.}
    alive "${pid%%.*}" || left=$((left + 1))
done
same "cgroups left behind" 0 $left

echo "$passed passed, $failed failed"
[ $failed = 0 ]

#!/usr/bin/env bash
# What the daemon costs with the API server connected and all detectors on: PSS of it and its helper, static and glibc side by side, each with a Node of
# its own on one real server, while kubelet's heartbeats and other people's changes come in through the watch. The static one has a limit: 9 MB of 10^6 bytes.
# It refuses an estimate: the kernel counts, from turn to turn, and growth or a second thread fails.
#
#   memory.sh [TURNS]   default 60, of a second each; 360 are as many as an hour has. NODE_STEWARD_STATIC and NODE_STEWARD name the programs
set -euo pipefail
. "$(dirname "$0")/words.sh"
turns=${1:-60}
[ "$(id -u)" = 0 ] || skip "needs root: locked memory, and other processes' pages"
needs jq openssl curl
if [ -z "${NODE_STEWARD_STATIC:-}" ]; then part "$repo/packaging/static.sh"; NODE_STEWARD_STATIC=$part_out; fi
program=${NODE_STEWARD:-${CARGO_TARGET_DIR:-$repo/target}/release/node-steward}
[ -x "$program" ] || skip "lacks the program: build it (cargo build --release), or name it in NODE_STEWARD"

declare -A pid=() warm=()
own_end() { [ ${#pid[@]} = 0 ] || kill "${pid[@]}" 2>/dev/null || :; }
room /dev/shm
start_plane
# A Node of the size that they have: fifty images.
images=$(jq -nc '[range(50) | {names: ["registry.example/some/team/image-\(.)@sha256:\("0" * 64)", "registry.example/some/team/image-\(.):v1.2.3"], sizeBytes: 123456789}]')
patch() { api "$1" PATCH "/api/v1/nodes/$2" -H 'content-type: application/strategic-merge-patch+json' -o /dev/null -d "$3"; }
for kind in static glibc; do
    "$kube/controlplane.sh" node-kubeconfig "$plane" act-$kind >/dev/null
    api node-act-$kind POST /api/v1/nodes -H 'content-type: application/json' -o /dev/null \
        -d '{"apiVersion":"v1","kind":"Node","metadata":{"name":"act-'$kind'","labels":{"kubernetes.io/hostname":"act-'$kind'"}},"status":{"images":'"$images"'}}'
    mkdir "$work/$kind"
    printf '[watch]\nperiod = "1s"\n[report]\nevery = "10s"\n[cluster]\nkubeconfig = "%s"\n' "$plane/node-act-$kind.kubeconfig" >"$work/$kind.toml"
done
# Nothing but the program: what another one has in memory as well is counted by halves.
RUNTIME_DIRECTORY=$work/static "$NODE_STEWARD_STATIC" run --config "$work/static.toml" 2>"$work/static.log" & pid[static]=$!
RUNTIME_DIRECTORY=$work/glibc "$program" run --config "$work/glibc.toml" 2>"$work/glibc.log" & pid[glibc]=$!
status() { curl -sS --max-time 5 --unix-socket "$work/$1/api.sock" http://localhost/v1/status; }
# of KIND FIELD: KiB of the daemon and all that it has started
of() {
    local one
    # Children of the moment may be gone.
    for one in "${pid[$1]}" $(pgrep -P "${pid[$1]}"); do cat "/proc/$one/smaps_rollup" 2>/dev/null || :; done | awk -v field="$2:" '$1 == field {sum += $2} END {print sum}'
}
mb() { jq -n "$1 * 1024 / 1e4 | round / 100"; }
turned=0
while [ "$turned" -lt "$turns" ]; do
    sleep 1
    for kind in static glibc; do
        kill -0 "${pid[$kind]}" 2>/dev/null || { say "the daemon ($kind) has ended:"; tail -n 5 "$work/$kind.log" >&2; exit 1; }
        patch admin act-$kind '{"metadata":{"annotations":{"example/round":"'$turned'"}}}'
        patch node-act-$kind act-$kind/status '{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","message":"'$turned'"}]}}'
    done
    turned=$(status static 2>/dev/null | jq .turns.count) || turned=0
    if [ ${#warm[@]} = 0 ] && [ "$turned" -ge 20 ]; then for kind in static glibc; do warm[$kind]=$(of $kind Anonymous); done; fi
done
for kind in static glibc; do
    status $kind >"$work/status"
    check "$kind: the API server" "$(jq -r .apiServer.state "$work/status")" = connected
    check "$kind: conditions were written so often" "$(jq '.apiServer.requests.patchNodeStatus.good' "$work/status")" -ge $((turns / 20))
    check "$kind: threads" "$(awk '/^Threads:/ {print $2}' "/proc/${pid[$kind]}/status")" = 1
    pss=$(of $kind Pss) anonymous=$(of $kind Anonymous)
    printf 'note    %-7s PSS %s MB, anonymous %s MB, after %s turns\n' "$kind" "$(mb "$pss")" "$(mb "$anonymous")" "$(jq .turns.count "$work/status")"
    [ $kind = glibc ] || check "$kind: PSS in bytes, at most 9 MB" $((pss * 1024)) -le 9000000
    check "$kind: anonymous memory that grew since turn 20, KiB" $((anonymous - warm[$kind])) -le 256
done
finish_counts

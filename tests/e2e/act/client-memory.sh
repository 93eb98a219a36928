#!/usr/bin/env bash
# What the cluster room costs: the static client, connected to a real API server, after rounds of every call and new handshakes. Prints MB of 10^6 bytes.
# It refuses an estimate: the kernel counts, and a second thread or growth from round to round fails.
#
#   client-memory.sh     CLUSTER_CLIENT names a static client that is built already; MEMORY_ROUNDS (40)
set -euo pipefail
. "$(dirname "$0")/words.sh"
needs jq
if [ -n "${CLUSTER_CLIENT:-}" ]; then client=$CLUSTER_CLIENT; else
    need cargo cargo || skip "no Rust toolchain"
    need musl-gcc musl-tools || skip "lacks musl-gcc, ring's C cannot be compiled for musl"
    target=$(uname -m)-unknown-linux-musl
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || rustup target add "$target" >&2 || skip "lacks the Rust target $target, and rustup cannot add it"
    export "CC_${target//-/_}=musl-gcc"
    nice cargo build --manifest-path "$repo/Cargo.toml" --locked --quiet --release --target "$target" --example cluster-client >&2 || { say "could not build the client"; exit 1; }
    client=${CARGO_TARGET_DIR:-$repo/target}/$target/release/examples/cluster-client
fi
rounds=${MEMORY_ROUNDS:-40}
room
start_plane
"$kube/controlplane.sh" node-kubeconfig "$plane" act-a >/dev/null
# A Node of the size that they have: fifty images.
images=$(jq -nc '[range(50) | {names: ["registry.example/some/team/image-\(.)@sha256:\("0" * 64)", "registry.example/some/team/image-\(.):v1.2.3"], sizeBytes: 123456789}]')
api node-act-a POST /api/v1/nodes -H 'content-type: application/json' -o /dev/null -d '{"apiVersion":"v1","kind":"Node","metadata":{"name":"act-a","labels":{"kubernetes.io/hostname":"act-a"}},"status":{"images":'"$images"'}}'
for i in $(seq 110); do
    api admin POST /api/v1/namespaces/default/pods -H 'content-type: application/json' -o /dev/null -d '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p'"$i"'"},"spec":{"nodeName":"act-a","containers":[{"name":"c","image":"none.invalid/none","env":[{"name":"FILL","value":"'"$(printf 'x%.0s' {1..3000})"'"}]}]}}'
done
begin "$plane/node-act-a.kubeconfig" keep-ms=500
sample() { fine memory; pss=$(told .pss) anon=$(told .anon) threads=$(told .threads); printf '%-22s PSS %5s  anonymous %5s\n' "$1" "$(mb "$pss")" "$(mb "$anon")"; }
mb() { jq -n "$1 * 1024 / 1e4 | round / 100"; }
fine wait
sample 'connected to nobody'
drill() {
    fine get act-a
    fine patch act-a - '{"metadata":{"annotations":{"lab/round":"'"$1"'"}}}'
    fine condition act-a NodeStewardLab True
    fine event act-a "lab.$1" 1
    fine may patch nodes - act-a
    fine pods act-a
    check_pods=$(told .pods)
}
drill 0
fine watch act-a
sample 'after one of each'
check 'pods read' "$check_pods" = 110
for round in $(seq "$rounds"); do
    drill "$round"
    # The pool is let go of, so that each round has its handshakes.
    [ $((round % 10)) != 0 ] || { sleep 0.7; sample "after $round rounds"; }
    [ "$round" != 10 ] || warm=$anon
done
check 'threads' "$threads" = 1
check 'anonymous memory that grew since round 10, KiB' $((anon - warm)) -le 128
fine figures
jq -r '.requests | to_entries[] | "note    \(.key): \(.value.sent) sent, \(.value.bytes) bytes"' <<<"$answer"
printf 'note    the program: %s\n' "$(mb $(($(stat -c %s "$client") / 1024)))"
finish
finish_counts

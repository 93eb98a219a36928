#!/usr/bin/env bash
# The proof of the ground: a static binary with kube-rs, zbus and ring lists the units of a real systemd in a container and
# works as a node against a real API server, and costs, locked into memory, what the daemon may cost. The same is measured
# with glibc, and with hyper alone in kube-rs's place. Prints every figure; the verdict is on the static one with kube-rs.
# It refuses to be part of `make test`: it decides on the stack, and runs again when the stack changes.
#
#   run.sh     needs root, Rust with the musl target, Go for the control plane; keeps what it builds in the cache
#
# Budgets, in MB of 10^6 bytes of PSS after the lock and after work: GROUND_ALONE (7) without a cluster, GROUND_CLUSTER (9) with.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
alone_budget=${GROUND_ALONE:-7} cluster_budget=${GROUND_CLUSTER:-9}
rounds=50 pods=60
node=ground-a other=ground-b
kube=$here/../e2e/kube

[ "$(id -u)" = 0 ] || skip "needs root: a container, and locked memory"
need jq jq || skip "lacks jq"
need setpriv util-linux || skip "lacks setpriv"
work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-ground.XXXXXX")
plane=$work/plane shared=$work/shared
mkdir "$shared"
cleanup() {
    # First the skeleton: systemd stops what it ends, and nsenter would wait, stopped too, for somebody to go on.
    if [ -n "${skeleton:-}" ]; then
        { exec {skeleton_in}>&-; } 2>/dev/null || :
        for _ in $(seq 50); do kill -0 "$skeleton" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$skeleton" 2>/dev/null || :
    fi
    "$here/container.sh" stop "$work/container" >&2 || :
    [ ! -e "$plane/port" ] || "$kube/controlplane.sh" stop "$plane" >&2 || :
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# A part that cannot run here says why on its last line and ends with 77: so do we.
part() { part_out=$("$@") && return 0; part_code=$?; [ -z "$part_out" ] || printf '%s\n' "$part_out"; exit $part_code; }

passed=0 failed=0
# check WHAT LEFT OPERATOR RIGHT: test(1)'s words
check() {
    if test "$2" "$3" "$4"; then passed=$((passed + 1)); printf 'ok      %s: %s\n' "$1" "$2"
    else failed=$((failed + 1)); printf 'FAILED  %s: %s, expected %s %s\n' "$1" "$2" "$3" "$4"; fi
}
# matches WHAT TEXT PATTERN
matches() {
    # shellcheck disable=SC2053 # a pattern is meant
    if [[ $2 == $3 ]]; then passed=$((passed + 1)); printf 'ok      %s: %.110s\n' "$1" "$2"
    else failed=$((failed + 1)); printf 'FAILED  %s: %s, expected %s\n' "$1" "$2" "$3"; fi
}

# begin BINARY [KUBECONFIG [resume]]: the skeleton inside the container, with our pipes
begin() {
    binary=$1
    shift
    coproc SKELETON { "$here/container.sh" run "$work/container" "/ground/bin/$binary" "$@"; }
    skeleton_out=${SKELETON[0]} skeleton_in=${SKELETON[1]} skeleton=$SKELETON_PID
}
# ask LINE: its answer goes to $answer
ask() {
    printf '%s\n' "$*" >&"$skeleton_in"
    IFS= read -r -t 60 -u "$skeleton_out" answer || { say "$binary gave no answer to: $*"; exit 1; }
}
told() { jq -r "$1" <<<"$answer"; }
expect() { # expect FILTER LINE...: ask, and end everything when there is an error where none may be
    filter=$1
    shift
    ask "$@"
    [ "$(told '.error // ""')" = '' ] || { say "$binary: $*: $(told .error)"; exit 1; }
    value=$(told "$filter")
}
finish() { exec {skeleton_in}>&-; wait "$skeleton" || { say "$binary ended with $?"; exit 1; }; skeleton=''; }

part "$here/build.sh"; built=$part_out
part "$here/container.sh" root
cp -r "$built" "$shared/bin"
part "$kube/controlplane.sh" start "$plane" $$ -- --disable-admission-plugins=ServiceAccount
api() { "$kube/controlplane.sh" api "$plane" "$@"; }

# As kubelet keeps it: certificate and key in one dated file, a symlink that is flipped, a kubeconfig that names the symlink.
for one in $node $other; do
    "$kube/controlplane.sh" node-kubeconfig "$plane" "$one" >/dev/null
    cat "$plane/node-$one.crt" "$plane/node-$one.key" >"$shared/$one.pem"
done
flip() { ln -s "$1.pem" "$shared/next" && mv -T "$shared/next" "$shared/current.pem"; }
kubeconfig() {
    cat <<EOF
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "$1", certificate-authority-data: $(base64 -w0 <"$plane/ca.crt")}}]
users: [{name: node, user: {client-certificate: /ground/current.pem, client-key: /ground/current.pem}}]
EOF
}
kubeconfig "$(cat "$plane/server")" >"$shared/kubeconfig"
echo '127.0.0.1 localhost' >"$shared/hosts"
kubeconfig "https://localhost:$(cat "$plane/port")" >"$shared/kubeconfig-by-name"

for one in $node $other; do
    code=$(api "node-$one" POST /api/v1/nodes -H 'content-type: application/json' -o "$work/body" -w '%{http_code}' -d '{"apiVersion":"v1","kind":"Node","metadata":{"name":"'"$one"'"}}')
    check "node-$one registers itself" "$code" = 201
done
# pod NAME NODE
pod() {
    api admin POST /api/v1/namespaces/default/pods -H 'content-type: application/json' -o "$work/body" -w '%{http_code}\n' \
        -d '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"'"$1"'","labels":{"app":"ground"}},"spec":{"nodeName":"'"$2"'","containers":[{"name":"c","image":"none.invalid/none"}]}}'
}
made=$({ for i in $(seq $pods); do pod "p$i" $node; done; for i in 1 2 3; do pod "q$i" $other; done; } | grep -c 201)
check "pods made, of which 3 on another node" "$made" = $((pods + 3))
# A running pod under a budget that nobody computes: the API server answers an eviction with 429.
api admin POST /apis/policy/v1/namespaces/default/poddisruptionbudgets -H 'content-type: application/json' -o "$work/body" \
    -d '{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"all"},"spec":{"maxUnavailable":0,"selector":{"matchLabels":{"app":"ground"}}}}'
api node-$node PATCH /api/v1/namespaces/default/pods/p1/status -H 'content-type: application/merge-patch+json' -o "$work/body" -d '{"status":{"phase":"Running"}}'

part "$here/container.sh" start "$work/container" $$ -- --capability=CAP_IPC_LOCK --bind-ro="$shared:/ground" --bind-ro="$shared/hosts:/etc/hosts"
inside() { "$here/container.sh" run "$work/container" "$@"; }
printf 'systemd %s is process 1 of the container; its state: %s\n' "$(inside systemctl --version | head -n 1 | cut -d' ' -f2-)" "$(inside systemctl is-system-running || :)"
units() { inside systemctl list-units --all --no-legend --plain | wc -l; }

# One client at work: what it does is checked, each step against what the API server says of it itself.
prove() {
    flip $node
    begin "$1" /ground/kubeconfig
    before=$(units)
    expect .units units
    after=$(units)
    if [ "$value" = "$before" ]; then after=$before; fi
    check "$1: units listed over D-Bus, as many as systemctl lists" "$value" = "$after"
    expect .who who
    check "$1: the API server knows us as" "$value" = "system:node:$node"
    expect .name get $node
    check "$1: GET of its own Node" "$value" = $node
    stamp=$1-$$
    expect .seen patch $node "$stamp"
    check "$1: PATCH of its own Node, as answered" "$value" = "$stamp"
    check "$1: PATCH of its own Node, as an administrator reads it" "$(api admin GET /api/v1/nodes/$node | jq -r '.metadata.annotations["ground.example/seen"]')" = "$stamp"
    ask patch $other "$stamp"
    matches "$1: PATCH of another Node is refused" "$(told '.error')" '403 *'
    expect .pods pods $node
    check "$1: its pods by field selector" "$value" = $pods
    check "$1: foreign pods among them" "$(told .foreign)" = 0
    ask pods $other
    matches "$1: another node's pods are refused" "$(told '.error')" '403 *'
    ask evict default/p1
    matches "$1: an eviction against a budget is answered" "$(told .error)" '429 *'
    check "$1: and not retried in secret, ms" "$(told .ms)" -lt 1000
    # Stopped, the server still accepts connections in the kernel and never answers.
    apiserver=$(cut -d' ' -f1 "$plane/kube-apiserver.pid")
    kill -STOP "$apiserver"
    until grep -q '^State:.T' "/proc/$apiserver/status"; do sleep 0.1; done
    sleep 0.3
    ask get $node
    kill -CONT "$apiserver"
    check "$1: a silent server is given up after 3 s, ms" "$(told 'if .error then .ms else 0 end')" -ge 2900
    check "$1: and not much later, ms" "$(told .ms)" -lt 4500
    sleep 1
    expect .name get $node
    check "$1: works again when the server does" "$value" = $node
    flip $other
    sleep 1.5
    expect .who who
    check "$1: after the flip of the certificate, the next connection is" "$value" = "system:node:$other"
    flip $node
    finish
}
# The same flip with TLS resumption on, so that the check above is known to be able to fail.
trap_shown() {
    flip $node
    begin "$1" /ground/kubeconfig resume
    for _ in 1 2 3; do expect .who who; done
    flip $other
    sleep 1.5
    expect .who who
    check "$1: with TLS resumption on, the same flip goes unseen, the connection is" "$value" = "system:node:$node"
    flip $node
    finish
}
prove kube-musl
trap_shown kube-musl
prove hyper-musl

# measure BINARY CLUSTER: its figures into $table and $locked_pss
rows=''
measure() {
    flip $node
    if [ "$2" = with ]; then begin "$1" /ground/kubeconfig; else begin "$1"; fi
    expect . figures; start_figures=$value
    drill
    expect . figures; warm=$value
    expect . lock; locked=$value
    for _ in $(seq $rounds); do drill; done
    # New handshakes after the lock, too.
    sleep 1.5
    drill
    expect . figures; steady=$value
    finish
    size=$(stat -c %s "$shared/bin/$1")
    rows+=$(jq -rn --argjson s "$start_figures" --argjson w "$warm" --argjson l "$locked" --argjson e "$steady" --arg n "$1" --arg c "$2" --argjson size "$size" '
        def mb: . * 1024 / 1e4 | round / 100;
        [$n, $c, ($size / 1e4 | round / 100), ($s.rss, $w.rss, $w.pss, $l.pss, $e.rss, $e.pss, $e.anon, $e.peak, $e.locked | mb), $e.threads] | @tsv')$'\n'
    locked_pss=$(jq -n "$steady | .pss * 1024 / 1e4 | round / 100") threads=$(jq -n "$steady | .threads")
    is_locked=$(jq -n "$steady | .locked")
}
cluster=without
drill() {
    expect .units units
    [ "$cluster" = with ] || return 0
    expect .name get $node
    expect .name patch $node "drill"
    expect .pods pods $node
    ask evict default/p1
    [[ $(told .error) == 429* ]] || { say "$binary: evict: $answer"; exit 1; }
}
verdict() { # verdict BINARY CLUSTER BUDGET
    check "$1 $2 cluster: threads" "$threads" = 1
    check "$1 $2 cluster: KB locked" "$is_locked" -gt 1000
    if jq -en "$locked_pss <= $3" >/dev/null; then word=keeps; else word='does NOT keep'; fi
    say_verdict+="$1 $2 a cluster: PSS $locked_pss MB, $word the budget of $3 MB"$'\n'
    [ "$1" != kube-musl ] || matches "$1 $2 cluster keeps the budget of $3 MB" "$word ($locked_pss MB)" 'keeps *'
}
say_verdict=''
for binary_name in kube-musl hyper-musl kube-glibc hyper-glibc; do
    for cluster in without with; do
        measure $binary_name $cluster
        if [ $cluster = with ]; then verdict $binary_name with "$cluster_budget"; else verdict $binary_name without "$alone_budget"; fi
    done
done

# A server known by name: hyper's own resolver runs getaddrinfo on a thread of its own.
begin kube-musl /ground/kubeconfig-by-name
expect .name get $node
expect .threads figures
printf 'note    kube-musl: threads after a request to a server by name, through the client'\''s own resolver: %s\n' "$value"
finish

printf '\nMB of 10^6 bytes; start: after exec; warm: after one round of each call; lock: after mlockall(CURRENT), then (FUTURE|ONFAULT);\nend: after %s more rounds (ListUnits, GET, PATCH, list of %s pods, eviction refused) and new handshakes\n\n' "$rounds" "$pods"
{ printf 'binary\tcluster\texe\tRSS start\tRSS warm\tPSS warm\tPSS lock\tRSS end\tPSS end\tanon end\tpeak\tVmLck\tthreads\n'; printf '%s' "$rows"; } |
    awk -F'\t' '{ printf "%-12s %-8s", $1, $2; for (i = 3; i <= NF; i++) printf " %9s", $i; print "" }'
printf '\nverdict:\n%s' "$say_verdict"
case $say_verdict in
*'kube-musl '*'NOT keep'*) printf 'kube-rs does not keep the figures: the cluster room moves to hyper.\n' ;;
*) printf 'kube-rs keeps the figures: the cluster room stays with kube-rs on our own connector.\n' ;;
esac
printf 'The lock holds the whole executable: its size and what it allocates are the figure.\n'
printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]

# Shell words that the tests of acting share: checks, a real API server for them and what is asked of it as an administrator, the cluster client on a pipe,
# a second API server that may be killed. node.sh has those for the daemon.
# Sourced, never run. It refuses to hide a line that the client did not answer: that ends the test; and to leave behind what was started.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$here/../../..
kube=$here/../kube
. "$repo/tests/lib.sh"
export PYTHONDONTWRITEBYTECODE=1

# needs PROGRAM...: of which each is a Debian package of its own name
needs() { local one; for one; do need "$one" "$one" || skip "lacks $one"; done; }

passed=0 failed=0
good() { passed=$((passed + 1)); printf 'ok      %s\n' "$1"; }
bad() { failed=$((failed + 1)); printf 'FAILED  %s\n' "$1"; }
# check WHAT LEFT OPERATOR RIGHT: test(1)'s words
check() { if test "$2" "$3" "$4"; then good "$1: $2"; else bad "$1: $2, expected $3 $4"; fi; }
# matches WHAT TEXT PATTERN
matches() {
    # shellcheck disable=SC2053 # a pattern is meant
    if [[ $2 == $3 ]]; then good "$1: ${2:0:140}"; else bad "$1: $2, expected $3"; fi
}
finish_counts() { printf '\n%s passed, %s failed\n' "$passed" "$failed"; [ "$failed" = 0 ]; }
finish_timed() { printf 'note    %s s\n' $((SECONDS - started)); finish_counts; }
# until_true SECONDS COMMAND...: says whether it came true; the ms that it took go to $took
until_true() {
    local limit=$1 from=${EPOCHREALTIME/./}; shift
    while :; do
        took=$(((${EPOCHREALTIME/./} - from) / 1000))
        ! "$@" >/dev/null 2>&1 || return 0
        [ $took -lt $((limit * 1000)) ] || return 1
        sleep "${until_pause:-0.1}"
    done
}

# A part that cannot run here says why on its last line and ends with 77: so do we.
part() { part_out=$("$@") && return 0; part_code=$?; [ -z "$part_out" ] || printf '%s\n' "$part_out"; exit $part_code; }

# room [BASE]: $work is a directory of our own; it goes with us, and so does all that the words here and in node.sh have started
room() {
    started=$SECONDS
    work=$(mktemp -d -p "${1:-${TMPDIR:-/tmp}}" node-steward-act.XXXXXX)
    plane=$work/plane run=$work/run audit=()
    trap cleanup EXIT
    trap 'exit 130' INT TERM
    mkdir "$run"
}
# What a script has started besides: a script with such things has an own_end of its own.
own_end() { :; }
cleanup() {
    own_end || :
    [ -z "${client_pid:-}" ] || { { exec {client_in}>&-; } 2>/dev/null || :; kill "$client_pid" 2>/dev/null || :; }
    [ -z "${hang:-}" ] || kill "$hang" 2>/dev/null || :
    [ -z "${daemon:-}" ] || kill -KILL "$daemon" 2>/dev/null || :
    [ -z "${controllers:-}" ] || kill "$controllers" 2>/dev/null || :
    [ -z "${second_pid:-}" ] || { kill -CONT "$second_pid" 2>/dev/null || :; second_end; }
    [ ! -e "$plane/port" ] || "$kube/controlplane.sh" stop "$plane" >&2 || :
    wait
    rm -rf --one-file-system "$work"
}

# audited RULE...: said before the start; the server's audit log is then $work/audit.log, and has what these rules name
audited() {
    printf '%s\n' 'apiVersion: audit.k8s.io/v1' 'kind: Policy' 'omitStages: [RequestReceived]' 'rules:' "$@" '- {level: None}' >"$work/audit.yaml"
    audit=(--audit-policy-file "$work/audit.yaml" --audit-log-path "$work/audit.log")
}
# start_plane [API-SERVER-FLAG...]
start_plane() { part "$kube/controlplane.sh" start "$plane" $$ -- --disable-admission-plugins=ServiceAccount "${audit[@]}" "$@"; }
api() { "$kube/controlplane.sh" api "$plane" "$@"; }
admin() { api admin GET "$1"; }
# find_kubectl: the real one, as an administrator. It keeps what it learns of the server here.
find_kubectl() { part "$kube/build.sh" kubectl; kubectl=$part_out; }
kubectl() { HOME=$work "$kubectl" --kubeconfig "$plane/admin.kubeconfig" "$@"; }
# start_controllers NAME: kube-controller-manager with that one controller; it ends with us
start_controllers() {
    part "$kube/build.sh" kube-controller-manager
    "$part_out" --kubeconfig "$plane/admin.kubeconfig" --controllers="$1" --leader-elect=false --secure-port=0 --node-monitor-grace-period=1h \
        >"$work/controllers.log" 2>&1 </dev/null & controllers=$!
}
# register WHAT NODE [CURL-OPTION...]: as kubelet does. With a label: of a Node that is made without any field, the server never notes who changes what.
register() {
    local what=$1 name=$2; shift 2
    check "$what" "$(api "node-$name" POST /api/v1/nodes -H 'content-type: application/json' "$@" -o "$work/body" -w '%{http_code}' \
        -d '{"apiVersion":"v1","kind":"Node","metadata":{"name":"'"$name"'","labels":{"kubernetes.io/hostname":"'"$name"'"}}}')" = 201
}
# members NAME...: a kubelet's credential and a Node for each
members() { local name; for name; do "$kube/controlplane.sh" node-kubeconfig "$plane" "$name" >/dev/null; register "kubelet registers $name" "$name"; done; }

maps=/api/v1/namespaces/kube-system/configmaps
ledger() { admin $maps/node-steward-ledger | jq -c ".data // {} | map_values(fromjson) | $1"; }
put_data() { api admin PATCH "$maps/$1" -H 'content-type: application/merge-patch+json' -o "$work/body" -w '%{http_code}' -d "{\"data\": $2}"; }
# documents NAME: YAML's documents on standard input, one at a time, as the API takes them: $work/NAME-1.yaml and on
documents() { awk -v to="$work/$1-" 'BEGIN { n = 1 } /^---$/ { n++; next } { print >(to n ".yaml") }'; }
post_yaml() { api admin POST "$1" -H 'content-type: application/yaml' -o "$work/body" -w '%{http_code}' --data-binary @"$2"; }
# fleet_objects COMMAND...: makes the fleet's objects as they are shipped; of each, COMMAND is told the kind, the status code and the file; the answer is in $work/body
fleet_objects() {
    local document kind path clusterwide=/apis/rbac.authorization.k8s.io/v1
    documents fleet <"$repo/packaging/doc/fleet.yaml"
    for document in "$work"/fleet-*.yaml; do
        kind=$(sed -n 's/^kind: //p' "$document")
        case $kind in
        ConfigMap) path=$maps ;;
        Role) path=/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles ;;
        RoleBinding) path=/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings ;;
        ClusterRole) path=$clusterwide/clusterroles ;;
        ClusterRoleBinding) path=$clusterwide/clusterrolebindings ;;
        ValidatingAdmissionPolicy) path=/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies ;;
        *) path=/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings ;;
        esac
        "$@" "$kind" "$(post_yaml "$path" "$document")" "$document"
    done
}
# printed_rbac FILE: makes what was printed as lacking, to the letter
printed_rbac() {
    local document kind namespace path
    documents rbac <"$1"
    for document in "$work"/rbac-*.yaml; do
        kind=$(sed -n 's/^kind: //p' "$document") namespace=$(sed -n 's/^  namespace: //p' "$document" | head -n 1)
        # That of a subject is not the object's.
        [[ $kind != Cluster* ]] || namespace=''
        path=/apis/rbac.authorization.k8s.io/v1/${namespace:+namespaces/$namespace/}$(tr '[:upper:]' '[:lower:]' <<<"$kind")s
        check "$kind ${namespace:-for the cluster}, as it was printed" "$(post_yaml "$path" "$document")" = 201
    done
}

# build_client NAME [BUILT]: the example of that name, built here unless it is there already
build_client() {
    client=${2:-}
    [ -z "$client" ] || return 0
    need cargo cargo || skip "no Rust toolchain"
    nice cargo build --manifest-path "$repo/Cargo.toml" --locked --quiet --example "$1" >&2 || { say "could not build $1"; exit 1; }
    client=${CARGO_TARGET_DIR:-$repo/target}/debug/examples/$1
}
# begin KUBECONFIG [NAME=VALUE...]: a client, answering
begin() {
    # bash speaks up about a second one beside it.
    { coproc CLIENT { exec "$client" "$@" 2>>"$work/client.log"; }; } 2>/dev/null
    client_out=${CLIENT[0]} client_in=${CLIENT[1]} client_pid=$CLIENT_PID
}
# ask LINE: its answer goes to $answer
ask() {
    printf '%s\n' "$*" >&"$client_in"
    IFS= read -r -t 60 -u "$client_out" answer || { say "the client gave no answer to: $*"; tail -n 5 "$work/client.log" >&2; exit 1; }
}
told() { jq -r "$1" <<<"$answer"; }
# fine LINE: ask, and end everything when there is an error where none may be
fine() { ask "$@"; [ "$(told '.error // ""')" = '' ] || { say "$*: $answer"; exit 1; }; }
# refused WHAT ERROR PATTERN LINE...
refused() { local what=$1 name=$2 pattern=$3; shift 3; ask "$@"; matches "$what" "$(told '(.error // "no error") + ": " + (.why // "")')" "$name: $pattern"; }
# until_told SECONDS FILTER VALUE LINE...: asks again until it is so; the seconds it took go to $took
until_told() {
    local limit=$1 filter=$2 value=$3 from=${EPOCHREALTIME/./}
    shift 3
    while :; do
        ask "$@"
        took=$(((${EPOCHREALTIME/./} - from) / 1000))
        [ "$(told "$filter")" != "$value" ] || return 0
        [ $took -lt $((limit * 1000)) ] || return 0
        sleep 0.05
    done
}
finish() {
    [ -n "${client_pid:-}" ] || return 0
    { exec {client_in}>&-; } 2>/dev/null || :
    wait "$client_pid" 2>/dev/null || bad "the client ended with $?"
    client_pid=''
}

# freeze PID: returns when its last thread has stopped; until then it may still answer
freeze() {
    kill -STOP "$1"
    while cat "/proc/$1/task/"*/stat 2>/dev/null | sed 's/.*) //' | grep -qv '^[TtZX]'; do sleep 0.01; done
}

# second_server: the plane's API server once more, on a port of its own, so that it may be killed; prints nothing, sets $second_port
second_server() {
    if [ -z "${second_command:-}" ]; then
        mapfile -d '' -t second_command <"/proc/$(cut -d' ' -f1 "$plane/kube-apiserver.pid")/cmdline"
        while :; do
            second_port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
            grep -qi ":$(printf %04X "$second_port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null || break
        done
        local at
        for at in "${!second_command[@]}"; do
            [ "${second_command[at]}" != --secure-port ] || second_command[at + 1]=$second_port
        done
    fi
    "${second_command[@]}" >>"$work/second.log" 2>&1 </dev/null &
    second_pid=$!
    local tries=0
    until [ "$(curl -sS --max-time 5 --cacert "$plane/ca.crt" --cert "$plane/admin.crt" --key "$plane/admin.key" "https://127.0.0.1:$second_port/readyz" 2>/dev/null)" = ok ]; do
        tries=$((tries + 1))
        kill -0 $second_pid 2>/dev/null && [ $tries -lt 300 ] || { say "the second API server did not start"; tail -n 3 "$work/second.log" >&2; exit 1; }
        sleep 0.1
    done
}
second_end() { kill -KILL "$second_pid" 2>/dev/null || :; wait "$second_pid" 2>/dev/null || :; second_pid=''; }

# Where ACT_SHORT is set, what does not depend on the server's version is left out; whole says whether that is not so, enough ends there.
whole() { [ -z "${ACT_SHORT:-}" ]; }
enough() { ! whole || return 0; printf 'note    short: the rest is left out\n'; finish_counts; exit; }
# selectors: whether the server (that `admin` asks) tells nodes apart by what they select, as those from 1.32 on do; older ones let a node read all Nodes and pods
selectors() { [ "$(admin /version | jq -r '.minor | sub("[^0-9].*"; "")')" -ge 32 ]; }

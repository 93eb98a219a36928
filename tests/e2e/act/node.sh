# Shell words for the daemon under test, beside words.sh: the program, its run with settings in $work/settings.toml, what it says, and how its Node and the
# Events about it are read back; a file system that hangs. $node is the Node's name, $program the program.
# Sourced, never run. It refuses to take the daemon's word for the cluster's: Nodes and Events are read as an administrator.

. "$(dirname "${BASH_SOURCE[0]}")/words.sh"

needs_hang() {
    [ "$(id -u)" = 0 ] || skip "needs root: a mount of its own"
    [ -c /dev/fuse ] || skip "this kernel has no FUSE"
}
find_program() {
    program=${NODE_STEWARD:-$repo/target/release/node-steward}
    [ -x "$program" ] || program=$repo/target/debug/node-steward
    [ -x "$program" ] || skip "lacks the program: build it, or name it in NODE_STEWARD"
    program=$(realpath "$program")
}
# with_own_mounts ARGUMENT...: the script begins anew among mounts of its own, unless it is there already
with_own_mounts() {
    [ -n "${ACT_OWN_MOUNTS:-}" ] || ACT_OWN_MOUNTS=yes NODE_STEWARD=$program exec unshare --mount --propagation private "$0" "$@"
    unset ACT_OWN_MOUNTS
}

start_daemon() { RUNTIME_DIRECTORY=$run "$program" run --config "$work/settings.toml" 2>>"$work/log" & daemon=$!; }
end_daemon() { kill "$daemon"; wait "$daemon" || bad "it ended with $?"; daemon=''; }
kill_daemon() { kill -KILL "$daemon"; wait "$daemon" 2>/dev/null || :; daemon=''; }
v1() { curl -sS --max-time 5 --unix-socket "$run/api.sock" "http://localhost/v1/$1"; }
status() { v1 status; }
drains() { v1 drain; }
asks() { status | jq -e "$1"; }
screen() { "$program" status --socket "$run/api.sock"; }
reload() { curl -sS --max-time 10 --unix-socket "$run/api.sock" -X POST -o "$work/body" -w '%{http_code}' http://localhost/v1/reload; }
# tell VERB ARGUMENT...: the program's exit code goes to $code, all that it says to $said
tell() {
    code=0
    "$program" "$@" --socket "$run/api.sock" >"$work/out" 2>"$work/err" || code=$?
    said=$(cat "$work/out" "$work/err")
}

show() { admin "/api/v1/nodes/$node"; }
of() { show | jq -r "$1"; }
node_is() { show | jq -e "$1"; }
# strategic SUBRESOURCE MANAGER PATCH: the status code
strategic() { api admin PATCH "/api/v1/nodes/$node$1?fieldManager=$2" -H 'content-type: application/strategic-merge-patch+json' -o /dev/null -w '%{http_code}' -d "$3"; }
kubectl_cordon() { check 'kubectl cordon' "$(kubectl cordon "$node" 2>&1)" = "node/$node cordoned"; }
kubectl_uncordon() { check 'kubectl uncordon' "$(kubectl uncordon "$node" 2>&1)" = "node/$node uncordoned"; }
# described PATTERN...: whether kubectl describe node has a line for each, words apart by any number of spaces
described() {
    local pattern
    kubectl describe node "$node" | tr -s ' ' >"$work/described"
    for pattern; do grep -qE -- "$pattern" "$work/described" || { lacking=$pattern; return 1; }; done
}
# describes WHAT PATTERN...
describes() {
    local what=$1; shift
    if until_true 15 described "$@"; then good "kubectl describe node: $what: $(grep -E -- "$1" "$work/described" | head -n 1 | cut -c 1-150)"; else bad "kubectl describe node: $what: no line like '$lacking' in $(cat "$work/described")"; fi
}
# The lookup of kubectl describe node.
events() { admin "/api/v1/namespaces/default/events?fieldSelector=involvedObject.kind%3DNode,involvedObject.name%3D$node,involvedObject.uid%3D$node"; }
# event REASON FILTER: of the first one; of {} where there is none
event() { events | jq -c "[.items[] | select(.reason == \"$1\")] | .[0] // {} | ($2)"; }
has_event() { event "$1" 'if . == {} then error else . end'; }

# The first lines of settings with which a hang is seen within a second or two; what follows them is of detect.probe_stuck.
# shellcheck disable=SC2034 # others' settings begin with it
hang_settings='[watch]
period = "1s"
probe_deadline = "500ms"
lock_memory = "off"
[detect.probe_stuck]
warn_after = "1s"
clear_looks = 1'
# hangs: what is mounted at $hung, and answers nobody until unhang
hangs() {
    python3 "$repo/tests/daemon/hang.py" "$hung" >"$work/mounted" & hang=$!
    until_true 5 grep -q mounted "$work/mounted" || skip "FUSE cannot be mounted: $(cat "$work/mounted")"
}
unhang() { kill "$hang"; wait "$hang" || :; hang=''; }

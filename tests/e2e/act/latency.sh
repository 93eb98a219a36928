#!/usr/bin/env bash
# How long it takes from a record of the kernel to the condition's PATCH at a real API server, with a kubelet's credential: a fresh problem each time, an ext4
# error that the kernel logs on request; the settle delay by the node's name and a second record right after a first stand apart; beside it a real
# node-problem-detector that reads the same records. The server's audit log says when a request came. It refuses to lose one: that fails; times alone fail only
# from 200 tries on, where p50 is to be at most 50 ms and p99 at most 250 ms.
#
#   latency.sh [TRIES]    20. NODE_STEWARD names the program; a tenth as many tries show what comes right after, and at most five the settle delay
set -euo pipefail
. "$(dirname "$0")/node.sh"
tries=${1:-20}
[ "$(id -u)" = 0 ] || skip "needs root: mounts, loop devices and the kernel's log"
needs jq openssl curl python3
need mkfs.ext4 e2fsprogs || skip "lacks mkfs.ext4"
find_program
with_own_mounts "$@"

node=act-a other=act-b
loops=()
# Both are to let go of the file systems before those go.
own_end() {
    local one
    for one in "${daemon:-}" "${peer:-}"; do [ -z "$one" ] || kill "$one" 2>/dev/null || :; done
    for one in "${daemon:-}" "${peer:-}"; do [ -z "$one" ] || wait "$one" 2>/dev/null || :; done
    daemon=''
    for one in "${loops[@]}"; do umount "$one" 2>/dev/null || :; losetup -d "$one" 2>/dev/null || :; done
}
room /dev/shm

# Two file systems in memory whose kernel complains when it is asked to.
triggers=()
for disk in first second; do
    truncate -s 16M "$work/$disk.img"
    mkfs.ext4 -q -m 0 "$work/$disk.img"
    loop=$(losetup --find --show "$work/$disk.img") || skip "no loop device is to be had"
    loops+=("$loop")
    mkdir "$work/$disk"
    mount -t ext4 -o errors=continue "$loop" "$work/$disk" || skip "this kernel cannot mount ext4"
    tree=/sys/fs/ext4/$(basename "$loop")
    [ -w "$tree/trigger_fs_error" ] || skip "this kernel logs no ext4 error on request"
    echo 0 >"$tree/err_ratelimit_interval_ms"
    triggers+=("$tree/trigger_fs_error")
done

audited '- {level: Request, verbs: [patch], resources: [{group: "", resources: [nodes/status]}], userGroups: ["system:nodes"]}'
start_plane
members $node $other
has() { admin "/api/v1/nodes/$1" | jq -e --arg type "$2" 'any(.status.conditions[]?; .type == $type and .status == "False")'; }

# A problem ends as soon as may be, and what ext4 counts of its own errors is left to others, so that each try begins with a Node that is well.
settings() { # SETTLE HOLD
    cat >"$work/settings.toml" <<END
[watch]
period = "1s"
[rules]
hold = "$2"
[detect.filesystem_errors]
enabled = false
[report]
settle = "$1"
coalesce = "0s"
[cluster]
kubeconfig = "$plane/node-$node.kubeconfig"
END
}
settings 0s 1s
start_daemon
until_true 30 has $node NodeStewardDiskHealth || { bad "no condition: $(status | jq -c .apiServer) $(tail -n 3 "$work/log")"; exit 1; }
good "the conditions are there after $took ms"

# The peer with its own reader of the kernel's log, and a condition that changes with every other record: what it ships for ext4 is an Event alone.
peer_name=''
npd=$("$repo/tests/e2e/npd/build.sh") || { printf 'note    no node-problem-detector beside it: %s\n' "$(tail -n 1 <<<"$npd")"; npd=''; }
if [ -n "$npd" ]; then
    jq '.lookback = "0m" | .conditions = [{type: "LatencyLab", reason: "NoError", message: "nothing"}]
        | .rules = [("even", "odd") | {type: "permanent", condition: "LatencyLab", reason: ., pattern: "EXT4-fs error .*-\(.)"}]' \
        "$npd/config/kernel-monitor.json" >"$work/npd.json"
    "$npd/node-problem-detector" --config.system-log-monitor="$work/npd.json" --hostname-override=$other --port=0 --prometheus-port=0 \
        --apiserver-override="$(cat "$plane/server")?inClusterConfig=false&auth=$plane/node-$other.kubeconfig" 2>"$work/npd.log" & peer=$!
    until_true 60 has $other LatencyLab || { bad "node-problem-detector says nothing: $(tail -n 2 "$work/npd.log")"; exit 1; }
    peer_name="node-problem-detector $(grep -oE 'v[0-9.]+[0-9]' "$npd/version" | head -n 1)"
fi

export SERVER CA="$plane/ca.crt" CERT="$plane/admin.crt" KEY="$plane/admin.key" AUDIT="$work/audit.log" PEER="$peer_name" TRIGGER="${triggers[0]}" TRIGGER_TWO="${triggers[1]}"
SERVER=$(cat "$plane/server")
taken_up() { check 'settings taken up' "$(reload)" = 200; }
phase() { # PHASE TRIES
    local code=0
    python3 "$here/latency.py" "$1" "$2" >>"$work/rows" || code=$?
    case $code in 0) good "$1: $2 tries, none lost" ;; *) bad "$1: some of $2 tries are lost, or it ended ($code)" ;; esac
}
tenth=$((tries < 20 ? 2 : tries / 10))
phase single "$tries"
# A problem outlasts the delay here: what is over again by then is nobody's business.
settings 2s 5s
taken_up
phase settled $((tenth < 5 ? tenth : 5))
settings 0s 1s
taken_up
phase second "$tenth"

printf '\nkernel record to PATCH at the API server, ms%10s%10s%10s%10s%8s%6s\n' p50 p90 p99 most tries lost
grep -v '^latency\.' "$work/rows"
printf 'The settle delay is up to 2 s by default, and the same for a node at all times. watch.period 1s, rules.hold 1s (5s where the delay is on) and\nreport.coalesce 0s, so that each problem is a fresh one; all else is the default.\n\n'
grep '^latency\.' "$work/rows"
if [ "$tries" -ge 200 ]; then
    bound() { check "$1, at most $3" "$(sed -n "s/^latency\.single\.ours\.$2 \([0-9]*\).*/\1/p" "$work/rows")" -lt "$3"; }
    bound 'p50 in ms' p50_ms 50
    bound 'p99 in ms' p99_ms 250
fi
end_daemon
finish_timed

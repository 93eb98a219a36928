#!/usr/bin/env bash
# What a node asks of its API server: requests an hour in a quiet steady state by kind, what a connection costs once, and what a problem costs that begins and
# ends; and what that makes of 5,000 and 15,000 nodes. A real server's audit log counts; our own metrics must have counted the same. It refuses to count by
# the sender's word alone.
#
#   requests.sh [MINUTES] [FASTER]     30 minutes' worth, thirty times faster (the beat of the report); FASTER = 1 is real time. NODE_STEWARD names the program
#
# A watch of the Node lasts for half an hour to an hour, as long as it was asked for; in a run that is shorter, its share is reckoned from that.
set -euo pipefail
. "$(dirname "$0")/node.sh"
minutes=${1:-30} faster=${2:-30}
needs_hang
needs jq openssl curl python3
find_program
with_own_mounts "$@"

node=act-a
room
hung=$work/hung
mkdir "$hung" "$work/kubelet.d"
printf 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nkubeReserved: {cpu: 80m, memory: 893Mi}\n' >"$work/kubelet.d/10-image.conf"
audited '- {level: Metadata, userGroups: ["system:nodes"]}'
start_plane
"$kube/controlplane.sh" node-kubeconfig "$plane" $node >/dev/null
register 'kubelet registers the Node' $node -H 'user-agent: kubelet'

# The kernel's log is left to others: the faults of other tests are in it.
settings() { # EVERY
    cat >"$work/settings.toml" <<END
$hang_settings
[rules]
off = ["BlockIoError", "Ext4Error", "KernelHungTask", "OomKill", "XfsShutdown"]
[report]
every = "$1"
[kubelet]
drop_in = "$work/kubelet.d"
[cluster]
kubeconfig = "$plane/node-$node.kubeconfig"
END
}
is() { node_is "[.status.conditions[]? | select(.type == \"NodeStewardDiskIO\")][0] | $1"; }
# counted FROM TO: requests of node-steward that came between two moments (seconds), by our names for them, as the audit log has them; "-" is no end
counted() {
    python3 - "$work/audit.log" "$1" "$2" <<'PY'
import datetime, json, sys

log, begin, end = sys.argv[1:]
begin, end = float(begin), float("inf") if end == "-" else float(end)
names = {
    ("patch", "nodes", "status"): "patchNodeStatus", ("patch", "nodes", ""): "patchNode", ("get", "nodes", ""): "getNode", ("list", "nodes", ""): "listNode",
    ("watch", "nodes", ""): "watchNode", ("create", "events", ""): "createEvent", ("patch", "events", ""): "patchEvent",
    ("create", "selfsubjectaccessreviews", ""): "reviewAccess", ("create", "selfsubjectreviews", ""): "whoAmI", ("get", "configmaps", ""): "getConfigMap",
    ("update", "configmaps", ""): "putConfigMap",
}
seen, count = set(), {}
for line in open(log, encoding="utf-8"):
    try:
        event = json.loads(line)
    except ValueError:
        continue  # the line that is being written
    if not event.get("userAgent", "").startswith("node-steward") or event["auditID"] in seen:
        continue
    came = datetime.datetime.fromisoformat(event["requestReceivedTimestamp"].replace("Z", "+00:00")).timestamp()
    if not begin <= came < end:
        continue
    # A watch has a line when it begins and one when it ends.
    seen.add(event["auditID"])
    of = event.get("objectRef")
    name = "version" if of is None and event["requestURI"].startswith("/version") else names.get((event["verb"], (of or {}).get("resource"), (of or {}).get("subresource", "")))
    name = name or f"another: {event['verb']} {event['requestURI']}"
    count[name] = count.get(name, 0) + 1
print(json.dumps(dict(sorted(count.items()))))
PY
}
sum() { jq 'add // 0' <<<"$1"; }
now() { printf '%s\n' "$EPOCHREALTIME"; }

settings "$((300 / faster))s"
connecting=$(now)
start_daemon
# Connected, all is said, all is asked for, the annotation is there: what a connection costs once is over.
if until_true 90 asks '.apiServer | .state == "connected" and (.permissions | length > 0) and .requests.patchNodeStatus.good >= 1 and .requests.patchNode.good >= 1'; then
    good "connected, and all is said that is said once, after $took ms"
else
    bad "not all is said: $(status | jq -c .apiServer)"
fi
begin=$(now)
once=$(counted "$connecting" "$begin")

echo "-- quiet: $minutes minutes' worth, $faster times faster"
sleep $((minutes * 60 / faster))
end=$(now)
quiet=$(counted "$begin" "$end")

echo '-- one problem begins and ends'
settings 1h
check 'settings taken up' "$(reload)" = 200
# The beat that was planned under the settings before.
written=$(status | jq .apiServer.requests.patchNodeStatus.good)
until_true $((400 / faster + 10)) asks ".apiServer.requests.patchNodeStatus.good > $written" || bad 'no beat'
began=$(now)
hangs
if until_true 40 is '.status == "True"'; then good "it is a condition after $took ms"; else bad "no condition: $(status | jq -c .problems)"; fi
until_true 20 has_event ProbeStuck || bad 'no Event'
unhang
if until_true 40 is '.status == "False"'; then good "and over after $took ms"; else bad "it does not end: $(status | jq -c .problems)"; fi
until_true 20 has_event ProbeStuckEnded || bad 'no Event of its end'
problem=$(counted "$began" -)

# One that is on its way is in one of the two alone.
same() { [ "$(status | jq -cS '.apiServer.requests | map_values(.sent) | with_entries(select(.value > 0))')" = "$(counted 0 - | jq -cS .)" ]; }
if until_true 10 same; then good "our own metrics have counted the same: $(counted 0 - | jq -c .)"; else bad "$(status | jq -cS '.apiServer.requests | map_values(.sent)') here, $(counted 0 - | jq -cS .) in the audit log"; fi

# What the watch asks the server to end it after; a list goes before each.
lasts=$(jq -r 'select(.verb == "watch") | .requestURI | capture("timeoutSeconds=(?<s>[0-9]+)").s' "$work/audit.log" 2>/dev/null | head -n 1)
check 'a watch lasts for so many seconds, from' "${lasts:-0}" -ge 1800
tenths() { jq -n "($1) * 10 | round / 10"; }
writes_hour=$(tenths "$(jq '[to_entries[] | select(.key | test("^(patch|create|put)")) | .value] | add // 0' <<<"$quiet") * 60 / $minutes")
quiet_hour=$(tenths "$(jq 'del(.listNode, .watchNode) | add // 0' <<<"$quiet") * 60 / $minutes + 2 * 3600 / ${lasts:-1800}")
fleet() { tenths "$1 * $2 / 3600"; }
printf '\nrequests%30s%12s%14s%14s\n' '' 'a node' '5,000 nodes' '15,000 nodes'
row() { printf '%-32s%18s%14s%14s\n' "$1" "$2" "$3" "$4"; }
row 'quiet, of which' "$quiet_hour an hour" "$(fleet "$quiet_hour" 5000)/s" "$(fleet "$quiet_hour" 15000)/s"
row '  writes' "$writes_hour an hour" "$(fleet "$writes_hour" 5000)/s" "$(fleet "$writes_hour" 15000)/s"
row 'a connection, once' "$(sum "$once")" "$(jq -n "$(sum "$once") * 5000")" "$(jq -n "$(sum "$once") * 15000")"
row 'a problem, begin and end' "$(sum "$problem")" '' ''
printf 'note    quiet: %s\nnote    a connection: %s\nnote    a problem: %s\n' "$quiet" "$once" "$problem"
for figure in "quiet_per_hour $quiet_hour" "quiet_writes_per_hour $writes_hour" "connection $(sum "$once")" "problem $(sum "$problem")"; do printf 'requests.%s\n' "$figure"; done

# A tenth more or less, and a beat more at either end.
beats=$((minutes / 5))
check "status patches in $minutes minutes" "$(jq '.patchNodeStatus // 0' <<<"$quiet")" -ge $((beats - beats / 8 - 1))
check "status patches in $minutes minutes" "$(jq '.patchNodeStatus // 0' <<<"$quiet")" -le $((beats + beats / 8 + 1))
check 'other than reading its own Node and writing its conditions, a quiet node asks' "$(jq -c 'del(.patchNodeStatus, .listNode, .watchNode)' <<<"$quiet")" = '{}'
check 'a problem: patches of the conditions' "$(jq '.patchNodeStatus // 0' <<<"$problem")" = 2
check 'a problem: Events' "$(jq '.createEvent // 0' <<<"$problem")" = 2
end_daemon
finish_timed

#!/usr/bin/env bash
# The daemon and a real API server (Node authorizer, NodeRestriction), with nothing but a kubelet's credential: a file system that hangs becomes a condition
# and an Event, and both end with it; since when it is so stays through beats, restarts and an outage; what happens during the outage is told after it with
# its own times; kubelet's conditions are left alone; what the server does not allow is named with the RBAC for it.
# It refuses to take our own word: conditions and Events are read back as an administrator, the way `kubectl describe node` asks for them.
#
#   report.sh     NODE_STEWARD names the program
set -euo pipefail
. "$(dirname "$0")/node.sh"
needs_hang
needs jq openssl curl python3
find_program
with_own_mounts "$@"

node=act-a
own_end() { [ -z "${watcher:-}" ] || kill "$watcher" 2>/dev/null || :; }
room
hung=$work/hung
mkdir "$work/other" "$hung" "$work/kubelet.d"
printf 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nkubeReserved: {cpu: 80m, memory: 893Mi}\n' >"$work/kubelet.d/10-image.conf"
start_plane
find_kubectl
second_server
"$kube/controlplane.sh" node-kubeconfig "$plane" $node "https://127.0.0.1:$second_port" >/dev/null

# As kubelet: its Node, and its own conditions again and again.
register 'kubelet registers the Node' $node
beat() {
    api node-$node PATCH /api/v1/nodes/$node/status -H 'content-type: application/strategic-merge-patch+json' -o "$work/beat" -w '%{http_code}' \
        -d '{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","message":"'"$1"'","lastHeartbeatTime":"'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'"}]}}'
}
check 'and says Ready' "$(beat first)" = 200
# All that any watcher sees of the Node from here on.
from=$(admin "/api/v1/nodes?fieldSelector=metadata.name%3D$node" | jq -r .metadata.resourceVersion)
api admin GET "/api/v1/nodes?watch=true&fieldSelector=metadata.name%3D$node&resourceVersion=$from" --max-time 600 -N >"$work/seen" 2>/dev/null & watcher=$!

# What the kernel said before, of the faults of other tests perhaps, is over by rules.hold; how fast others fill this machine's disk is not our matter.
settings() { # KUBECONFIG-LINE
    cat >"$work/settings.toml" <<END
$hang_settings
critical_after = "10m"
[detect.filesystem_full]
enabled = false
[detect.kubelet_config_drift]
enter_after = "2s"
[rules]
hold = "1s"
[report]
every = "10s"
coalesce = "2s"
[kubelet]
drop_in = "$work/kubelet.d"
[cluster]
$1
END
}
condition() { admin /api/v1/nodes/$node | jq -c "[.status.conditions[] | select(.type == \"NodeSteward$1\")][0]"; }
is() { condition "$1" | jq -e "$2"; }

echo '-- nobody to talk to'
settings ''
start_daemon
if until_true 20 asks '.turns.count >= 4 and (.cluster | startswith("local-only: no kubeconfig"))'; then
    good 'without a kubeconfig it is local-only, and says where it looked'
    check 'which the log says once' "$(grep -c 'local-only' "$work/log")" = 1
    check 'and nothing is asked of any server' "$(status | jq -c '.apiServer')" = null
else
    printf 'note    this machine has a kubeconfig of its own: %s\n' "$(status | jq -r .cluster)"
fi

echo '-- connected'
settings "kubeconfig = \"$plane/node-$node.kubeconfig\""
kill -HUP "$daemon"
if until_true 20 is DiskIO '.status == "False"'; then good "new settings, and the conditions are there after $took ms"; else bad "no conditions: $(status | jq -c '[.cluster, .apiServer]') $(tail -n 3 "$work/log")"; fi
check 'types, and kubelet'"'"'s own beside them' "$(admin /api/v1/nodes/$node | jq -c '[.status.conditions[].type] | sort')" = \
    '["NodeStewardAgentHealth","NodeStewardDiskHealth","NodeStewardDiskIO","NodeStewardLogging","NodeStewardNodeResources","NodeStewardNodeServices","Ready"]'
check 'it knows its Node by the credential' "$(status | jq -r '.apiServer | .node + " " + .user + " " + .state')" = "$node system:node:$node connected"
until_true 20 is NodeResources '.status == "False"' || :
settled=$(condition NodeResources | jq -r .lastTransitionTime)

echo '-- what kubelet keeps from pods'
note() { admin /api/v1/nodes/$node | jq -c '.metadata.annotations["node-steward.io/reserved"] // "null" | fromjson'; }
noted() { note | jq -e "$1"; }
if until_true 40 noted '. != null'; then good "it is an annotation, after $took ms more"; else bad "no annotation: $(status | jq -c '.apiServer')"; fi
check 'by kubelet'"'"'s own configuration' "$(note | jq -c '[.kubeReserved, .systemReserved]')" = '[{"cpu":"80m","memory":"893Mi"},{}]'
matches 'with its file' "$(note | jq -r .source)" "*$work/kubelet.d/10-image.conf*"
if until_true 5 asks '.apiServer.requests.patchNode.sent == 1'; then good 'which was written once'; else bad "written: $(status | jq -c .apiServer.requests.patchNode)"; fi

echo '-- a problem begins and ends'
hangs
began=$(date +%s)
if until_true 30 is DiskIO '.status == "True"'; then good "a file system that hangs is a condition after $took ms"; else bad "no condition: $(status | jq -c '[.problems[].kind], .apiServer')"; fi
matches 'by its name, with the place' "$(condition DiskIO | jq -r '.reason + " " + .message')" "ProbeStuck $work/hung: *"
since=$(condition DiskIO | jq -r .lastTransitionTime)
check 'since when, seconds from the hang' "$(($(date -d "$since" +%s) - began))" -le 6
until_true 10 has_event ProbeStuck || :
matches 'and an Event' "$(event ProbeStuck '[.type, .source.component, .count, .message]')" "[\"Warning\",\"node-steward\",1,\"$work/hung: *"
describes 'condition, Event and reservations' '^ ?NodeStewardDiskIO True .* ProbeStuck .*hung' ' Warning ProbeStuck .*hung' '"memory":"893Mi"'
before=$(condition DiskIO | jq -r .lastHeartbeatTime)
until_true 25 is DiskIO ".lastHeartbeatTime != \"$before\"" || :
check 'a beat later it is true since the same moment' "$(condition DiskIO | jq -r .lastTransitionTime)" = "$since"
check 'and so is what did not change' "$(condition NodeResources | jq -r '.reason + " " + .lastTransitionTime')" = "NoProblem $settled"

if whole; then
echo '-- the daemon is killed, and begins again in the same boot'
kill_daemon
start_daemon
until_true 20 asks '.apiServer.state == "connected" and .turns.count >= 4' || bad "it does not connect again: $(status | jq -c .cluster)"
check 'still true, and since the same moment' "$(condition DiskIO | jq -r '.status + " " + .lastTransitionTime')" = "True $since"
check 'the Event was not said twice' "$(event ProbeStuck .count)" = 1
check 'nor is the annotation written again' "$(status | jq '.apiServer.requests.patchNode.sent // 0')" = 0
fi
unhang
if until_true 30 is DiskIO '.status == "False"'; then good "it answers again, and the condition ends after $took ms"; else bad "it does not end: $(condition DiskIO)"; fi
until_true 10 has_event ProbeStuckEnded || :
matches 'with an Event of its own' "$(event ProbeStuckEnded '"\(.type) \(.count)"')" '"Normal 1"'

if whole; then
echo '-- the server is away'
second_end
until_true 20 asks '.apiServer.state == "failing"' || bad "it is not noticed: $(status | jq -c .cluster)"
matches 'which status says' "$(status | jq -r .cluster)" "Node $node at * failing: *"
down=$(date +%s)
sleep 1
hangs
until_true 20 asks '[.problems[] | select(.kind == "ProbeStuck")] | length > 0' || bad 'no problem'
sleep 2
unhang
until_true 20 asks '[.problems[] | select(.kind == "ProbeStuck")] | length == 0' || bad 'it does not end'
sleep 1
up=$(date +%s)
turns=$(status | jq .turns.count)
second_server
if until_true 60 asks '.apiServer.state == "connected" and .apiServer.eventsWaiting == 0'; then good "back, and all is said after $took ms"; else bad "not all is said: $(status | jq -c .apiServer)"; fi
for reason in ProbeStuck ProbeStuckEnded; do
    last=$(date -d "$(event $reason .lastTimestamp | tr -d '"')" +%s)
    if [ "$last" -ge "$down" ] && [ "$last" -le "$up" ]; then good "$reason has the time at which it was, $((up - last)) s before the server was back"; else bad "$reason: $last is not between $down and $up"; fi
    check "$reason, counted up in the same Event" "$(event $reason .count)" = 2
done
check 'one Event per reason' "$(events | jq -c '[.items[].reason] | sort')" = '["ProbeStuck","ProbeStuckEnded"]'
check 'turns went on meanwhile' "$(($(status | jq .turns.count) - turns))" -ge 1
transition=$(date -d "$(condition DiskIO | jq -r .lastTransitionTime)" +%s)
check 'well again since a moment of the outage' "$((transition >= down && transition <= up))" = 1
fi

echo '-- beside kubelet'
check 'kubelet says Ready again' "$(beat second)" = 200
check 'in an answer that has all of ours' "$(jq '[.status.conditions[].type | select(startswith("NodeSteward"))] | length' "$work/beat")" = 6
api admin PATCH "/api/v1/nodes/$node/status" -H 'content-type: application/strategic-merge-patch+json' -o /dev/null -d '{"status":{"conditions":[{"type":"NodeStewardLeftOver","status":"True"}]}}'
sed -i 's/^\[report\]/[detect.image_outdated]\nenabled = false\n[detect.reboot_pending]\nenabled = false\n[detect.units]\nenabled = false\n[report]/' "$work/settings.toml"
kill -HUP "$daemon"
if until_true 30 is NodeServices '. == null'; then good "a condition for which nobody looks any more is taken away after $took ms"; else bad "it stays: $(condition NodeServices)"; fi
check 'and what is not ours stays' "$(admin /api/v1/nodes/$node | jq -c '[.status.conditions[].type] | sort')" = \
    '["NodeStewardAgentHealth","NodeStewardDiskHealth","NodeStewardDiskIO","NodeStewardLeftOver","NodeStewardLogging","NodeStewardNodeResources","Ready"]'
check "kubelet's own word too" "$(admin /api/v1/nodes/$node | jq -r '.status.conditions[] | select(.type == "Ready").message')" = second
seen() { jq -r '.object.status.conditions[]? | select(.type == "NodeStewardDiskIO").status' "$work/seen" | uniq | xargs; }
check 'all that a watcher ever saw of DiskIO' "$(seen)" = 'False True False'
check 'Ready was never missing' "$(jq -c 'select([.object.status.conditions[]?.type] | (length > 0 and index("Ready") == null))' "$work/seen" | wc -l)" = 0

echo '-- what kubelet offers to pods'
offers() { # CPU
    api node-$node PATCH /api/v1/nodes/$node/status -H 'content-type: application/strategic-merge-patch+json' -o "$work/body" -w '%{http_code}' \
        -d '{"status":{"capacity":{"cpu":"4","memory":"8Gi"},"allocatable":{"cpu":"'"$1"'","memory":"7199Mi"}}}'
}
drift() { status | jq -c '[.problems[] | select(.kind == "KubeletConfigDrift").summary]'; }
check 'kubelet offers what its files give' "$(offers 3920m)" = 200
if until_true 20 asks '[.detectors[] | select(.name == "kubelet_config_drift").state] == ["working"]'; then good "which is judged after $took ms"; else bad "not judged: $(status | jq -c '[.detectors[] | select(.name == "kubelet_config_drift")]')"; fi
turns=$(status | jq .turns.count)
until_true 20 asks ".turns.count >= $turns + 5" || bad 'no more turns'
check 'and is right, five turns on' "$(drift)" = '[]'
check 'now it offers all' "$(offers 4)" = 200
if until_true 20 is NodeResources '.reason == "KubeletConfigDrift"'; then good "which is a condition after $took ms"; shown KubeletConfigDrift; else bad "no condition: $(drift)"; fi
check 'that says what' "$(drift)" = "[\"the Node offers pods cpu 4, not 3920m, which kubelet's configuration gives\"]"
offers 3920m >"$work/code"
if until_true 20 is NodeResources '.status == "False"'; then good "and over after $took ms"; else bad "it stays: $(drift)"; fi

echo '-- versions'
check 'no advice without a version of kubelet' "$(status | jq -c .apiServer.advice)" = '[]'
api node-$node PATCH /api/v1/nodes/$node/status -H 'content-type: application/strategic-merge-patch+json' -o /dev/null -d '{"status":{"nodeInfo":{"kubeletVersion":"v1.20.15"}}}'
if until_true 40 asks '.apiServer.advice | length > 0'; then good "a kubelet that is too old is advice after $took ms"; else bad "no advice: $(status | jq -c '.apiServer | [.version, .kubeletVersion]')"; fi
screen >"$work/shown"
matches 'on the screen' "$(xargs <"$work/shown")" '*advice: kubelet v1.20.15 is * minor versions older than its API server v1.*, and 2 are supported: *'

echo '-- what the server allows'
if until_true 40 asks '.apiServer.permissions | length > 0'; then good "it was asked, within $took ms more"; else bad 'it was not asked'; fi
check 'a kubelet credential is enough for all of it' "$(status | jq -c '[([.apiServer.permissions[].allowed] | unique), .apiServer.missingRbac]')" = '[[true],""]'
check "the server's version" "$(status | jq -r .apiServer.version)" = "$(admin /version | jq -r .gitVersion)"
screen >"$work/shown"
matches 'on the screen' "$(cat "$work/shown")" '*allows all 10 things that are needed*'
curl -sS --unix-socket "$work/run/api.sock" http://localhost/metrics >"$work/metrics"
check 'metrics count what the status counts' "$(sed -n 's/^node_steward_api_server_requests_total{request="patchNodeStatus",outcome="ok"} //p' "$work/metrics")" = \
    "$(status | jq .apiServer.requests.patchNodeStatus.good)"
status | jq -r '.apiServer.requests | to_entries[] | "note    \(.key): \(.value.good) of \(.value.sent), \(.value.bytes) bytes"'
end_daemon

enough
"$kube/controlplane.sh" user-kubeconfig "$plane" plain '' >/dev/null
settings "kubeconfig = \"$plane/plain.kubeconfig\"
node_name = \"$node\""
run=$work/other
start_daemon
if until_true 60 asks '.apiServer.permissions | length > 0'; then good "a user without rights: it was asked after $took ms"; else bad "not asked: $(status | jq -c .apiServer)"; fi
check 'it is failing, and knows what it lacks' "$(status | jq -c '[.apiServer.state, ([.apiServer.permissions[] | select(.allowed | not)] | length)]')" = '["failing",10]'
screen >"$work/shown"
matches 'which the screen says' "$(cat "$work/shown")" '*does not allow patch nodes/status act-a (to report conditions)*kind: ClusterRole*'
status | jq -r .apiServer.missingRbac >"$work/rbac.yaml"
printed_rbac "$work/rbac.yaml"
# One that is refused asks less and less often: another begins anew.
end_daemon
start_daemon
if until_true 60 asks '.apiServer.state == "connected"'; then good "with that it is connected after $took ms"; else bad "still not: $(status | jq -c .apiServer)"; fi
end_daemon
finish_timed

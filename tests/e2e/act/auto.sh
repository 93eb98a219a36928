#!/usr/bin/env bash
# Cordons that the daemon puts on by itself, on a real API server with nothing but a kubelet's credential and the fleet's objects as they are shipped: a
# kubelet's directory that hangs, the hold time, the ledger, one patch, and the way back; each refusal by its name; a person's word; the kill switch; what nodes
# may write of the ledger. It refuses to take our own word: Node, ledger and Events are read back as an administrator.
#
#   auto.sh     NODE_STEWARD names the program
set -euo pipefail
. "$(dirname "$0")/node.sh"
needs_hang
needs jq openssl curl python3
find_program
with_own_mounts "$@"

node=act-a other=act-b
room
start_plane
find_kubectl
members $node $other

# kubelet's own directory, here alone.
mount -t tmpfs -o mode=755 tmpfs /var/lib || skip "cannot mount a tmpfs"
hung=/var/lib/kubelet
mkdir $hung

decision='[.decisions[] | select(.kind == "ProbeStuck")][0]'
withheld() { # REASON SECONDS
    if until_true "$2" asks "$decision.reason == \"$1\""; then good "$1, after $took ms: $(status | jq -r "$decision.why")"; else bad "not $1 but $(status | jq -c "$decision")"; fi
}
answers() {
    unhang
    until_true 30 asks '[.problems[] | select(.kind == "ProbeStuck")] | length == 0' || bad 'the problem does not end'
}
cordoned='.spec.unschedulable == true'
open='.spec.unschedulable != true and .metadata.annotations["node-steward.io/cordon"] == null and .metadata.labels["node-steward.io/cordoned"] == null'

# What the kernel said before, of the faults of other tests perhaps, is over by rules.hold.
settings() { # MODE MORE OF-THE-REPORT
    cat >"$work/settings.toml" <<END
$hang_settings
critical_after = "1s"
[rules]
hold = "1s"
[report]
every = "10s"
settle = "100ms"
coalesce = "100ms"
${3:-}
[policy]
mode = "$1"
cordon_after = "3s"
uncordon_after = "4s"
settle_in = "2s"
after_boot = "1s"
apart = "1s"
ledger_wait = "200ms"
max_started_per_day = 10
$2
[cluster]
kubeconfig = "$plane/node-$node.kubeconfig"
END
}
set_mode() { settings "$@"; kill -HUP "$daemon"; until_true 10 asks ".mode == \"$1\"" || bad "mode $1 is not taken up"; }

settings observe ''
start_daemon
until_true 20 asks '.apiServer.state == "connected" and .turns.count >= 3' || { bad "not connected: $(status | jq -c .cluster)"; exit 1; }

echo '-- what was there when the mode was switched on'
hangs
withheld ModeIsObserve 30
set_mode cordon ''
withheld WasThereBefore 10
answers

echo '-- without a ledger'
until_true 10 asks '.nowMonoMs > .actingFromMonoMs' || bad 'the mode does not come into force'
hangs
withheld NoLedger 30
until_true 15 has_event CordonRefused || :
matches 'an Event' "$(event CordonRefused '.type + " " + .message')" '"Warning not cordoned for ProbeStuck /var/lib/kubelet: NoLedger: kube-system/node-steward-limits: *'
until_true 45 asks '.apiServer.missingRbac | contains("node-steward-ledger")' || bad "the RBAC for it is not printed: $(status | jq -c '[.apiServer.permissions[] | select(.allowed | not).what]')"
check 'nothing was done' "$(node_is "$open")" = true
answers

echo "-- the fleet's objects, as they are shipped"
made() { [ "$2" = 201 ] || printf 'note    %s\n' "$(cat "$work/body")"; check "$1" "$2" = 201; }
fleet_objects made
as_node() { # NAME FILTER: the ledger with a change, as that node; the status code
    api admin GET $maps/node-steward-ledger | jq "$2" | api "node-$1" PUT $maps/node-steward-ledger -H 'content-type: application/json' -o "$work/body" -w '%{http_code}' -d @-
}
# Each time another word: one that is there already is no change.
foreign() { [ "$(as_node $other ".data[\"act-x\"] = \"$RANDOM\"")" = 422 ]; }
# A policy takes a moment to be in force; until then the line is there, and is taken away again.
if until_true 30 foreign; then good "another's line is not a node's to write, after $took ms: $(jq -r .message "$work/body" | head -c 150)"; else bad "another's line was written: $(cat "$work/body")"; fi
put_data node-steward-ledger '{"act-x": null}' >/dev/null
check 'its own is' "$(as_node $other '.data["act-b"] = "{}"')" = 200
check "nor is another's to take away" "$(as_node $node 'del(.data["act-b"])')" = 422
check 'its own is' "$(as_node $other 'del(.data["act-b"])')" = 200
check 'the limits are not for nodes' "$(api node-$node PATCH $maps/node-steward-limits -H 'content-type: application/merge-patch+json' -o /dev/null -w '%{http_code}' -d '{"data":{"maxHeld":"99"}}')" = 403
check "wider limits" "$(put_data node-steward-limits '{"maxStartedPerDay": "10"}')" = 200

echo '-- it cordons, and takes it off'
hangs
if until_true 40 node_is "$cordoned"; then good "cordoned after $took ms"; else bad "not cordoned: $(status | jq -c "$decision")"; fi
check 'for the problem' "$(of '.metadata.annotations["node-steward.io/cordon"] | fromjson | .for + " " + .reason + " " + .by')" = 'problem ProbeStuck /var/lib/kubelet'
check 'with the label' "$(of '.metadata.labels["node-steward.io/cordoned"]')" = problem
check 'and a line in the ledger' "$(ledger '.["act-a"] | [.uid, (.starts | length), .starts[0].reason, .released]')" = "[\"$(of .metadata.uid)\",1,\"ProbeStuck\",null]"
until_true 10 asks "$decision.verdict == \"do\"" || bad "not done: $(status | jq -c "$decision")"
until_true 15 has_event Cordoned || :
matches 'an Event' "$(event Cordoned '.type + " " + .message')" '"Warning cordoned by node-steward for ProbeStuck /var/lib/kubelet"'
matches 'status' "$(screen)" '*cordoned by node-steward since *, for /var/lib/kubelet: ProbeStuck*'
describes 'cordoned, for what and by whom' '^ ?NodeStewardDiskIO True .* ProbeStuck ' '^Unschedulable: true$' 'node-steward.io/cordoned=problem' '"for":"problem".*"reason":"ProbeStuck"' ' Warning ProbeStuck ' ' Warning Cordoned '
sleep 6
check 'it stays while the problem does' "$(node_is "$cordoned")" = true
answers
if until_true 40 node_is "$open"; then good "uncordoned $took ms after the end"; else bad "still cordoned: $(status | jq -c .apiServer.cordon)"; fi
released() { [ "$(ledger '.["act-a"].released != null')" = true ]; }
until_true 10 released || :
check 'the line is released and stays' "$(ledger '.["act-a"] | [(.starts | length), (.released != null)]')" = '[1,true]'
until_true 15 has_event Uncordoned || :
matches 'an Event' "$(event Uncordoned .message)" '"uncordoned by node-steward: ProbeStuck is over"'
describes 'and let go of' '^ ?NodeStewardDiskIO False ' '^Unschedulable: false$' ' Normal ProbeStuckEnded ' ' Normal Uncordoned '

enough
echo '-- a person takes it off while the problem lasts'
hangs
until_true 40 node_is "$cordoned" || bad "not cordoned: $(status | jq -c "$decision")"
kubectl_uncordon
if until_true 20 node_is "$open"; then good "the mark goes after $took ms"; else bad 'the mark stays'; fi
withheld HandsOff 40
if until_true 15 released; then good 'and the line is released'; else bad "the line: $(ledger .)"; fi
check 'it stays as the person left it' "$(node_is "$open")" = true
strategic '' admin '{"metadata":{"annotations":{"node-steward.io/hands-off-until":null}}}' >/dev/null
answers

echo '-- the breaker: a third one alike'
hangs
withheld BreakerIsOpen 40
check 'it is written down' "$(ledger '.["act-a"].breaker.alike')" = '"ProbeStuck"'
check 'nothing was done' "$(node_is "$open")" = true
sleep 1
check 'a person clears it' "$(put_data node-steward-limits "{\"breakerClearedAt\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}")" = 200
if until_true 40 node_is "$cordoned"; then good "and it goes on after $took ms"; else bad "still not: $(status | jq -c "$decision")"; fi
answers
until_true 40 node_is "$open" || bad "still cordoned: $(status | jq -c .apiServer.cordon)"

if selectors; then
echo '-- the budget is held by another, whom we may not look at'
peers=/apis/rbac.authorization.k8s.io/v1/clusterrolebindings
api admin DELETE $peers/node-steward-fleet -o /dev/null
check 'its line' "$(put_data node-steward-ledger '{"act-b": "{\"uid\":\"u\",\"starts\":[{\"at\":\"2020-01-01T00:00:00Z\",\"reason\":\"NvmeHealth\"}]}"}')" = 200
hangs
withheld BudgetIsHeld 40
check 'nothing was done' "$(node_is "$open")" = true
echo '-- and seen to be another one, where we may'
check 'the right is given back' "$(post_yaml $peers "$(grep -l '^kind: ClusterRoleBinding' "$work"/fleet-*.yaml)")" = 201
if until_true 40 node_is "$cordoned"; then good "cordoned after $took ms more"; else bad "still not: $(status | jq -c "$decision")"; fi
answers
until_true 40 node_is "$open" || bad "still cordoned: $(status | jq -c .apiServer.cordon)"
put_data node-steward-ledger '{"act-b": null}' >/dev/null
fi

echo '-- the kill switch'
check 'maxMode' "$(put_data node-steward-limits "{\"maxMode\": \"observe\", \"breakerClearedAt\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}")" = 200
hangs
withheld ModeIsCapped 40
check 'pause' "$(put_data node-steward-limits '{"maxMode": null, "pause": "true"}')" = 200
withheld Paused 40
check 'a slip of the pen' "$(put_data node-steward-limits '{"pause": null, "maxheld": "1"}')" = 200
withheld LedgerUnreadable 40
check 'nothing was done' "$(node_is "$open")" = true
answers
check 'limits as they were' "$(put_data node-steward-limits '{"maxheld": null}')" = 200

echo '-- each node for itself, under the same switch'
set_mode cordon 'budget = "none"'
check 'maxMode' "$(put_data node-steward-limits '{"maxMode": "observe"}')" = 200
hangs
withheld ModeIsCapped 40
check 'nothing was done' "$(node_is "$open")" = true
check 'the switch is off' "$(put_data node-steward-limits '{"maxMode": null}')" = 200
if until_true 40 node_is "$cordoned"; then good "cordoned after $took ms more"; else bad "still not: $(status | jq -c "$decision")"; fi
check 'without a line' "$(ledger '[.["act-a"] // {} | select(.released == null and .starts != null)]')" = '[]'
answers
until_true 40 node_is "$open" || bad "still cordoned: $(status | jq -c .apiServer.cordon)"

echo '-- mode drain'
# Without a grace period a pod is gone once its eviction is accepted; there is no kubelet here.
pods=/api/v1/namespaces/default/pods
check 'a pod' "$(api admin POST $pods -H 'content-type: application/json' -o "$work/body" -w '%{http_code}' -d '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"r","controller":true}]},"spec":{"nodeName":"'$node'","terminationGracePeriodSeconds":0,"containers":[{"name":"c","image":"i"}]}}')" = 201
check 'the fleet allows cordons alone' "$(put_data node-steward-limits "{\"maxMode\": \"cordon\", \"breakerClearedAt\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}")" = 200
set_mode drain ''
hangs
if until_true 40 node_is "$cordoned"; then good "cordoned after $took ms"; else bad "not cordoned: $(status | jq -c "$decision")"; fi
until_true 30 has_event DrainRefused || :
matches 'not drained' "$(event DrainRefused .message)" '"not drained: ModeIsCapped: *'
check 'its pod is there' "$(api admin GET $pods/web -o /dev/null -w '%{http_code}')" = 200
check 'the fleet allows drains' "$(put_data node-steward-limits '{"maxMode": null}')" = 200
if until_true 40 asks '.apiServer.drain.state == "drained"'; then good "drained $took ms later"; else bad "not drained: $(status | jq -c .apiServer.drain)"; fi
check 'its pod is gone' "$(api admin GET $pods/web -o /dev/null -w '%{http_code}')" = 404
check 'for the problem' "$(status | jq -r '.apiServer.drain | .by + " " + .reason')" = '/var/lib/kubelet ProbeStuck'
answers
until_true 40 node_is "$open" || bad "still cordoned: $(status | jq -c .apiServer.cordon)"

echo '-- a name that others replace nodes for, where it is asked for'
storage='[.status.conditions[] | select(.type == "StorageReady") | [.status, .reason]]'
check 'not before' "$(of "$storage | tostring")" = '[]'
set_mode observe '' 'repair = { StorageReady = ["ProbeStuck"] }'
if until_true 30 node_is "$storage == [[\"True\", \"DiskIsReady\"]]"; then good "it is ready, after $took ms"; else bad "not ready: $(of "$storage | tostring")"; fi
hangs
if until_true 40 node_is "$storage == [[\"False\", \"ProbeStuck\"]]"; then good "not ready $took ms after the hang"; else bad "still: $(of "$storage | tostring")"; fi
check 'in mode observe nothing else was done' "$(node_is "$open")" = true
answers
if until_true 40 node_is "$storage == [[\"True\", \"DiskIsReady\"]]"; then good "ready again, after $took ms"; else bad "still: $(of "$storage | tostring")"; fi
set_mode drain ''
if until_true 40 node_is "$storage == []"; then good "asked for no longer, it is removed after $took ms"; else bad "still there: $(of "$storage | tostring")"; fi

echo '-- killed between line and cordon'
# As a run that was killed there leaves it: our line, and no cordon.
kill_daemon
line=$(jq -nc --arg uid "$(of .metadata.uid)" --arg at "$(date -u +%Y-%m-%dT%H:%M:%SZ)" '{uid: $uid, starts: [{at: $at, reason: "DiskStalled"}]} | tojson')
check 'a line that nothing came of' "$(put_data node-steward-ledger "{\"act-a\": $line}")" = 200
start_daemon
if until_true 90 released; then good "the next run releases it after $took ms"; else bad "the line: $(ledger .)"; fi
end_daemon
finish_timed

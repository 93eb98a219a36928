#!/usr/bin/env bash
# Drains through the real daemon and a real API server with nothing but a kubelet's credential: the plan, what goes, what stays and why, at most five at once,
# budgets with their names, several budgets for one pod, deadline, cancel, a human who uncordons, a server that is away, a daemon that is killed, what follows a
# full drain. It refuses to take our own word: pods are read back as an administrator, and the server's audit log says that nothing was deleted by us.
#
#   drain.sh     NODE_STEWARD names the program
#
# There is no kubelet: a loop with its credential ends the pods that are being deleted, one after the other, and notes how many there were at a time. The
# budgets' status, which a controller would keep, is written by hand.
set -euo pipefail
. "$(dirname "$0")/node.sh"
needs jq openssl curl python3
find_program

node=act-a
own_end() {
    touch "$work/enough"
    [ -z "${client:-}" ] || kill "$client" 2>/dev/null || :
}
room
audited '- {level: Metadata, users: ["system:node:'$node'"], resources: [{group: "", resources: [pods, pods/eviction]}]}'
start_plane
find_kubectl
second_server
"$kube/controlplane.sh" node-kubeconfig "$plane" $node "https://127.0.0.1:$second_port" >/dev/null
members $node act-b
sed "s#https://127.0.0.1:[0-9]*#https://127.0.0.1:$second_port#" "$plane/node-$node.kubeconfig" >"$work/kubeconfig"
for space in shop sys; do api admin POST /api/v1/namespaces -H 'content-type: application/json' -o /dev/null -d '{"metadata":{"name":"'$space'"}}'; done

pods=/api/v1/namespaces/shop/pods
# pod NAME OWNER-KIND [JQ-CHANGE]: Running on the node; OWNER-KIND - for nobody
pod() {
    jq -nc --arg name "$1" --arg owner "$2" --arg node "$node" '{apiVersion: "v1", kind: "Pod", metadata: {name: $name, labels: {app: ($name | sub("-[0-9]+$"; ""))},
        ownerReferences: (if $owner == "-" then [] else [{apiVersion: "apps/v1", kind: $owner, name: "o", uid: "o", controller: true}] end)},
        spec: {nodeName: $node, terminationGracePeriodSeconds: 30, tolerations: [{operator: "Exists"}], containers: [{name: "c", image: "i"}]}}' | jq -c "${3:-.}" >"$work/pod"
    [ "$(api admin POST $pods -H 'content-type: application/json' -o "$work/body" -w '%{http_code}' -d @"$work/pod")" = 201 ] || bad "pod $1: $(cat "$work/body")"
    api admin PATCH "$pods/$1/status" -H 'content-type: application/merge-patch+json' -o /dev/null -d '{"status":{"phase":"'"${4:-Running}"'","conditions":[{"type":"Ready","status":"True"}]}}'
}
# budget NAME APP ALLOWED
budget() {
    local at=/apis/policy/v1/namespaces/shop/poddisruptionbudgets
    api admin POST $at -H 'content-type: application/json' -o "$work/body" -d '{"metadata":{"name":"'"$1"'"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"'"$2"'"}}}}'
    allow_disruptions "$1" "$3"
}
allow_disruptions() {
    [ "$(api admin PATCH "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/$1/status" -H 'content-type: application/merge-patch+json' -o "$work/body" -w '%{http_code}' \
        -d '{"status":{"observedGeneration":1,"disruptionsAllowed":'"$2"',"currentHealthy":1,"desiredHealthy":1,"expectedPods":1}}')" = 200 ] || bad "budget $1: $(cat "$work/body")"
}
there() { api admin GET "$pods?fieldSelector=spec.nodeName%3D$node" | jq -r '[.items[].metadata.name] | sort | join(" ")'; }
wipe() {
    for name in $(there); do api admin DELETE "$pods/$name" -H 'content-type: application/json' -o /dev/null -d '{"gracePeriodSeconds":0}'; done
    for name in $(api admin GET /apis/policy/v1/namespaces/shop/poddisruptionbudgets | jq -r '.items[].metadata.name'); do
        api admin DELETE "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/$name" -o /dev/null
    done
}
# As kubelet: a pod that is being deleted ends after a moment, and is then taken away. $work/keep names one that does not end.
kubelet() {
    while [ ! -e "$work/enough" ]; do
        ending=$(api "node-$node" GET "/api/v1/pods?fieldSelector=spec.nodeName%3D$node" | jq -r '.items[] | select(.metadata.deletionTimestamp).metadata.name') || continue
        [ -z "$ending" ] || wc -w <<<"$ending" >>"$work/ending"
        for name in $ending; do
            [ "$name" != "$(cat "$work/keep" 2>/dev/null)" ] || continue
            api "node-$node" DELETE "$pods/$name" -H 'content-type: application/json' -o /dev/null -d '{"gracePeriodSeconds":0}' || :
            break
        done
        sleep 0.05
    done
}
is() { drains | jq -e ".drain | $1"; }
steward() { tell "$@" --by alice; } # VERB ARGUMENT...
uncordon() { steward uncordon --reason 'next'; [ "$code" = 0 ] || bad "uncordon: $said"; }
settings() {
    printf '[watch]\nperiod = "1s"\nlock_memory = "off"\n[report]\nevery = "1h"\nsettle = "100ms"\n[cluster]\nkubeconfig = "%s"\n[drain]\n%s\n' "$work/kubeconfig" "$1" >"$work/settings.toml"
}
settings "after_drain = [\"/bin/sh\", \"-c\", \"echo followed >>$work/followed\"]"
start_daemon
until_true 20 asks '.apiServer.state == "connected"' || { bad "not connected: $(tail -n 3 "$work/log")"; exit 1; }
kubelet & kubelet_pid=$!

echo '-- the plan, and a drain of what may go'
for i in $(seq 12); do pod "web-$i" ReplicaSet; done
pod agent DaemonSet
pod ended ReplicaSet . Succeeded
pod cache ReplicaSet '.spec.volumes = [{name: "e", emptyDir: {}}]'
pod alone -
pod work Job
pod shy StatefulSet '.metadata.annotations["karpenter.sh/do-not-disrupt"] = "true"'
pod unsafe ReplicaSet '.metadata.annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = "false"'
# A static pod's copy, which a kubelet alone may make.
jq -nc --arg node "$node" --arg uid "$(of .metadata.uid)" '{apiVersion: "v1", kind: "Pod", metadata: {name: "static", annotations: {"kubernetes.io/config.mirror": "x", "kubernetes.io/config.hash": "x", "kubernetes.io/config.source": "file"},
    ownerReferences: [{apiVersion: "v1", kind: "Node", name: $node, uid: $uid, controller: true}]}, spec: {nodeName: $node, tolerations: [{operator: "Exists"}], containers: [{name: "c", image: "i"}]}}' >"$work/pod"
check 'kubelet makes the copy of a static pod' "$(api node-$node POST $pods -H 'content-type: application/json' -o "$work/body" -w '%{http_code}' -d @"$work/pod")" = 201
before=$(there)
steward drain --plan --reason 'a new disk'
check 'a plan' "$code $(tail -n 1 <<<"$said")" = '0 plan: 12 go, 5 stay, 3 are left alone'
matches 'says why' "$said" '*stays   shop/alone: nobody manages it*stays   shop/cache: it has an emptyDir*stays   shop/shy: *do-not-disrupt*stays   shop/unsafe: *safe-to-evict*stays   shop/work: it is a Job*'
check 'and does nothing' "$(there)" = "$before"
check 'nor cordons' "$(of '.spec.unschedulable // false')" = false
steward drain --reason 'a new disk'
check 'pods stay: its code' "$code" = 3
printf 'note    %s\n' "$(head -n 3 "$work/out" | paste -sd'|')" "$(tail -n 3 "$work/out" | paste -sd'|')"
check 'the plan comes first' "$(grep -n '^plan: ' "$work/out" | cut -d: -f1)" -lt "$(grep -n '^gone ' "$work/out" | head -n 1 | cut -d: -f1)"
check 'a line for each that is gone' "$(grep -c '^gone .*shop/web-' "$work/out")" = 12
check 'who is left' "$(there)" = 'agent alone cache ended shy static unsafe work'
check 'cordoned, as somebody asked' "$(of '.spec.unschedulable, (.metadata.annotations["node-steward.io/cordon"] | fromjson.for)' | paste -sd' ')" = 'true person'
check 'pods that ended at a time, at most' "$(sort -n "$work/ending" | tail -n 1)" -le 5
check 'state' "$(drains | jq -r .drain.state)" = partial
until_true 10 has_event DrainIncomplete || :
matches 'an Event' "$(event DrainIncomplete '.type + " " + .message')" '"Warning drain partial: 12 of 12 pods are gone; stay: shop/alone*'
# A turn's word; the Event may come before it.
until_true 15 asks '.apiServer.drain.state == "partial"' || :
matches 'status' "$(screen)" '*drain, partial, for alice: a new disk: 12 of 12 pods are gone*'
matches 'metrics' "$(curl -sS --unix-socket "$work/run/api.sock" http://localhost/metrics | grep -E '^node_steward_drain_(state.*partial|pods.*gone)' | paste -sd' ')" '*state="partial"} 1*step="gone"} 12*'
check 'nothing follows it' "$(cat "$work/followed" 2>/dev/null)" = ''

echo '-- with the words for the others'
steward drain --reason 'all of it' --allow empty-dir --allow unmanaged --allow jobs --allow do-not-disrupt --allow safe-to-evict
check 'drained' "$code $(tail -n 1 <<<"$said")" = '0 drained: 5 pods are gone'
check 'who is left' "$(there)" = 'agent ended static'
until_true 20 test -s "$work/followed" || :
check 'what follows a full drain' "$(cat "$work/followed" 2>/dev/null)" = followed
until_true 10 is '.after | contains("was run")' || bad "after: $(drains | jq -c .drain.after)"
uncordon; wipe

echo '-- a budget'
pod web-1 ReplicaSet; pod db-1 StatefulSet
budget db db 0
# What the shell has put into the background is deaf to Ctrl-C unless it is told not to be.
python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' \
    "$program" drain --reason 'a new disk' --socket "$work/run/api.sock" >"$work/out" 2>&1 & client=$!
if until_true 20 is '[.pods[] | select(.name == "db-1")][0] | .step == "waits" and (.why | contains("disruption budget db"))'; then good "it names the budget: $(drains | jq -r '[.drain.pods[] | select(.name == "db-1")][0].why' | head -c 150)"; else bad "$(drains | jq -c .drain)"; fi
until_true 20 is '[.pods[] | select(.name == "web-1")][0].step == "gone"' || bad 'the other one does not go meanwhile'
kill -INT "$client"; code=0; wait "$client" 2>/dev/null || code=$?
client=''
check 'Ctrl-C ends the client' "$code" = 130
check 'and stops nothing' "$(drains | jq -r .drain.state)" = running
sleep 12
tries=$(jq -c 'select(.objectRef.subresource == "eviction" and .objectRef.name == "db-1")' "$work/audit.log" | jq -s length)
check 'asked again each 5 to 7.5 s, in 12 s and more: times' "$tries" -ge 2
check 'and not more often' "$tries" -le 5
allow_disruptions db 1
if until_true 20 is '.state == "drained"'; then good "once it may, it goes: $took ms"; else bad "$(drains | jq -c .drain)"; fi
uncordon; wipe

echo '-- several budgets for one pod'
pod db-1 StatefulSet; budget one db 1; budget two db 1
steward drain --reason 'a new disk'
check 'given up' "$code" = 3
matches 'and named' "$(tail -n 1 <<<"$said")" 'partial: 0 of 1 pods are gone; the node stays cordoned: given up: shop/db-1 (*more than one PodDisruptionBudget*'
check 'asked three times' "$(jq -c 'select(.objectRef.subresource == "eviction" and .responseStatus.code == 500)' "$work/audit.log" | jq -s length)" = 3
uncordon; wipe

echo '-- the deadline'
pod db-1 StatefulSet; budget db db 0; pod slow-1 ReplicaSet; echo slow-1 >"$work/keep"
steward drain --reason 'a new disk' --deadline 4s
check 'its code' "$code" = 3
matches 'who is in the way' "$(tail -n 1 <<<"$said")" 'blocked: 0 of 2 pods are gone; the node stays cordoned: its time is over; still there: shop/db-1 (*disruption budget db*shop/slow-1*'
check 'the cordon stays' "$(of .spec.unschedulable)" = true
rm -f "$work/keep"; uncordon; wipe

echo '-- cancelled, and asked twice'
pod db-1 StatefulSet; budget db db 0
steward drain --no-wait --reason 'a new disk'
check 'it begins' "$code" = 0
steward drain --no-wait --reason 'once more'
matches 'a second time' "$code $said" '0 *goes on already*'
check 'the first word stands' "$(drains | jq -r .drain.reason)" = 'a new disk'
steward drain --no-wait --allow jobs --reason 'once more'
matches 'by other rules' "$code $said" '4 *a drain goes on already, by other rules*'
steward drain --cancel --reason 'not now'
matches 'cancel' "$code $said" '0 *cancelled; the node stays cordoned'
check 'state' "$(drains | jq -r '.drain.state + ": " + .drain.why')" = 'cancelled: alice asked for it: not now'
steward drain --cancel --reason 'again'
matches 'again' "$code $said" '0 *none goes on'
check 'the cordon stays' "$(of .spec.unschedulable)" = true
steward drain --no-wait --reason 'a new disk'
until_true 20 is '[.pods[] | select(.step == "waits" and .why != "")] | length == 1' || bad "$(drains | jq -c .drain)"
steward drain --cancel --reason 'not now'
kill_daemon
allow_disruptions db 1
start_daemon
until_true 20 asks '.apiServer.state == "connected"' || bad "not connected: $(status | jq -c .cluster)"
check 'a daemon that is killed right after it was told so' "$(drains | jq -r .drain.state)" = cancelled
sleep 2
check 'evicts nobody after its next start' "$(there)" = db-1
allow_disruptions db 0

echo '-- a human uncordons'
steward drain --no-wait --reason 'a new disk'
kubectl_uncordon
if until_true 20 is '.state == "stopped"'; then good "it stops after $took ms: $(drains | jq -r .drain.why)"; else bad "$(drains | jq -c .drain)"; fi
allow_disruptions db 1
sleep 8
check 'and evicts nobody any more' "$(there)" = db-1
wipe

echo '-- somebody else has cordoned it'
until_true 20 asks '.apiServer.cordon.state == "open"' || bad "$(status | jq -c .apiServer.cordon)"
kubectl_cordon
pod web-1 ReplicaSet
steward drain --reason 'a new disk'
matches 'it is not ours to drain' "$code $said" '4 *kubectl has cordoned it*'
check 'nobody was evicted' "$(there)" = web-1
kubectl_uncordon
wipe

echo '-- the server is away meanwhile'
pod web-1 ReplicaSet; pod db-1 StatefulSet; budget db db 0
steward drain --no-wait --reason 'a new disk'
until_true 20 is '[.pods[] | select(.name == "web-1")][0].step == "gone"' || bad "$(drains | jq -c .drain)"
second_end
until_true 30 asks '.apiServer.state == "failing"' || bad 'it is not noticed'
check 'it goes on' "$(drains | jq -r .drain.state)" = running
allow_disruptions db 1
second_server
if until_true 60 is '.state == "drained"'; then good "drained $took ms after it is back"; else bad "$(drains | jq -c .drain)"; fi
until_true 30 asks '.apiServer.state == "connected"' || :
uncordon; wipe

echo '-- the daemon is killed meanwhile'
: >"$work/followed"
for i in $(seq 8); do pod "web-$i" ReplicaSet; done
pod db-1 StatefulSet; budget db db 0
steward drain --no-wait --reason 'a new disk'
until_true 20 is '[.pods[] | select(.step == "gone")] | length >= 1' || bad "$(drains | jq -c .drain)"
until_true 10 jq -e '.drain.job.reason == "a new disk"' "$work/run/state.json" || bad 'it is not saved'
kill_daemon
allow_disruptions db 1
start_daemon
if until_true 60 is '.state == "drained"'; then good "the next run goes on to the end, $took ms after its start"; else bad "$(drains | jq -c .drain)"; fi
check 'who is left' "$(there)" = ''
until_true 20 test -s "$work/followed" || :
check 'what follows is run once' "$(cat "$work/followed")" = followed
uncordon

echo '-- what the audit log saw'
ours() { jq -c 'select(.userAgent | startswith("node-steward"))' "$work/audit.log"; }
check 'deleted by us' "$(ours | jq -c 'select(.verb | startswith("delete"))' | wc -l)" = 0
check 'evictions of what is left alone, or of others' "$(ours | jq -c 'select(.objectRef.subresource == "eviction" and (.objectRef.name | test("^(agent|static|ended)$")))' | wc -l)" = 0
check 'pods read by their name' "$(ours | jq -c 'select(.verb == "get" and .objectRef.resource == "pods" and .objectRef.name != null)' | wc -l)" = 0
ours | jq -r '.verb + " " + .objectRef.resource + "/" + (.objectRef.subresource // "") + " " + (.responseStatus.code | tostring)' | sort | uniq -c | sort -rn | sed 's/^/note   /'
check 'pods that ended at a time, at most' "$(sort -n "$work/ending" | tail -n 1)" -le 5
touch "$work/enough"; wait "$kubelet_pid" || :
end_daemon
finish_timed

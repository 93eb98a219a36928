#!/usr/bin/env bash
# Cordons that people ask for, through the real daemon and a real API server with nothing but a kubelet's credential: one patch with mark, label and version;
# whose a cordon is, against a real kubectl; the taint that a real controller-manager puts and takes away with it; hands off for a day after somebody took ours off; who makes it stand down; what is said where the server
# is away, frozen or absent; kubelet's patches in between; idle connections; what other programs report, for its time. It refuses to take our own word: Nodes are read back as an administrator, and the server's audit
# log counts the patches.
#
#   cordon.sh     NODE_STEWARD names the program
set -euo pipefail
. "$(dirname "$0")/node.sh"
needs jq openssl curl python3
find_program

node=act-a
room
audited '- {level: RequestResponse, verbs: [patch, update], resources: [{group: "", resources: [nodes]}]}'
start_plane
find_kubectl
start_controllers node-lifecycle-controller
second_server
"$kube/controlplane.sh" node-kubeconfig "$plane" $node "https://127.0.0.1:$second_port" >/dev/null
register 'kubelet registers the Node' $node

order() { tell "$1" --reason "$2" ${3:+--by "$3"}; } # VERB REASON [BY]
ours='{by: (.metadata.annotations["node-steward.io/cordon"] | fromjson | .for + " " + .by + ": " + .reason), label: .metadata.labels["node-steward.io/cordoned"], cordoned: .spec.unschedulable}'
tainted='any(.spec.taints[]?; .key == "node.kubernetes.io/unschedulable" and .effect == "NoSchedule")'
nothing='[.spec.unschedulable // false, .metadata.annotations["node-steward.io/cordon"], .metadata.labels["node-steward.io/cordoned"]] | tojson'

settings() {
    cat >"$work/settings.toml" <<END
[watch]
period = "1s"
lock_memory = "off"
[report]
every = "1h"
[cluster]
$1
END
}
settings 'enabled = false'
start_daemon
until_true 20 asks '.turns.count >= 1' || { bad "the daemon does not answer: $(tail -n 3 "$work/log")"; exit 1; }
order cordon 'a new disk' alice
check 'without a cluster' "$code" = 1
matches 'it says so' "$said" '*503*local-only: cluster.enabled is false*'
settings "kubeconfig = \"$plane/node-$node.kubeconfig\""
kill -HUP "$daemon"
until_true 20 asks '.apiServer.state == "connected"' || bad "not connected: $(status | jq -c .cluster)"

echo '-- asked for, and asked for the end'
order cordon 'a new disk' alice
check 'cordon' "$code $said" = "0 node $node: cordoned"
check 'field, mark and label' "$(show | jq -c "$ours")" = '{"by":"person alice: a new disk","label":"person","cordoned":true}'
check 'in this boot' "$(of '.metadata.annotations["node-steward.io/cordon"] | fromjson | .bootId')" = "$(cat /proc/sys/kernel/random/boot_id)"
check "the server's note of the writer" "$(of '[.metadata.managedFields[] | select(.fieldsV1["f:spec"]["f:unschedulable"]) | .manager] | tojson')" = '["node-steward"]'
order cordon 'again' bob
check 'asked twice' "$code $said" = "0 node $node: is cordoned by node-steward already, as somebody asked"
check 'the first word stands' "$(of '.metadata.annotations["node-steward.io/cordon"] | fromjson | .by')" = alice
if until_true 20 node_is "$tainted"; then good "the controller's taint is there after $took ms"; else bad "no taint: $(of '.spec.taints | tojson') $(tail -n 2 "$work/controllers.log")"; fi
until_true 10 asks '.apiServer.cordon.state == "ours"' || :
matches 'status' "$(screen)" '*cordoned by node-steward since 20*, as alice asked: a new disk*'
until_true 10 has_event Cordoned || :
check 'an Event' "$(event Cordoned '.type + " " + .message')" = '"Normal cordoned by node-steward; alice asked for it: a new disk"'
order uncordon 'the disk is in' alice
check 'uncordon' "$code $said" = "0 node $node: uncordoned"
check 'nothing is left' "$(of "$nothing")" = '[false,null,null]'
if until_true 20 node_is "$tainted | not"; then good "nor is the taint, after $took ms"; else bad "the taint stays: $(of '.spec.taints | tojson')"; fi
check 'and no day of hands off' "$(of '.metadata.annotations["node-steward.io/hands-off-until"]')" = null
order uncordon 'again' alice
check 'asked twice' "$code $said" = "0 node $node: is not cordoned"
order cordon ''
matches 'without a reason' "$code $said" '1 *400*reason is empty*'

echo '-- a fleet is let go of at once'
order cordon 'a new disk' alice
check 'kubectl uncordon --selector' "$(kubectl uncordon --selector node-steward.io/cordoned 2>&1)" = "node/$node uncordoned"
if until_true 20 node_is '.metadata.annotations["node-steward.io/cordon"] == null'; then good "mark and label go after $took ms"; else bad "the mark stays: $(of .metadata.annotations)"; fi
strategic '' admin '{"metadata":{"annotations":{"node-steward.io/hands-off-until":null}}}' >/dev/null

echo "-- kubectl's own"
kubectl_cordon
order cordon 'a new disk' alice
matches 'it is not ours to take' "$code $said" '4 *kubectl has cordoned it*'
order uncordon 'a new disk' alice
matches 'nor to take off' "$code $said" '4 *kubectl has cordoned it*'
check 'it stays as it was' "$(of "$nothing")" = '[true,null,null]'
until_true 10 has_event CordonRefused || :
matches 'an Event says so' "$(event CordonRefused '.type + " " + .message')" '"Warning not cordoned: kubectl has cordoned it*'
kubectl_uncordon

echo '-- somebody takes ours off'
order cordon 'a new disk' alice
kubectl_uncordon
if until_true 20 node_is '.metadata.annotations["node-steward.io/cordon"] == null'; then good "mark and label go after $took ms"; else bad "the mark stays: $(of .metadata.annotations)"; fi
check 'nothing is left' "$(of "$nothing")" = '[false,null,null]'
until=$(of '.metadata.annotations["node-steward.io/hands-off-until"]')
check 'hands off, hours' "$((($(date -d "$until" +%s) - $(date +%s) + 1800) / 3600))" = 24
until_true 10 asks '.apiServer.cordon.handsOffUntil != ""' || :
matches 'status' "$(screen)" "*nothing is done without being asked until $until*"
until_true 10 has_event CordonTakenOff || :
check 'an Event' "$(event CordonTakenOff .count)" = 1
order cordon 'all the same' alice
check 'whoever asks is heard' "$code" = 0
kubectl_uncordon; kubectl_cordon
order uncordon 'it was ours once' alice
if [ "$code" = 4 ]; then good "put on anew by somebody it is theirs: ${said:0:100}"; else bad "taken off: $code $said"; fi
check 'and stays' "$(of '.spec.unschedulable')" = true
kubectl_uncordon
until_true 20 node_is '.metadata.annotations["node-steward.io/cordon"] == null' || bad 'the mark stays'

echo '-- beside another agent'
beside='{"apiVersion":"v1","kind":"Node","metadata":{"name":"'$node'"},"spec":{"unschedulable":true}}'
# applied FIELDS: server-side apply, as a draino that manages its own fields
applied() { api admin PATCH "/api/v1/nodes/$node?fieldManager=draino&force=true" -H 'content-type: application/apply-patch+yaml' -o "$work/body" -w '%{http_code}' -d "$1"; }
order cordon 'a new disk' alice
check 'it applies the same beside ours' "$(applied "$beside")" = 200
order uncordon 'the disk is in' alice
matches 'the cordon is now theirs too' "$code $said" '4 *draino has cordoned it anew since we did*'
check 'it stays as it was' "$(show | jq -c "$ours")" = '{"by":"person alice: a new disk","label":"person","cordoned":true}'
check 'it lets go' "$(applied "$(jq -c 'del(.spec)' <<<"$beside")")" = 200
order uncordon 'the disk is in' alice
check 'then it is ours alone, to take off' "$code $(of "$nothing")" = '0 [false,null,null]'
# A mark like ours, of another machine and by another hand.
theirs='{"for":"problem","by":"nvme9n1","reason":"DiskStalled","since":"2026-01-01T00:00:00Z","bootId":"another"}'
check "another's, with a mark like ours" "$(strategic '' another-steward "$(jq -nc --arg mark "$theirs" \
    '{metadata: {annotations: {"node-steward.io/cordon": $mark}, labels: {"node-steward.io/cordoned": "problem"}}, spec: {unschedulable: true}}')")" = 200
order uncordon 'it looks like ours' alice
matches 'is not ours to take off' "$code $said" '4 *another-steward has cordoned it anew since we did*'
check 'it stays as it was' "$(show | jq -c "$ours")" = '{"by":"problem nvme9n1: DiskStalled","label":"problem","cordoned":true}'
strategic '' another-steward '{"metadata":{"annotations":{"node-steward.io/cordon":null},"labels":{"node-steward.io/cordoned":null}},"spec":{"unschedulable":null}}' >/dev/null

echo '-- who makes it stand down'
stands_down() { order cordon 'a new disk' alice; matches "$1" "$code $said" "4 *keeps its hands off: $2*"; }
strategic '' admin '{"spec":{"taints":[{"key":"karpenter.sh/disrupted","effect":"NoSchedule"}]}}' >/dev/null
stands_down 'Karpenter' 'the Node has the taint karpenter.sh/disrupted'
strategic '' admin '{"spec":{"taints":null}}' >/dev/null
strategic /status admin '{"status":{"conditions":[{"type":"MaintenanceInProgress","status":"True"}]}}' >/dev/null
stands_down 'maintenance' 'the Node*s condition MaintenanceInProgress is True'
strategic /status admin '{"status":{"conditions":[{"type":"MaintenanceInProgress","status":"False"}]}}' >/dev/null
strategic '' admin '{"metadata":{"annotations":{"node-steward.io/opt-out":"true"}}}' >/dev/null
stands_down 'its owner' 'the Node*s annotation node-steward.io/opt-out says so'
strategic '' admin '{"metadata":{"annotations":{"node-steward.io/opt-out":null}}}' >/dev/null
check 'nothing was done' "$(of "$nothing")" = '[false,null,null]'

echo '-- beside two hundred idle connections'
idle=$(python3 -c '
import socket, subprocess, sys, time
held = []
for _ in range(200):
    one = socket.socket(socket.AF_UNIX)
    one.connect(sys.argv[1])
    held.append(one)
start = time.monotonic()
order = [sys.argv[2], "cordon", "--socket", sys.argv[1], "--reason", "beside them"]
code = subprocess.run(order, stdout=subprocess.DEVNULL).returncode
print(code, int((time.monotonic() - start) * 1000))' "$work/run/api.sock" "$program")
check "cordon, after ${idle#* } ms" "${idle% *}" = 0
order uncordon 'and back' alice
check 'uncordon' "$code" = 0

echo '-- what another program reports'
report() { curl -sS --max-time 5 --unix-socket "$work/run/api.sock" -o "$work/answer" -w '%{http_code} ' -d "$1" http://localhost/v1/problems; jq -c '[.code // .ok, .new]' "$work/answer"; }
lost() { printf '{"name": "GpuLost", "subject": "%s", "severity": "critical", "summary": "it fell off the bus", "ttl": "10s"}' "$1"; }
reported='[.problems[] | select(.kind == "GpuLost" and .source == "companion" and .severity == "critical")] | length'
check 'a report' "$(report "$(lost gpu0)")" = '200 [true,true]'
check 'again' "$(report "$(lost gpu0)")" = '200 [true,false]'
if until_true 10 asks "$reported == 1"; then good "it is a problem after $took ms"; else bad "$(status | jq -c .problems)"; fi
check 'that does not cordon' "$(status | jq -r '[.decisions[] | select(.kind == "GpuLost")][0].reason')" = KindMayNotAct
until_true 15 has_event GpuLost || :
matches 'an Event' "$(event GpuLost '.type + " " + .message')" '"Warning *it fell off the bus*'
check 'a name of our own' "$(report '{"name": "DiskStalled", "subject": "sda", "severity": "critical", "ttl": "10s"}')" = '400 ["bad_json",null]'
check 'a key that nobody knows' "$(report '{"name": "GpuLost", "subject": "gpu0", "severity": "critical", "ttl": "10s", "cordon": true}')" = '400 ["bad_json",null]'
for other in $(seq 63); do report "$(lost "other-$other")" >/dev/null; done
check 'the sixty-fifth' "$(report "$(lost 'one-more')")" = '429 ["too_many",null]'
until_true 5 asks "$reported == 64" || bad "$(status | jq -c "$reported")"
until_true 10 jq -e "[.watch.companions[]] | length == 64" "$work/run/state.json" || :
kill_daemon
start_daemon
until_true 20 asks '.turns.count >= 1' || bad 'it does not answer'
if [ "$(status | jq "$reported")" -gt 0 ]; then good "a daemon that was killed knows them: $(status | jq "$reported")"; else bad 'they are forgotten'; fi
if until_true 15 asks "$reported == 0"; then good "and they end with their time, $took ms later"; else bad "$(status | jq -c .problems)"; fi
until_true 20 asks '.apiServer.state == "connected"' || bad "not connected: $(status | jq -c .cluster)"

echo '-- beside kubelet'
while [ ! -e "$work/enough" ]; do
    api node-$node PATCH /api/v1/nodes/$node/status -H 'content-type: application/strategic-merge-patch+json' -o /dev/null \
        -d '{"status":{"conditions":[{"type":"Ready","status":"True","message":"'"$EPOCHREALTIME"'"}]}}'
done &
beats=$!
wrong=0
for round in $(seq 20); do
    order cordon "round $round" alice; [ "$code" = 0 ] || { wrong=$((wrong + 1)); printf 'note    %s\n' "$said"; }
    order uncordon "round $round" alice; [ "$code" = 0 ] || { wrong=$((wrong + 1)); printf 'note    %s\n' "$said"; }
done
touch "$work/enough"; wait "$beats"
check 'of 40 orders between patches of kubelet, failed' "$wrong" = 0
check 'nothing is left' "$(of "$nothing")" = '[false,null,null]'

if whole; then
echo '-- the server is frozen, and away'
freeze "$second_pid"
from=$SECONDS
order cordon 'a new disk' alice
kill -CONT "$second_pid"
matches "frozen, it is said after $((SECONDS - from)) s" "$code $said" '1 *503*'
# Whatever came of it: the Node is whole, cordoned with our mark or neither.
sleep 1
check 'field and mark are both there, or neither' "$(of '((.spec.unschedulable // false) == (.metadata.annotations["node-steward.io/cordon"] != null))')" = true
second_end
until_true 30 asks '.apiServer.state == "failing"' || bad "it is not noticed: $(status | jq -c .cluster)"
from=${EPOCHREALTIME/./}
order cordon 'a new disk' alice
matches "away, it is said after $(((${EPOCHREALTIME/./} - from) / 1000)) ms" "$code $said" '1 *503*failing*'
asked=$(date +%s)
order uncordon 'while it is away' alice
refused=$(date +%s)
if until_true 10 grep -q 'not uncordoned: .*alice asked for it: while it is away' "$work/log"; then good "the log has it after $took ms"; else bad "the log does not have it: $(tail -n 2 "$work/log")"; fi
sleep 2
second_server
until_true 60 asks '.apiServer.state == "connected"' || bad "it does not come back: $(status | jq -c .cluster)"
until_true 90 event UncordonRefused 'if .message | contains("while it is away") then . else error end' || :
matches "an Event of it when the server is back, after $took ms" "$(event UncordonRefused .message)" '"not uncordoned: *; alice asked for it: while it is away"'
at=$(date -d "$(event UncordonRefused .lastTimestamp | tr -d '"')" +%s)
check 'with its own time, s after it was asked' $((at - asked)) -ge 0
check 's after it was refused' $((at - refused)) -le 0
order uncordon 'whatever it is' alice
check 'back' "$code" = 0
fi

echo '-- what the audit log saw'
patches() { jq -c 'select(.user.username == "system:node:'$node'" and .objectRef.subresource == null and .userAgent != null and (.userAgent | startswith("node-steward")) and (.requestObject.metadata.annotations // {} | keys) != ["node-steward.io/reserved"])' "$work/audit.log"; }
printf 'note    %s patches of the Node by node-steward, of which %s were refused because somebody was first\n' \
    "$(patches | wc -l)" "$(patches | jq 'select(.responseStatus.code == 409)' | jq -s length)"
check 'each names the version that was judged; without one' "$(patches | jq -c 'select(.requestObject.metadata.resourceVersion == null)' | wc -l)" = 0
check 'each that cordons has its mark; without one' "$(patches | jq -c 'select(.requestObject.spec.unschedulable == true and .requestObject.metadata.annotations["node-steward.io/cordon"] == null)' | wc -l)" = 0
status | jq -r '.apiServer.requests | to_entries[] | "note    \(.key): \(.value.good) of \(.value.sent)"'
end_daemon
finish_timed

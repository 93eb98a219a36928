#!/usr/bin/env bash
# A fleet on one real API server: many nodes' own conversations, 30 % of them sick at once, and a budget that must hold at every moment: through holders that are
# killed, through days, through a load that follows its pod, through images with different limits. It refuses to ask the nodes: the judge is the API server's
# audit log, patch by patch in the order of the server's own answers.
#
#   fleet.sh [NODES]     60; the full length is 200. FLEET names the program that is built already
#
# A day passes by putting all times in the ledger a day back: what is reckoned there are differences to the server's time alone.
set -euo pipefail
. "$(dirname "$0")/words.sh"
nodes=${1:-60}
needs jq openssl curl python3 faketime
build_client fleet "${FLEET:-}"
room
mkdir "$work/nodes"
audited '- {level: RequestResponse, verbs: [patch, update], resources: [{group: "", resources: [nodes]}, {group: "", resources: [configmaps]}], userGroups: ["system:nodes"]}' \
    '- {level: Metadata, userGroups: ["system:nodes"]}'
names=()
for i in $(seq "$nodes"); do names+=("f$i"); printf 'token-%s,system:node:f%s,u%s,"system:nodes"\n' "$i" "$i" "$i"; done >"$work/tokens"
# A client whose clock is a year ahead is to get as far as the ledger.
export LAB_DAYS=800
start_plane --token-auth-file="$work/tokens"
server=$(cat "$plane/server")
authority=$(base64 -w0 <"$plane/ca.crt")
settings() { # NAME MAX-HELD
    cat >"$work/nodes/$1.toml" <<END
[cluster]
kubeconfig = "$work/nodes/$1.kubeconfig"
[report]
every = "10s"
conditions = false
[policy]
mode = "cordon"
uncordon_after = "1s"
apart = "1ms"
ledger_wait = "500ms"
max_held = $2
max_started_per_day = 100
END
}
for i in $(seq "$nodes"); do
    name=f$i
    printf '{"apiVersion": "v1", "kind": "Config", "current-context": "lab", "clusters": [{"name": "lab", "cluster": {"server": "%s", "certificate-authority-data": "%s"}}], "users": [{"name": "n", "user": {"token": "token-%s"}}], "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "n"}}]}\n' \
        "$server" "$authority" "$i" >"$work/nodes/$name.kubeconfig"
    # Every second image has a tighter limit than the fleet's.
    settings "$name" $((i % 2 == 0 ? 2 : 50))
done
# One connection for all of them.
{
    printf 'silent\nshow-error\nfail\ncacert = "%s"\ncert = "%s"\nkey = "%s"\nheader = "content-type: application/json"\n' "$plane/ca.crt" "$plane/admin.crt" "$plane/admin.key"
    for i in $(seq "$nodes"); do
        [ "$i" = 1 ] || echo next
        [ "$i" = 1 ] || printf 'silent\nshow-error\nfail\ncacert = "%s"\ncert = "%s"\nkey = "%s"\nheader = "content-type: application/json"\n' "$plane/ca.crt" "$plane/admin.crt" "$plane/admin.key"
        printf 'url = "%s/api/v1/nodes"\noutput = /dev/null\ndata = "{\\"apiVersion\\":\\"v1\\",\\"kind\\":\\"Node\\",\\"metadata\\":{\\"name\\":\\"f%s\\",\\"labels\\":{\\"kubernetes.io/hostname\\":\\"f%s\\"}}}"\n' "$server" "$i" "$i"
    done
} >"$work/curl"
curl --config "$work/curl" || bad 'not all Nodes were made'
made() { [ "$2" = 201 ] || bad "$3: $(cat "$work/body")"; }
fleet_objects made
put() { [ "$(put_data "$@")" = 200 ] || bad "$1: $(cat "$work/body")"; }
held() { ledger '[to_entries[] | select((.value.starts | length) > 0 and .value.released == null).key]'; }
cordoned() { api admin GET /api/v1/nodes | jq -c '[.items[] | select(.spec.unschedulable).metadata.name]'; }
put node-steward-limits '{"maxHeld": "3", "maxStartedPerDay": "12"}'

# judge: held at most at any moment, begun, and of nodes with the tighter limit how many were held when they began; from the audit log
judge() {
    python3 - "$work/audit.log" <<'PY'
import json, sys

patches = []
for text in open(sys.argv[1]):
    try:
        event = json.loads(text)
    except ValueError:
        continue  # the line that is being written
    of = event.get("objectRef", {})
    if event.get("stage") != "ResponseComplete" or of.get("resource") != "nodes" or event["verb"] != "patch":
        continue
    if of.get("subresource") or event["responseStatus"]["code"] != 200:
        continue
    made = event["responseObject"]
    patches.append((int(made["metadata"]["resourceVersion"]), made["metadata"]["name"], made["spec"].get("unschedulable", False)))
now, most, begun, tight = set(), 0, 0, 0
for _, name, cordoned in sorted(patches):
    if cordoned and name not in now:
        begun += 1
        if int(name[1:]) % 2 == 0:
            tight = max(tight, len(now) + 1)
    (now.add if cordoned else now.discard)(name)
    most = max(most, len(now))
print(most, begun, tight)
PY
}
judged() { read -r most begun tight <<<"$(judge)"; }
show() { fine show; }
# until_so SECONDS FILTER WHAT: of the fleet's own word, only to know when to look
until_so() {
    local from=${EPOCHREALTIME/./}
    while :; do
        show
        took=$(((${EPOCHREALTIME/./} - from) / 1000))
        [ "$(told "$2")" != true ] || { good "$3, after $took ms"; return 0; }
        [ $took -lt $(($1 * 1000)) ] || { bad "$3: $answer"; return 0; }
        sleep 0.2
    done
}

begin "$work/nodes"
fine "begin ${names[*]}"
until_so 60 ".connected == $nodes" 'all are connected'
sick=$((nodes * 3 / 10))
ill=("${names[@]:0:sick}")

echo "-- $sick of $nodes are sick at once, each in its own way; three may be held, twelve may begin"
fine "sick R# - ${ill[*]}"
until_so 60 '(.cordoned | length) == 3' 'three are cordoned'
# Two attempts of everybody.
sleep 25
judged
check 'cordoned at any moment, at most' "$most" = 3
check 'begun' "$begun" = 3
check 'lines that are held' "$(held | jq length)" = 3
check 'are those of the cordoned' "$(held)" = "$(cordoned | jq -c sort)"
show
printf 'note    what the others are told: %s\n' "$(told '.against | tostring')"

echo '-- they get well one after the other, and others have their turn, until twelve have begun'
for _ in $(seq 30); do
    holders=$(cordoned | jq -r 'join(" ")')
    judged
    [ "$begun" -lt 12 ] || break
    [ -z "$holders" ] || fine "well $holders"
    sleep 4
done
sleep 12
judged
check 'begun' "$begun" = 12
check 'cordoned at any moment, at most' "$most" -le 3
# A node with room for two had to see no more than one other.
check 'held when one of the tighter image began, at most' "$tight" -le 2

echo '-- an agent whose clock is a year ahead'
fine "well $(cordoned | jq -r 'join(" ")')"
until_so 60 '.cordoned == []' 'nobody is held, and the day is spent'
ahead=f$nodes
fine "kill $ahead"
{ printf 'begin %s\nsick Ahead# - %s\n' "$ahead" "$ahead"; sleep 8; echo show; } |
    FAKETIME_DONT_FAKE_MONOTONIC=1 faketime -f +365d "$client" "$work/nodes" >"$work/ahead" 2>>"$work/client.log" || bad 'it fails'
check 'it is connected' "$(tail -n 1 "$work/ahead" | jq -c .connected)" = 1
check 'and gets nothing' "$(tail -n 1 "$work/ahead" | jq -c '[.cordoned, (.against | keys)]')" = '[[],["BudgetIsSpent"]]'
check 'nor a line' "$(ledger ".$ahead")" = null

echo '-- a day passes with holders that were killed'
day() {
    local moved
    moved=$(api admin GET $maps/node-steward-ledger | jq -c '(.data // {}) | map_values(fromjson
        | def back: (fromdateiso8601 - 90000) | todateiso8601;
          .starts |= map(.at |= back) | if .released then .released |= back else . end | if .breaker then .breaker.at |= back else . end | tojson)')
    put node-steward-ledger "$moved"
}
# Others than before, odd and even: of those that are left of the first there may be none with room beside two others. And those get well while nobody may
# begin: who was just cordoned and is well would give it back.
fine "well ${ill[*]}"
put node-steward-limits '{"maxHeld": "10", "maxStartedPerDay": "24"}'
day
fine "sick R# - ${names[*]:sick:24}"
until_so 120 '(.cordoned | length) == 10' 'a day later ten, since so many may be now'
holders=$(cordoned | jq -r 'join(" ")')
fine "kill $holders"
printf 'note    killed: %s\n' "$holders"
day
judged
begun_before=$begun
sleep 25
judged
check 'cordoned at any moment, at most' "$most" -le 10
check 'still cordoned, and held' "$(held | jq length)" = "$(cordoned | jq length)"
printf 'note    begun since they were killed: %s\n' $((begun - begun_before))

echo '-- they are restarted: nothing is lost'
fine "begin $holders $ahead"
until_so 60 ".connected == $nodes and (.cordoned | length) == 10" 'they see whose cordons those are'
fine "well ${names[*]}"
until_so 60 '.cordoned == []' 'all are released in the end'
check 'cordoned, by the server' "$(cordoned)" = '[]'
released() { [ "$(held)" = '[]' ]; }
for _ in $(seq 60); do ! released || break; sleep 0.5; done
check 'lines that are held' "$(held)" = '[]'

echo '-- a load that follows its pod'
day
judged
begun_before=$begun
for i in 1 2 3 4 5; do
    fine "sick S# backup f$((nodes - i))"
    for _ in $(seq 40); do
        show
        [ "$(told "[.cordoned[] | select(. == \"f$((nodes - i))\")] == []")" = true ] || break
        [ "$(told '(.against.BreakerIsOpen // 0) > 0')" != true ] || break
        sleep 0.5
    done
    fine "well f$((nodes - i))"
    for _ in $(seq 40); do [ "$(cordoned)" != '[]' ] || break; sleep 0.25; done
done
judged
check 'begun' $((begun - begun_before)) = 2
check 'the breaker says why' "$(ledger '[.[] | .breaker // empty | .alike] | tostring')" = '"[\"backup\"]"'
fine "sick Another# - f1"
until_so 30 '(.against.BreakerIsOpen // 0) > 0' 'and holds for everybody'
check 'cordoned' "$(cordoned)" = '[]'
fine "well f1"

echo '-- what it asks of the server'
show
seconds=$((SECONDS - started))
printf 'note    %s requests of %s nodes in %s s, with attempts every 10 s: %s a second\n' "$(told .sent)" "$nodes" "$seconds" $(($(told .sent) / seconds))
jq -r 'select(.stage == "ResponseComplete") | .verb + " " + .objectRef.resource + (if .objectRef.subresource then "/" + .objectRef.subresource else "" end)' "$work/audit.log" 2>/dev/null |
    sort | uniq -c | sort -rn | head -n 12 | sed 's/^/note   /'
printf 'note    refused because another was first: %s\n' "$(jq -c 'select(.responseStatus.code == 409)' "$work/audit.log" 2>/dev/null | wc -l)"
finish
finish_timed

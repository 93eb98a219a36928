#!/usr/bin/env bash
# SIGKILL at every request: the daemon cordons, uncordons, drains and cordons by itself through a relay that stops at the first counted request, the second and so on,
# once before it is passed on and once after the server has done it; there the daemon is killed and started again. The cluster must be as it was, or as an action
# that was done leaves it, and the next run must bring to its end what had begun. It refuses to take the daemon's word: Node, pods and ledger are read as an
# administrator, and what was passed on is the relay's to say.
#
#   kill.sh     NODE_STEWARD names the program
set -euo pipefail
. "$(dirname "$0")/node.sh"
needs jq openssl curl python3
find_program

node=act-k until_pause=0.05
own_end() {
    { exec 9>&-; } 2>/dev/null || :
    [ -z "${relay:-}" ] || kill "$relay" 2>/dev/null || :
}
room
start_plane
"$kube/controlplane.sh" node-kubeconfig "$plane" $node >/dev/null
register 'kubelet registers the Node' $node

: >"$work/asked"
mkfifo "$work/in"
python3 "$here/relay.py" "$plane/server.crt" "$plane/server.key" "$plane/ca.crt" "$plane/node-$node.crt" "$plane/node-$node.key" "$(cat "$plane/port")" "$work" \
    <"$work/in" >"$work/relay.port" 2>"$work/relay.log" & relay=$!
exec 9>"$work/in"
until_true 10 test -s "$work/relay.port" || { say "the relay did not start: $(cat "$work/relay.log")"; exit 1; }
sed "s#https://127.0.0.1:[0-9]*#https://127.0.0.1:$(cat "$work/relay.port")#" "$plane/node-$node.kubeconfig" >"$work/kubeconfig"

# Whether it takes pods, what our mark says, what our label says: all three or none.
whole() { of '[.spec.unschedulable // false, ((.metadata.annotations["node-steward.io/cordon"] // "{}") | fromjson.for // "none"), (.metadata.labels["node-steward.io/cordoned"] // "none")] | map(tostring) | join(" ")'; }
open='false none none'
order() { # PATH BODY: its code; the answer in $work/answer
    curl -sS --max-time 20 --unix-socket "$work/run/api.sock" -o "$work/answer" -w '%{http_code}' -d "$2" "http://localhost/v1/$1" 2>/dev/null || :
}
settings() {
    printf '[watch]\nperiod = "1s"\nlock_memory = "off"\n[report]\nevery = "10s"\nsettle = "0s"\ncoalesce = "0s"\n[cluster]\nkubeconfig = "%s"\n%s\n' "$work/kubeconfig" "$1" >"$work/settings.toml"
}
answers() { [ "$(order drain '{"what": "plan", "reason": "is it up"}')" = 200 ]; }
begin_run() {
    start_daemon 9>&-
    until_true 30 answers || { bad "the daemon is not up: $(cat "$work/answer"; tail -n 3 "$work/log")"; finish_counts; exit 1; }
}
arm() { printf '%s %s %s\n' "$word" "$1" "$2" >"$work/arm.new"; mv "$work/arm.new" "$work/arm"; }
# Each run says its Events anew: what one reason has said lately would keep it waiting.
forget_words() { [ ! -e "$work/run/state.json" ] || { jq -c 'del(.report)' "$work/run/state.json" >"$work/state.new" && mv "$work/state.new" "$work/run/state.json"; }; }
# is WHAT LEFT RIGHT: counted, and said where it is not so
is() { if [ "$2" = "$3" ]; then passed=$((passed + 1)); else bad "$word, at $request: $1: $2, expected $3"; fi; }

# Of this round, whether a request of this shape has come to the server.
came() { # METHOD PATTERN: how many
    local count
    count=$(awk -v word="$word" -v method="$1" -v pattern="$2" '$1 == word && $3 == method && $4 ~ pattern' "$work/asked" | wc -l)
    if [ "$when" = before ] && [ -n "$stopped" ] && [ "$(awk -v word="$word" -v method="$1" -v pattern="$2" '$1 == word && $3 == method && $4 ~ pattern { last = $2 } END { print last }' "$work/asked")" = "$number" ]; then
        count=$((count - 1))
    fi
    echo "$count"
}
patched() { [ "$(came PATCH "^/api/v1/nodes/$node")" -gt 0 ]; }

stopped_here() { grep -q "^$word " "$work/stopped" 2>/dev/null; }
# It is done, and nothing was asked for a while since.
over() {
    ! stopped_here || return 0
    "done_$action" || return 1
    local now; now=$(wc -l <"$work/asked")
    if [ "$now" != "$seen" ]; then seen=$now since=${EPOCHREALTIME/./}; fi
    [ $((${EPOCHREALTIME/./} - since)) -gt 500000 ]
}
sweep() { # ACTION
    action=$1
    local before=$SECONDS kills=0 whole_runs=0
    : >"$work/shapes"
    number=0
    while [ $whole_runs = 0 ] && [ $number -lt 40 ]; do
        number=$((number + 1))
        for when in before after; do
            word=$action-$number-$when stopped='' request='' seen='' since=0
            "prepare_$action"
            arm "$number" "$when"
            "begin_$action" 9>&- & client=$!
            until_true 60 over || bad "$word: neither stopped nor done"
            if stopped_here; then
                stopped=yes request="$when $(cut -d' ' -f3- "$work/stopped" | sed 's/?.*watch=true.*/ (watch)/; s/?.*//')"
                kills=$((kills + 1))
                sed 's#[^/ ]*/eviction#POD/eviction#; s#/events/.*#/events/EVENT#' <<<"$request" >>"$work/shapes"
            else
                request='its end' whole_runs=1
            fi
            kill_daemon
            wait "$client" 2>/dev/null || :
            "judge_$action"
            word=$action-$number-$when-next arm 0 before
            forget_words
            begin_run
            "again_$action"
            [ $whole_runs = 0 ] || break
        done
    done
    check "$action: it was done in the end" "$whole_runs" = 1
    check "$action: killed at requests" "$kills" -ge "$2"
    sort "$work/shapes" | uniq -c | sed 's/^ */note    /'
    printf 'note    %s: %s kills in %s s\n' "$action" "$kills" $((SECONDS - before))
}

prepare_cordon() { [ "$(order uncordon '{"reason": "the next round"}')" = 200 ] || bad "uncordon: $(cat "$work/answer")"; request='the start'; is 'open' "$(whole)" "$open"; rm -f "$work/told"; }
begin_cordon() { order cordon '{"reason": "a new disk", "by": "alice"}' >"$work/told.new"; mv "$work/told.new" "$work/told"; }
done_cordon() { [ -e "$work/told" ]; }
judge_cordon() { if patched; then is 'as one that was done' "$(whole)" 'true person person'; else is 'as if nothing had begun' "$(whole)" "$open"; fi; }
again_cordon() {
    local changed; changed=$(if patched; then echo false; else echo true; fi)
    is 'asked again' "$(order cordon '{"reason": "a new disk", "by": "alice"}') $(jq -r .changed "$work/answer")" "200 $changed"
    is 'and it is so' "$(whole)" 'true person person'
}

prepare_uncordon() { [ "$(order cordon '{"reason": "the next round"}')" = 200 ] || bad "cordon: $(cat "$work/answer")"; request='the start'; is 'cordoned' "$(whole)" 'true person person'; rm -f "$work/told"; }
begin_uncordon() { order uncordon '{"reason": "it is in", "by": "alice"}' >"$work/told.new"; mv "$work/told.new" "$work/told"; }
done_uncordon() { [ -e "$work/told" ]; }
judge_uncordon() { if patched; then is 'as one that was done' "$(whole)" "$open"; else is 'as if nothing had begun' "$(whole)" 'true person person'; fi; }
again_uncordon() {
    local changed; changed=$(if patched; then echo false; else echo true; fi)
    is 'asked again' "$(order uncordon '{"reason": "it is in", "by": "alice"}') $(jq -r .changed "$work/answer")" "200 $changed"
    is 'and it is so' "$(whole)" "$open"
}

pods=/api/v1/namespaces/default/pods
# Without a grace period a pod is gone once its eviction is accepted: there is no kubelet here.
pod() {
    [ "$(api admin POST $pods -H 'content-type: application/json' -o "$work/body" -w '%{http_code}' -d '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"'"$1"'","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"r","controller":true}]},"spec":{"nodeName":"'$node'","terminationGracePeriodSeconds":0,"tolerations":[{"operator":"Exists"}],"containers":[{"name":"c","image":"i"}]}}')" = 201 ] || bad "pod $1: $(cat "$work/body")"
}
there() { api admin GET $pods | jq -r '[.items[].metadata.name] | sort | join(" ")'; }
prepare_drain() {
    [ "$(order uncordon '{"reason": "the next round"}')" = 200 ] || bad "uncordon: $(cat "$work/answer")"
    local here; here=$(there)
    for one in web-1 web-2; do case " $here " in *" $one "*) ;; *) pod $one ;; esac; done
    request='the start'; is 'open, with its pods' "$(whole) $(there)" "$open web-1 web-2"
}
begin_drain() { order drain '{"reason": "a new disk", "by": "alice"}' >/dev/null; }
# Its two Events come with the next turn.
done_drain() { [ "$(grep -c "^$word .*/events" "$work/asked")" -ge 2 ] && [ "$(drains | jq -r '.drain | .state + " " + .reason')" = 'drained a new disk' ]; }
evicted() { came POST '/eviction$'; }
judge_drain() {
    if patched; then is 'cordoned' "$(whole)" 'true person person'; else is 'as if nothing had begun' "$(whole) $(evicted)" "$open 0"; fi
    is 'gone is who was evicted' "$(there | wc -w)" $((2 - $(evicted)))
}
drained() { [ "$(drains | jq -r .drain.state)" = drained ]; }
left() { [ "$(drains | jq -r '.drain.state // .code')" != running ]; }
again_drain() {
    if patched; then
        until_true 30 drained || bad "$word, at $request: the next run does not go on: $(drains | jq -c .drain)"
        is 'brought to its end' "$(whole)/$(there)" 'true person person/'
    else
        until_true 30 left || bad "$word, at $request: $(drains | jq -c .drain)"
        # A moment more: what goes wrong would go wrong now.
        sleep 0.3
        is 'nothing has begun' "$(whole)/$(there)" "$open/web-1 web-2"
        is 'nor goes it on' "$(drains | jq -r '.drain.state // .code' | sed 's/no_drain/stopped/')" stopped
    fi
}

line() { api admin GET $maps/node-steward-ledger | jq -c ".data[\"$node\"] // \"null\" | fromjson | if . == null then \"none\" else [(.starts | length), (.released != null)] end"; }
prepare_alone() {
    kill_daemon
    rm -f "$work/run/state.json"
    request='the start'
    api admin PATCH /api/v1/nodes/$node -H 'content-type: application/merge-patch+json' -o /dev/null \
        -d '{"metadata":{"annotations":{"node-steward.io/cordon":null,"node-steward.io/cordoned-last":null,"node-steward.io/hands-off-until":null},"labels":{"node-steward.io/cordoned":null}},"spec":{"unschedulable":null}}'
    api admin PATCH $maps/node-steward-ledger -H 'content-type: application/merge-patch+json' -o /dev/null -d '{"data":{"'$node'":null}}'
    begin_run
    is 'open, without a line' "$(whole) $(line)" "$open \"none\""
}
begin_alone() { order problems '{"name": "GpuLost", "subject": "/", "severity": "critical", "ttl": "1h"}' >"$work/told"; }
done_alone() { [ "$(whole)" = 'true problem problem' ]; }
claimed() { [ "$(came PUT '/configmaps/node-steward-ledger')" -gt 0 ]; }
judge_alone() {
    if patched; then is 'as one that was done' "$(whole)" 'true problem problem'; else is 'as if nothing had begun' "$(whole)" "$open"; fi
    if claimed; then is 'its line' "$(line)" '[1,false]'; else is 'no line, no cordon' "$(line) $(whole)" "\"none\" $open"; fi
}
again_alone() {
    until_true 40 done_alone || bad "$word, at $request: the next run does not go on: $(curl -sS --unix-socket "$work/run/api.sock" http://localhost/v1/decisions | jq -c .decisions)"
    is 'brought to its end, with one start' "$(whole) $(line)" 'true problem problem [1,false]'
}

word=start
arm 0 before
settings ''
begin_run
echo '-- a cordon that somebody asks for'
sweep cordon 6
echo '-- the end of one'
sweep uncordon 6
echo '-- a drain'
sweep drain 14
echo '-- a cordon by itself'
made() { check "the fleet's objects: $(basename "$3")" "$2" = 201; }
fleet_objects made
settings "$(printf '[policy]\nmode = "cordon"\ncordon_for = ["companion:GpuLost"]\ncordon_after = "100ms"\nsettle_in = "0s"\nafter_boot = "1s"\napart = "1s"\nledger_wait = "10ms"')"
sweep alone 12
kill_daemon
echo '-- what the relay has seen'
cut -d' ' -f3- "$work/asked" | sed 's/?.*watch=true.*/ (watch)/; s/?.*//; s#[^/ ]*/eviction#POD/eviction#; s#/events/.*#/events/EVENT#' | sort | uniq -c | sort -rn | sed 's/^ */note    /'
finish_timed

#!/usr/bin/env bash
# The cluster room against a real etcd and API server (Node authorizer, NodeRestriction): what a kubelet's credential may do, by certificate, token, plugin,
# EKS's own token and a ServiceAccount's; rotation; a server that is dead, frozen, slow or lies; a foreign CA, an expired certificate, a store that is gone.
# It refuses to judge by our own word where the server's can be had: what was written is read back as an administrator.
#
#   identity.sh    keeps what it builds in the cache; CLUSTER_CLIENT names a client that is built already, NODE_STEWARD the program
set -euo pipefail
. "$(dirname "$0")/node.sh"
needs jq openssl curl python3
build_client cluster-client "${CLUSTER_CLIENT:-}"
node=act-a other=act-b
own_end() {
    [ -z "${frozen:-}" ] || kill -CONT "$frozen" 2>/dev/null || :
    [ -z "${lab_in:-}" ] || { exec {lab_in}>&-; } 2>/dev/null || :
    [ -z "${liar_in:-}" ] || { exec {liar_in}>&-; } 2>/dev/null || :
}
room
mkdir "$work/pki"

# What an EKS node finds around it, before the API server that is to ask it.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=lab -addext subjectAltName=IP:127.0.0.1 \
    -keyout "$work/lab.key" -out "$work/lab.crt" 2>/dev/null
{ coproc LAB { exec "$here/eks.py" "$work/lab.crt" "$work/lab.key" lab-cluster system:node:$node 2>>"$work/lab.log"; }; } 2>/dev/null
lab_in=${LAB[1]}
read -r -t 20 metadata_port webhook_port <&"${LAB[0]}" || { say "the stand-in for EKS did not start"; exit 1; }
cat >"$work/webhook" <<END
apiVersion: v1
kind: Config
current-context: lab
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:$webhook_port/", certificate-authority-data: $(base64 -w0 <"$work/lab.crt")}}]
users: [{name: lab, user: {}}]
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
END
printf '%s,system:node:%s,%s,"system:nodes"\n' good-token $node 1 other-token $other 2 >"$work/tokens"
start_plane --token-auth-file="$work/tokens" \
    --authentication-token-webhook-config-file="$work/webhook" --authentication-token-webhook-cache-ttl=1s
server=$(cat "$plane/server")
# json CREDENTIAL METHOD PATH BODY [MEDIA]: the status code
json() { api "$1" "$2" "$3" -H "content-type: ${5:-application/json}" -o "$work/body" -w '%{http_code}' -d "$4"; }

# As kubelet keeps it: certificate and key in one dated file, a symlink that is flipped, a kubeconfig that names the symlink.
for one in $node $other; do
    "$kube/controlplane.sh" node-kubeconfig "$plane" "$one" >/dev/null
    cat "$plane/node-$one.crt" "$plane/node-$one.key" >"$work/pki/$one.pem"
done
flip() { ln -sf "$1.pem" "$work/pki/next" && mv -T "$work/pki/next" "$work/pki/current.pem"; }
# kubeconfig NAME SERVER USER [CA-FILE]
kubeconfig() {
    cat >"$work/$1.conf" <<END
apiVersion: v1
kind: Config
current-context: default
clusters: [{name: lab, cluster: {server: "$2", certificate-authority: "${4:-$plane/ca.crt}"}}]
users: [{name: node, user: {$3}}]
contexts: [{name: default, context: {cluster: lab, user: node}}]
END
}
by_certificate="client-certificate: $work/pki/current.pem, client-key: $work/pki/current.pem"
flip $node
kubeconfig certificate "$server" "$by_certificate"

for one in $node $other; do register "$one registers itself" "$one"; done
status='{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","lastHeartbeatTime":"2026-01-01T00:00:00Z"}]}}'
check 'kubelet says Ready' "$(json node-$node PATCH /api/v1/nodes/$node/status "$status" application/strategic-merge-patch+json)" = 200
# pod NAME NODE LABEL
pod() {
    json admin POST /api/v1/namespaces/default/pods '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"'"$1"'","labels":{"app":"'"$3"'"}},"spec":{"nodeName":"'"$2"'","volumes":[{"name":"scratch","emptyDir":{}}],"containers":[{"name":"c","image":"none.invalid/none"}]}}'
    echo
}
pods=120
made=$({ for i in $(seq $((pods - 2))); do pod "p$i" $node free; done; pod held $node held; pod loose $node free; for i in 1 2 3; do pod "q$i" $other free; done; } | grep -c 201)
check 'pods made, 3 of them elsewhere' "$made" = $((pods + 3))
check 'a budget for one of them' "$(json admin POST /apis/policy/v1/namespaces/default/poddisruptionbudgets '{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"held"},"spec":{"maxUnavailable":0,"selector":{"matchLabels":{"app":"held"}}}}')" = 201
json node-$node PATCH /api/v1/namespaces/default/pods/held/status '{"status":{"phase":"Running"}}' application/merge-patch+json >/dev/null
check 'a ConfigMap' "$(json admin POST /api/v1/namespaces/kube-system/configmaps '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ledger","labels":{"kept":"yes"}},"binaryData":{"x":"AA=="},"data":{"a":"1"}}')" = 201

# foreign WHAT LINE...: another node's, which is refused, or was not yet in that version
foreign() {
    local what=$1
    shift
    if selectors; then refused "$what" Forbidden '*' "$@"; else fine "$@"; good "$what: read, as servers before 1.32 have it"; fi
}

echo '-- what a kubelet credential may do, by certificate'
begin "$work/certificate.conf" look-ms=500
fine wait
check 'standing' "$(told '.state + ", " + .credential')" = 'known, client certificate'
fine who
check 'the API server knows us as' "$(told .who)" = "system:node:$node"
fine version
check "the server's version" "$(told .version)" = "$(admin /version | jq -r .gitVersion)"
fine time
check "the server's time, seconds from ours" "$(($(date +%s) - $(date -d "$(told .time)" +%s)))" -le 2
fine get $node
version=$(told .version)
foreign 'another Node' get $other
fine patch $node "$version" '{"spec":{"unschedulable":true},"metadata":{"annotations":{"node-steward.io/owner":"lab"},"labels":{"node-steward.io/cordoned":"true"}}}'
check 'cordoned with its mark, in one patch' "$(admin /api/v1/nodes/$node | jq -c '[.spec.unschedulable, .metadata.annotations["node-steward.io/owner"], .metadata.labels["node-steward.io/cordoned"]]')" = '[true,"lab","true"]'
check 'the writer is named' "$(told '.managers | index("node-steward") != null')" = true
refused 'a version that is not the newest' Conflict '*' patch $node "$version" '{"spec":{"unschedulable":null}}'
check 'still cordoned' "$(admin /api/v1/nodes/$node | jq .spec.unschedulable)" = true
fine patch $node - '{"spec":{"unschedulable":null},"metadata":{"annotations":{"node-steward.io/owner":null},"labels":{"node-steward.io/cordoned":null}}}'
check 'uncordoned' "$(admin /api/v1/nodes/$node | jq -c '[.spec.unschedulable, .metadata.labels["node-steward.io/cordoned"]]')" = '[null,null]'
refused 'own taints' Forbidden '*taints*' patch $node - '{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}'
refused 'a label that nodes may not set' Forbidden '*label*' patch $node - '{"metadata":{"labels":{"node-restriction.kubernetes.io/a":"b"}}}'
refused "another Node's spec" Forbidden '*' patch $other - '{"spec":{"unschedulable":true}}'
refused "another Node's status" Forbidden '*' condition $other Lab True
fine condition $node NodeStewardLab True
check "our condition beside kubelet's" "$(admin /api/v1/nodes/$node | jq -c '[.status.conditions[].type] | sort')" = '["NodeStewardLab","Ready"]'
check "kubelet's heartbeat keeps it" "$(json node-$node PATCH /api/v1/nodes/$node/status "$status" application/strategic-merge-patch+json)$(admin /api/v1/nodes/$node | jq '.status.conditions | length')" = 2002
fine uncondition $node NodeStewardLab
check 'our condition taken away' "$(admin /api/v1/nodes/$node | jq -c '[.status.conditions[].type]')" = '["Ready"]'
# Two writers at a time, and each finds its own in every answer.
rounds=1000
whole || rounds=50
for round in $(seq $rounds); do
    [ "$round" = 1 ] || echo next
    printf 'url = "%s/api/v1/nodes/%s/status"\nrequest = PATCH\nheader = "content-type: application/strategic-merge-patch+json"\ncacert = "%s"\ncert = "%s"\nkey = "%s"\nsilent\nuser-agent = "kubelet"\n' \
        "$server" $node "$plane/ca.crt" "$plane/node-$node.crt" "$plane/node-$node.key"
    printf 'data = "{\\"status\\":{\\"conditions\\":[{\\"type\\":\\"Ready\\",\\"status\\":\\"True\\",\\"message\\":\\"%s\\"}]}}"\n' "$round"
done >"$work/beats"
curl -K "$work/beats" >"$work/kubelet-saw" & kubelet_pid=$!
lost=0 last=''
for round in $(seq $rounds); do
    last=$([ $((round % 2)) = 0 ] && echo True || echo False)
    printf 'condition %s NodeStewardLab %s\n' $node "$last" >&"$client_in"
    IFS= read -r -t 60 -u "$client_out" answer
    case $answer in *"\"NodeStewardLab=$last\""*) ;; *) lost=$((lost + 1)) ;; esac
done
wait $kubelet_pid
check "of $rounds conditions beside kubelet's, lost" $lost = 0
check "of $rounds words of kubelet's, lost" "$(jq -r '.status.conditions[]? | select(.type == "Ready").message' "$work/kubelet-saw" | diff - <(seq $rounds) | wc -l)" = 0
check 'and both last words stand' "$(admin /api/v1/nodes/$node | jq -c '[.status.conditions[] | select(.type == "Ready" or .type == "NodeStewardLab") | .message // "" | select(. != "")] + [.status.conditions[] | select(.type == "NodeStewardLab").status]')" = "[\"$rounds\",\"$last\"]"
fine uncondition $node NodeStewardLab
fine event $node lab.1 1
fine event-again $node lab.1 2
check 'an Event about the Node, counted' "$(admin /api/v1/namespaces/default/events/lab.1 | jq -c '[.involvedObject.uid, .count, .source.component, .type]')" = '["act-a",2,"node-steward","Warning"]'
refused 'the same Event anew' AlreadyExists '*' event $node lab.1 1
refused 'an Event that is gone' NotFound '*' event-again $node lab.2 2
fine pods $node
check 'own pods, in pages' "$(told '"\(.pods) in \(.pages), foreign \(.foreign), emptyDirs \(.emptyDirs)"')" = "$pods in 2, foreign 0, emptyDirs $pods"
foreign "another node's pods" pods $other
uid() { admin "/api/v1/namespaces/default/pods/$1" | jq -r .metadata.uid; }
refused 'an eviction against a budget' TooManyRequests '*' evict default held "$(uid held)"
check 'it comes back at once, ms' "$(told .ms)" -lt 1000
fine held
check 'a budget holds nothing else back, ms' "$(told .held)" = 0
refused 'another pod of the same name' Conflict '*' evict default loose 00000000-0000-0000-0000-000000000000
refused "another node's pod" Forbidden '*' evict default q1 "$(uid q1)"
fine evict default loose "$(uid loose)"
check 'evicted' "$(admin /api/v1/namespaces/default/pods/loose | jq -r '.metadata.deletionTimestamp // "gone" | if . == "gone" then . else "going" end')" '!=' null
refused 'a ConfigMap without a Role' Forbidden '*' map kube-system ledger
fine may update configmaps kube-system ledger
check 'the server says so before' "$(told .may)" = false
json admin POST /apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles '{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"ledger"},"rules":[{"apiGroups":[""],"resources":["configmaps"],"resourceNames":["ledger"],"verbs":["get","update"]}]}' >/dev/null
json admin POST /apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings '{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"ledger"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"ledger"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"system:nodes"}]}' >/dev/null
until_told 10 .may true may update configmaps kube-system ledger
check 'with a Role for its name, the server allows it' "$(told .may)" = true
until_told 10 '.data.a // ""' 1 map kube-system ledger
version=$(told .version)
fine put kube-system ledger - b 2
check 'a write keeps what it does not know' "$(admin /api/v1/namespaces/kube-system/configmaps/ledger | jq -c '[.data.a, .data.b, .binaryData.x, .metadata.labels.kept]')" = '["1","2","AA==","yes"]'
refused 'a write of an old version' Conflict '*' put kube-system ledger "$version" b 3
for may in 'get nodes - act-a' 'patch nodes - act-a' 'patch nodes/status - act-a' 'create events default' 'list pods' 'create pods/eviction default'; do
    # shellcheck disable=SC2086 # words
    fine may $may
    check "may it $may" "$(told .may)" = true
done
fine missing $node
# Other Nodes are seen by a right of their own where the server goes by selectors.
check 'with that Role nothing is missing that it needs of its own Node and the budget' "$(told '.missing | map(select(. != "get nodes")) | length')" = 0
check 'and what it needs of other Nodes' "$(told '.missing | length')" = "$(selectors && echo 1 || echo 0)"
fine may delete nodes - $node
check 'may it delete its Node' "$(told .may)" = false

fine watch $node
json admin PATCH /api/v1/nodes/$node '{"metadata":{"annotations":{"lab/touched":"yes"}}}' application/merge-patch+json >/dev/null
until_told 10 '.annotations["lab/touched"] // ""' yes next
check 'a watch tells each change' "$(told '.seen + " " + .name')" = "now $node"
! selectors || refused "another Node's watch" Forbidden '*' watch $other 1
fine watch $node 1
ask next
matches 'a version long gone' "$(told '.error // .seen')" '@(Expired|now)'

enough
echo '-- certificates that rotate'
before=$(ask figures; told .pools)
flip $other
until_told 10 .who "system:node:$other" who
check 'after the flip we are' "$(told .who)" = "system:node:$other"
check 'and that took, ms' "$took" -lt 5000
flip $node
until_told 10 .who "system:node:$node" who
"$kube/controlplane.sh" node-kubeconfig "$plane" $node >/dev/null
rm -f "$plane/node-$node.crt"
"$kube/controlplane.sh" node-kubeconfig "$plane" $node >/dev/null
cat "$plane/node-$node.crt" "$plane/node-$node.key" >"$work/pki/new.pem"
asked=0 wrong=0
for round in $(seq 20); do
    if [ $((round % 2)) = 0 ]; then flip $node; else flip new; fi
    for _ in $(seq 25); do
        ask who
        asked=$((asked + 1))
        [ "$(told '.who // .error')" = "system:node:$node" ] || { wrong=$((wrong + 1)); printf 'note    %s\n' "$answer"; }
    done
done
check "of $asked requests over 20 rotations, lost" "$wrong" = 0
ask figures
check 'new pools since, more than' "$(told .pools)" -gt $((before + 2))
printf 'half a key' >"$work/pki/broken.pem"
flip broken
until_told 10 '.trouble | length > 0' true standing
matches 'half a file is said' "$(told '.trouble | join("; ")')" '*our key*'
fine who
check 'and the last good one is used' "$(told .who)" = "system:node:$node"
flip $node
until_told 10 '.trouble | length' 0 standing
check 'once it is whole, nothing is left to say' "$(told '.trouble | length')" = 0
finish

echo '-- tokens, plugins, EKS'
printf 'stale-token\n' >"$work/token"
kubeconfig token "$server" "tokenFile: $work/token"
begin "$work/token.conf"
fine wait
check 'standing' "$(told .credential)" = token
refused 'a token that the server does not know' Unauthorized '*' who
refused 'the server is left alone' HeldBack '*' who
printf 'good-token\n' >"$work/token"
until_told 30 '.who // ""' "system:node:$node" who
check 'the refusal made us look again: known as' "$(told .who)" = "system:node:$node"
check 'within, ms (the files are looked at once a minute otherwise)' "$took" -lt 15000
fine get $node
foreign 'another Node by token' get $other
finish

cat >"$work/plugin" <<END
#!/bin/sh
echo run >>"$work/plugin-runs"
[ "\$WORD" = lab ] || exit 9
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"good-token","expirationTimestamp":"%s"}}' "\$(date -ud "+\$(cat "$work/plugin-life") seconds" +%Y-%m-%dT%H:%M:%SZ)"
END
chmod +x "$work/plugin"
echo 3600 >"$work/plugin-life"
exec_plugin() { echo "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: $1, args: [$2], env: [{name: WORD, value: lab}]}"; }
kubeconfig plugin "$server" "$(exec_plugin ./plugin '')"
begin "$work/plugin.conf"
fine wait
for _ in 1 2 3 4 5; do fine who; done
check 'a plugin beside the kubeconfig: known as' "$(told .who)" = "system:node:$node"
check 'and run so often for five requests' "$(wc -l <"$work/plugin-runs")" = 1
fine figures
check 'which our figures say' "$(told .plugins)" = 1
finish
echo 12 >"$work/plugin-life"
: >"$work/plugin-runs"
begin "$work/plugin.conf"
fine wait
from=$SECONDS
until_told 20 '.plugins >= 2' true figures
check 'a token of 12 s is renewed at half its life, s' "$((SECONDS - from))" -le 8
fine who
finish
kubeconfig broken "$server" "$(exec_plugin /bin/false '')"
begin "$work/broken.conf"
until_told 10 '.why | test("ended with 1")' true standing
matches 'a plugin that fails is said' "$(told .why)" '*ended with 1*'
refused 'and nothing is sent' NotReady '*token*' who
finish
kubeconfig hanging "$server" "$(exec_plugin sleep 1000)"
begin "$work/hanging.conf"
until_told 10 '.why' 'there is no token yet' standing
fine standing
check 'a plugin that hangs holds nobody up, ms' "$(told .ms)" -lt 200
pgrep -P "$client_pid" -x sleep >"$work/plugin-pid" || bad 'the plugin does not run'
kill "$client_pid" "$(cat "$work/plugin-pid")"
wait "$client_pid" 2>/dev/null || :
client_pid=''

kubeconfig eks "$server" 'exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [eks, get-token, --cluster-name, lab-cluster]}'
begin "$work/eks.conf" imds="127.0.0.1:$metadata_port"
fine wait
check "EKS's plugin is not run" "$(told .credential)" = 'token for EKS, made here'
fine who
check 'its token, verified by another hand than the signer: known as' "$(told .who)" = "system:node:$node"
fine get $node
fine figures
check 'programs run, tokens made' "$(told '"\(.plugins) \(.tokens)"')" = '0 1'
finish
kubeconfig eks-other "$server" 'exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws-iam-authenticator, args: [token, -i, another-cluster]}'
begin "$work/eks-other.conf" imds="127.0.0.1:$metadata_port"
fine wait
refused 'a token for another cluster' Unauthorized '*' who
check 'for the reason that is meant' "$(tail -n 1 "$work/lab.log")" = 'refused: the signature is another'
finish

echo '-- another identity: a user without any right'
"$kube/controlplane.sh" user-kubeconfig "$plane" plain '' >/dev/null
begin "$plane/plain.kubeconfig"
fine wait
fine missing $node
check 'missing, by name' "$(told '.missing | length')" = 13
matches 'such as' "$(told '.missing[3]')" "patch nodes $node"
told .yaml >"$work/rbac.yaml"
refused 'and refused' Forbidden '*' patch $node - '{"spec":{"unschedulable":true}}'
printed_rbac "$work/rbac.yaml"
until_told 10 '.missing | length' 0 missing $node
check 'missing after that' "$(told '.missing | length')" = 0
finish

echo '-- a ServiceAccount, through the daemon'
# This test may come before the release build.
program=${NODE_STEWARD:-}
if [ ! -x "$program" ]; then
    nice cargo build --manifest-path "$repo/Cargo.toml" --locked --quiet --bin node-steward >&2 || { say "could not build the program"; exit 1; }
    program=${CARGO_TARGET_DIR:-$repo/target}/debug/node-steward
fi
# What was printed has one name, whoever it is for.
rbac=/apis/rbac.authorization.k8s.io/v1
for one in clusterroles clusterrolebindings namespaces/{default,kube-system}/{roles,rolebindings}; do
    check "$one: the one before is taken away" "$(api admin DELETE "$rbac/$one/node-steward" -o "$work/body" -w '%{http_code}')" = 200
done
accounts=/api/v1/namespaces/kube-system/serviceaccounts
check 'a ServiceAccount' "$(json admin POST $accounts '{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"steward"}}')" = 201
bound='{"kind":"Node","apiVersion":"v1","name":"'$node'","uid":"'$(admin /api/v1/nodes/$node | jq -r .metadata.uid)'"}'
check 'a token for it on this Node' "$(json admin POST $accounts/steward/token '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":3600,"boundObjectRef":'"$bound"'}}')" = 201
jq -r .status.token "$work/body" >"$work/account-token"
curl -sS --max-time 10 --cacert "$plane/ca.crt" -H "authorization: Bearer $(cat "$work/account-token")" -H 'content-type: application/json' \
    -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' "$server/apis/authentication.k8s.io/v1/selfsubjectreviews" >"$work/body"
check 'by which a policy could tell whose it is' "$(jq -r '.status.userInfo.extra["authentication.kubernetes.io/node-name"][0]' "$work/body")" = "$node"
kubeconfig account "$server" "tokenFile: $work/account-token"
settings() { # LINE
    printf '%s\n' '[watch]' 'period = "1s"' 'lock_memory = "off"' '[policy]' 'mode = "cordon"' '[cluster]' "kubeconfig = \"$work/account.conf\"" "$1" >"$work/settings.toml"
}
settings ''
start_daemon
lacks='[.apiServer.permissions[] | select(.allowed | not).what]'
until_true 90 asks "$lacks | length > 0" || bad "nobody says what is not allowed: $(status | jq -c .apiServer)"
check 'known as' "$(status | jq -r .apiServer.user)" = system:serviceaccount:kube-system:steward
check 'without a right it lacks all that it needs' "$(status | jq "$lacks | length")" = 14
# A ServiceAccount's name is no Node's.
host=$(tr '[:upper:]' '[:lower:]' </proc/sys/kernel/hostname)
matches 'by name, of the Node with the name of the host' "$(status | jq -r "$lacks | join(\"; \")")" "get nodes $host; *patch nodes $host; *update configmaps node-steward-ledger in kube-system*"
matches 'the RBAC for it is for the ServiceAccount' "$(status | jq -r '.apiServer.missingRbac' | tee "$work/rbac.yaml" | tr -s ' \n' ' ')" '*subjects: - kind: ServiceAccount name*steward*'
end_daemon
rm "$work"/rbac-*
printed_rbac "$work/rbac.yaml"
start_daemon
until_true 30 asks '.cluster | contains("there is no Node")' || :
matches 'by the name of the host it sees no Node' "$(status | jq -r .cluster)" "*there is no Node $host*"
settings "node_name = \"$node\""
check 'the name in the settings' "$(reload)" = 200
until_true 30 asks '.apiServer.state == "connected"' || bad "not connected: $(status | jq -c .cluster)"
matches 'by that it sees its Node' "$(status | jq -r .cluster)" "Node $node at $server, by token: connected"
if until_true 30 node_is '[.status.conditions[] | select(.type == "NodeStewardAgentHealth")] | length == 1'; then good "its conditions are there after $took ms"; else bad "no condition of ours: $(of '.status.conditions | tojson')"; fi
tell cordon --reason 'a new disk' --by alice
check 'cordon' "$code $said" = "0 node $node: cordoned"
check 'as who it is' "$(of '[.metadata.managedFields[] | select(.fieldsV1["f:spec"]["f:unschedulable"]) | .manager] | tojson')" = '["node-steward"]'
tell uncordon --reason 'it is in' --by alice
check 'uncordon' "$code $said" = "0 node $node: uncordoned"
if until_true 60 asks '.apiServer.permissions | length == 14 and all(.allowed)'; then good "with what was printed nothing is missing"; else bad "missing: $(status | jq -c "$lacks")"; fi
end_daemon

echo '-- servers in trouble'
second_server
second=https://127.0.0.1:$second_port
kubeconfig second "$second" "$by_certificate"
begin "$work/second.conf" request-ms=3000 connect-ms=2000
fine wait
fine get $node
fine watch $node
second_end
refused 'a server that is dead' Unavailable '*refused*' get $node
check 'known at once, ms' "$(told .ms)" -lt 500
ask next
matches 'its watch ends' "$(told '.error // .seen')" '@(Unavailable|Garbage|end)'
# On a slow machine the first pause may be over by now; each failure makes the next one longer.
until_told 10 '.error // ""' HeldBack get $node
matches 'then it is left alone' "$(told '.error + ": " + .why')" 'HeldBack: *'
second_server
until_told 30 '.name // ""' $node get $node
check 'back with it, ms' "$took" -lt 20000
freeze "$second_pid"
frozen=$second_pid
refused 'a server that is frozen' Timeout '*' get $node
check 'given up after its patience, ms' "$(told .ms)" -ge 2900
check 'and not much later, ms' "$(told .ms)" -lt 3600
fine standing
check 'meanwhile others are answered, ms' "$(told .ms)" -lt 100
until_told 20 .held 0 held
refused 'a new connection to it' Timeout '*' get $node
kill -CONT "$second_pid"
frozen=''
until_told 30 '.name // ""' $node get $node
check 'thawed, ms' "$took" -lt 20000
finish

read -r etcd _ <"$plane/etcd.pid"
begin "$work/certificate.conf" request-ms=3000
fine wait
fine get $node
freeze "$etcd"
frozen=$etcd
ask patch $node - '{"metadata":{"annotations":{"lab/etcd":"gone"}}}'
matches 'a store that is gone' "$(told '.error // "no error"')" '@(Timeout|Unavailable)'
check 'given up after its patience, ms' "$(told .ms)" -lt 3600
kill -CONT "$etcd"
frozen=''
until_told 30 '.annotations["lab/etcd"] // ""' back patch $node - '{"metadata":{"annotations":{"lab/etcd":"back"}}}'
check 'back with it, ms' "$took" -lt 20000
finish

{ coproc LIAR { exec "$here/liar.py" "$plane/server.crt" "$plane/server.key" "$work/mode" 2>>"$work/liar.log"; }; } 2>/dev/null
liar_in=${LIAR[1]}
read -r -t 20 liar_port <&"${LIAR[0]}" || { say "the liar did not start"; exit 1; }
kubeconfig liar "https://127.0.0.1:$liar_port" "$by_certificate"
begin "$work/liar.conf" request-ms=2000
fine wait
while read -r mode name pattern; do
    echo "$mode" >"$work/mode"
    until_told 30 .held 0 held
    refused "it answers with $mode" "$name" "$pattern" version
    [ "$mode" != 429 ] || { fine held; check 'Retry-After is obeyed, ms' "$(told .held)" -ge 6500; break; }
    # A fresh gate for each lie: only the first waits are wanted here.
    finish
    begin "$work/liar.conf" request-ms=2000
    fine wait
done <<'END'
500 Unavailable *as?you?like?it*
503 Unavailable *
302 Garbage *302*
html Garbage *
garbage Garbage *
silent Timeout *
trickle Timeout *
huge Garbage *larger*
half @(Unavailable|Garbage) *
close @(Unavailable|Garbage) *
truncated-json Garbage *
other-shape Garbage *
429 TooManyRequests *as?you?like?it*
END
finish
{ exec {liar_in}>&-; } 2>/dev/null || :

echo '-- certificates that are wrong'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=lab-ca -keyout "$work/foreign.key" -out "$work/foreign.crt" 2>/dev/null
kubeconfig foreign "$server" "$by_certificate" "$work/foreign.crt"
begin "$work/foreign.conf"
fine wait
refused "a server of another CA" Tls '*' who
finish
kubeconfig name "https://localhost:$(cat "$plane/port")" "$by_certificate"
begin "$work/name.conf"
fine wait
fine who
check 'a server by its name' "$(told .who)" = "system:node:$node"
finish
sed 's|, certificate-authority|, tls-server-name: elsewhere.example, certificate-authority|' "$work/certificate.conf" >"$work/elsewhere.conf"
begin "$work/elsewhere.conf"
fine wait
refused 'a certificate for another name' Tls '*' who
finish
# openssl ca is the one that signs for the past.
mkdir "$work/ca"
: >"$work/ca/index"
echo 01 >"$work/ca/serial"
cat >"$work/ca/config" <<END
[ca]
default_ca=lab
[lab]
database=$work/ca/index
serial=$work/ca/serial
new_certs_dir=$work/ca
default_md=sha256
policy=any
x509_extensions=client
[any]
organizationName=supplied
commonName=supplied
[client]
extendedKeyUsage=clientAuth
END
openssl req -new -key "$plane/node-$node.key" -subj "/O=system:nodes/CN=system:node:$node" -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') -out "$work/ca/old.csr" 2>/dev/null
openssl ca -batch -config "$work/ca/config" -cert "$plane/ca.crt" -keyfile "$plane/ca.key" -startdate 20200101000000Z -enddate 20200201000000Z \
    -in "$work/ca/old.csr" -out "$work/ca/old.crt" -notext 2>"$work/ca/log" || { say "could not sign an expired certificate"; tail -n 3 "$work/ca/log" >&2; exit 1; }
cat "$work/ca/old.crt" "$plane/node-$node.key" >"$work/pki/old.pem"
flip old
begin "$work/certificate.conf" look-ms=500
fine wait
refused 'an expired certificate' Unauthorized '*' who
flip $node
until_told 30 '.who // ""' "system:node:$node" who
check 'renewed: known as' "$(told .who)" = "system:node:$node"
finish

begin -
fine wait
if [ "$(told .state)" = localOnly ]; then matches 'no kubeconfig on this machine: local only, and why' "$(told .why)" '*no kubeconfig*'; else printf 'note    this machine has a kubeconfig of its own: %s\n' "$(told .state)"; fi
finish
finish_counts

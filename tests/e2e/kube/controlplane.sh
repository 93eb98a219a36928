#!/bin/sh
# A real control plane for tests: etcd and kube-apiserver with the Node authorizer and NodeRestriction, on loopback
# and free ports, everything in one directory. It refuses to run without an owner: when that process is gone, the
# servers stop by themselves. There is no scheduler and no controller-manager; whoever needs one starts it.
#
#   controlplane.sh start DIR OWNER-PID [-- API-SERVER-FLAG...]   ready when it returns; prints the admin kubeconfig
#   controlplane.sh stop DIR
#   controlplane.sh node-kubeconfig DIR NAME [SERVER]   a kubelet's credential (O=system:nodes), prints the file
#   controlplane.sh user-kubeconfig DIR NAME GROUP [SERVER]   any other client (GROUP may be empty: "")
#   controlplane.sh api DIR CREDENTIAL METHOD PATH [CURL-ARG...]   one raw request as admin, NAME or node-NAME
#
# SERVER defaults to https://127.0.0.1:PORT. A guest with user networking reaches the same as https://10.0.2.2:PORT:
# pass that; the certificate names 127.0.0.1, 10.0.2.2, localhost and kubernetes. In DIR: server (the URL), port, ca.crt,
# *.crt, *.key, *.kubeconfig, *.log, *.pid. `api` prints the body; add `-o FILE -w %{http_code}` for the status.
# LAB_DAYS says how many days the certificates hold (2).
# The programs come from build.sh (and TEST_ASSET_KUBE_APISERVER, TEST_ASSET_ETCD). Ready 3 s after start, 330 MB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# certificate NAME SUBJECT EXTENSIONS: a key and a certificate signed by the lab's CA
certificate() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$dir/$1.key" -out "$dir/$1.csr" 2>>"$dir/openssl.log"
    printf '%s\n' "$3" >"$dir/$1.ext"
    openssl x509 -req -in "$dir/$1.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
        -days "${LAB_DAYS:-2}" -extfile "$dir/$1.ext" -out "$dir/$1.crt" 2>>"$dir/openssl.log"
    rm "$dir/$1.csr" "$dir/$1.ext"
}

# kubeconfig NAME SERVER
kubeconfig() {
    cat >"$dir/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
current-context: lab
clusters: [{name: lab, cluster: {server: "$2", certificate-authority-data: $(base64 -w0 <"$dir/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 <"$dir/$1.crt"), client-key-data: $(base64 -w0 <"$dir/$1.key")}}]
contexts: [{name: lab, context: {cluster: lab, user: $1}}]
END
    echo "$dir/$1.kubeconfig"
}

client() { certificate "$1" "$2" "extendedKeyUsage=clientAuth"; }

# Below the range that the kernel gives to clients, so that nobody is handed one between the look and the bind.
free_port() {
    while :; do
        port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
        grep -qi ":$(printf %04X "$port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null || break
    done
    echo "$port"
}

running() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

# end FILE: stop the process that FILE names, if it is still the one that we started
end() {
    [ -s "$dir/$1.pid" ] || return 0
    read -r pid started <"$dir/$1.pid"
    [ "$(cut -d' ' -f22 "/proc/$pid/stat" 2>/dev/null)" = "$started" ] || { rm -f "$dir/$1.pid"; return 0; }
    kill "$pid" 2>/dev/null || :
    waited=0
    while running "$pid"; do
        waited=$((waited + 1))
        [ $waited -lt 100 ] || { kill -9 "$pid" 2>/dev/null || :; break; }
        sleep 0.1
    done
    rm -f "$dir/$1.pid"
}

remember() { echo "$2 $(cut -d' ' -f22 "/proc/$2/stat")" >"$dir/$1.pid"; }

stop_all() { for one in kube-apiserver etcd; do end $one; done; }

api() {
    credential=$1 method=$2 path=$3
    shift 3
    curl -sS --max-time 30 --cacert "$dir/ca.crt" --cert "$dir/$credential.crt" --key "$dir/$credential.key" -X "$method" "$@" "$(cat "$dir/server")$path"
}

start() {
    owner=$1
    shift
    [ "${1:-}" != -- ] || shift
    kill -0 "$owner" 2>/dev/null || { say "owner $owner is not running"; exit 2; }
    [ ! -e "$dir/server" ] || { say "$dir is in use: stop it first"; exit 2; }
    need openssl openssl || skip "no openssl"
    need curl curl || skip "no curl"
    etcd=$("$here/build.sh" etcd) || { status=$?; echo "$etcd"; exit $status; }
    apiserver=$("$here/build.sh" kube-apiserver) || { status=$?; echo "$apiserver"; exit $status; }
    mkdir -p "$dir"
    chmod 700 "$dir"
    printf '[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n' >"$OPENSSL_CONF"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "${LAB_DAYS:-2}" -subj /CN=lab-ca -keyout "$dir/ca.key" -out "$dir/ca.crt" 2>>"$dir/openssl.log"
    certificate server /CN=kube-apiserver "extendedKeyUsage=serverAuth
subjectAltName=IP:127.0.0.1,IP:10.0.2.2,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc"
    client admin /O=system:masters/CN=admin
    client to-kubelet /O=system:masters/CN=kube-apiserver-to-kubelet
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/service-account.key" 2>>"$dir/openssl.log"
    openssl pkey -in "$dir/service-account.key" -pubout -out "$dir/service-account.pub"

    store=$(free_port)
    peers=$(free_port)
    # An unprotected store is acceptable only because it is on loopback, has test data, and lives for one test.
    "$etcd" --data-dir "$dir/etcd" --name lab --listen-client-urls "http://127.0.0.1:$store" --advertise-client-urls "http://127.0.0.1:$store" \
        --listen-peer-urls "http://127.0.0.1:$peers" --initial-advertise-peer-urls "http://127.0.0.1:$peers" \
        --initial-cluster "lab=http://127.0.0.1:$peers" --logger zap >"$dir/etcd.log" 2>&1 </dev/null &
    remember etcd $!
    port=$(free_port)
    "$apiserver" --bind-address 127.0.0.1 --secure-port "$port" --advertise-address 10.0.2.2 --etcd-servers "http://127.0.0.1:$store" \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --anonymous-auth=false --allow-privileged=true \
        --client-ca-file "$dir/ca.crt" --tls-cert-file "$dir/server.crt" --tls-private-key-file "$dir/server.key" \
        --kubelet-client-certificate "$dir/to-kubelet.crt" --kubelet-client-key "$dir/to-kubelet.key" --kubelet-preferred-address-types InternalIP,Hostname \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$dir/service-account.pub" \
        --service-account-signing-key-file "$dir/service-account.key" --service-cluster-ip-range 10.96.0.0/16 \
        "$@" >"$dir/kube-apiserver.log" 2>&1 </dev/null &
    apiserver_pid=$!
    remember kube-apiserver $apiserver_pid
    echo "$port" >"$dir/port"
    echo "https://127.0.0.1:$port" >"$dir/server"
    # The owner's end is ours; a process number that was given away again does not keep us alive.
    (
        born=$(cut -d' ' -f22 "/proc/$owner/stat")
        while running $apiserver_pid && [ "$(cut -d' ' -f22 "/proc/$owner/stat" 2>/dev/null)" = "$born" ]; do sleep 1; done
        stop_all
    ) >/dev/null 2>&1 </dev/null &
    tries=0
    until [ "$(api admin GET /readyz 2>/dev/null)" = ok ]; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ] || ! running $apiserver_pid; then
            say "the API server did not become ready; its last lines:"
            tail -n 5 "$dir/kube-apiserver.log" >&2
            tail -n 3 "$dir/etcd.log" >&2
            stop_all
            rm -f "$dir/server"
            exit 1
        fi
        sleep 0.2
    done
    kubeconfig admin "$(cat "$dir/server")"
}

[ $# -ge 2 ] || usage
verb=$1
dir=$2
shift 2
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
# Not the machine's own settings: they differ, and may be missing.
OPENSSL_CONF=$dir/openssl.cnf
export OPENSSL_CONF
case $verb in
start | stop) ;;
*) [ -s "$dir/server" ] || { say "no control plane runs in $dir"; exit 1; } ;;
esac
case $verb in
start) [ $# -ge 1 ] || usage; start "$@" ;;
stop) stop_all; rm -f "$dir/server" ;;
node-kubeconfig)
    [ $# -ge 1 ] || usage
    [ -s "$dir/node-$1.crt" ] || client "node-$1" "/O=system:nodes/CN=system:node:$1"
    kubeconfig "node-$1" "${2:-$(cat "$dir/server")}"
    ;;
user-kubeconfig)
    [ $# -ge 2 ] || usage
    client "$1" "${2:+/O=$2}/CN=$1"
    kubeconfig "$1" "${3:-$(cat "$dir/server")}"
    ;;
api) [ $# -ge 3 ] || usage; api "$@" ;;
*) usage ;;
esac

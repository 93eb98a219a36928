#!/bin/sh
# Builds the real Kubernetes programs that the tests use as parts, once per version, and prints each one's path.
# It refuses to download a ready binary: everything comes as source from the Go module proxy, pinned by go.sum (etcd,
# which is not ours to build, comes out of Debian's package, unpacked and not installed, so that no service starts).
#
#   build.sh NAME...
#
#   kubelet kube-apiserver kube-controller-manager kubectl   of the version in go.mod here
#   kubelet-old kube-apiserver-old                           of the version in old/go.mod
#   etcd                                                     Debian's
#   fakecri validator                                        our own, from this folder
#
# A binary given by TEST_ASSET_KUBELET, TEST_ASSET_KUBELET_OLD, TEST_ASSET_KUBE_APISERVER, TEST_ASSET_KUBE_APISERVER_OLD,
# TEST_ASSET_KUBE_CONTROLLER_MANAGER, TEST_ASSET_KUBECTL or TEST_ASSET_ETCD is taken instead of building. The rest is kept in
# $NODE_STEWARD_CACHE/kube/<version>/, Go's own cache in $NODE_STEWARD_CACHE/gocache, emptied when it has grown past
# 6 GB. Builds hold the `heavy` lock: do not call this while holding it. Cold, on two cores: kubelet 4 minutes, then
# kube-apiserver 1, kubelet-old 3. Without Go it ends with 77 and says so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"

GOCACHE=$NODE_STEWARD_CACHE/gocache
CGO_ENABLED=0
export GOCACHE CGO_ENABLED

need_go() {
    command -v go >/dev/null 2>&1 && return
    [ -x /usr/local/go/bin/go ] || skip "no Go toolchain: cannot build $1 (or name a binary, see the head of build.sh)"
    PATH=$PATH:/usr/local/go/bin
}

pinned() { sed -n 's/^require k8s.io\/kubernetes v//p; s/^\tk8s.io\/kubernetes v//p' "$1/go.mod" | cut -d' ' -f1; }

# compile MODULE-DIR PACKAGE OUTPUT [LDFLAGS]; LOCK= builds at once, which is fair for our own small programs
compile() {
    mkdir -p "$(dirname "$3")"
    say "building $2 for $3"
    started=$(date +%s)
    ${LOCK-heavy} flock -s "$GOCACHE.lock" nice go -C "$1" build -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w ${4:-}" -o "$3.$$" "$2" >&2 ||
        { rm -f "$3.$$"; say "could not build $2"; exit 1; }
    mv "$3.$$" "$3"
    say "built $2 in $(($(date +%s) - started)) s"
    # Emptied under nobody's feet: builds share the lock.
    if [ "$(du -sm "$GOCACHE" | cut -f1)" -gt 6000 ]; then flock "$GOCACHE.lock" go clean -cache; fi
}

# kubernetes COMMAND MODULE-DIR
kubernetes() {
    version=$(pinned "$2")
    binary=$NODE_STEWARD_CACHE/kube/$version/$1
    if [ ! -x "$binary" ]; then
        need_go "$1 $version"
        stamp=k8s.io/component-base/version
        minor=${version#*.}
        compile "$2" "k8s.io/kubernetes/cmd/$1" "$binary" \
            "-X $stamp.gitVersion=v$version -X $stamp.gitMajor=${version%%.*} -X $stamp.gitMinor=${minor%%.*} -X $stamp.gitTreeState=clean"
    fi
    echo "$binary"
}

# Our own programs are kept by what they are made of.
own() {
    key=$(cat "$here/go.mod" "$here/go.sum" "$here/$1"/*.go | sha256sum | cut -c1-16)
    binary=$NODE_STEWARD_CACHE/kube/own-$key/$1
    if [ ! -x "$binary" ]; then
        need_go "$1"
        LOCK="" compile "$here" "./$1" "$binary"
    fi
    echo "$binary"
}

etcd() {
    command -v apt-get >/dev/null 2>&1 || skip "no etcd: TEST_ASSET_ETCD is not set and there is no apt-get to fetch etcd-server"
    (
        flock 9
        version=$(apt-cache show etcd-server 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
        if [ -z "$version" ]; then
            apt-get update -qq >/dev/null || { say "apt-get update failed"; exit 1; }
            version=$(apt-cache show etcd-server 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
        fi
        [ -n "$version" ] || skip "no etcd: this Debian has no package etcd-server, and TEST_ASSET_ETCD is not set"
        binary=$NODE_STEWARD_CACHE/kube/etcd-$version/etcd
        if [ ! -x "$binary" ]; then
            scratch=$(mktemp -d "$NODE_STEWARD_CACHE/etcd.XXXXXX")
            (cd "$scratch" && apt-get download -qq etcd-server >&2 && dpkg -x etcd-server_*.deb tree) ||
                { rm -rf "$scratch"; say "could not fetch etcd-server $version"; exit 1; }
            mkdir -p "$(dirname "$binary")"
            mv "$scratch/tree/usr/bin/etcd" "$binary"
            rm -rf "$scratch"
        fi
        echo "$binary"
    ) 9>"$NODE_STEWARD_CACHE/apt.lock"
}

given() { [ -x "$1" ] || { say "not a program: $1"; exit 1; }; echo "$1"; }

[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
for name; do
    case $name in
    kubelet) if [ -n "${TEST_ASSET_KUBELET:-}" ]; then given "$TEST_ASSET_KUBELET"; else kubernetes kubelet "$here"; fi ;;
    kubelet-old) if [ -n "${TEST_ASSET_KUBELET_OLD:-}" ]; then given "$TEST_ASSET_KUBELET_OLD"; else kubernetes kubelet "$here/old"; fi ;;
    kube-apiserver) if [ -n "${TEST_ASSET_KUBE_APISERVER:-}" ]; then given "$TEST_ASSET_KUBE_APISERVER"; else kubernetes "$name" "$here"; fi ;;
    kube-apiserver-old) if [ -n "${TEST_ASSET_KUBE_APISERVER_OLD:-}" ]; then given "$TEST_ASSET_KUBE_APISERVER_OLD"; else kubernetes kube-apiserver "$here/old"; fi ;;
    kube-controller-manager) if [ -n "${TEST_ASSET_KUBE_CONTROLLER_MANAGER:-}" ]; then given "$TEST_ASSET_KUBE_CONTROLLER_MANAGER"; else kubernetes "$name" "$here"; fi ;;
    kubectl) if [ -n "${TEST_ASSET_KUBECTL:-}" ]; then given "$TEST_ASSET_KUBECTL"; else kubernetes "$name" "$here"; fi ;;
    etcd) if [ -n "${TEST_ASSET_ETCD:-}" ]; then given "$TEST_ASSET_ETCD"; else etcd; fi ;;
    fakecri | validator) own "$name" ;;
    *) say "unknown name: $name"; exit 2 ;;
    esac
done

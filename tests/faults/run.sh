#!/bin/sh
# What happens to kubelet's files when placing is killed, starved, forbidden, misled or run twice at once; on the real binary.
# Usage: tests/faults/run.sh [kills|refusals|documents|machines|together]...   NODE_STEWARD=BINARY uses that one instead of building.
# It refuses to mount anything outside its own mount namespace, and to touch any file outside its scratch directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"

[ "$(id -u)" = 0 ] || skip "lacks root: file systems are filled and remounted, and owners and labels set"
need python3 python3-minimal || skip "lacks python3"
need strace strace || skip "lacks strace"
need setpriv util-linux || skip "lacks setpriv and unshare"
unshare -m true 2>/dev/null || skip "lacks the right to make a mount namespace"

if [ -z "${NODE_STEWARD:-}" ]; then
    cargo build --release --quiet --manifest-path "$here/../../Cargo.toml"
    NODE_STEWARD=${CARGO_TARGET_DIR:-$here/../../target}/release/node-steward
fi
NODE_STEWARD=$(realpath "$NODE_STEWARD")
export NODE_STEWARD PYTHONDONTWRITEBYTECODE=1

scratch=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-faults.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$scratch"
# The mounts end with the namespace. A file system in memory: nothing here tests a disk's own durability.
unshare -m --propagation private sh -eu -c '
    mount -t tmpfs -o mode=755,size=1g faults "$1"
    cp "$NODE_STEWARD" "$1/node-steward"
    scratch=$1 here=$2; shift 2
    NODE_STEWARD=$scratch/node-steward exec python3 "$here/main.py" "$scratch" "$@"
' sh "$scratch" "$here" "$@"

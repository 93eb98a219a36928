#!/usr/bin/env bash
# The watcher's sources where this machine has none: a guest with cgroup v2, a thousand cgroups that have done I/O, and an NVMe controller whose
# health page is asked by ioctl. What our reading costs stands beside what the same files cost `cat`; a recording of the guest is played again.
# It refuses to compare times of the emulated machine with those of a real one.
#
#   sources.sh [--keep DIR]      DIR gets what the guest leaves, the recording too
#
#   $NODE_STEWARD   the program
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"
repo=$here/../../.. keep=''
if [ "${1:-}" = --keep ]; then keep=$2; fi
[ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program"
command -v cargo >/dev/null || skip "lacks cargo"

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-sources.XXXXXX")
cleanup() {
    [ -z "$keep" ] || { mkdir -p "$keep"; cp -R "$work/out/." "$keep/" 2>/dev/null || true; }
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The test program of the watcher, as cargo names it.
watcher=$(cd "$repo" && cargo test --locked --no-run --test watcher --message-format json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*watcher-[^"]*\)".*/\1/p' | tail -n 1)
[ -x "$watcher" ] || { say "cargo built no tests/watcher"; exit 1; }
mkdir -p "$work/input"
cp "$watcher" "$work/input/watcher"
cp "$NODE_STEWARD" "$work/input/node-steward"

code=0
"$here/run.sh" --memory 2048 --deadline 600 \
    "$work/input" "$here/inside/sources.sh" "$work/out" || code=$?
[ "$code" != 77 ] || { tail -n 1 "$work/out/script.log" 2>/dev/null; exit 77; }
cat "$work/out/script.log"
exit "$code"

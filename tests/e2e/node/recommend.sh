#!/usr/bin/env bash
# The recommendation against use that it has not seen: in a guest with a real systemd and cgroup v2, twenty slices under load (many small processes, one that
# leaks until it is ended or without an end, page cache), thirty hours of each become a history, and the half day after it, on a node that fills up, is held against what the
# history recommends. At least 19 of 20 must be covered; the margins are printed. It refuses to count page cache as use that was covered.
#
# Meanwhile the daemon itself runs there: it sets a history aside that it cannot read, says so, keeps its own when the hour is full, shows what it says in
# `status`, and has it still after it was killed; the profile `measured` and the settings to paste give what it recommends.
#
#   recommend.sh [--table] [RUNS]      20; --table prints the table of the runs alone; NODE_STEWARD=BINARY, RECOMMEND_LAB=BINARY
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"
repo=$here/../../.. show=cat
if [ "${1:-}" = --table ]; then show='sed -n /^.run/,/covered$/p'; shift; fi
runs=${1:-20}
[ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program"
if [ -z "${RECOMMEND_LAB:-}" ]; then
    command -v cargo >/dev/null || skip "lacks cargo"
    # Unoptimized it is too slow for an emulated machine.
    RECOMMEND_LAB=$(cd "$repo" && cargo build --release --locked --example recommend-lab --message-format json 2>/dev/null |
        sed -n 's/.*"executable":"\([^"]*recommend-lab\)".*/\1/p' | tail -n 1)
fi
[ -x "$RECOMMEND_LAB" ] || { say "cargo built no recommend-lab"; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-recommend.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/input"
cp "$RECOMMEND_LAB" "$work/input/recommend-lab"
cp "$NODE_STEWARD" "$work/input/node-steward"
echo "$runs" >"$work/input/runs"
code=0
"$here/../vm/run.sh" --memory 6144 --deadline 1500 "$work/input" "$here/recommend-inside.sh" "$work/out" || code=$?
[ "$code" != 77 ] || { tail -n 1 "$work/out/script.log" 2>/dev/null || :; exit 77; }
$show "$work/out/script.log"
[ "$code" = 0 ] || for file in status recommend daemon.log; do [ ! -e "$work/out/results/$file" ] || { echo "-- $file"; tail -n 40 "$work/out/results/$file"; }; done
[ "$show" != cat ] || grep 'seconds in all' "$work/out/times"
exit "$code"

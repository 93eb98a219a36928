#!/usr/bin/env bash
# A healthy machine at work: the daemon with all detectors on, while crates are built, trees of many small files are unpacked
# and removed as a runtime does with images, and backups are written and synced. Nothing above advice may be found. The one
# exception is measured, not assumed: DiskSaturated counts as right, and is counted, where somebody who syncs 1 KiB ten times a
# second needed three times as long (p95) in the minute before it began as on the idle disk. It refuses to run in memory.
#
#   run.sh [MINUTES]     default 2; a fifth of it idle, which the baseline of the disk is learned from (it takes 5 minutes)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
. tests/lib.sh
minutes=${1:-2}
[ "$(id -u)" = 0 ] || skip "needs root: the kernel log, locked memory, a mount namespace"
need python3 python3 || skip "lacks python3"
need curl curl || skip "lacks curl"
need tar tar || skip "lacks tar"
need unshare util-linux || skip "lacks unshare"
program=${NODE_STEWARD:-${CARGO_TARGET_DIR:-$PWD/target}/release/node-steward}
[ -x "$program" ] || cargo build --release --locked -q
tools=$(tests/e2e/disk/build.sh) || { code=$?; printf '%s\n' "$tools"; exit $code; }

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-healthy.XXXXXX") memory=$(mktemp -d -p /dev/shm node-steward-healthy.XXXXXX)
pids=()
# A process group each: what a load has started ends with it.
cleanup() {
    for pid in ${pids[@]+"${pids[@]}"}; do kill -- "-$pid" 2>/dev/null || kill "$pid" 2>/dev/null || :; done
    for pid in ${pids[@]+"${pids[@]}"}; do wait "$pid" 2>/dev/null || :; done
    rm -rf --one-file-system "$work" "$memory"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
case $(findmnt -n -o FSTYPE --target "$work") in tmpfs | ramfs | overlay) skip "$work is not on a disk: set TMPDIR" ;; esac

# Sources for the loads, before anything is watched: this project's own tree and what cargo has unpacked for it.
mkdir "$work/source"
git archive HEAD | tar -x -C "$work/source"
registry=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/src" -mindepth 1 -maxdepth 1 -type d | head -n 1)
[ -n "$registry" ] || skip "cargo has unpacked no crates: nothing to build offline"
tar -cf "$work/image.tar" -C "$registry" .
sync -f "$work"

set -m
: >"$memory/config.toml"
# Where nobody keeps this machine's clock right, that is a true finding after a quarter of an hour, and not what is looked for here.
python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).adjtimex((ctypes.c_char * 208)()) == 5)' ||
    printf '[detect.clock_unsynchronized]\nenabled = false\n' >"$memory/config.toml"
# shellcheck disable=SC2016 # the inner shell's words
unshare --mount --propagation private sh -c 'mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/node-steward && exec "$@"' \
    sh "$program" run --config "$memory/config.toml" </dev/null >"$memory/log" 2>&1 &
daemon=$!
pids+=("$daemon")
ask() { nsenter --target "$daemon" --mount -- curl -sf --max-time 5 --unix-socket /run/node-steward/api.sock "http://localhost$1"; }
for _ in $(seq 100); do ask /v1/status >/dev/null 2>&1 && break; kill -0 "$daemon" 2>/dev/null || break; sleep 0.1; done
ask /v1/status >/dev/null || { say "node-steward does not answer:"; tail -n 15 "$memory/log" >&2; exit 1; }

"$tools/victim" "$work/victim" "$memory/victim" &
pids+=($!)

building() {
    CARGO_TARGET_DIR=$work/target nice cargo build --locked --offline --manifest-path "$work/source/Cargo.toml"
    rm -rf "$work/target"
}
unpacking() {
    for layer in 1 2 3; do mkdir -p "$work/images/$layer" && tar -xf "$work/image.tar" -C "$work/images/$layer"; done
    rm -rf "$work/images"
}
backup() {
    tar -cf - -C "$registry" . -C "$work" source | dd of="$work/backup" bs=1M conv=fsync status=none
    rm -f "$work/backup"
}
# all LOAD...: at the same time, each to its end
all() { for load; do "$load" & done; wait; }

end=$((SECONDS + minutes * 60))
idle=$((minutes * 12))
printf '%s\n' "$(awk '{print $1}' /proc/uptime)" >"$memory/idle-from"
python3 "$here/watch.py" collect "$daemon" "$memory/seen" &
pids+=($!)
sleep "$idle"
printf '%s\n' "$(awk '{print $1}' /proc/uptime)" >"$memory/idle-to"

(
    set +e
    while :; do
        for round in unpacking backup 'building unpacking' 'unpacking backup' building 'building unpacking backup'; do
            printf '%s %s\n' "$(awk '{print $1}' /proc/uptime)" "$round"
            # shellcheck disable=SC2086 # a list of words
            all $round
        done
    done
) >"$memory/rounds" 2>"$memory/rounds.err" &
rounds=$!
pids+=("$rounds")
while [ $SECONDS -lt $end ]; do
    kill -0 "$rounds" 2>/dev/null || { say "the load ended by itself:"; tail -n 5 "$memory/rounds.err" >&2; exit 1; }
    kill -0 "$daemon" 2>/dev/null || { say "node-steward ended by itself:"; tail -n 15 "$memory/log" >&2; exit 1; }
    sleep 2
done
ask /v1/status >"$memory/status" || { say "node-steward no longer answers"; exit 1; }
printf '%s minutes, of which %s s idle; rounds of load: %s\n' "$minutes" "$idle" "$(wc -l <"$memory/rounds")"
grep -cE '^error' "$memory/rounds.err" >/dev/null && { say "a load failed:"; grep -E '^error' "$memory/rounds.err" | head -n 5 >&2; exit 1; }
python3 "$here/watch.py" judge "$memory"

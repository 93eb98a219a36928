#!/usr/bin/env bash
# What locking the daemon's pages is worth: in a memory cgroup of its own all that can be reclaimed is, then a probe gets stuck and the alarm must come
# without a page being read from disk. Prints memory and faults for each choice of watch.lock_memory; "off" must fault, or the test sees nothing.
# It refuses to run where the program lies on a file system without a disk: nothing could fault there.
set -euo pipefail
. "$(dirname "$0")/../boot/words.sh"
[ "$(id -u)" = 0 ] || skip "needs root: mounts of its own, and other processes' pages"
[ -c /dev/fuse ] || skip "this kernel has no FUSE"
need python3 python3 || skip "lacks python3"
need curl curl || skip "lacks curl"
need jq jq || skip "lacks jq"
need_program
case $(stat -f -c %T "$(dirname "$NODE_STEWARD")") in tmpfs | ramfs) skip "$NODE_STEWARD lies in memory" ;; esac
if [ "${1:-}" != inside ]; then exec unshare --mount --propagation private "$0" inside; fi

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-memory.XXXXXX")
cleanup() {
    [ -z "${hang:-}" ] || kill "$hang" 2>/dev/null || :
    [ -z "${daemon:-}" ] || kill -KILL "$daemon" 2>/dev/null || :
    wait
    sleep 0.2
    rmdir "$group" 2>/dev/null || :
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
status() { curl -sS --max-time 10 --unix-socket "$RUNTIME_DIRECTORY/api.sock" http://localhost/v1/status; }
until_true() {
    local left=$(($1 * 10)); shift
    until "$@" >/dev/null 2>&1; do left=$((left - 1)); [ "$left" -gt 0 ] || return 1; sleep 0.1; done
}
asks() { status | jq -e "$1"; }
# both PROCESS...: PSS of all, in KiB
pss() { cat "${@/%//smaps_rollup}" | awk '/^Pss:/ {sum += $2} END {print sum}'; }

# Version 1 or 2, whichever has the controller here.
memory_root=$(findmnt -n -o TARGET -t cgroup -O memory | head -n 1)
[ -n "$memory_root" ] || memory_root=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
group=$memory_root/node-steward-test-$$
mkdir "$group" 2>/dev/null && { [ -e "$group/memory.force_empty" ] || [ -e "$group/memory.reclaim" ]; } || skip "no memory controller whose pages can be reclaimed"
# major PROCESS: faults of its main thread that read from a disk
major() { grep -oP '^\d+ \(.*?\) \S( -?\d+){9}' "/proc/$1/stat" | awk '{print $NF}'; }
# Stopped meanwhile, so that no page is touched between two passes: what was touched since the last pass stays. Faults count from there on: a turn that fell due
# meanwhile begins at once.
drive_out() {
    kill -STOP "${processes[@]#/proc/}"
    for _ in $(seq 10); do
        if [ -e "$group/memory.force_empty" ]; then echo 0 >"$group/memory.force_empty"; else echo 1G >"$group/memory.reclaim"; fi 2>/dev/null || :
    done
    echo 1 >/proc/sys/vm/drop_caches
    before=$(major "$daemon") left=$(awk '/^Rss:/ {print $2}' "/proc/$daemon/smaps_rollup")
    kill -CONT "${processes[@]#/proc/}"
}

mkdir "$work/hung"
for choice in off touched whole; do
    export RUNTIME_DIRECTORY=$work/$choice
    mkdir "$RUNTIME_DIRECTORY"
    printf '[watch]\nperiod = "2s"\nprobe_deadline = "1s"\nlock_memory = "%s"\n' "$choice" >"$work/settings.toml"
    # A program of its own each time, first read within the group: its pages are the group's, and no other process keeps them.
    rm -f "$work/node-steward"
    sh -c 'echo $$ >"$1/cgroup.procs"; cp "$2" "$3/node-steward"; sync -f "$3"; exec "$3/node-steward" run --config "$3/settings.toml"' - \
        "$group" "$NODE_STEWARD" "$work" 2>"$work/log" & daemon=$!
    until_true 15 asks '.turns.count >= 4' || { cat "$work/log"; bad "$choice: the daemon makes turns"; continue; }
    # shellcheck disable=SC2046 # a list
    mapfile -t processes < <(printf '/proc/%s\n' "$daemon" $(pgrep -P "$daemon"))
    memory=$(pss "${processes[@]}")
    drive_out
    python3 "$repo/tests/daemon/hang.py" "$work/hung" >"$work/mounted" & hang=$!
    raised=no; deadline=$((SECONDS + 90))
    # Asked of the state file, not of the API: what is looked for is the turns' own way to an alarm.
    while [ $SECONDS -lt $deadline ]; do
        if jq -e '[.status.problems[] | select(.kind == "ProbeStuck")] | length > 0' "$RUNTIME_DIRECTORY/state.json" >/dev/null 2>&1; then raised=yes; break; fi
        sleep 0.5
    done
    faults=$(($(major "$daemon") - before))
    printf 'lock_memory = %-9s PSS of both %6s KiB, RSS after reclaim %6s KiB, major faults until the alarm: %s\n' "\"$choice\":" "$memory" "$left" "$faults"
    equal "$choice: the alarm came" yes "$raised"
    case $choice in
    off) if [ "$faults" -gt 0 ]; then ok "without locks pages are read from disk: the test can fail"; else bad "without locks nothing was read: the test sees nothing"; fi ;;
    *) equal "$choice: major faults of the main thread" 0 "$faults" ;;
    esac
    kill "$daemon"; wait "$daemon" || bad "$choice: it ended with $?"
    daemon=''
    kill "$hang"; wait "$hang" || :
    hang=''
done
finish

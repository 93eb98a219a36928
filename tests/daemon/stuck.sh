#!/usr/bin/env bash
# The daemon beside file systems that never answer: turns on time, the stuck probes told, stop within a second, the helper replaced and gone with the
# daemon. Runs in a mount namespace of its own, with a runtime directory of its own. It refuses to touch the machine's mounts.
set -euo pipefail
. "$(dirname "$0")/../boot/words.sh"
[ "$(id -u)" = 0 ] || skip "needs root: mounts of its own"
[ -c /dev/fuse ] || skip "this kernel has no FUSE"
need python3 python3 || skip "lacks python3"
need curl curl || skip "lacks curl"
need jq jq || skip "lacks jq"
need_program
if [ "${1:-}" != inside ]; then exec unshare --mount --propagation private "$0" inside; fi

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-stuck.XXXXXX")
children=''
cleanup() {
    # shellcheck disable=SC2086 # a list of our own children
    for child in $children; do kill "$child" 2>/dev/null || :; done
    [ -z "${daemon:-}" ] || kill -KILL "$daemon" 2>/dev/null || :
    wait
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

mkdir "$work/run"
printf '[watch]\nperiod = "2s"\nprobe_deadline = "1s"\n' >"$work/settings.toml"
export RUNTIME_DIRECTORY=$work/run
start() { "$NODE_STEWARD" run --config "$work/settings.toml" 2>>"$work/log" & daemon=$!; }
status() { curl -sS --max-time 5 --unix-socket "$work/run/api.sock" http://localhost/v1/status; }
# until_true SECONDS COMMAND...
until_true() {
    local left=$(($1 * 10)); shift
    until "$@" >/dev/null 2>&1; do left=$((left - 1)); [ "$left" -gt 0 ] || return 1; sleep 0.1; done
}
asks() { status | jq -e "$1"; }
alive() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
dead() { ! alive "$1"; }
helper_of() { pgrep -P "$1" -f . | head -n 1; }

start
until_true 10 asks '.turns.count >= 2' || { cat "$work/log"; bad "the daemon makes turns"; finish; exit 1; }
ok "the daemon makes turns"
first=$(helper_of "$daemon")
equal "the helper has no descriptor but its pipes" "/dev/null pipe pipe" "$(readlink /proc/"$first"/fd/* | sed 's/:.*//' | sort | xargs)"

for number in 1 2 3; do
    mkdir "$work/hung$number"
    python3 "$repo/tests/daemon/hang.py" "$work/hung$number" >"$work/mounted$number" & children="$children $!"
    until_true 5 grep -q mounted "$work/mounted$number" || skip "FUSE cannot be mounted: $(cat "$work/mounted$number")"
done
if until_true 90 asks '[.problems[] | select(.kind == "ProbeStuck")] | length >= 3'; then ok "three stuck probes are three problems"
else bad "three stuck probes are three problems: $(status | jq -c '[.problems[].kind], .counters')"; fi
before=$(status | jq .turns.count)
sleep 10
after=$(status | jq .turns.count)
if [ $((after - before)) -ge 4 ]; then ok "turns go on beside them: $((after - before)) in 10 s at a period of 2 s"; else bad "only $((after - before)) turns in 10 s"; fi
gap=$(status | jq .turns.longestGapMs)
if [ "$gap" -le 4000 ]; then ok "largest gap between turns: $gap ms, at most two periods"; else bad "largest gap between turns: $gap ms"; fi
status | jq -r '"gaps: " + ([.turns.gaps[] | select(.[1] > 0) | "\(.[1]) up to \(.[0]) ms"] | join(", "))'
equal "no more children than mounts wait" 3 "$(ps -o stat= --ppid "$(helper_of "$daemon")" | grep -vc Z)"

kill -KILL "$(helper_of "$daemon")"
if until_true 15 helper_of "$daemon" && [ "$(helper_of "$daemon")" != "$first" ]; then ok "a helper that was killed is replaced"; else bad "a helper that was killed is not replaced"; fi
says_log() { if grep -qF -- "$2" "$work/log"; then ok "$1"; else bad "$1: $(cat "$work/log")"; fi; }
says_log "and that is said" "is replaced"
sleep 3

mapfile -t kin < <(pgrep -P "$(helper_of "$daemon")"; helper_of "$daemon")
start_ns=$(date +%s%N)
kill -TERM "$daemon"
code=0; wait "$daemon" || code=$?
took=$((($(date +%s%N) - start_ns) / 1000000))
equal "it ends well" 0 "$code"
if [ "$took" -lt 1000 ]; then ok "stopped after $took ms with stuck probes"; else bad "stopped after $took ms"; fi
gone=yes
for one in "${kin[@]}"; do until_true 3 dead "$one" || gone="no: $one is $(grep State "/proc/$one/status")"; done
equal "helper and stuck children are gone with it" yes "$gone"
daemon=''

start
until_true 10 asks '.turns.count >= 2' || bad "it starts again"
orphan=$(helper_of "$daemon")
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || :
if until_true 3 dead "$orphan"; then ok "the helper dies with a daemon that is killed"; else bad "the helper outlives a daemon that is killed"; fi
daemon=''
finish

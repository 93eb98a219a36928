#!/usr/bin/env bash
# The program as an ordinary user: `check`, `run --once` and the daemon look at what such a user may see, say of the rest that they do not see it and why,
# and end as they should. It refuses a "why" that names no way out where being root is one, and judges nothing that this machine lets everybody read.
set -euo pipefail
. "$(dirname "$0")/../boot/words.sh"
need jq jq || skip "lacks jq"
as=()
if [ "$(id -u)" = 0 ]; then
    need setpriv util-linux || skip "lacks setpriv"
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs)
fi
need_program

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-ordinary.XXXXXX")
cleanup() {
    [ -z "${daemon:-}" ] || kill -KILL "$daemon" 2>/dev/null || :
    wait
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# Another user's build directory may be closed to this one.
cp "$NODE_STEWARD" "$work/node-steward"
chmod 755 "$work" "$work/node-steward"
mkdir "$work/run"
[ ${#as[@]} = 0 ] || chown 65534:65534 "$work/run"
# A socket that nobody listens at: a daemon of this machine would answer in its place.
printf '[watch]\nperiod = "1s"\n[api]\nsocket = "%s/none.sock"\n' "$work" >"$work/settings.toml"
cd /
steward() { "${as[@]}" "$work/node-steward" "$@" --config "$work/settings.toml"; }
calm() { if grep -qiE 'panick|bug of node-steward|RUST_BACKTRACE' "$work/said"; then bad "$1: $(cat "$work/said")"; else ok "$1"; fi; }
# reads COMMAND...: whether this user may
reads() { "${as[@]}" "$@" >/dev/null 2>&1; }
# told PART: why it does not look, of the list in $work/parts
told() { jq -r --arg name "$1" '.[] | select(.name == $name and .state == "unknown") | .why' "$work/parts"; }
# closed PART WORDS WHAT COMMAND...: where the command is not for this user, the part says WORDS
closed() {
    local part=$1 words=$2 what=$3; shift 3
    if reads "$@"; then echo "note: on this machine everybody may $what"; return; fi
    case $(told "$part") in *"$words"*) ok "$what: $part says why not" ;; *) bad "$what: $part says \"$(told "$part")\"" ;; esac
}
# The state of each detector is a word, and whoever does not judge says why.
whole='length > 20 and all(.[]; .state == "working" or .state == "off" or ((.state == "learning" or .state == "unknown") and .why != ""))'

echo "== run --once"
run "it ends well" 0 steward run --once
calm "without a panic"
if grep -qE '^[0-9]+ problems; [1-9][0-9]* of [0-9]+ detectors judge$' "$work/said"; then ok "its last line: $(tail -n 1 "$work/said")"; else bad "no detector judges: $(cat "$work/said")"; fi
steward run --once -o json >"$work/once.json" 2>"$work/said" || bad "as JSON: $(cat "$work/said")"
jq .detectors "$work/once.json" >"$work/parts"
equal "every detector stands as it does, with a reason" true "$(jq "$whole" "$work/parts")"
can_read_log() { dd if=/dev/kmsg of=/dev/null bs=8192 count=1 iflag=nonblock; }
export -f can_read_log
closed rules "run as root" "read the kernel's log" bash -c can_read_log

echo "== check"
code=0; steward check >"$work/said" 2>&1 || code=$?
# This machine may have problems of its own.
case $code in 0 | 3) ok "it ends with $code" ;; *) bad "it ends with $code: $(cat "$work/said")" ;; esac
calm "without a panic"
says "what cannot be judged is listed" "cannot be judged yet, or here:"
code=0; steward check -o json >"$work/check.json" 2>"$work/said" || code=$?
jq '.watch.status.sources + .watch.status.detectors' "$work/check.json" >"$work/parts"
equal "sources and detectors stand as they do, with a reason" true "$(jq "$whole" "$work/parts")"
closed rules "run as root" "read the kernel's log" bash -c can_read_log
equal "no probe ended without an answer" "" "$(jq -r '.[] | select(.why // "" | contains("without an answer")) | "\(.name): \(.why)"' "$work/parts")"
if [ "$(jq -r '.[] | select(.name == "cgroup_io") | .state' "$work/parts")" = working ]; then
    echo "note: cgroups count I/O here, processes are not asked"
else
    closed process_io "run as root" "see the I/O of process 1" cat /proc/1/io
    steward check >"$work/said" 2>&1 || :
    [ -z "$(told process_io)" ] || says "and that nobody can be named for it is said" "contributors: unknown: "
fi

echo "== the daemon"
RUNTIME_DIRECTORY=$work/run "${as[@]}" "$work/node-steward" run --config "$work/settings.toml" >"$work/said" 2>&1 & daemon=$!
sleep 6
if kill -0 "$daemon" 2>/dev/null; then ok "it stays"; else bad "it has ended: $(cat "$work/said")"; fi
calm "without a panic"
start_ns=$(date +%s%N)
kill -TERM "$daemon"
code=0; wait "$daemon" || code=$?
daemon=''
took=$((($(date +%s%N) - start_ns) / 1000000))
if [ "$code" = 0 ] && [ "$took" -lt 1000 ]; then ok "SIGTERM ends it well in $took ms"; else bad "SIGTERM ends it with $code after $took ms"; fi
reads bash -c can_read_log || says "it says what it does not look at, and why" "/dev/kmsg: "
finish

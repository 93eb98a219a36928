#!/usr/bin/env bash
# The journal's own index on a real journald: its counts equal journalctl's on every file, compact or not, volatile or kept; files broken by chance and
# files that grow end the walk. Then floods, debugging, critical messages, a limited unit, a damaged file, a killed journald, a journal that takes much of
# / (at limits of its own: this journal is small): each gives its finding and no other.
# It refuses to touch this machine's own journal, and to wait for a minute's pace: a daemon that is started again takes up its state and looks at once.
#
#   journal.sh       NODE_STEWARD=BINARY
set -euo pipefail
export CONTAINER_PACKAGES=rsyslog LOG_DISK=1G
. "$(dirname "$0")/../../daemon/inside.sh"
need python3 python3 || skip "lacks python3"
cd "$repo"
cargo build --quiet --locked --example journal-count || skip "the counting program cannot be built"
count=$(cargo metadata --format-version 1 --no-deps --offline --locked | jq -r .target_directory)/debug/examples/journal-count
memory=$(mktemp -d -p /dev/shm node-steward-journal.XXXXXX)
trap 'cleanup; rm -rf "$memory"' EXIT
shell 'mkdir -p /var/log/journal; systemctl disable --quiet --now rsyslog; systemctl stop syslog.socket; systemctl restart systemd-journald; journalctl --flush'
store=$(echo "$work"/log/journal/*)
[ -f "$store/system.journal" ] || { bad "no persistent journal: $(ls -R "$work/log/journal")"; finish; exit 1; }

echo "== counts equal journalctl's"
# say_much NAME: units of many sizes, all priorities, a message without a unit
say_much() {
    local unit lines
    for unit in small middle large; do
        lines=10; [ "$unit" != middle ] || lines=300; [ "$unit" != large ] || lines=3000
        inside systemd-run --quiet --collect --wait --unit="$unit-$1" sh -c "seq -f 'line %g' $lines; seq -f '<7>debug %g' 7; seq -f '<3>error %g' 5; seq -f '<2>critical %g' 2"
    done
    inside logger -p user.info --journald <<END
MESSAGE=native
PRIORITY=1
END
}
# compare FILE KIND: the index against journalctl, which reads every message
compare() {
    "$count" "$1" >"$work/index.json"
    local wrong='' compared=0 name found
    # how many messages have NAME=VALUE
    theirs() { journalctl --quiet --no-pager --file="$1" -o json --output-fields=PRIORITY ${2:+"$2"} 2>/dev/null | wc -l; }
    found=$(theirs "$1")
    [ "$(jq .entries "$work/index.json")" = "$found" ] || wrong="entries $(jq .entries "$work/index.json") against $found;"
    while IFS=$'\t' read -r name found; do
        compared=$((compared + 1))
        [ "$(theirs "$1" "$name")" = "$found" ] || wrong="$wrong $name $found against $(theirs "$1" "$name");"
    done < <(jq -r '(.units | to_entries[] | [if .key == "kernel" then "_TRANSPORT=kernel" else "_SYSTEMD_UNIT=" + .key end, .value]), (.priorities | to_entries[] | ["PRIORITY=\(.key)", .value]) | @tsv' "$work/index.json")
    [ "$compared" -ge 8 ] || wrong="$wrong only $compared counts;"
    if [ -z "$wrong" ] && [ "$(jq -r .cut "$work/index.json")" = null ]; then ok "${1##*/} ($2): $compared counts over $(jq .entries "$work/index.json") messages"; else bad "${1##*/} ($2): $wrong cut: $(jq -r .cut "$work/index.json")"; fi
}
form() { python3 -c 'import sys; flags = int.from_bytes(open(sys.argv[1], "rb").read(16)[12:16], "little"); print("compact" if flags & 16 else "not compact", "keyed" if flags & 4 else "not keyed")' "$1"; }
forms=''
for compact in 1 0; do
    shell "mkdir -p /run/systemd/system/systemd-journald.service.d && printf '[Service]\nEnvironment=SYSTEMD_JOURNAL_COMPACT=$compact SYSTEMD_JOURNAL_KEYED_HASH=$compact\n' >/run/systemd/system/systemd-journald.service.d/x.conf && systemctl daemon-reload && systemctl restart systemd-journald && journalctl --rotate"
    say_much "$compact"
    shell 'journalctl --sync; journalctl --rotate'
    newest=$(ls -t "$store"/system@*.journal | head -n 1)
    forms="$forms$(form "$newest");"
done
case $forms in *'compact keyed;not compact not keyed;'*) ok "both forms were there" ;; *) bad "forms: $forms" ;; esac
for file in "$store"/*@*.journal; do compare "$file" "$(form "$file")"; done
shell 'rm -r /run/systemd/system/systemd-journald.service.d; systemctl daemon-reload; systemctl restart systemd-journald; journalctl --rotate'
newest=$(ls -S "$store"/system@*.journal | head -n 1)
time_us=$(python3 - "$count" "$newest" <<'END'
import resource, subprocess, sys
runs = 20
for _ in range(runs): subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(round((used.ru_utime + used.ru_stime) * 1e6 / runs))
END
)
# The figure of a 1 GB journal is benches/journal.sh's; this one has the start of a program and no optimization in it.
if [ "$time_us" -lt 20000 ]; then ok "a look at $(jq .entries "$work/index.json") messages takes $time_us us of CPU, with a program's start and unoptimized"; else bad "a look takes $time_us us"; fi

echo "== files that are broken, and one that grows"
code=0
python3 - "$count" "$newest" "$memory/broken" <<'END' || code=$?
import random, subprocess, sys
program, source, target = sys.argv[1:]
whole = bytearray(open(source, "rb").read())
random.seed(7)
said = {}
for number in range(100):
    broken = bytearray(whole)
    tail = int.from_bytes(whole[136:144], "little")
    for _ in range(random.choice([1, 3, 30, 300])):
        at = random.choice([random.randrange(0, 256), random.randrange(256, 256 + 40000), random.randrange(256, tail)]) & ~7
        broken[at:at + 8] = random.choice([random.randbytes(8), (random.randrange(tail) & ~7).to_bytes(8, "little"), bytes(8), b"\xff" * 8])
    if number % 5 == 0:
        del broken[random.randrange(len(broken)):]
    open(target, "wb").write(broken)
    done = subprocess.run([program, target], capture_output=True, timeout=20, text=True)
    if done.returncode != 0 or "panicked" in done.stderr:
        print(f"FAILED: broken file {number} ended with {done.returncode}: {done.stderr[:300]}")
        sys.exit(1)
    words = "whole" if '"cut":null' in done.stdout else done.stdout.split('"cut":"')[1].split('"')[0]
    said[words] = said.get(words, 0) + 1
print(said)
sys.exit(len(said) < 3)
END
equal "100 files broken by chance: each ends, most are said to be" 0 "$code"
inside systemd-run --quiet --collect --unit=grow sh -c 'for i in $(seq 200); do seq -f "grow %g" 200; sleep 0.02; done'
grown=0 last=0
for _ in $(seq 60); do
    "$count" "$store/system.journal" >"$work/index.json" || { bad "a growing file"; break; }
    now=$(jq .entries "$work/index.json")
    [ "$now" -ge "$last" ] || bad "it shrank from $last to $now"
    [ "$now" = "$last" ] || grown=$((grown + 1))
    last=$now
done
if [ "$grown" -ge 3 ]; then ok "a file that grows: $grown different counts in 60 looks, the last $last"; else bad "it grew $grown times"; fi
inside systemctl stop grow 2>/dev/null || :

echo "== what journald syncs at once"
run_unit() { inside systemd-run --quiet --collect --unit="$1" ${3:+-p "$3"} sh -c "$2"; }
flushes() { awk '{print $16}' "/sys/block/${loop#/dev/}/stat"; }
# synced COMMAND: flushes of the disk for twenty messages
synced() {
    local before
    shell 'journalctl --sync'
    before=$(flushes)
    shell "for i in \$(seq 20); do $1; sleep 0.05; done"
    sleep 0.5
    echo $(($(flushes) - before))
}
native=$(synced 'printf "MESSAGE=lost\nPRIORITY=2\n" | logger --journald') faceted=$(synced 'logger -p daemon.crit lost')
if [ "$native" -ge 10 ] && [ "$faceted" -le 5 ]; then ok "twenty critical messages: $native flushes of the disk without a facility, $faceted with one"; else bad "flushes: $native without a facility, $faceted with one"; fi

echo "== findings"
shell 'cp /shared/node-steward.service /etc/systemd/system/ && mkdir -p /etc/node-steward/config.d /etc/systemd/journald.conf.d
printf "[watch]\nperiod = \"2s\"\n" >/etc/node-steward/config.d/50-test.toml
systemctl daemon-reload'
kinds='LogFlood DebugLogging JournalSyncFlood JournalRateLimited JournalCorrupted JournalUsage JournaldUnhealthy SyslogActive SyslogSync UnitFailed UnitFlapping'
problems() { inside node-steward problems -o json | jq -r --arg kinds "$kinds" '[.. | objects | select(.kind? and .subject? and (.kind as $kind | $kinds | split(" ") | index($kind))) | "\(.severity) \(.kind) \(.subject)"] | unique | join("; ")'; }
standing() { inside node-steward status -o json | jq -r --arg name "$1" '[.detectors[], .sources[]] | map(select(.name == $name) | .state) | first'; }
is_looked_at() { [ "$(standing journal)" = working ]; }
# fresh: a daemon that knows nothing, and its first look; again: the next look, at once, by the same state
fresh() { shell 'systemctl stop node-steward; rm -f /run/node-steward/state.json; systemctl start node-steward'; until_true 10 is_looked_at || bad "nobody looks at the journal"; }
again() { inside systemctl restart node-steward; sleep 3; }
# expect FINDINGS: these and no others
expect() {
    equal "found, and nothing else" "$1" "$(problems)"
    inside node-steward problems -o json | jq -r --arg kinds "$kinds" '[.. | objects | select(.kind? and .summary? and (.kind as $kind | $kinds | split(" ") | index($kind)))] | unique_by(.kind)[] | "   \(.summary)\n   advice: \(.advice)\n   shown: \(.kind)"'
}

echo "-- quiet"
fresh
equal "one look is no rate" learning "$(standing log_flood)"
sleep 5
again
equal "two are" "working working working working" "$(standing log_flood) $(standing debug_logging) $(standing journal_sync_flood) $(standing journal_rate_limited)"
equal "a quiet journal" "" "$(problems)"

echo "-- a flood, debugging, critical messages with and without a facility, a unit that is limited; and one that says a little"
run_unit flood 'while :; do seq -f "served %g" 60; sleep 0.25; done' LogRateLimitIntervalSec=0
run_unit debug 'while :; do seq -f "<7>state %g" 10; sleep 0.3; done' LogRateLimitIntervalSec=0
run_unit crit 'while :; do printf "MESSAGE=lost it\nPRIORITY=2\n" | logger --journald; sleep 0.2; done'
run_unit critout 'while :; do echo "<2>lost it"; sleep 0.2; done'
inside systemd-run --quiet --collect --unit=limited -p LogRateLimitIntervalSec=5s -p LogRateLimitBurst=10 sh -c 'while :; do seq -f "too much %g" 200; sleep 6; echo again; sleep 3; done'
run_unit little 'while :; do seq -f "well %g" 5; sleep 1; done'
sleep 10
again
sleep 10
again
expect "advice DebugLogging debug.service; warning JournalRateLimited limited.service; warning JournalSyncFlood crit.service; warning LogFlood flood.service"
inside systemctl stop flood debug crit critout limited little

echo "-- a flood in a volatile journal"
shell 'printf "[Journal]\nStorage=volatile\n" >/etc/systemd/journald.conf.d/50-volatile.conf; systemctl restart systemd-journald'
say_much volatile
shell 'journalctl --sync; cp /run/log/journal/*/system.journal /shared/volatile.journal'
compare "$work/shared/volatile.journal" "$(form "$work/shared/volatile.journal")"
fresh
run_unit flood 'while :; do seq -f "served %g" 60; sleep 0.25; done' LogRateLimitIntervalSec=0
sleep 8
again
sleep 8
again
expect "warning LogFlood flood.service"
inside systemctl stop flood
shell 'rm /etc/systemd/journald.conf.d/50-volatile.conf; systemctl restart systemd-journald; journalctl --flush'

echo "-- a damaged file"
fresh
sockets='systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket'
# shellcheck disable=SC2086 # a list of units
inside systemctl stop $sockets systemd-journald.service || :
printf 'NOTAFILE' | dd of="$store/system.journal" conv=notrunc status=none
inside systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service
until_true 10 sh -c "ls '$store'/*.journal~" || bad "journald has not set it aside: $(ls "$store")"
again
expect "warning JournalCorrupted /var/log/journal"
rm -f "$store"/*.journal~

echo "-- journald restarted because somebody asks for it, as fix syslog, its undo and upgrades do"
fresh
for _ in 1 2 3; do
    inside systemctl restart systemd-journald
    again
done
expect ""

echo "-- journald killed: its file is left open, and not damaged"
fresh
shell 'systemctl kill --signal=KILL systemd-journald'
until_true 10 sh -c "ls '$store'/*.journal~" || bad "journald has not set it aside: $(ls "$store")"
sleep 1
again
expect "warning JournaldUnhealthy systemd-journald.service"

echo "-- a journal on the disk of /"
shell 'systemctl stop node-steward; umount -l /var/log; mkdir -p /var/log/journal; systemctl restart systemd-journald; journalctl --flush
printf "[watch]\nperiod = \"2s\"\n[detect.journal_usage]\nleft_percent = 100\nleft_megabytes = 5\n" >/etc/node-steward/config.d/50-test.toml'
fresh
sleep 2
expect "advice JournalUsage /var/log/journal"
inside systemctl stop node-steward
finish

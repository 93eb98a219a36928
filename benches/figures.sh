#!/usr/bin/env bash
# Writes the measured figures into the README, between its two marks, with the commit, the scale and the command of each.
# It refuses figures from memory: what was not run is not named, and each part names the commit that it was run at.
#
#   figures.sh [PART...]     runs all parts, or the named ones (bootstrap watch growth journal latency requests memory recommend healthy saturation hang), or none;
#                            what was printed stays in target/figures, and the README is made of all that lies there. Stages are quoted from target/test-logs.
#
#   RUNS (300), WATCH_SECONDS (600), GROWTH_SECONDS (120), JOURNAL_SECONDS (600), LATENCY_TRIES (200), REQUESTS_MINUTES (60), MEMORY_TURNS (360) and HEALTHY_MINUTES (30) are the scales of what is run here.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-300} watch=${WATCH_SECONDS:-600} growth=${GROWTH_SECONDS:-120} journal=${JOURNAL_SECONDS:-600} healthy=${HEALTHY_MINUTES:-30}
tries=${LATENCY_TRIES:-200} minutes=${REQUESTS_MINUTES:-60} turns=${MEMORY_TURNS:-360}
parts=${*:-bootstrap watch growth journal latency requests memory recommend healthy saturation hang}
for part in $parts; do
    case $part in bootstrap | watch | growth | journal | latency | requests | memory | recommend | healthy | saturation | hang | none) ;; *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
done
kept=target/figures
mkdir -p "$kept"
block=$(mktemp)
trap 'rm -f "$block"' EXIT
export NODE_STEWARD=${NODE_STEWARD:-$PWD/target/release/node-steward}

# part NAME WHAT COMMAND...: runs it where it is asked for, and quotes what it printed last. A broken bound is quoted as such.
part() {
    name=$1 what=$2
    shift 2
    case " $parts " in
    *" $name "*)
        { "$@" || true; } >"$kept/$name.out"
        printf '`%s`, commit %s: %s\n' "$*" "$(git describe --always --dirty --exclude '*')" "$what" >"$kept/$name.title"
        ;;
    esac
    [ -f "$kept/$name.title" ] || return 0
    cat "$kept/$name.title"
    printf '\n'
    # Left out: figures for programs, kept bounds, settings, and the single cases of a table.
    grep -vE '^(\{|(watch|growth|journal|latency|requests|healthy)\.|ok  |case |learning |settings| +\[|.*: (W0 in ms|the victim alone)|    (\[|[a-z_]+ =))' "$kept/$name.out" | sed 's/^/    /; s/ *$//'
    printf '\n'
}
{
    printf 'To repeat: `make figures`, after `make test`.\n\n'
    part bootstrap 'one whole run on a fixture of an EKS AL2023 node on tmpfs (facts, unit, settings, preflight, lock, stamp).' benches/bootstrap.sh "$runs"
    part watch 'the daemon in steady state, all detectors on, beside a real node-problem-detector.' benches/watch.sh "$watch"
    part growth 'the same on a large node.' benches/growth.sh "$growth"
    part journal 'the per-unit log rates of a 1 GB journal.' benches/journal.sh "$journal"
    part latency 'from a record of the kernel to the PATCH at a real API server, by its audit log, beside a real node-problem-detector that reads the same records.' tests/e2e/act/latency.sh "$tries"
    part requests 'what a node asks of its API server, by the server'"'"'s audit log.' tests/e2e/act/requests.sh "$minutes"
    part memory 'the daemon with an API server connected and all detectors on, over an hour'"'"'s worth of turns.' tests/e2e/act/memory.sh "$turns"
    part recommend 'what a history of thirty hours recommends for a slice of a real systemd, against the most that the slice held in the twelve hours after.' tests/e2e/node/recommend.sh --table
    part saturation 'DiskSaturated, window by window, against a victim that waits three times as long (p95) as on the idle disk.' tests/e2e/disk/saturation.sh --full
    part hang 'the daemon beside disks that hang, and on one.' tests/e2e/disk/hang.sh
    part healthy 'builds, unpacking and backups on a healthy machine.' tests/healthy/run.sh "$healthy"
    printf '`make test`, stage by stage:\n\n'
    printf '| stage | closing line |\n|---|---|\n'
    for name in $(sed 's/ *|.*//; /^#/d' tests/stages); do
        log=target/test-logs/$name.log
        [ -f "$log" ] || continue
        if [ "$name" = cargo ]; then
            line=$(grep -oE '[0-9]+ passed; [0-9]+ failed' "$log" | awk '{p += $1; f += $3} END {print p " passed, " f " failed"}')
        else
            line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1 || true)
        fi
        [ -z "$line" ] || printf '| %s | %s |\n' "$name" "$line"
    done
    if [ -f target/test-logs/shown.log ]; then
        printf '\nWhich problems were found on a real part in the stages of `make test`, and which on a recorded one alone:\n\n'
        sed 's/^/    /; s/ *$//' target/test-logs/shown.log
    fi
} >"$block"
python3 - "$block" <<'PY'
import re, sys
block = open(sys.argv[1], encoding="utf-8").read()
readme = open("README.md", encoding="utf-8").read()
changed = re.sub(r"<!-- figures -->.*<!-- /figures -->", lambda _: f"<!-- figures -->\n{block}<!-- /figures -->", readme, flags=re.S)
open("README.md", "w", encoding="utf-8").write(changed)
PY

#!/usr/bin/env bash
# Writes the measured figures into the README, between its two marks, with the commit, the scale and the command of each.
# It refuses figures from memory: what was not run is not named. Stages whose logs lie in target/test-logs are quoted from them.
#
#   RUNS (300), WATCH_SECONDS (600), GROWTH_SECONDS (120) and HEALTHY_MINUTES (30) are the scales of what is run here.
set -euo pipefail
cd "$(dirname "$0")/.."
block=$(mktemp)
trap 'rm -f "$block"' EXIT

# bench COMMAND...: its table, indented; figures for programs and kept bounds are left out, a broken bound is quoted as such.
bench() { { "$@" || true; } | grep -vE '^(\{|(watch|growth|healthy)\.|ok )' | sed 's/^/    /; s/ *$//'; }
{
    printf 'At commit %s. To repeat: `make figures`, after `make test`.\n\n' "$(git describe --always --dirty --exclude '*')"
    runs=${RUNS:-300} watch=${WATCH_SECONDS:-600} growth=${GROWTH_SECONDS:-120} healthy=${HEALTHY_MINUTES:-30}
    printf '`benches/bootstrap.sh %s`: one whole run on a fixture of an EKS AL2023 node on tmpfs (facts, unit, settings, preflight, lock, stamp).\n\n' "$runs"
    bench benches/bootstrap.sh "$runs"
    printf '\n`benches/watch.sh %s`: the daemon in steady state, all detectors on, beside a real node-problem-detector.\n\n' "$watch"
    bench benches/watch.sh "$watch"
    printf '\n`benches/growth.sh %s`: the same on a large node.\n\n' "$growth"
    bench benches/growth.sh "$growth"
    printf '\n`tests/healthy/run.sh %s`: builds, unpacking and backups on a healthy machine.\n\n' "$healthy"
    bench tests/healthy/run.sh "$healthy"
    printf '\n`make test`, stage by stage:\n\n'
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
} >"$block"
python3 - "$block" <<'PY'
import re, sys
block = open(sys.argv[1], encoding="utf-8").read()
readme = open("README.md", encoding="utf-8").read()
changed = re.sub(r"<!-- figures -->.*<!-- /figures -->", lambda _: f"<!-- figures -->\n{block}<!-- /figures -->", readme, flags=re.S)
open("README.md", "w", encoding="utf-8").write(changed)
PY

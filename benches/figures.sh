#!/usr/bin/env bash
# Writes the measured figures into the README, between its two marks, with the commit, the scale and the command of each.
# It refuses figures from memory: what was not run is not named. Stages whose logs lie in target/test-logs are quoted from them.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-300}
bench=$(benches/bootstrap.sh "$runs")
block=$(mktemp)
trap 'rm -f "$block"' EXIT
{
    printf 'At commit %s. To repeat: `make figures`, after `make test`.\n\n' "$(git describe --always --dirty --exclude '*')"
    printf '`benches/bootstrap.sh %s`: one whole run on a fixture of an EKS AL2023 node on tmpfs (facts, unit, settings, preflight, lock, stamp).\n\n' "$runs"
    printf '%s\n' "$bench" | grep -v '^{' | sed 's/^/    /'
    printf '\n`make test`, stage by stage:\n\n'
    printf '| stage | closing line |\n|---|---|\n'
    for name in cargo install hooks faults kube matrix configz node boot; do
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

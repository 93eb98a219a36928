#!/usr/bin/env bash
# The metrics' texts before foreign judges: promtool (Debian's package prometheus, unpacked and never started) reads and lints the text 0.0.4, the
# OpenMetrics parser of Prometheus' own Python client reads the other. tests/metrics.rs holds that these files are what the program writes.
# It refuses a judge that finds nothing in a broken text.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/lib.sh
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok $*"; }
bad() { failed=$((failed + 1)); echo "FAILED $*"; }

tool=$(command -v promtool || true)
if [ -z "$tool" ]; then
    dir=$NODE_STEWARD_CACHE/promtool
    tool=$dir/usr/bin/promtool
    if [ ! -x "$tool" ]; then
        command -v apt-get >/dev/null && command -v dpkg >/dev/null || skip "lacks promtool, and apt-get to fetch Debian's package prometheus"
        mkdir -p "$dir"
        (cd "$dir" && { apt-get download -qq prometheus >/dev/null 2>&1 || { apt-get update -qq && apt-get download -qq prometheus; }; } >/dev/null &&
            dpkg -x prometheus_*.deb . && rm -f prometheus_*.deb) || skip "lacks promtool: Debian's package prometheus could not be fetched"
    fi
fi
python=$NODE_STEWARD_CACHE/openmetrics/bin/python
if [ ! -x "$python" ] || ! "$python" -c 'import prometheus_client' 2>/dev/null; then
    command -v python3 >/dev/null || skip "lacks python3 for the OpenMetrics parser"
    rm -rf "$NODE_STEWARD_CACHE/openmetrics"
    python3 -m venv "$NODE_STEWARD_CACHE/openmetrics" 2>/dev/null || { install_debian python3-venv && python3 -m venv "$NODE_STEWARD_CACHE/openmetrics"; } ||
        skip "lacks python3-venv"
    "$python" -m pip install -q --disable-pip-version-check prometheus-client==0.22.1 >/dev/null 2>&1 || skip "lacks PyPI's prometheus-client"
fi
parse() {
    "$python" -c '
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
families = list(parse(sys.stdin.read()))
print(len(families), sum(len(family.samples) for family in families))'
}

said=$("$tool" check metrics <tests/outputs/metrics.prom 2>&1) && [ -z "$said" ] && ok "promtool has nothing to say" || bad "promtool: $said"
if sed 's/turns_total counter/turns_total counte/' tests/outputs/metrics.prom | "$tool" check metrics >/dev/null 2>&1; then
    bad "promtool finds nothing in a broken text"
else
    ok "promtool finds a broken type"
fi
counts=$(parse <tests/outputs/metrics.openmetrics) && ok "OpenMetrics: families and samples: $counts" || bad "the OpenMetrics parser refuses the text"
[ "${counts#* }" = "$(grep -vc '^#' tests/outputs/metrics.openmetrics)" ] && ok "every line was a sample" || bad "the parser saw other samples: $counts"
if sed 's/^node_steward_turns_total/node_steward_turns/' tests/outputs/metrics.openmetrics | parse >/dev/null 2>&1; then
    bad "the OpenMetrics parser finds nothing in a broken text"
else
    ok "the OpenMetrics parser finds a counter without _total"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

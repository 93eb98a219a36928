#!/usr/bin/env bash
# The metrics before foreign judges. The texts that tests/metrics.rs holds the program to: promtool reads and lints 0.0.4, the OpenMetrics parser of
# Prometheus' own Python client reads the other. Then the daemon itself: a real Prometheus scrapes its TCP address (and asks for OpenMetrics), a real
# node_exporter reads its textfile. Programs are unpacked from Debian's packages and never installed: nothing starts that this script does not end.
# It refuses a judge that finds nothing in a broken text.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/lib.sh
passed=0 failed=0
ok() { passed=$((passed + 1)); echo "ok $*"; }
bad() { failed=$((failed + 1)); echo "FAILED $*"; }

# unpacked PACKAGE FILE: prints where FILE of a Debian PACKAGE lies, unpacked in the cache.
unpacked() {
    dir=$NODE_STEWARD_CACHE/unpacked/$1
    if [ ! -x "$dir/$2" ]; then
        command -v apt-get >/dev/null && command -v dpkg >/dev/null || { say "lacks apt-get to fetch Debian's package $1"; return 1; }
        mkdir -p "$dir"
        (cd "$dir" && { apt-get download -qq "$1" >/dev/null 2>&1 || { apt-get update -qq >/dev/null && apt-get download -qq "$1" >/dev/null; }; } &&
            dpkg -x "$1"_*.deb . && rm -f "$1"_*.deb) || { say "Debian's package $1 could not be fetched"; return 1; }
    fi
    echo "$dir/$2"
}
promtool=$(command -v promtool || unpacked prometheus usr/bin/promtool) || skip "lacks promtool"
prometheus=$(command -v prometheus || unpacked prometheus usr/bin/prometheus) || skip "lacks prometheus"
exporter=$(command -v prometheus-node-exporter || unpacked prometheus-node-exporter usr/bin/prometheus-node-exporter) || skip "lacks node_exporter"
need curl curl || skip "lacks curl"
program=${NODE_STEWARD:-$PWD/target/release/node-steward}
[ -x "$program" ] || { echo "FAILED $program is not there: cargo build --release"; exit 1; }
python=$NODE_STEWARD_CACHE/openmetrics/bin/python
if [ ! -x "$python" ] || ! "$python" -c 'import prometheus_client' 2>/dev/null; then
    need python3 python3 || skip "lacks python3 for the OpenMetrics parser"
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

said=$("$promtool" check metrics <tests/outputs/metrics.prom 2>&1) && [ -z "$said" ] && ok "promtool has nothing to say" || bad "promtool: $said"
if sed 's/turns_total counter/turns_total counte/' tests/outputs/metrics.prom | "$promtool" check metrics >/dev/null 2>&1; then
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

# The daemon and its readers, on ports that were free a moment ago.
work=$(mktemp -d)
started=()
stop() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap stop EXIT
read -r port web node < <("$python" -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in held))')
mkdir "$work/run" "$work/textfile"
printf '[watch]\nperiod = "1s"\n[api]\nsocket = "%s"\n[metrics]\nlisten = "127.0.0.1:%s"\ntextfile = "%s"\n' \
    "$work/run/api.sock" "$port" "$work/textfile/node_steward.prom" >"$work/config.toml"
RUNTIME_DIRECTORY=$work/run "$program" run --config "$work/config.toml" 2>"$work/daemon.log" &
started+=($!)
printf 'global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: node-steward\n  static_configs: [{targets: ["127.0.0.1:%s"]}]\n' "$port" >"$work/prometheus.yml"
"$prometheus" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$web" 2>"$work/prometheus.log" &
started+=($!)
"$exporter" --web.listen-address="127.0.0.1:$node" --collector.disable-defaults --collector.textfile \
    --collector.textfile.directory="$work/textfile" 2>"$work/exporter.log" &
started+=($!)
# value QUERY: the first sample's value that Prometheus has stored.
value() {
    curl -sG "http://127.0.0.1:$web/api/v1/query" --data-urlencode "query=$1" 2>/dev/null |
        "$python" -c 'import json, sys; print(json.load(sys.stdin)["data"]["result"][0]["value"][1])' 2>/dev/null || true
}
for _ in $(seq 60); do
    turns=$(value 'node_steward_turns_total')
    [ "${turns:-0}" -ge 3 ] && break
    sleep 0.5
done
[ "$(value 'up{job="node-steward"}')" = 1 ] && ok "Prometheus: the target is up" || bad "Prometheus cannot scrape: $(tail -n 1 "$work/prometheus.log")"
[ "${turns:-0}" -ge 3 ] && ok "Prometheus has counted $turns turns" || bad "Prometheus has no turns: $(tail -n 1 "$work/daemon.log")"
samples=$(value 'scrape_samples_scraped{job="node-steward"}') stored=$(value 'scrape_samples_post_metric_relabeling{job="node-steward"}')
[ "${samples:-0}" -gt 50 ] && [ "$samples" = "$stored" ] && ok "it took all $samples samples" || bad "it took $stored of $samples samples"
kind=$(curl -s "http://127.0.0.1:$web/api/v1/metadata?metric=node_steward_turn_gap_seconds")
grep -q '"type":"histogram"' <<<"$kind" && grep -q '"unit":"seconds"' <<<"$kind" && ok "it knows type and unit (OpenMetrics was asked for)" || bad "metadata: $kind"
for _ in $(seq 20); do
    curl -s "http://127.0.0.1:$node/metrics" >"$work/exported" || true
    grep -q '^node_steward_turns_total ' "$work/exported" && break
    sleep 0.5
done
grep -q '^node_steward_turns_total ' "$work/exported" && grep -q '^node_textfile_scrape_error 0' "$work/exported" &&
    ok "node_exporter reads the textfile: $(grep -c '^node_steward_' "$work/exported") samples" || bad "node_exporter: $(tail -n 1 "$work/exporter.log")"
curl -s -H 'Accept: application/openmetrics-text' "http://127.0.0.1:$port/metrics" | parse >"$work/live" && ok "the daemon's own OpenMetrics: $(cat "$work/live")" ||
    bad "the OpenMetrics parser refuses the daemon's text"
said=$(curl -s "http://127.0.0.1:$port/metrics" | "$promtool" check metrics 2>&1) && [ -z "$said" ] && ok "the daemon's own 0.0.4" || bad "promtool: $said"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

#!/usr/bin/env bash
# What the daemon costs in steady state, all detectors on, on this machine, beside a real node-problem-detector in the same
# seconds: memory (PSS, RSS, locked), threads and children, CPU, wake-ups, disk traffic. It refuses figures of a daemon that
# does not answer, and ends with 1 where the static build breaks its bounds; the glibc build and the peer are only printed.
#
#   watch.sh [SECONDS]     default 600, after WARMUP (30) seconds in which each one learns its machine
#
# Each runs alone in a mount namespace with its own empty /run, so that two daemons do not meet. node-steward runs on
# defaults, its cluster side has no kubeconfig. The peer runs what it ships: kernel, read-only and statistics monitors, without its Kubernetes
# exporter; where the kernel has no /proc/modules its collector of OS features would end it, and is taken out, which is said.
# Figures are also printed as lines `watch.NAME.FIGURE VALUE`. NODE_STEWARD and NODE_STEWARD_STATIC name built programs.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/lib.sh
seconds=${1:-600} warmup=${WARMUP:-30}
[ "$(id -u)" = 0 ] || skip "needs root: locked memory, the kernel log and mount namespaces"
need python3 python3 || skip "lacks python3"
need jq jq || skip "lacks jq"
need curl curl || skip "lacks curl"
need unshare util-linux || skip "lacks unshare"

part() { part_out=$("$@") && return 0; part_code=$?; [ -z "$part_out" ] || printf '%s\n' "$part_out"; exit $part_code; }
if [ -z "${NODE_STEWARD:-}" ]; then
    cargo build --release --locked -q
    NODE_STEWARD=${CARGO_TARGET_DIR:-$PWD/target}/release/node-steward
fi
if [ -z "${NODE_STEWARD_STATIC:-}" ]; then part packaging/static.sh; NODE_STEWARD_STATIC=$part_out; fi
part tests/e2e/npd/build.sh; npd=$part_out

work=$(mktemp -d -p /dev/shm node-steward-watch.XXXXXX)
declare -A pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || :; done
    for pid in "${pids[@]}"; do
        for _ in $(seq 30); do kill -0 "$pid" 2>/dev/null || continue 2; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null || :
    done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# alone NAME COMMAND...: in its own namespace, as this process's child under its own id
alone() {
    name=$1
    shift
    mkdir "$work/$name"
    # shellcheck disable=SC2016 # the inner shell's words
    unshare --mount --propagation private sh -c 'run=$1; shift; mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/node-steward && exec "$@" </dev/null >"$run/log" 2>&1' \
        sh "$work/$name" "$@" &
    pids[$name]=$!
}
# answers PID: the daemon behind this process answers on its socket
answers() { nsenter --target "$1" --mount -- curl -sf --max-time 5 --unix-socket /run/node-steward/api.sock http://localhost/v1/status; }
wait_for() {
    for _ in $(seq 100); do
        kill -0 "${pids[$1]}" 2>/dev/null || break
        answers "${pids[$1]}" >"$work/$1/status" 2>/dev/null && return 0
        sleep 0.1
    done
    say "node-steward ($1) does not answer; its last words:"
    tail -n 15 "$work/$1/log" >&2
    exit 1
}

: >"$work/config.toml"
alone static "$NODE_STEWARD_STATIC" run --config "$work/config.toml"
alone glibc "$NODE_STEWARD" run --config "$work/config.toml"

stats=$npd/config/system-stats-monitor.json
left_out=''
if [ ! -e /proc/modules ]; then
    jq 'del(.osFeature)' "$stats" >"$work/system-stats-monitor.json"
    stats=$work/system-stats-monitor.json
    left_out=' without its osFeature collector (no /proc/modules here)'
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
alone npd "$npd/node-problem-detector" --config.system-log-monitor="$npd/config/kernel-monitor.json,$npd/config/readonly-monitor.json" \
    --config.system-stats-monitor="$stats" --enable-k8s-exporter=false --prometheus-address=127.0.0.1 --prometheus-port="$port"

wait_for static
wait_for glibc
for _ in $(seq 100); do curl -sf --max-time 2 "http://127.0.0.1:$port/metrics" 2>/dev/null | grep -q '^problem_counter' && break; sleep 0.1; done
curl -sf --max-time 2 "http://127.0.0.1:$port/metrics" | grep -q '^problem_counter' || { say "node-problem-detector does not answer:"; tail -n 15 "$work/npd/log" >&2; exit 1; }

sleep "$warmup"
load_before=$(cut -d' ' -f1 /proc/loadavg)
measured=$(python3 benches/measure.py "$seconds" "static=${pids[static]}" "glibc=${pids[glibc]}" "npd=${pids[npd]}")
load_after=$(cut -d' ' -f1 /proc/loadavg)
for name in static glibc; do
    answers "${pids[$name]}" >"$work/$name/status" || { say "node-steward ($name) no longer answers"; exit 1; }
done
printf '%s s after %s s of warm-up, all three at once; load %s before, %s after; peer: node-problem-detector %s%s\n' \
    "$seconds" "$warmup" "$load_before" "$load_after" "$(cat "$npd/version")" "$left_out"
python3 - "$measured" "$(stat -c %s "$NODE_STEWARD_STATIC")" "$(stat -c %s "$NODE_STEWARD")" "$(stat -c %s "$npd/node-problem-detector")" <<'PY'
import json, sys

measured = json.loads(sys.argv[1])
for name, size in zip(("static", "glibc", "npd"), sys.argv[2:]):
    measured[name]["program"] = int(size)
mega = 1e6
# name, heading, of the measured figure, digits
rows = [
    ("pss_mb", "PSS, MB (median)", lambda m: m["pss"] / mega, 2),
    ("pss_most_mb", "PSS, MB (most)", lambda m: m["pss_most"] / mega, 2),
    ("pss_children_mb", "  of it children, MB", lambda m: m["pss_children"] / mega, 2),
    ("rss_mb", "RSS, MB", lambda m: m["rss"] / mega, 2),
    ("anon_mb", "anonymous, MB", lambda m: m["anon"] / mega, 2),
    ("peak_mb", "peak RSS, MB", lambda m: m["peak"] / mega, 2),
    ("locked_mb", "locked, MB", lambda m: m["locked"] / mega, 2),
    ("program_mb", "program, MB", lambda m: m["program"] / mega, 2),
    ("threads", "threads, children's too", lambda m: m["threads"], 0),
    ("children", "children", lambda m: m["children"], 0),
    ("cpu_percent", "CPU, % of one core", lambda m: m["cpu_percent"], 4),
    ("wakeups_per_s", "wake-ups per s", lambda m: m["wakeups_per_s"], 2),
    ("written_bytes", "written to disk, bytes", lambda m: m["written_bytes"], 0),
    ("read_bytes", "read from disk, bytes", lambda m: m["read_bytes"], 0),
]
names = {"static": "static musl", "glibc": "glibc", "npd": "NPD"}
print(f"{'':26}" + "".join(f"{heading:>14}" for heading in names.values()) + f"{'NPD/static':>12}")
for key, heading, of, digits in rows:
    values = {name: of(measured[name]) for name in names}
    ratio = f"{values['npd'] / values['static']:.1f}" if values["static"] and values["npd"] else "-"
    print(f"{heading:26}" + "".join(f"{value:14.{digits}f}" for value in values.values()) + f"{ratio:>12}")
for name in names:
    for key, _, of, digits in rows:
        print(f"watch.{name}.{key} {of(measured[name]):.{digits}f}")

bounds = [("pss_mb", 7.0), ("cpu_percent", 0.1), ("wakeups_per_s", 2.0), ("written_bytes", 0)]
good = bad = 0
for key, most in bounds:
    value = next(of for one, _, of, _ in rows if one == key)(measured["static"])
    if value <= most:
        good += 1
        print(f"ok      static musl, {key}: {value:.4g}, at most {most:g}")
    else:
        bad += 1
        print(f"FAILED  static musl, {key}: {value:.4g}, at most {most:g}")
print(f"{good} passed, {bad} failed")
sys.exit(bad > 0)
PY

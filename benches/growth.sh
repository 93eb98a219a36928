#!/usr/bin/env bash
# What the daemon costs on a large node: 1,000 cgroups of 300 pods, 5,000 processes, 64 disks, 500 mounts. It refuses figures of
# a daemon that sees less than that, and ends with 1 where CPU passes 0.5 % of one core or a turn takes 50 ms.
#
#   growth.sh [SECONDS]     default 120 for each of the three, after WARMUP (25) seconds
#
#   real       this kernel's own: processes that sleep, cgroup directories as kubelet and containerd name them, tmpfs and bind
#              mounts, loop devices; in namespaces of its own. No io controller here, so no io.stat.
#   recorded   files made beneath a directory (growth/root.py), with io.stat everywhere; a little I/O on every disk
#   troubled   the same with one disk that completes nothing, so that everybody's I/O is looked at in every turn
#
# Figures are also printed as lines `growth.NAME.FIGURE VALUE`. NODE_STEWARD names a built program.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/lib.sh
pods=300 groups=1000 processes=5000 disks=64 mounts=500
warmup=${WARMUP:-25}

# status SOCKET: what the daemon says of itself
status() { curl -sf --max-time 10 --unix-socket "$1" http://localhost/v1/status; }
# begin LOG SOCKET FLAG...: a daemon that answers, its id in $daemon; $config is beneath its root
begin() {
    log=$1 socket=$2
    shift 2
    "$NODE_STEWARD" run --config "$config" "$@" </dev/null >"$log" 2>&1 &
    daemon=$!
    for _ in $(seq 200); do
        kill -0 "$daemon" 2>/dev/null || break
        if status "$socket" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    say "node-steward does not answer; its last words:"
    tail -n 15 "$log" >&2
    return 1
}
finish() {
    kill "$daemon"
    wait "$daemon" || :
    daemon=''
}
# measure NAME SOCKET: one JSON line with cost and turns; the length of the newest turn is asked for as often as there are turns
measure() {
    sleep "$warmup"
    before=$(status "$2" | jq .turns.count)
    python3 benches/measure.py "$seconds" "$1=$daemon" >"$work/cost" &
    measuring=$!
    : >"$work/lengths"
    while kill -0 "$measuring" 2>/dev/null; do
        status "$2" | jq .turns.durationUs.last >>"$work/lengths"
        for _ in $(seq 10); do kill -0 "$measuring" 2>/dev/null || break; sleep 1; done
    done
    wait "$measuring"
    status "$2" | jq -c --slurpfile cost "$work/cost" --slurpfile lengths "$work/lengths" --arg name "$1" --argjson before "$before" \
        '{name: $name, turned: (.turns.count - $before), cost: $cost[0][$name], lengths: $lengths, turns: .turns, disks: (.disks | length), contributors: ([.contributors[][1][]] | length), problems: [.problems[].kind]}'
}

# inside: process 1 of its own namespaces, so that all it starts ends with it
if [ "${1:-}" = inside ]; then
    work=$2 seconds=$3
    mount -t tmpfs -o mode=755 tmpfs /run
    for path in /var/lib/kubelet /var/log/pods; do mkdir -p "$path"; mount -t tmpfs tmpfs "$path"; done
    python3 benches/growth/real.py "$work" $pods $groups $processes $mounts >"$work/made"
    mkdir -p /run/node-steward
    config=$work/config.toml
    begin "$work/real.log" /run/node-steward/api.sock
    measure real /run/node-steward/api.sock >"$work/real.json"
    finish
    exit 0
fi

seconds=${1:-120}
[ "$(id -u)" = 0 ] || skip "needs root: namespaces, cgroups, loop devices"
need python3 python3 || skip "lacks python3"
need jq jq || skip "lacks jq"
need curl curl || skip "lacks curl"
need unshare util-linux || skip "lacks unshare"
need mkfs.ext4 e2fsprogs || skip "lacks mkfs.ext4"
if [ -z "${NODE_STEWARD:-}" ]; then
    cargo build --release --locked -q
    NODE_STEWARD=${CARGO_TARGET_DIR:-$PWD/target}/release/node-steward
fi
export NODE_STEWARD
unified=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
[ -n "$unified" ] || skip "no cgroup2 mount"

work=$(mktemp -d -p /dev/shm node-steward-growth.XXXXXX)
group=$unified/node-steward-growth-$$
daemon='' ticker=''
loops=()
cleanup() {
    for pid in $daemon $ticker; do kill "$pid" 2>/dev/null || :; done
    for loop in ${loops[@]+"${loops[@]}"}; do losetup -d "$loop" || :; done
    if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || say "cgroups beneath $group could not be removed"; fi
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
: >"$work/config.toml"

mkdir "$work/disks" "$group"
for number in $(seq $disks); do
    truncate -s 64M "$work/disks/$number"
    # Others take loop devices too: the free one may be gone by the time it is asked for.
    for _ in $(seq 20); do loop=$(losetup --find --show "$work/disks/$number" 2>/dev/null) && break; sleep 0.1; done
    [ -n "$loop" ] || skip "no loop device to be had"
    loops+=("$loop")
done
printf '%s\n' "${loops[@]}" >"$work/loops"
# shellcheck disable=SC2016 # the inner shell's words
sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec unshare --mount --pid --fork --mount-proc --cgroup --propagation private "$@"' \
    sh "$group" "$PWD/benches/growth.sh" inside "$work" "$seconds" || { cat "$work/real.log" >&2 2>/dev/null || :; exit 1; }
made=$(cat "$work/made")

root=$work/root
python3 benches/growth/root.py make "$root" $pods $groups $processes $disks $mounts
mkdir -p "$root/run/node-steward"
# The recording moves for as long as it is watched; quiet first, then in trouble, before the same daemon.
config=/config.toml
: >"$root$config"
begin "$work/recorded.log" "$root/run/node-steward/api.sock" --root "$root"
for mood in quiet trouble; do
    python3 benches/growth/root.py tick "$root" $((seconds + warmup + 20)) $mood &
    ticker=$!
    measure $mood "$root/run/node-steward/api.sock" >"$work/$mood.json"
    kill "$ticker" 2>/dev/null || :
    wait "$ticker" 2>/dev/null || :
    ticker=''
done
finish
printf '%s s each after %s s, load %s; %s cgroups of %s pods, %s processes, %s disks, %s mounts; real: %s\n' "$seconds" "$warmup" "$(cut -d' ' -f1 /proc/loadavg)" $groups $pods $processes $disks $mounts "$made"
python3 - "$work/real.json" "$work/quiet.json" "$work/trouble.json" <<'PY'
import json, sys

good = bad = 0
lines = []
print(f"{'':12}{'CPU %':>9}{'CPU ms/turn':>13}{'turn ms':>9}{'longest':>9}{'ever':>9}{'PSS MB':>9}{'wake-ups/s':>12}{'written':>9}  problems")
for path in sys.argv[1:]:
    one = json.load(open(path, encoding="utf-8"))
    cost, turns, name = one["cost"], one["turns"], one["name"]
    lengths = sorted(length / 1000 for length in one["lengths"])
    typical, longest, ever = lengths[len(lengths) // 2], lengths[-1], turns["durationUs"]["max"] / 1000
    print(f"{name:12}{cost['cpu_percent']:9.3f}{cost['cpu_ms'] / max(1, one['turned']):13.2f}{typical:9.2f}{longest:9.2f}{ever:9.2f}{cost['pss'] / 1e6:9.2f}{cost['wakeups_per_s']:12.2f}{cost['written_bytes']:9}  {' '.join(sorted(set(one['problems']))) or '-'}")
    figures = {"cpu_percent": cost["cpu_percent"], "turn_cpu_ms": round(cost["cpu_ms"] / max(1, one["turned"]), 2), "turn_ms": typical, "turn_longest_ms": longest, "turn_first_ms": ever, "pss_mb": round(cost["pss"] / 1e6, 2)}
    lines += [f"growth.{name}.{key} {value}" for key, value in figures.items()]
    checks = [(f"{name}: CPU {cost['cpu_percent']:.3f} %, at most 0.5", cost["cpu_percent"] <= 0.5),
              (f"{name}: longest turn {longest:.2f} ms, under 50 (ever, with the first looks at everything: {ever:.2f})", longest < 50),
              (f"{name}: {turns['count']} turns", turns["count"] >= cost["seconds"] / 10 - 1)]
    checks.append((f"{name}: {one['disks']} disks seen", one["disks"] >= 64))
    if name == "trouble":
        checks.append((f"{name}: {one['contributors']} contributors named", one["contributors"] > 0))
        checks.append((f"{name}: the disk that completes nothing is found", "DiskStalled" in one["problems"]))
    for what, holds in checks:
        good, bad = good + holds, bad + (not holds)
        lines.append(f"{'ok     ' if holds else 'FAILED '} {what}")
print("\n".join(lines))
print(f"{good} passed, {bad} failed")
sys.exit(bad > 0)
PY

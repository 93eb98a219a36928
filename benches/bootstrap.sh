#!/usr/bin/env bash
# What `bootstrap` costs on its default path: CPU, wall time, system calls, processes, sockets, memory, size; beside peers in
# the same run. It refuses to judge: it prints figures and ratios, one table and one JSON line, and asserts nothing.
#
#   bootstrap.sh [RUNS]     default 300 warm runs each
#
# Two paths: "AL2023" is a whole machine beneath --root (facts, unit, nodeadm's file, preflight, stamp, lock), compared and
# found unchanged, which is what every start of kubelet pays; "placing" writes a new fragment each time, with its fsyncs.
# Peers: one `jq` edit of the same file (EKS AL2's bootstrap.sh makes eight of them), and `kubelet --version` where a kubelet is
# cached (what asking for the version would cost; a version file is read instead).
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/lib.sh
runs=${1:-300}
need strace strace || skip "lacks strace"
need python3 python3 || skip "lacks python3"
need jq jq || skip "lacks jq"
[ -x /usr/bin/time ] || install_debian time || skip "lacks /usr/bin/time"
program=${NODE_STEWARD:-}
if [ -z "$program" ]; then
    cargo build --release --locked -q
    program=$PWD/target/release/node-steward
fi
work=$(mktemp -d -p /dev/shm node-steward-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
root=$work/root
cp -r tests/machines/m5.xlarge "$root"
cp -r tests/cases/al2023-first-boot/root/. "$root"
main=$root/etc/kubernetes/kubelet/config.json
"$program" bootstrap --root "$root" >/dev/null

calls=$(strace -f -c -o "$work/calls" "$program" bootstrap --root "$root" >/dev/null && awk '$NF == "total" {print $4}' "$work/calls")
forks=$(awk '$NF ~ /^(clone|clone3|fork|vfork)$/ {n += $4} END {print n + 0}' "$work/calls")
sockets=$(awk '$NF ~ /^(socket|connect)$/ {n += $4} END {print n + 0}' "$work/calls")
# Measured by a small parent: a child's peak begins with that of the process that started it.
rss=$(/usr/bin/time -f %M -o "$work/rss" "$program" bootstrap --root "$root" >/dev/null && cat "$work/rss")
bytes=$(stat -c %s "$program")
kubelet=$(find "$NODE_STEWARD_CACHE/kube" -name kubelet -path '*1.36*' -type f 2>/dev/null | head -n 1 || :)

python3 - "$runs" "$program" "$root" "$main" "$calls" "$forks" "$sockets" "$bytes" "$rss" "$kubelet" <<'PY'
import json, os, sys, time

runs, program, root, main, calls, forks, sockets, size, rss, kubelet = sys.argv[1:]
runs = int(runs)
null = os.open("/dev/null", os.O_RDWR)


def once(command):
    """CPU and wall time of one child, in ms."""
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)])
    _, status, usage = os.wait4(pid, 0)
    wall = (time.perf_counter() - start) * 1e3
    if status != 0:
        sys.exit(f"{' '.join(command)} ended with {status}")
    return (usage.ru_utime + usage.ru_stime) * 1e3, wall


def measure(commands):
    for number in range(10):
        once(commands(number))
    seen = [once(commands(number)) for number in range(runs)]
    column = lambda n: sorted(one[n] for one in seen)
    at = lambda values, share: values[min(len(values) - 1, int(len(values) * share))]
    cpu, wall = column(0), column(1)
    return {"cpu_ms": round(at(cpu, 0.5), 2), "cpu_p99_ms": round(at(cpu, 0.99), 2), "wall_ms": round(at(wall, 0.5), 2),
            "wall_p99_ms": round(at(wall, 0.99), 2)}


steward = [program, "bootstrap", "--root", root]
figures = {
    "bootstrap, AL2023, unchanged": measure(lambda _: steward),
    "bootstrap, AL2023, placing": measure(lambda number: [*steward, "--force", "--max-pods", str(20 + number % 2)]),
    "peer: one jq edit of the file": measure(lambda _: ["/usr/bin/jq", ".maxPods = 58", main]),
}
if kubelet:
    figures["peer: kubelet --version"] = measure(lambda _: [kubelet, "--version"])
base = figures["bootstrap, AL2023, unchanged"]
print(f"{runs} warm runs each; median (p99)")
print(f"{'':32} {'CPU ms':>15} {'wall ms':>15} {'CPU ratio':>9}")
for name, one in figures.items():
    cpu, wall = (f"{one[kind + '_ms']:.1f} ({one[kind + '_p99_ms']:.1f})" for kind in ("cpu", "wall"))
    print(f"{name:32} {cpu:>15} {wall:>15} {one['cpu_ms'] / base['cpu_ms']:9.1f}")
print(f"system calls {calls}, processes started {forks}, sockets {sockets}; peak RSS {int(rss) / 1024:.1f} MiB; program {int(size) / 1e6:.1f} MB")
print(json.dumps({"runs": runs, "figures": figures, "calls": int(calls), "forks": int(forks), "sockets": int(sockets), "rss_kib": int(rss), "bytes": int(size)}))
PY

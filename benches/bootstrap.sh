#!/usr/bin/env bash
# What `bootstrap` costs on its default path: CPU, wall time, system calls, processes, sockets, memory, size; beside peers in
# the same run: one table and one JSON line. It refuses a program that starts another one, opens a socket or is larger than 12 MB;
# times it only prints, since they are the machine's as well.
#
#   bootstrap.sh [RUNS]     default 300 warm runs each
#
# Paths: "AL2023" is a whole machine beneath --root (facts, unit, nodeadm's file, preflight, stamp, lock), compared and
# found unchanged, which is what every start of kubelet pays; "placing" writes a new fragment each time, with its fsyncs.
# "this machine" reads the real /proc, /sys and settings and writes a scratch file (--base, --out), for a kubelet that takes cgroup v1 too.
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

here=("$program" bootstrap --kubelet-version 1.33 --base "$main" --out "$work/out.json")

# counted COMMAND...: system calls, processes started, sockets opened.
counted() {
    strace -f -c -o "$work/calls" "$@" >/dev/null
    awk '$NF == "total" {all = $4} $NF ~ /^(clone|clone3|fork|vfork)$/ {forks += $4} $NF ~ /^(socket|connect)$/ {sockets += $4}
        END {print all + 0, forks + 0, sockets + 0}' "$work/calls"
}
read -r calls forks sockets < <(counted "$program" bootstrap --root "$root")
read -r placing_calls placing_forks placing_sockets < <(counted "$program" bootstrap --root "$root" --force --max-pods 30)
read -r here_calls here_forks here_sockets < <(counted "${here[@]}")
forks=$((forks + placing_forks + here_forks)) sockets=$((sockets + placing_sockets + here_sockets))
# Measured by a small parent: a child's peak begins with that of the process that started it.
rss=$(/usr/bin/time -f %M -o "$work/rss" "$program" bootstrap --root "$root" >/dev/null && cat "$work/rss")
bytes=$(stat -c %s "$program")
kubelet=$(find "$NODE_STEWARD_CACHE/kube" -name kubelet -path '*1.36*' -type f 2>/dev/null | head -n 1 || :)

python3 - "$runs" "$program" "$root" "$main" "$calls" "$forks" "$sockets" "$bytes" "$rss" "$kubelet" "$placing_calls" "$here_calls" "$work/out.json" <<'PY'
import json, os, sys, time

runs, program, root, main, calls, forks, sockets, size, rss, kubelet, placing_calls, here_calls, out = sys.argv[1:]
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
    "bootstrap, this machine": measure(lambda number: [program, "bootstrap", "--kubelet-version", "1.33", "--base", main, "--out", out, "--max-pods", str(20 + number % 2)]),
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
print(f"system calls {calls} (placing {placing_calls}, this machine {here_calls}), processes started {forks}, sockets {sockets}; peak RSS {int(rss) / 1024:.1f} MiB; program {int(size) / 1e6:.1f} MB")
print(json.dumps({"runs": runs, "figures": figures, "load": os.getloadavg()[0], "calls": int(calls), "placing_calls": int(placing_calls), "here_calls": int(here_calls), "forks": int(forks), "sockets": int(sockets), "rss_kib": int(rss), "bytes": int(size)}))
if int(forks) or int(sockets) or int(size) > 12_000_000:
    sys.exit("FAILED: bootstrap starts no program, opens no socket, and is at most 12 MB large")
PY

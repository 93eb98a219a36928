#!/usr/bin/env python3
# What running processes cost: memory, threads, CPU, wake-ups and disk traffic of each named process and all that descend from
# it, over the same seconds. Prints one JSON object. It refuses to start, stop or signal anything, and to report a process
# that ended or was replaced meanwhile.
#
#   measure.py SECONDS NAME=PID...
#
# CPU is the scheduler's own nanoseconds (schedstat), since ticks of 10 ms say nothing about a tenth of a percent; the ticks
# stand beside it. A thread that ended meanwhile is missing from the nanoseconds and counted as such. Wake-ups are context
# switches, voluntary or not. Disk traffic is what the kernel books in /proc/PID/io, with the children that were waited for.
import json, os, sys, time

# Memory is looked at so often; all else is the difference from end to end.
MOMENTS = 11
TICK = os.sysconf("SC_CLK_TCK")


def text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def fields(path):
    """`key: value [kB]` lines as numbers, those that are."""
    found = {}
    for line in text(path).splitlines():
        key, _, rest = line.partition(":")
        word = rest.split()
        if word and word[0].isdigit():
            found[key] = int(word[0])
    return found


def stat(pid):
    """The fields after the command's name; the name may hold anything."""
    return text(f"/proc/{pid}/stat").rpartition(")")[2].split()


def family(pid):
    """The process and all that descend from it."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(int(stat(name)[1]), []).append(int(name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def snapshot(root):
    """What can be compared later; per thread, so that one that comes or goes is not taken for a difference."""
    seen = {"born": stat(root)[19], "time": time.monotonic(), "threads": {}, "io": {}, "ticks": 0, "members": []}
    for pid in family(root):
        try:
            after = stat(pid)
            seen["ticks"] += sum(map(int, after[11:15] if pid == root else after[11:13]))
            seen["io"][pid] = fields(f"/proc/{pid}/io")
            for task in os.listdir(f"/proc/{pid}/task"):
                status = fields(f"/proc/{pid}/task/{task}/status")
                seen["threads"][task] = (
                    int(text(f"/proc/{pid}/task/{task}/schedstat").split()[0]),
                    status["voluntary_ctxt_switches"] + status["nonvoluntary_ctxt_switches"],
                )
            seen["members"].append(pid)
        except (FileNotFoundError, ProcessLookupError):
            if pid == root:
                raise
    return seen


def memory(members, root):
    total = {"pss": 0, "pss_children": 0, "rss": 0, "peak": 0, "locked": 0, "anon": 0}
    for pid in members:
        try:
            rollup, status = fields(f"/proc/{pid}/smaps_rollup"), fields(f"/proc/{pid}/status")
        except (FileNotFoundError, ProcessLookupError):
            if pid == root:
                raise
            continue  # A child of the moment.
        total["pss"] += rollup["Pss"]
        total["anon"] += rollup["Pss_Anon"] if "Pss_Anon" in rollup else rollup["Anonymous"]
        total["rss"] += status["VmRSS"]
        if pid == root:
            total["peak"], total["locked"] = status["VmHWM"], status["VmLck"]
        else:
            total["pss_children"] += rollup["Pss"]
    return {name: kib * 1024 for name, kib in total.items()}


def middle(moments):
    """The median of each figure, and the largest PSS: children of the moment come and go."""
    at = lambda key: sorted(one[key] for one in moments)
    return {**{key: at(key)[len(moments) // 2] for key in moments[0]}, "pss_most": at("pss")[-1]}


def compare(root, old, new, remembered):
    if old["born"] != new["born"]:
        sys.exit(f"process {root} was replaced meanwhile")
    seconds = new["time"] - old["time"]
    zero = (0, 0)
    delta = lambda part: sum(now[part] - old["threads"].get(task, zero)[part] for task, now in new["threads"].items())
    moved = lambda key: sum(now.get(key, 0) - old["io"].get(pid, {}).get(key, 0) for pid, now in new["io"].items())
    cpu = delta(0) / 1e9
    return {
        "seconds": round(seconds, 1),
        "cpu_ms": round(cpu * 1e3, 2),
        "cpu_percent": round(cpu / seconds * 100, 4),
        "cpu_percent_ticks": round((new["ticks"] - old["ticks"]) / TICK / seconds * 100, 4),
        "threads_gone": len(old["threads"].keys() - new["threads"].keys()),
        "wakeups_per_s": round(delta(1) / seconds, 3),
        "written_bytes": moved("write_bytes"),
        "read_bytes": moved("read_bytes"),
        "threads": len(new["threads"]),
        "children": len(new["members"]) - 1,
        **remembered,
    }


def main():
    seconds = float(sys.argv[1])
    named = {name: int(pid) for name, _, pid in (word.partition("=") for word in sys.argv[2:])}
    before = {name: snapshot(pid) for name, pid in named.items()}
    moments = {name: [] for name in named}
    try:
        for _ in range(MOMENTS):
            time.sleep(seconds / MOMENTS)
            for name, pid in named.items():
                moments[name].append(memory(family(pid), pid))
        after = {name: snapshot(pid) for name, pid in named.items()}
        print(json.dumps({name: compare(pid, before[name], after[name], middle(moments[name])) for name, pid in named.items()}))
    except (FileNotFoundError, ProcessLookupError) as error:
        sys.exit(f"a measured process ended meanwhile: {error}")


if __name__ == "__main__":
    main()

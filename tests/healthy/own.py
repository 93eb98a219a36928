#!/usr/bin/env python3
# What a healthy machine tells beside its disks: units, clock, journal, tasks, tracked connections, open files, and the memory of what runs outside of pods.
# It refuses a machine without systemd units and a journal: such a one (Talos) tells of the kernel's counts alone, as it does in the field.
import json

MIB = 1 << 20
STORE = "journal/0123456789abcdef0123456789abcdef/system.journal"


def memory_files(node, engine):
    """What is held outside of pods, 500 MiB of it besides page cache; of the hierarchy that counts memory here."""
    if node["cg"] == "cgroupfs":
        held = {"/podruntime": 210, "/system": 90, "/init": 60}
    else:
        held = {"/system.slice": 420, "/init.scope": 12, "/user.slice": 30} | {f"/system.slice/{unit}": mib for (unit, _), mib in zip(engine, (90, 80))}
    v1, files = node["cg"] == "v1", {}
    for group, mib in held.items():
        base = f"/sys/fs/cgroup{'/memory' if v1 else ''}{group}"
        files[f"{base}/{'memory.usage_in_bytes' if v1 else 'memory.current'}"] = f"{3 * mib * MIB}\n"
        stat = {"inactive_file": mib * MIB, "active_file": mib * MIB}
        stat = {f"total_{name}": size for name, size in stat.items()} if v1 else stat | {"anon": mib * MIB, "slab_reclaimable": 0}
        files[f"{base}/memory.stat"] = "".join(f"{name} {size}\n" for name, size in stat.items())
    return files


def unit_files(node, engine):
    """systemd's words on the units, and the processes of them that daemons are found by."""
    top = "/sys/fs/cgroup/systemd" if node["cg"] == "v1" else "/sys/fs/cgroup"
    block = "Id={}\nActiveState=active\nSubState=running\nResult=success\nNRestarts={}\nExecMainStartTimestampMonotonic=9000000\nExecMainCode=0\nExecMainStatus=0\n"
    units = [*engine, ("systemd-journald.service", "systemd-journal")]
    # kubelet ended and was started again while it waited for its certificate.
    files = {"/.recorded/told/units": "\n".join(block.format(unit, int(name == "kubelet")) for unit, name in units)}
    for pid, (unit, name) in enumerate(units, 701):
        files |= {
            f"{top}/system.slice/{unit}/cgroup.procs": f"{pid}\n",
            f"/proc/{pid}/stat": f"{pid} ({name}) S 1 {pid} {pid} 0 -1 0 1 2 3 4 5 6 7 8 20 0 12 0 {900 + pid} 0\n",
            f"/proc/{pid}/status": f"Name:\t{name}\nFDSize:\t256\n",
            f"/proc/{pid}/limits": "Limit                     Soft Limit           Hard Limit           Units\nMax open files            524288               524288               files\n",
            f"/proc/{pid}/io": "rchar: 1\nwchar: 1\nsyscr: 1\nsyscw: 900\nread_bytes: 0\nwrite_bytes: 40000000\ncancelled_write_bytes: 0\n",
            f"/.recorded/told/proc/{pid}/exe": f"/usr/bin/{name}\n",
        }
    return files


def engine_of(node):
    """The units of kubelet and the runtime here."""
    runtime = ("crio.service", "crio") if node.get("runtime") == "crio-" else ("containerd.service", "containerd")
    return node.get("units", (("kubelet.service", "kubelet"), runtime))


def constant(node):
    files = {
        "/proc/loadavg": "0.61 0.72 0.70 2/812 123456\n", "/proc/sys/kernel/pid_max": "4194304\n", "/proc/sys/kernel/threads-max": "126000\n",
        "/proc/sys/fs/file-nr": "4128\t0\t9223372036854775807\n", "/proc/sys/net/netfilter/nf_conntrack_count": "1840\n", "/proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
        "/proc/meminfo": "MemTotal:       15998000 kB\nMemFree:         2100000 kB\nMemAvailable:   11200000 kB\n",
        "/.recorded/told/clock": '{"synchronized":true,"maxErrorUs":41000,"estimatedErrorUs":350}\n',
    }
    engine = engine_of(node)
    if node["cg"] != "cgroupfs":
        files |= unit_files(node, engine)
    return files | memory_files(node, engine)


def journal(node, minute):
    """Its counts as they are looked at once a minute: five messages a second, a few of them warnings and errors."""
    if node["cg"] == "cgroupfs":
        return {}
    persistent = node.get("journal", "persistent") == "persistent"
    units = {"kubelet.service": 52_000 + 120 * minute, "containerd.service": 31_000 + 90 * minute, "sshd.service": 900 + minute, "kernel": 2_100}
    entries = sum(units.values()) + 60 * minute
    priorities = [0, 0, 1, 40 + minute, 900 + 3 * minute, 4_000, entries - 4_961 - 4 * minute, 20]
    file = {
        "path": f"/var/log/{STORE}" if persistent else f"/run/log/{STORE}", "id": "a1", "entries": entries, "priorities": priorities, "units": units,
        "notices": {"started": 1, "suppressed": 1, "missedKernel": 0, "missedForward": 0, "failed": 1}, "debug": {"of": 20, "units": {"kubelet.service": 20}, "synced": 0},
        "critical": {"of": 1, "units": {"kernel": 1}, "synced": 0}, "dropped": [["kubelet.service", 312]], "failed": [["cloud-final.service", "exit-code"]], "cut": None,
    }
    # One file was set aside when the power went, before this boot.
    note = {"files": [file], "diskBytes": 310 * MIB, "count": 6, "persistent": persistent, "setAsideWallMs": [1_789_000_000_000]}
    return {"/.recorded/told/journal": json.dumps(note) + "\n"}

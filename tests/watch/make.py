#!/usr/bin/env python3
# Makes the recordings of this folder that no test machine could give: what a node's /proc, /sys and cgroups say, turn by turn.
# It refuses to write what is expected of them: expect.json and WHY.md are written by hand, and it leaves them alone.
import json, shutil
from pathlib import Path

HERE = Path(__file__).parent
BOOT = "5b1a7f6e-2c43-4d6e-9a53-0d7e8c1f2a3b"
EBS = "Amazon Elastic Block Store"
UID = "0a1b2c3d-0000-1111-2222-333344445555"
HASH = "0123456789abcdef0123456789abcdef"


class Node:
    """A node with disks; every step is a turn ten seconds later."""

    def __init__(self, case, settings=""):
        self.dir = HERE / case
        for part in ("root", "turns"):
            shutil.rmtree(self.dir / part, ignore_errors=True)
        self.turn, self.ms = 0, 600_000
        self.disks, self.parts, self.mounts, self.places = {}, [], [], {}
        self.groups, self.some, self.full, self.tasks = {}, 0, 0, {}
        self.written = {}
        self.put("root", "/proc/sys/kernel/random/boot_id", BOOT + "\n")
        self.put("root", "/dev/kmsg", "")
        self.put("root", "/proc/stat", "cpu  1000 0 1000 90000 100 0 0 0 0 0\ncpu0 500 0 500 45000 50 0 0 0 0 0\ncpu1 500 0 500 45000 50 0 0 0 0 0\n")
        self.put("root", "/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
        self.mount(0, 25, "/sys/fs/cgroup", "cgroup2", "cgroup2")
        if settings:
            self.put("root", "/etc/node-steward/config.toml", settings)

    def put(self, layer, path, text):
        if path != "now" and self.written.get(path) == text:
            return  # A layer holds what has changed.
        self.written[path] = text
        file = self.dir / layer / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def disk(self, name, minor, gib=100, parts=()):
        self.disks[name] = dict(minor=minor, r=5000, rs=80000, rms=4000, w=9000, ws=160000, wms=9000, fly=0, busy=9000)
        base = f"/sys/block/{name}"
        for path, text in [("dev", f"259:{minor}"), ("size", gib << 21), ("ro", 0), ("device/model", EBS + " " * 14), ("queue/io_timeout", 4294967295), ("queue/rotational", 0)]:
            self.put("root", f"{base}/{path}", f"{text}\n")
        self.parts.append((259, minor, gib << 20, name))
        for part, number in parts:
            self.put("root", f"{base}/{part}/dev", f"259:{number}\n")
            self.put("root", f"{base}/{part}/size", f"{gib << 20}\n")
            self.parts.append((259, number, gib << 19, part))

    def mapped(self, name, minor, slave):
        self.put("root", f"/sys/block/{name}/dev", f"253:{minor}\n")
        self.put("root", f"/sys/block/{name}/size", f"{10 << 21}\n")
        self.put("root", f"/sys/block/{name}/slaves/{slave}/dev", "259:0\n")
        self.parts.append((253, minor, 10 << 20, name))

    def mount(self, major, minor, point, kind="ext4", source=None):
        number = 20 + len(self.mounts)
        self.mounts.append(f"{number} 1 {major}:{minor} / {point} rw,relatime shared:1 - {kind} {source or '/dev/x'} rw\n")

    def place(self, path, major, minor, free=0.6):
        total = 80 << 30
        self.places[path] = {"dev": f"{major}:{minor}", "totalBytes": total, "availableBytes": int(total * free), "inodes": 5_000_000, "inodesFree": 4_000_000, "readOnly": False}

    def missing(self, *paths):
        for path in paths:
            self.places[path] = {"errno": 2}

    def layout(self, own_disk=False):
        """The usual node: / on the first partition; containers there too, or on a disk of their own."""
        self.disk("nvme0n1", 0, parts=[("nvme0n1p1", 10)])
        self.mount(259, 10, "/", "xfs", "/dev/nvme0n1p1")
        theirs = 10
        if own_disk:
            self.disk("nvme1n1", 1)
            self.mount(259, 1, "/mnt/k8s", "xfs", "/dev/nvme1n1")
            theirs = 1
        self.place("/", 259, 10)
        self.place("/var/log", 259, 10)
        for path in ("/var/lib/kubelet", "/var/lib/containerd", "/var/log/pods"):
            self.place(path, 259, theirs)
        if own_disk:
            self.place("/mnt/k8s", 259, 1)
        self.missing("/var/lib/containers", "/var/lib/docker")

    def pod(self, namespace, pod, uid, container):
        self.put("root", f"/var/log/pods/{namespace}_{pod}_{uid}/{container}/0.log", "")

    def load(self, name, reads=0, writes=0, kib=8, ms=0.6, fly=0, busy=None):
        disk = self.disks[name]
        took = round((reads + writes) * ms)
        disk["r"] += reads
        disk["w"] += writes
        disk["rs"] += reads * kib * 2
        disk["ws"] += writes * kib * 2
        disk["rms"] += round(reads * ms)
        disk["wms"] += round(writes * ms)
        disk["busy"] += min(10_000, took) if busy is None else busy
        disk["fly"] = fly

    def did(self, group, name, reads=0, writes=0, kib=8):
        """Charges a cgroup, and all above it."""
        while group:
            line = self.groups.setdefault(group, {}).setdefault(self.disks[name]["minor"], [0, 0, 0, 0])
            for index, more in enumerate((reads * kib << 10, writes * kib << 10, reads, writes)):
                line[index] += more
            group = group.rpartition("/")[0]

    def task(self, pid, comm, switches, state="D", wchan="blk_mq_get_tag", group="/system.slice/postgresql.service"):
        self.tasks[pid] = (comm, state, switches, wchan, group)

    def step(self, some=1, full=0):
        layer = "root" if self.turn == 0 else f"turns/{self.turn:03}/root"
        put = lambda path, text: self.put(layer, path, text)
        lines = [f" 259 {d['minor']} {name} {d['r']} 0 {d['rs']} {d['rms']} {d['w']} 0 {d['ws']} {d['wms']} {d['fly']} {d['busy']} {d['rms'] + d['wms']} 0 0 0 0 0 0\n" for name, d in self.disks.items()]
        put("/proc/diskstats", "".join(lines))
        if self.turn:
            self.some += some * 100_000
            self.full += full * 100_000
        put("/proc/pressure/io", f"some avg10=0.00 avg60=0.00 avg300=0.00 total={self.some}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total={self.full}\n")
        for group, devices in self.groups.items():
            put(f"/sys/fs/cgroup{group}/io.stat", "".join("259:%d rbytes=%d wbytes=%d rios=%d wios=%d dbytes=0 dios=0\n" % (dev, *line) for dev, line in devices.items()))
        for pid, (comm, state, switches, wchan, group) in self.tasks.items():
            base = f"/proc/{pid}/task/{pid}"
            put(f"{base}/stat", f"{pid} ({comm}) {state} 1 {pid} {pid} 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 {1000 + pid} 0\n")
            put(f"{base}/wchan", wchan)
            put(f"{base}/status", f"Name:\t{comm}\nvoluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t0\n")
            put(f"/proc/{pid}/cgroup", f"0::{group}\n")
        if self.turn == 0:
            put("/proc/partitions", "major minor  #blocks  name\n\n" + "".join("%4d %8d %10d %s\n" % part for part in self.parts))
            put("/proc/self/mountinfo", "".join(self.mounts))
            put("/.recorded/statvfs.json", json.dumps(self.places, indent=1) + "\n")
        now = {"monoMs": self.ms, "wallMs": 1_790_000_000_000 + self.ms, "bootId": BOOT}
        self.put(f"turns/{self.turn:03}", "now", json.dumps(now) + "\n")
        self.turn += 1
        self.ms += 10_000


def pod_group(uid, container):
    return f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice/cri-containerd-{container * 32}.scope"


def quiet(node, turns, disk="nvme0n1"):
    for _ in range(turns):
        node.load(disk, reads=40, writes=160)
        node.step()


def disk_saturated_sick():
    node = Node("disk-saturated-sick")
    node.layout()
    node.pod("shop", "cart-0", UID, "cart")
    quiet(node, 32)
    for _ in range(6):
        node.load("nvme0n1", reads=6000, writes=24000, ms=8, fly=40)
        node.did(pod_group(UID, "ab"), "nvme0n1", reads=3000, writes=18000)
        node.did("/system.slice/backup.service", "nvme0n1", reads=3000)
        node.step(some=70, full=40)  # 6000 writes are in no group.
    quiet(node, 14)


def disk_saturated_well():
    node = Node("disk-saturated-well")
    node.layout()
    quiet(node, 31)
    for _ in range(5):  # Bulk writes that nobody waits for: 100 % busy, a long queue, 13 times the latency.
        node.load("nvme0n1", writes=30000, ms=8, fly=60)
        node.step(some=3)
    for _ in range(5):  # One reader after the other: 100 % busy, half of the time somebody waits, at the disk's own speed.
        node.load("nvme0n1", reads=16000, ms=0.62, fly=1)
        node.step(some=48)
    for _ in range(5):  # Large requests take longer by themselves.
        node.load("nvme0n1", reads=400, kib=1024, ms=50, fly=2)
        node.step(some=40)


def disk_stalled_sick():
    node = Node("disk-stalled-sick")
    node.layout(own_disk=True)
    for _ in range(3):
        node.load("nvme0n1", writes=100)
        node.load("nvme1n1", reads=200, writes=400, fly=2)
        node.task(4242, "postgres", 900, state="S", wchan="0")
        node.step()
    node.task(4242, "postgres", 901)
    node.task(77, "kworker/u4:1", 5000, group="/", wchan="0")
    for _ in range(9):
        node.load("nvme0n1", writes=100)
        node.load("nvme1n1", fly=34, busy=10_000)
        node.step(some=50, full=45)
    node.task(4242, "postgres", 1200, state="S", wchan="0")
    node.task(77, "kworker/u4:1", 5100, state="I", wchan="0", group="/")
    for _ in range(3):
        node.load("nvme0n1", writes=100)
        node.load("nvme1n1", reads=200, writes=400, fly=1)
        node.step()


def disk_stalled_well():
    node = Node("disk-stalled-well")
    node.layout(own_disk=True)
    for turn in range(12):
        node.load("nvme0n1", writes=100)
        # Idle; at every second sample a request has just been handed over.
        node.load("nvme1n1", writes=turn % 2, fly=1 - turn % 2, busy=3)
        node.step()


def task_hung_sick():
    node = Node("task-hung-sick", "[detect.disk_saturated]\nbaseline_windows = 3\n")
    node.layout(own_disk=True)
    node.pod("shop", "cart-0", UID, "cart")
    for _ in range(4):
        node.load("nvme0n1", writes=100)
        node.load("nvme1n1", reads=200, writes=400)
        node.step()
    # A server answers no more: the pod's tar has not run since. The database waits at every look too, and runs in between.
    for turn in range(14):
        node.load("nvme0n1", writes=100)
        node.load("nvme1n1", reads=20000, ms=9, fly=32)
        node.task(4242, "postgres", 900 + 400 * turn)
        node.task(5151, "tar", 320 if turn < 12 else 900 + turn, wchan="rpc_wait_bit_killable", group=pod_group(UID, "ab"))
        node.step(some=80, full=60)
    node.task(4242, "postgres", 9000, state="S", wchan="0")
    node.task(5151, "tar", 2000, state="S", wchan="0", group=pod_group(UID, "ab"))
    quiet(node, 14, disk="nvme1n1")


def task_hung_well():
    node = Node("task-hung-well", "[detect.disk_saturated]\nbaseline_windows = 3\n")
    node.layout(own_disk=True)
    for _ in range(4):
        node.load("nvme0n1", writes=100)
        node.load("nvme1n1", reads=200, writes=400)
        node.step()
    for turn in range(12):  # Waits at every look, and has run in between.
        node.load("nvme0n1", writes=100)
        node.load("nvme1n1", reads=20000, ms=9, fly=32)
        node.task(4242, "postgres", 900 + 400 * turn)
        node.step(some=80, full=60)


def root_volume_shared_sick():
    node = Node("root-volume-shared-sick")
    node.disk("nvme0n1", 0, parts=[("nvme0n1p1", 10), ("nvme0n1p2", 11)])
    node.mapped("dm-0", 0, "nvme0n1p2")
    node.mount(259, 10, "/", "ext4", "/dev/nvme0n1p1")
    node.mount(253, 0, "/var/lib/containerd", "xfs", "/dev/mapper/vg-containers")
    node.place("/", 259, 10)
    node.place("/var/log", 259, 10)
    node.place("/var/log/pods", 259, 10)
    node.place("/var/lib/kubelet", 259, 10)
    node.place("/var/lib/containerd", 253, 0)
    node.missing("/var/lib/containers", "/var/lib/docker")
    for _ in range(4):
        node.load("nvme0n1", writes=4000, ms=4, fly=3)
        node.did(f"/kubepods/burstable/pod{HASH}/{'cd' * 32}", "nvme0n1", writes=2000)
        node.did("/system.slice/kubelet.service", "nvme0n1", writes=1000)
        node.did("/system.slice/cron.service", "nvme0n1", writes=1000)
        node.step(some=8)


def root_volume_shared_well():
    node = Node("root-volume-shared-well")
    node.layout(own_disk=True)
    for _ in range(2):
        node.load("nvme0n1", writes=100)
        node.load("nvme1n1", writes=100)
        node.step()


if __name__ == "__main__":
    for make in (disk_saturated_sick, disk_saturated_well, disk_stalled_sick, disk_stalled_well, task_hung_sick, task_hung_well, root_volume_shared_sick, root_volume_shared_well):
        make()

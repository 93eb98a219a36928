#!/usr/bin/env python3
# The shapes that machines are made of: disks, mounts, cgroups, and the numbers that they count up. It refuses randomness: the same
# description gives the same bytes.
import json, os, struct, zlib

BOOT = 1790000000
UID = "5c1f0a6e-8b7d-4e2a-9f3c-1d2e3f4a5b6c"
HOSTS = {}
PSEUDO = [
    ("0:21", "/proc", "proc", "proc", "rw,nosuid,nodev,noexec,relatime"), ("0:22", "/sys", "sysfs", "sysfs", "rw,nosuid,nodev,noexec,relatime"),
    ("0:5", "/dev", "devtmpfs", "devtmpfs", "rw,nosuid", "rw,size=4096k,nr_inodes=1048576,mode=755"), ("0:23", "/dev/shm", "tmpfs", "tmpfs", "rw,nosuid,nodev"),
    ("0:24", "/run", "tmpfs", "tmpfs", "rw,nosuid,nodev", "rw,size=3200000k,mode=755"),
]
CG2 = [("0:25", "/sys/fs/cgroup", "cgroup2", "cgroup2", "rw,nosuid,nodev,noexec,relatime", "rw,nsdelegate,memory_recursiveprot")]


def host(name, **description):
    HOSTS[name] = description


def cg1(unified=True):
    mounts = [("0:25", "/sys/fs/cgroup", "tmpfs", "tmpfs", "ro,nosuid,nodev,noexec", "ro,mode=755")]
    if unified:
        mounts.append(("0:26", "/sys/fs/cgroup/unified", "cgroup2", "cgroup2", "rw,nosuid,nodev,noexec,relatime", "rw,nsdelegate"))
    for number, name in enumerate(("systemd", "blkio", "memory", "cpu,cpuacct", "pids")):
        mounts.append((f"0:{27 + number}", f"/sys/fs/cgroup/{name}", "cgroup", "cgroup", "rw,nosuid,nodev,noexec,relatime", "rw," + ("xattr,name=systemd" if name == "systemd" else name)))
    return mounts


class Disk:
    """A block device: `rate` and `ms` are reads and writes a second and how long each takes, `kb` how large it is."""

    def __init__(self, name, dev, gib=None, sectors=None, parts=(), slaves=(), model=None, rot=0, timeout=30000, ro=0, rate=(3, 12), ms=(0.6, 0.9), kb=(16, 12)):
        self.name, self.dev, self.parts, self.slaves, self.model = name, dev, parts, slaves, model
        self.rot, self.timeout, self.ro, self.rate, self.ms, self.kb = rot, timeout, ro, rate, ms, kb
        self.sectors = sectors if sectors is not None else int(gib * 2097152)


def nvme(number, gib, parts=(), model="Amazon Elastic Block Store", minor=0, timeout=4294967295, **more):
    return Disk(f"nvme{number}n1", f"259:{minor}", gib, parts=parts, model=model, timeout=timeout, **more)


def sd(letter, dev, gib, parts=(), model="PersistentDisk", **more):
    return Disk(f"sd{letter}", dev, gib, parts=parts, model=model, **more)


def virt(name, dev, gib=None, sectors=None, **more):
    return Disk(name, dev, gib, sectors, **more)


def jitter(*key):
    return zlib.crc32(repr(key).encode()) % 1000 / 1000


def block_files(disks):
    """What /sys/block and /proc/partitions say; links are followed here already."""
    files, table = {}, "major minor  #blocks  name\n\n"
    for disk in disks:
        base = f"/sys/block/{disk.name}"
        files |= {f"{base}/dev": disk.dev, f"{base}/size": disk.sectors, f"{base}/ro": disk.ro, f"{base}/queue/rotational": disk.rot}
        if disk.timeout:
            files[f"{base}/queue/io_timeout"] = disk.timeout
        if disk.model:
            files[f"{base}/device/model"] = disk.model
        for slave in disk.slaves:
            files[f"{base}/slaves/{slave}/dev"] = next(dev for name, dev, _ in rows(disks) if name == slave)
        for name, dev, sectors in disk.parts:
            files |= {f"{base}/{name}/dev": dev, f"{base}/{name}/size": sectors, f"{base}/{name}/ro": disk.ro}
    for name, dev, sectors in rows(disks):
        major, minor = dev.split(":")
        table += f"{major:>4} {minor:>8} {sectors // 2:>10} {name}\n"
    return {path: f"{value}\n" for path, value in files.items()} | {"/proc/partitions": table}


def rows(disks):
    return [row for disk in disks for row in ((disk.name, disk.dev, disk.sectors), *disk.parts)]


def diskstats(disks, seconds, fields):
    text = ""
    for disk in disks:
        biggest = max(disk.parts, key=lambda part: part[2])[0] if disk.parts else ""
        for name, dev, _ in rows([disk]):
            share = 1.0 if name == disk.name else 0.97 if name == biggest else 0.01
            before = 1000 + int(jitter(disk.name, "before") * 90000)
            steps = [0.8 + 0.4 * jitter(disk.name, step) for step in range(0, seconds, 10)]
            reads, writes = (share * (before * part + sum(steps) * 10 * rate) for part, rate in zip((1, 3), disk.rate))
            text += line(name, dev, fields, int(reads), int(reads * disk.kb[0] * 2), int(reads * disk.ms[0]), int(writes), int(writes * disk.kb[1] * 2), int(writes * disk.ms[1]), disk.ms[1])
    return text


def line(name, dev, fields, reads, read_sectors, read_ms, writes, write_sectors, write_ms, flush_ms, flight=0, busy=None):
    major, minor = dev.split(":")
    busy = (read_ms + write_ms) * 6 // 10 if busy is None else busy
    text = f"{major:>4} {minor:>7} {name} {reads} {reads // 50} {read_sectors} {read_ms} {writes} {writes // 3} {write_sectors} {write_ms} {flight} {busy} {read_ms + write_ms}"
    return text + (" 0 0 0 0" if fields >= 15 else "") + (f" {writes // 4} {int(writes // 4 * flush_ms)}" if fields >= 17 else "") + "\n"


def backup(seconds, fields):
    """sda: 8 small operations a second; from 340 s on, 130 reads of 1 MiB a second besides, read ahead two at a time, 14 ms each."""
    reading, text = max(0, seconds - 340), ""
    for name, dev, share in (("sda", "8:0", 1), ("sda1", "8:1", 0), ("sda2", "8:2", 1)):
        small = sum(int(jitter("hdd", step) * 20) for step in range(0, seconds, 10))
        reads, writes = share * (20000 + 2 * seconds + 130 * reading), share * (60000 + 6 * seconds + small)
        text += line(name, dev, fields, reads, share * (20000 * 64 + 2 * seconds * 32 + 130 * reading * 2048), share * (140000 + 14 * seconds + 130 * reading * 14),
                     writes, writes * 24, writes * 8, 8, 1 if reading and share else 0, share * (300000 + seconds * 45 + reading * 940))
    return text


def mountinfo(mounts):
    text = ""
    for number, (dev, point, kind, source, *more) in enumerate(mounts):
        options, of_all, root = (*more, *("rw,relatime", "rw", "/")[len(more):])
        text += f"{25 + number} {1 if number == 0 else 25} {dev} {root} {point} {options} shared:{number + 1} - {kind} {source} {of_all}\n"
    return text


def pressure(some, full):
    return "".join(f"{word} avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n" for word, total in (("some", some), ("full", full)))


def group_files(kind, runtime, dev, tells_pressure):
    """kind: systemd, cgroupfs, cgroupfs-no-io, v1."""
    if kind == "v1":
        return {}
    io, top = kind != "cgroupfs-no-io", "/sys/fs/cgroup"
    engine = "crio" if runtime == "crio-" else "containerd"
    pod, container = f"pod{UID}", zlib.crc32(UID.encode()).to_bytes(4, "big").hex() * 8
    if kind == "systemd":
        slice_of = "/kubepods.slice/kubepods-burstable.slice"
        leaves = [slice_of, f"{slice_of}/kubepods-burstable-{pod.replace('-', '_')}.slice"]
        leaves.append(f"{leaves[-1]}/{runtime}{container}.scope")
    else:
        leaves = ["/kubepods/burstable", f"/kubepods/burstable/{pod}", f"/kubepods/burstable/{pod}/{container}"]
    heads = ["/kubepods.slice" if kind == "systemd" else "/kubepods", "/system.slice/kubelet.service", f"/system.slice/{engine}.service"]
    files = {f"{top}/cgroup.controllers": "cpuset cpu io memory pids\n" if io else "cpuset cpu memory pids\n"}
    for number, group in enumerate([*heads, *leaves]):
        if io:
            files[f"{top}{group}/io.stat"] = f"{dev} rbytes={10**8 + number} wbytes={5 * 10**8} rios=6400 wios=64000 dbytes=0 dios=0\n"
        else:
            files[f"{top}{group}/cgroup.procs"] = ""
        if tells_pressure and group in heads:
            files[f"{top}{group}/io.pressure"] = pressure(0, 0)
    return files


def log_page(seconds, magic, exceeded_us):
    """Page 0xD0; its history has seen a limit, and lies behind it."""
    reads, writes = 10**6 + 30 * seconds, 5 * 10**6 + 120 * seconds
    page = bytearray(4096)
    struct.pack_into("<II", page, 0, magic, 0)
    struct.pack_into("<11Q", page, 8, reads, writes, reads * 16384, writes * 12288, reads * 600, writes * 900, exceeded_us, 0, 0, 0, 0)
    edges = [0, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]
    for offset, count in ((512, reads), (2056, writes)):
        struct.pack_into("<Q", page, offset, len(edges) - 1)
        for number, percent in enumerate((0, 0, 1, 20, 60, 15, 3, 1, 0, 0, 0)):
            struct.pack_into("<QQII", page, offset + 8 + number * 24, edges[number], edges[number + 1], count * percent // 100, 0)
    return bytes(page)


def smart_page():
    page = bytearray(512)
    struct.pack_into("<BHBBB", page, 0, 0, 310, 100, 10, 3)
    return bytes(page)

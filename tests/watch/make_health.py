#!/usr/bin/env python3
# Makes the recordings of this folder about volumes' own pages, file systems, probes and the kernel's log, on the nodes that make.py makes.
# It refuses to write what is expected of them: expect.json and WHY.md are written by hand, and it leaves them alone.
#
# Pages of EBS volumes begin as those of tests/data/ebs, which were checked against the written layout; later minutes add to their counters.
import json, struct
from pathlib import Path

from make import Node

HERE = Path(__file__).parent
EBS = HERE.parent / "data/ebs"
GIB = 1 << 30


class Page:
    """Page 0xD0: 11 counters from byte 8, histograms of reads and writes at 512 and 2056."""

    FIELDS = ["reads", "writes", "read_bytes", "write_bytes", "read_us", "write_us", "volume_iops", "volume_throughput", "instance_iops", "instance_throughput", "queue"]

    def __init__(self, file="ebs_stats_t0.bin"):
        self.bytes = bytearray((EBS / file).read_bytes())

    def add(self, **more):
        for name, amount in more.items():
            at = 8 + 8 * self.FIELDS.index(name)
            self.bytes[at : at + 8] = struct.pack("<Q", struct.unpack_from("<Q", self.bytes, at)[0] + amount)

    def bin(self, histogram, index, more):
        at = {"read": 512, "write": 2056}[histogram] + 8 + 24 * index + 16
        self.bytes[at : at + 4] = struct.pack("<I", struct.unpack_from("<I", self.bytes, at)[0] + more)


class Health(Node):
    """A node whose other files change too; `pace` is the time to the next turn in seconds."""

    def __init__(self, case, settings="", kubelet=True):
        super().__init__(case, settings)
        self.records = []
        if kubelet:
            self.put("root", "/etc/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet --config=/etc/kubelet.yaml --config-dir=/etc/kubelet.d\n")
            self.put("root", "/etc/kubelet.yaml", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nevictionHard:\n  nodefs.available: 10%\n  nodefs.inodesFree: 5%\n  imagefs.available: 15%\n")

    def layer(self):
        return "root" if self.turn == 0 else f"turns/{self.turn:03}/root"

    def put_bytes(self, path, data):
        if self.written.get(path) == bytes(data):
            return
        self.written[path] = bytes(data)
        file = self.dir / self.layer() / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def controller(self, number, model, serial, state="live"):
        base = f"/sys/class/nvme/nvme{number}"
        for file, text in [("model", model.ljust(40)), ("serial", serial.ljust(20)), ("state", state), (f"nvme{number}n1/size", "0")]:
            self.put(self.layer(), f"{base}/{file}", text + "\n")

    def page(self, number, page):
        self.put_bytes(f"/.recorded/nvme/nvme{number}/d0.bin", page.bytes)

    def smart(self, number, warning=0, spare=100, threshold=10, used=3, errors=0):
        page = bytearray(512)
        page[0], page[3], page[4], page[5] = warning, spare, threshold, used
        page[1:3] = struct.pack("<H", 310)
        page[160:168] = struct.pack("<Q", errors)
        self.put_bytes(f"/.recorded/nvme/nvme{number}/smart.bin", page)

    def remount(self, point, options=None, super_options=None):
        for index, line in enumerate(self.mounts):
            fields = line.split(" ")
            if fields[4] == point:
                fields[5] = options or fields[5]
                fields[-1] = (super_options + "\n") if super_options else fields[-1]
                self.mounts[index] = " ".join(fields)
        self.put(self.layer(), "/proc/self/mountinfo", "".join(self.mounts))

    def answer(self, path, **answer):
        """What a look at a directory gives from now on: errno, stuckMs, or other numbers than before."""
        self.places[path] = answer if {"errno", "stuckMs"} & set(answer) else {**self.places[path], **answer}
        if self.turn:
            self.put(self.layer(), "/.recorded/statvfs.json", json.dumps(self.places, indent=1) + "\n")

    def log(self, text, priority=3, tail="", before_ms=0):
        """A record, now or a little before."""
        seq, us = len(self.records) + 100, (self.ms - before_ms) * 1000
        self.records.append(f"{priority},{seq},{us},-;{text}\n{tail}")
        self.put(self.layer(), "/dev/kmsg", "".join(self.records))

    def ext4(self, device, errors, when=0, where="", code=0):
        for file, text in [("errors_count", errors), ("warning_count", 0), ("last_error_time", when), ("last_error_func", where), ("last_error_errcode", code)]:
            self.put(self.layer(), f"/sys/fs/ext4/{device}/{file}", f"{text}\n")

    def steps(self, count, pace=10, **pressure):
        for _ in range(count):
            self.load("nvme0n1", reads=40, writes=160)
            self.step(**pressure)
            self.ms += pace * 1000 - 10_000


def ebs_node(case):
    node = Health(case)
    node.layout(own_disk=True)
    node.controller(0, "Amazon Elastic Block Store", "vol00000000000000001")
    node.controller(1, "Amazon Elastic Block Store", "vol0123456789abcdef0")
    node.page(0, Page())
    return node


def ebs_sick():
    node = ebs_node("ebs-sick")
    page = Page()
    node.page(1, page)
    node.steps(1, pace=60)
    page = Page("ebs_stats_t1.bin")  # The minute that the fixture's t0 and t1 lie apart: 45 s over the volume's IOPS.
    node.page(1, page)
    node.steps(1, pace=60)
    for _ in range(3):
        page.add(reads=30_000, writes=150_000, read_bytes=30_000 << 14, write_bytes=150_000 << 14, volume_iops=45_000_000)
        node.page(1, page)
        node.steps(1, pace=60)
    for _ in range(8):  # The load ends.
        page.add(reads=600, writes=600, read_bytes=600 << 14, write_bytes=600 << 14)
        node.page(1, page)
        node.steps(1, pace=60)


def ebs_limits_sick():
    """Minute for minute another limit: the volume's throughput, then both of the instance, and those of an instance store."""
    node = ebs_node("ebs-limits-sick")
    node.controller(2, "Amazon EC2 NVMe Instance Storage", "AWS1234567890ABCDEF0")
    volume, store = Page(), Page("local_stats_v0.bin")
    for minute in range(18):
        node.page(1, volume)
        node.page(2, store)
        node.steps(1, pace=60)
        over = 40_000_000
        names = ["volume_throughput"] if minute < 5 else ["instance_iops", "instance_throughput"] if minute < 10 else []
        volume.add(reads=30_000, read_bytes=30_000 << 14, **{name: over for name in names})
        store.add(reads=30_000, read_bytes=30_000 << 14, **{name: over if minute < 5 else 0 for name in ("instance_iops", "instance_throughput")})


def ebs_well():
    node = ebs_node("ebs-well")
    page = Page("ebs_stats_t1.bin")
    for minute in range(12):  # A burst in every third minute: 20 s over the limit, which is neither long nor often.
        over = 20_000_000 if minute % 3 == 2 else 0
        page.add(reads=30_000, writes=30_000, read_bytes=30_000 << 14, write_bytes=30_000 << 14, volume_iops=over)
        node.page(1, page)
        node.steps(1, pace=60)
    page = Page("ebs_stats_reset.bin")  # Detached and attached again: everything counts from 0.
    node.page(1, page)
    node.steps(2, pace=60)


def disk_latency_high_sick():
    node = ebs_node("disk-latency-high-sick")
    page = Page()
    for minute in range(12):
        node.page(1, page)
        node.steps(1, pace=60)
        slow = 14 if minute < 6 else 8  # 65 to 131 ms, or 1 to 2 ms.
        page.add(writes=3000, write_bytes=3000 << 14)
        page.bin("write", 7, 2940)
        page.bin("write", slow, 60)


def disk_latency_high_well():
    node = ebs_node("disk-latency-high-well")
    page = Page()
    for minute in range(8):
        node.page(1, page)
        node.steps(1, pace=60)
        # Half of a hundredth is slow; and in one minute there are few requests at all, slow ones.
        page.bin("write", 7, 20 if minute == 4 else 5970)
        page.bin("write", 15, 30)
        page.bin("read", 5, 500)


def nvme_health_node(case):
    node = Health(case)
    node.layout(own_disk=True)
    node.controller(0, "Amazon Elastic Block Store", "vol00000000000000001")
    node.page(0, Page())
    node.controller(1, "Amazon EC2 NVMe Instance Storage", "AWS1234567890ABCDEF0")
    node.page(1, Page("local_stats_v0.bin"))
    return node


def nvme_health_sick():
    node = nvme_health_node("nvme-health-sick")
    node.smart(1, errors=2)
    node.steps(2, pace=60)
    node.smart(1, errors=5)  # Three more errors,
    node.steps(2, pace=60)
    node.smart(1, errors=5, spare=4, warning=0b101)  # spare used up and no longer reliable,
    node.steps(2, pace=60)
    node.controller(1, "Amazon EC2 NVMe Instance Storage", "AWS1234567890ABCDEF0", state="resetting")
    node.steps(2, pace=60)
    node.controller(1, "Amazon EC2 NVMe Instance Storage", "AWS1234567890ABCDEF0", state="dead")  # and gone.
    node.steps(1, pace=60)


def nvme_health_well():
    node = nvme_health_node("nvme-health-well")
    node.smart(1, errors=7, used=55)  # Errors from before the first look.
    node.steps(2)
    node.controller(1, "Amazon EC2 NVMe Instance Storage", "AWS1234567890ABCDEF0", state="resetting")
    node.steps(1)  # A reset that is soon over.
    node.controller(1, "Amazon EC2 NVMe Instance Storage", "AWS1234567890ABCDEF0", state="live")
    node.steps(3)


def filesystem_errors_sick():
    node = Health("filesystem-errors-sick")
    node.disk("nvme2n1", 2)
    node.disk("nvme3n1", 3)
    node.layout()
    node.mount(259, 2, "/data", "ext4", "/dev/nvme2n1")
    node.mount(259, 3, "/xfs", "xfs", "/dev/nvme3n1")
    node.place("/data", 259, 2)
    node.place("/xfs", 259, 3)
    node.ext4("nvme2n1", 4, 1_780_000_000, "ext4_find_entry", 2)  # Of an earlier boot.
    node.steps(2)
    node.ext4("nvme2n1", 5, 1_790_000_625, "ext4_wait_block_bitmap", 2)
    node.steps(2)
    node.remount("/data", super_options="rw,emergency_ro")
    node.steps(1)
    node.answer("/xfs", errno=5)  # Shut down: the mount still says rw.
    node.steps(7)


def filesystem_errors_well():
    node = Health("filesystem-errors-well")
    node.disk("nvme2n1", 2)
    node.layout()
    node.mount(259, 2, "/data", "ext4", "/dev/nvme2n1")
    node.place("/data", 259, 2)
    node.ext4("nvme2n1", 4, 1_780_000_000, "ext4_find_entry", 2)
    node.steps(2)
    node.answer("/data", errno=13)  # No right to look is no error.
    node.steps(2)
    node.ext4("nvme2n1", 0)  # Repaired.
    node.steps(2)


def filesystem_read_only_sick():
    node = Health("filesystem-read-only-sick")
    node.layout(own_disk=True)
    node.steps(3)
    node.remount("/mnt/k8s", super_options="ro,errors=remount-ro")  # As kernels before 6.12 show it.
    node.steps(3)
    node.remount("/mnt/k8s", super_options="rw,errors=remount-ro")
    node.steps(2)


def filesystem_read_only_well():
    node = Health("filesystem-read-only-well")
    node.disk("nvme2n1", 2)
    node.layout(own_disk=True)
    node.mount(259, 2, "/seed", "ext4", "/dev/nvme2n1")
    node.place("/seed", 259, 2)
    node.remount("/seed", "ro,relatime", "ro")  # Read-only from the beginning,
    node.steps(2)
    node.remount("/mnt/k8s", super_options="rw,emergency_ro")  # and an error is not this.
    node.remount("/mnt/k8s", super_options="rw")
    node.steps(2)


def filesystem_full_sick():
    node = Health("filesystem-full-sick")
    node.layout(own_disk=True)
    for minute in range(30):  # 32 GiB are free of 80; kubelet wants 12 of them for images. 20 MiB/s go away.
        left = 32 * GIB - minute * 60 * 20 * (1 << 20)
        for path in ("/var/lib/kubelet", "/var/lib/containerd", "/var/log/pods", "/mnt/k8s"):
            node.answer(path, availableBytes=max(left, GIB))
        node.steps(1, pace=60)
    for path in ("/var/lib/kubelet", "/var/lib/containerd", "/var/log/pods", "/mnt/k8s"):
        node.answer(path, availableBytes=40 * GIB, inodesFree=100_000)  # Room again, but 2 % of the inodes.
    node.steps(6, pace=60)


def filesystem_full_well():
    node = Health("filesystem-full-well")
    node.disk("nvme2n1", 2)
    node.layout(own_disk=True)
    node.mount(259, 2, "/snap/core", "squashfs", "/dev/nvme2n1")
    node.place("/snap/core", 259, 2, free=0)
    for minute in range(30):  # An image of 10 GiB is unpacked in three minutes; logs grow and are rotated.
        left = 32 * GIB - min(max(minute - 12, 0), 3) * 10 * GIB // 3 - (minute % 6) * (200 << 20)
        for path in ("/var/lib/kubelet", "/var/lib/containerd", "/var/log/pods", "/mnt/k8s"):
            node.answer(path, availableBytes=left)
        node.steps(1, pace=60)


def probe_stuck_sick():
    node = Health("probe-stuck-sick")
    node.layout(own_disk=True)
    node.mounts.append("60 1 259:1 /kubelet /var/lib/kubelet rw,relatime shared:1 - xfs /dev/nvme1n1 rw\n")
    node.steps(2)
    for seconds in (6, 16, 26, 36):
        node.answer("/var/lib/kubelet", stuckMs=seconds * 1000)
        node.steps(1)
    node.places["/var/lib/kubelet"] = dict(node.places["/var/lib/containerd"])
    node.answer("/var/lib/kubelet")
    node.steps(4)


def probe_stuck_well():
    node = Health("probe-stuck-well")
    node.layout(own_disk=True)
    good = dict(node.places["/mnt/k8s"])
    for _ in range(3):  # Slow, but it answers in the end.
        node.answer("/mnt/k8s", stuckMs=7000)
        node.steps(1, pace=60)
        node.places["/mnt/k8s"] = dict(good)
        node.answer("/mnt/k8s")
        node.steps(1, pace=60)


def io_timeout_sick():
    node = Health("io-timeout-sick")
    node.layout()
    node.put("root", "/sys/block/nvme0n1/queue/io_timeout", "30000\n")
    node.steps(2)


def io_timeout_well():
    node = Health("io-timeout-well")
    node.disk("nvme2n1", 2)
    node.layout()
    node.put("root", "/sys/block/nvme2n1/device/model", "Amazon EC2 NVMe Instance Storage\n")
    node.put("root", "/sys/block/nvme2n1/queue/io_timeout", "90000\n")
    node.steps(2)


def kernel_log_sick():
    node = Health("kernel-log-sick")
    node.layout()
    scsi = " SUBSYSTEM=block\n DEVICE=b259:0\n"
    node.log("EXT4-fs (nvme0n1p1): mounted filesystem with ordered data mode", 6)
    node.steps(1)
    node.log("critical medium error, dev nvme0n1, sector 4648 op 0x0:(READ) flags 0x80700 phys_seg 4 prio class 2", tail=scsi)
    node.log("Buffer I/O error on dev nvme0n1p1, logical block 581, async page read", tail=scsi)
    node.steps(1)
    node.log("EXT4-fs error (device nvme0n1p1): ext4_find_entry:1455: inode #2: comm kubelet: reading directory lblock 0", 2)
    node.log("Aborting journal on device nvme0n1p1-8.")
    node.log("XFS (nvme9n1): Filesystem has been shut down due to log error (0x2).", 1)
    node.log("INFO: task containerd:5521 blocked for more than 120 seconds.")
    node.steps(1)
    uid, container = "0a1b2c3d-0000-1111-2222-333344445555", "ab" * 32
    group = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice"
    node.log(f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-{container}.scope,mems_allowed=0,oom_memcg={group},task_memcg={group}/cri-containerd-{container}.scope,task=java,pid=812,uid=0", 6)
    node.steps(1)
    node.log("Memory cgroup out of memory: Killed process 812 (java) total-vm:8347760kB, anon-rss:1001000kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4000kB oom_score_adj:985", before_ms=9_999)
    node.steps(1, pace=500)
    node.steps(1, pace=60)
    node.steps(3, pace=60)


def kernel_log_well():
    node = Health("kernel-log-well")
    node.layout()
    node.log("critical medium error, dev nvme0n1, sector 4648 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2", 11)  # By a program.
    node.steps(1)
    node.log("operation not supported error, dev loop0, sector 0 op 0x3:(DISCARD) flags 0x0 phys_seg 1 prio class 2")
    node.log("blk_print_req_error: 7 callbacks suppressed", 4)
    node.log("I/O error, dev fd0, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2")
    node.log("EXT4-fs (nvme0n1p1): error count since last fsck: 4", 5)
    node.log("XFS (nvme0n1p1): metadata I/O error in \"xfs_buf_ioend+0x1\" at daddr 0x2 len 1 error 5", 1)
    node.steps(2)


if __name__ == "__main__":
    for make in [value for name, value in list(globals().items()) if name.endswith(("_sick", "_well"))]:
        make()

#!/usr/bin/env python3
# Makes the recordings of this folder about what a node has only so much of: memory, task ids, tracked connections, open files, CPU credits; its clock,
# its patches, its image. It refuses to write what is expected of them: expect.json and WHY.md are written by hand, and it leaves them alone.
from make_health import Health

KIB = 1024


class Room(Health):
    """A small node: one disk, nothing of Kubernetes' on it, so that what is found is what the case is about."""

    def __init__(self, case, settings=""):
        super().__init__(case, settings, kubelet=False)
        self.disk("nvme0n1", 0, parts=[("nvme0n1p1", 10)])
        self.mount(259, 10, "/", "xfs", "/dev/nvme0n1p1")
        self.place("/", 259, 10)
        self.place("/var/log", 259, 10)
        self.missing("/var/lib/kubelet", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/log/pods")
        self.waited = self.ticks = self.stolen = 0

    def file(self, path, text):
        self.put(self.layer(), path, f"{text}\n")

    def memory(self, full_percent, available_mib=300, total_mib=8192):
        """How everything waited for memory in the 10 s before this turn."""
        self.waited += full_percent * 100_000
        line = lambda name, total: f"{name} avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n"
        self.put(self.layer(), "/proc/pressure/memory", line("some", self.waited * 3 // 2) + line("full", self.waited))
        self.file("/proc/meminfo", f"MemTotal:       {total_mib * KIB} kB\nMemFree:        102400 kB\nMemAvailable:   {available_mib * KIB} kB")

    def task_ids(self, tasks, pid_max=32768):
        self.file("/proc/loadavg", f"3.10 2.20 1.30 4/{tasks} 123456")
        self.file("/proc/sys/kernel/pid_max", pid_max)
        self.file("/proc/sys/kernel/threads-max", 190000)

    def conntrack(self, count, most=262144, dropped=0):
        self.file("/proc/sys/net/netfilter/nf_conntrack_count", count)
        self.file("/proc/sys/net/netfilter/nf_conntrack_max", most)
        row = lambda drop: " ".join(f"{number:08x}" for number in (count, 0, 0, 0, 0, 0, 0, 0, 0, 0, drop, 0)) + "\n"
        head = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop\n"
        self.put(self.layer(), "/proc/net/stat/nf_conntrack", head + row(dropped) + row(0))

    def daemon(self, unit, pid, comm, table=64, soft=1024, count=None, exe=None):
        self.file(f"/sys/fs/cgroup/system.slice/{unit}/cgroup.procs", pid)
        self.file(f"/proc/{pid}/stat", f"{pid} ({comm}) S 1 {pid} {pid} 0 -1 0 1 2 3 4 5 6 7 8 20 0 12 0 {1000 + pid} 0")
        self.file(f"/proc/{pid}/limits", f"Limit                     Soft Limit           Hard Limit           Units\nMax open files            {soft:<20} 524288               files")
        self.file(f"/proc/{pid}/status", f"Name:\t{comm}\nFDSize:\t{table}")
        self.file(f"/.recorded/told/proc/{pid}/exe", exe or f"/usr/bin/{comm}")
        if count is not None:
            self.file(f"/.recorded/told/proc/{pid}/fd", count)

    def clock(self, synchronized, error_us):
        flag = "true" if synchronized else "false"
        self.file("/.recorded/told/clock", f'{{"synchronized":{flag},"maxErrorUs":{error_us},"estimatedErrorUs":{error_us // 10}}}')

    def cpu(self, steal_percent):
        """2 CPUs, a minute since the turn before."""
        self.ticks += 12000
        self.stolen += steal_percent * 120
        busy = self.ticks * 6 // 10 - self.stolen
        line = f"{busy} 0 0 {self.ticks * 4 // 10} 0 0 0 {self.stolen} 0 0\n"
        self.put(self.layer(), "/proc/stat", "cpu  " + line + "cpu0 " + line + "cpu1 " + line)

    def product(self, name):
        self.file("/sys/class/dmi/id/sys_vendor", "Amazon EC2")
        self.file("/sys/class/dmi/id/product_name", name)


def memory_pressure_stall_sick():
    node = Room("memory-pressure-stall-sick")
    for percent in [0] * 3 + [30] * 9 + [70] * 9 + [0] * 18:
        node.memory(percent, available_mib=210 if percent else 2500)
        node.steps(1)


def memory_pressure_stall_well():
    node = Room("memory-pressure-stall-well")
    for turn in range(30):  # Little is free all the time, and every tenth look something large is loaded.
        node.memory(60 if turn % 10 == 5 else 1, available_mib=150)
        node.steps(1)


def pids_nearly_full_sick():
    node = Room("pids-nearly-full-sick")
    for tasks in (900, 20000, 26300, 31500, 32700, 24000, 20000, 900, 900, 900, 900, 900, 900, 900):
        node.task_ids(tasks)
        node.file("/sys/fs/cgroup/kubepods.slice/pids.max", 28000)
        node.file("/sys/fs/cgroup/kubepods.slice/pids.current", max(tasks - 700, 0))
        node.steps(1, pace=20)


def pids_nearly_full_well():
    node = Room("pids-nearly-full-well")
    pod = "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a.slice"
    for tasks in (25000, 26000, 26200, 26214):
        node.task_ids(tasks)
        node.file("/sys/fs/cgroup/kubepods.slice/pids.max", "max")
        node.file("/sys/fs/cgroup/kubepods.slice/pids.current", tasks - 700)
        node.file(f"{pod}/pids.max", 4096)
        node.file(f"{pod}/pids.current", 4096)
        node.steps(1, pace=20)


def conntrack_nearly_full_sick():
    node = Room("conntrack-nearly-full-sick")
    for count, dropped in ((9000, 0), (150000, 0), (215000, 0), (262144, 0), (262144, 4321), (120000, 4321), (9000, 4321), (9000, 4321), (9000, 4321), (9000, 4321), (9000, 4321)):
        node.conntrack(count, dropped=dropped)
        node.steps(1, pace=20)


def conntrack_nearly_full_well():
    node = Room("conntrack-nearly-full-well")
    node.steps(3, pace=20)
    for count in (200000, 209715, 100):  # Just beneath four fifths, then idle.
        node.conntrack(count)
        node.steps(1, pace=20)


def open_files_nearly_full_sick():
    node = Room("open-files-nearly-full-sick")
    for count, table in ((None, 256), (800, 1024), (900, 1024), (1010, 1024), (1010, 1024), (90, 1024), (90, 1024), (90, 1024), (90, 1024), (90, 1024)):
        node.file("/proc/sys/fs/file-nr", f"{9000 + (count or 0)}\t0\t2466170")
        node.daemon("containerd.service", 71, "containerd", table=table, count=count)
        node.daemon("kubelet.service", 80, "kubelet", table=128, soft=1000000)
        node.steps(1, pace=60)


def open_files_nearly_full_well():
    node = Room("open-files-nearly-full-well")
    for _ in range(4):  # The table of containerd was large once and is not made smaller; kubelet has many, and may.
        node.file("/proc/sys/fs/file-nr", "120000\t0\t9223372036854775807")
        node.daemon("containerd.service", 71, "containerd", table=1024, count=300)
        node.daemon("kubelet.service", 80, "kubelet", table=65536, soft=1000000)
        node.steps(1, pace=60)


def clock_unsynchronized_sick():
    node = Room("clock-unsynchronized-sick")
    for minute in range(24):  # Kept right for two minutes, then lost; found again at the end.
        right = minute < 2 or minute > 20
        node.clock(right, 2000 if right else 2000 + 30_000 * minute)
        node.steps(1, pace=60)


def clock_unsynchronized_well():
    node = Room("clock-unsynchronized-well")
    for minute in range(30):  # As after boot: 12 minutes until the first servers agree; later it is lost for a moment.
        right = minute >= 12 and minute != 20
        node.clock(right, 1500 if right else 16_000_000)
        node.steps(1, pace=60)


def cpu_steal_sick():
    node = Room("cpu-steal-sick")
    node.product("t3.large")
    for percent in [1] * 2 + [38] * 8 + [2] * 7:
        node.cpu(percent)
        node.steps(1, pace=60)


def cpu_steal_well():
    node = Room("cpu-steal-well")
    node.product("t3.large")
    for minute in range(20):  # Four minutes of it, then five quiet ones.
        node.cpu(30 if minute % 9 in (3, 4, 5, 6) else 4)
        node.steps(1, pace=60)


def installed(node, running, kernels, release="", packages=None):
    node.file("/proc/sys/kernel/osrelease", running)
    for kernel in kernels:
        node.file(f"/usr/lib/modules/{kernel}/vmlinuz", "")
    node.file("/etc/os-release", "NAME=\"Amazon Linux\"\nPRETTY_NAME=\"Amazon Linux 2023.9.20260914\"" + release)
    if packages:
        node.file("/run/reboot-required", "*** System restart required ***")
        node.file("/run/reboot-required.pkgs", "\n".join(packages))


def reboot_pending_sick():
    node = Room("reboot-pending-sick")
    installed(node, "6.1.112-122.189.amzn2023.x86_64", ["6.1.112-122.189.amzn2023.x86_64"])
    node.daemon("containerd.service", 71, "containerd")
    node.steps(3)
    node.file("/usr/lib/modules/6.1.115-126.197.amzn2023.x86_64/vmlinuz", "")
    node.steps(3)
    node.daemon("containerd.service", 71, "containerd", exe="/usr/bin/containerd (deleted)")
    node.steps(2, pace=60)


def reboot_pending_well():
    node = Room("reboot-pending-well")
    # An older one to fall back to, another line, another flavour, and modules whose kernel was removed.
    installed(node, "6.1.112-122.189.amzn2023.x86_64", ["6.1.112-122.189.amzn2023.x86_64", "6.1.109-118.189.amzn2023.x86_64", "6.12.20-1.amzn2023.x86_64", "6.1.130-1.realtime.x86_64"])
    node.file("/usr/lib/modules/6.1.200-1.1.amzn2023.x86_64/modules.dep", "")
    node.daemon("containerd.service", 71, "containerd")
    node.steps(3)


def image_outdated_sick():
    node = Room("image-outdated-sick")
    installed(node, "5.10.0", [], release="\nSUPPORT_END=\"2026-06-30\"")
    node.file("/etc/node-steward/image-built", "2026-01-15T09:30:00Z")
    node.steps(2)


def image_outdated_well():
    node = Room("image-outdated-well")
    installed(node, "6.1.112", [], release="\nSUPPORT_END=\"2029-06-30\"")
    node.file("/usr/lib/node-steward/image-built", "2026-08-30")
    node.steps(2)


if __name__ == "__main__":
    for name, make in list(globals().items()):
        if name.endswith(("_sick", "_well")) and make.__module__ == "__main__":
            make()

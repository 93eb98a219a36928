#!/usr/bin/env python3
# Makes the files of a large node beneath a directory (/proc, /sys, /etc, /var/log/pods as the kernel and kubelet lay them
# out), and moves its counters while a daemon watches it. It refuses to be a recording: every number is made up, only the
# shapes and the amounts are those of a node with 300 pods.
#
#   root.py make DIR PODS CGROUPS PROCESSES DISKS MOUNTS
#   root.py tick DIR SECONDS quiet|trouble      every 2 s until SECONDS are over: light I/O on every disk; with `trouble`, the
#                                               second disk has requests in flight and completes none, and everybody writes
import json, os, sys, time, uuid

PARENT = "cpuset cpu io memory hugetlb pids rdma misc"
KUBEPODS = "/sys/fs/cgroup/kubepods.slice"


def put(root, path, text):
    path = root + path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def link(root, path, target):
    path = root + path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(target, path)


def pod_uid(number):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"pod {number}"))


def container_id(pod, number):
    return uuid.uuid5(uuid.NAMESPACE_OID, f"container {pod} {number}").hex * 2


def pod_group(number):
    """systemd driver: half of the pods burstable, a sixth best effort, the rest guaranteed."""
    qos = ("burstable", "burstable", "burstable", "besteffort", "", "")[number % 6]
    inner = f"/kubepods-{qos}.slice" if qos else ""
    prefix = f"kubepods-{qos}" if qos else "kubepods"
    return f"{KUBEPODS}{inner}/{prefix}-pod{pod_uid(number).replace('-', '_')}.slice"


def pod_groups(pods, groups):
    """Paths of exactly `groups` cgroups from kubepods down; the leaves apart, as (pod, path)."""
    inner = [KUBEPODS, *(f"{KUBEPODS}/kubepods-{qos}.slice" for qos in ("burstable", "besteffort"))]
    inner += [pod_group(pod) for pod in range(pods)]
    leaves = []
    for number in range(groups - len(inner)):
        pod = number % pods
        leaves.append((pod, f"{pod_group(pod)}/cri-containerd-{container_id(pod, number // pods)}.scope"))
    return inner, leaves


def disk_name(number):
    return f"nvme{number}n1"


def make_group(root, path, leaf, devices):
    put(root, path + "/cgroup.controllers", PARENT + "\n")
    put(root, path + "/cgroup.subtree_control", "\n" if leaf else PARENT + "\n")
    put(root, path + "/cgroup.procs", "")
    put(root, path + "/io.pressure", pressure(10**6, 9 * 10**5))
    put(root, path + "/io.stat", io_stat(devices, 10**9))


def io_stat(devices, amount):
    return "".join(
        f"259:{minor} rbytes={amount + 4096 * minor} wbytes={amount * 3} rios={10**8 + minor} wios={10**8 + amount // 4096} dbytes=0 dios=0\n"
        for minor in devices
    )


def pressure(some, full):
    line = "{} avg10=0.00 avg60=0.00 avg300=0.00 total={}\n"
    return line.format("some", some) + line.format("full", full)


def make_disk(root, number, minor):
    name, controller = disk_name(number), f"nvme{number}"
    device = f"/sys/devices/pci0000:00/0000:00:{number + 4:02x}.0/nvme/{controller}"
    local = number % 32 == 31
    put(root, device + "/state", "live\n")
    put(root, device + "/model", ("Amazon EC2 NVMe Instance Storage" if local else "Amazon Elastic Block Store").ljust(40) + "\n")
    put(root, device + "/serial", f"vol{number:017x}\n")
    put(root, device + "/firmware_rev", "1.0     \n")
    link(root, f"/sys/class/nvme/{controller}", ".." + "/.." + device[4:])
    magic = 0xEC2C0D7E if local else 0x3C23B510
    for page, size in (("d0", 4096), ("smart", 512)):
        os.makedirs(f"{root}/.recorded/nvme/{controller}", exist_ok=True)
        with open(f"{root}/.recorded/nvme/{controller}/{page}.bin", "wb") as file:
            file.write(((magic.to_bytes(4, "little") if page == "d0" else b"") + bytes(size))[:size])
    block = f"{device}/{name}"
    for key, value in {
        "dev": f"259:{minor}", "size": 209715200, "ro": 0, "removable": 0, "range": 0, "ext_range": 256, "inflight": "       0        0",
        "queue/rotational": 0, "queue/io_timeout": 90000 if local else 4294967295, "queue/nr_requests": 63, "queue/scheduler": "[none] mq-deadline",
        "queue/max_sectors_kb": 256, "queue/read_ahead_kb": 128, "queue/write_cache": "write through", "queue/logical_block_size": 512,
    }.items():
        put(root, f"{block}/{key}", f"{value}\n")
    link(root, f"{block}/device", f"../../{controller}")
    for empty in ("slaves", "holders"):
        os.makedirs(f"{root}{block}/{empty}", exist_ok=True)
    link(root, f"/sys/block/{name}", ".." + block[4:])
    link(root, f"/sys/class/block/{name}", "../.." + block[4:])
    link(root, f"/sys/dev/block/259:{minor}", "../.." + block[4:])


def diskstats(disks, quiet, trouble):
    """After so many quiet and troubled ticks of 2 s."""
    lines = []
    for number in range(disks):
        # Counters begin with ten digits, so that a line keeps its length while it is rewritten in place.
        stuck = number == 1
        moved = quiet if stuck else quiet + trouble
        flight, busy = (8, 8 * quiet + 2000 * trouble) if stuck and trouble else (0, 8 * moved)
        lines.append(
            f" 259 {number * 4:7d} {disk_name(number)} {10**9 + 20 * moved} 0 {10**9 + 640 * moved} {10**9 + 12 * moved} "
            f"{10**9 + 20 * moved} 0 {10**9 + 640 * moved} {10**9 + 14 * moved} {flight} {10**9 + busy} {10**9 + 26 * moved} 0 0 0 0 {10**9} {10**9}\n"
        )
    return "".join(lines)


def mountinfo(pods, disks, mounts):
    base = [
        (259, 0, "/", "xfs", disk_name(0)), (0, 21, "/proc", "proc", "proc"), (0, 22, "/sys", "sysfs", "sysfs"), (0, 5, "/dev", "devtmpfs", "devtmpfs"),
        (0, 23, "/run", "tmpfs", "tmpfs"), (0, 24, "/sys/fs/cgroup", "cgroup2", "cgroup2"), (0, 25, "/dev/shm", "tmpfs", "tmpfs"),
    ]
    for disk in range(1, disks):
        base.append((259, disk * 4, f"/var/lib/kubelet/plugins/kubernetes.io/csi/ebs.csi.aws.com/{disk:064x}/globalmount", "ext4", disk_name(disk)))
    for pod in range(pods):
        base.append((0, 100 + pod, f"/var/lib/kubelet/pods/{pod_uid(pod)}/volumes/kubernetes.io~projected/kube-api-access-{pod:05d}", "tmpfs", "tmpfs"))
    for number in range(mounts - len(base)):
        base.append((0, 1000 + number, f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{container_id(number, 0)}/rootfs", "overlay", "overlay"))
    return [
        f"{20 + number} {1 if number == 0 else 20} {major}:{minor} / {path} rw,relatime shared:{number + 1} - {kind} {'/dev/' if kind in ('xfs', 'ext4') else ''}{source} rw\n"
        for number, (major, minor, path, kind, source) in enumerate(base[:mounts])
    ]


def make_process(root, pid, comm, group, kernel):
    flags, state = (2129984, "I") if kernel else (4194560, "S")
    put(root, f"/proc/{pid}/stat", f"{pid} ({comm}) {state} {2 if kernel else 1} {pid} {pid} 0 -1 {flags} 900 0 0 0 120 80 0 0 20 0 1 0 {2000 + pid} 12345678 900 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n")
    put(root, f"/proc/{pid}/comm", comm + "\n")
    put(root, f"/proc/{pid}/wchan", "0")
    put(root, f"/proc/{pid}/cgroup", f"0::{group}\n")
    put(root, f"/proc/{pid}/io", process_io(10**9))
    put(root, f"/proc/{pid}/task/{pid}/stat", f"{pid} ({comm}) {state} 1 {pid} {pid} 0 -1 {flags} 900 0 0 0 120 80 0 0 20 0 1 0 {2000 + pid} 0\n")


def process_io(amount):
    return f"rchar: {amount}\nwchar: {amount}\nsyscr: {amount}\nsyscw: {amount}\nread_bytes: {amount}\nwrite_bytes: {amount}\ncancelled_write_bytes: 0\n"


def make(root, pods, groups, processes, disks, mounts):
    inner, leaves = pod_groups(pods, groups)
    shared = [0, 4]
    units = [f"/sys/fs/cgroup/system.slice/{name}.service" for name in ("kubelet", "containerd", "sshd", "systemd-journald", "systemd-udevd", "chronyd", "dbus-broker", "amazon-ssm-agent")]
    for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/user.slice", *inner):
        make_group(root, path, False, shared)
    for path in (*(path for _, path in leaves), *units):
        make_group(root, path, True, shared)
    for number in range(disks):
        make_disk(root, number, number * 4)
    for pid in range(1, processes + 1):
        if pid <= 150:
            make_process(root, pid, f"kworker/{pid % 8}:{pid}", "/", True)
            continue
        path = (units + [path for _, path in leaves])[pid % (len(units) + len(leaves))]
        make_process(root, pid, path.rsplit("/", 1)[1][:15], path[len("/sys/fs/cgroup"):], False)
    lines = mountinfo(pods, disks, mounts)
    for name in ("self", "1"):
        put(root, f"/proc/{name}/mountinfo", "".join(lines))
    room = {"totalBytes": 10**11, "availableBytes": 7 * 10**10, "inodes": 10**8, "inodesFree": 9 * 10**7}
    # Nobody asks at tmpfs and overlays: they wait for no disk.
    answers = {words[4]: {"dev": words[2], **room} for words in map(str.split, lines) if words[8] in ("xfs", "ext4")}
    for path in ("/var/lib/kubelet", "/var/lib/containerd", "/var/log", "/var/log/pods"):
        answers[path] = {"dev": "259:0", **room}
    put(root, "/.recorded/statvfs.json", json.dumps(answers))
    for line in lines:
        words = line.split()
        if words[8] == "ext4":
            for key in ("errors_count", "warning_count", "first_error_time", "last_error_time"):
                put(root, f"/sys/fs/ext4/{words[9][5:]}/{key}", "0\n")
    for pod in range(pods):
        for number in range(2):
            os.makedirs(f"{root}/var/log/pods/team-{pod % 20}_app-{pod}_{pod_uid(pod)}/container-{number}", exist_ok=True)
    for name in ("io", "memory", "cpu"):
        put(root, f"/proc/pressure/{name}", pressure(10**9, 10**9))
    put(root, "/proc/stat", "cpu  1000000000 0 1000000000 9000000000 1000000000 0 1000000000 0 0 0\n" + "".join(f"cpu{n} 1 0 1 9 1 0 1 0 0 0\n" for n in range(64)) + "btime 1790000000\nprocs_running 2\nprocs_blocked 0\n")
    put(root, "/proc/meminfo", "MemTotal:       263921664 kB\nMemAvailable:   200000000 kB\n")
    put(root, "/proc/uptime", "1000000.00 60000000.00\n")
    put(root, "/proc/sys/kernel/random/boot_id", str(uuid.uuid5(uuid.NAMESPACE_OID, "boot")) + "\n")
    put(root, "/etc/os-release", 'ID=amzn\nVERSION_ID="2023"\nPRETTY_NAME="Amazon Linux 2023"\n')
    put(root, "/proc/diskstats", diskstats(disks, 0, 0))
    put(root, "/proc/partitions", "major minor  #blocks  name\n\n" + "".join(f" 259 {number * 4:8d} {104857600:10d} {disk_name(number)}\n" for number in range(disks)))


def overwrite(path, text):
    """In place and in one call: a reader that keeps the file open sees it, and never half of it."""
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, text.encode(), 0)
    os.ftruncate(fd, len(text))
    os.close(fd)


def tick(root, seconds, mood):
    disks = len(os.listdir(root + "/sys/block"))
    groups = [path for path, _, files in os.walk(root + "/sys/fs/cgroup") if "io.stat" in files]
    processes = [f"{root}/proc/{name}/io" for name in os.listdir(root + "/proc") if name.isdigit() and int(name) > 150]
    kept = root + "/.ticks"
    quiet, trouble = json.load(open(kept, encoding="utf-8")) if os.path.exists(kept) else (0, 0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        quiet, trouble = (quiet + 1, trouble) if mood == "quiet" else (quiet, trouble + 1)
        put(root, "/.ticks", json.dumps([quiet, trouble]))
        overwrite(root + "/proc/diskstats", diskstats(disks, quiet, trouble))
        overwrite(root + "/proc/pressure/io", pressure(10**9 + quiet * 1000 + trouble * 900_000, 10**9 + quiet * 500 + trouble * 800_000))
        if mood == "trouble":
            for number, path in enumerate(groups):
                overwrite(path + "/io.stat", io_stat([0, 4], 10**9 + trouble * 4096 * (number % 50)))
            for number, path in enumerate(processes):
                overwrite(path, process_io(10**9 + trouble * 4096 * (number % 50)))
        time.sleep(2)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], *map(int, sys.argv[3:8]))
    else:
        tick(sys.argv[2], float(sys.argv[3]), sys.argv[4])

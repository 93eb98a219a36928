"""A machine made of files, in each layout that bootstrap knows, and running the real binary on it.

It refuses to touch anything outside the directory that it is given.
"""
import json
import os
import shutil
import stat
import subprocess

BINARY = os.environ["NODE_STEWARD"]
MEMINFO = """MemTotal:       {kib} kB
MemFree:         9000000 kB
MemAvailable:   12000000 kB
Buffers:          100000 kB
Cached:          2000000 kB
SwapCached:            0 kB
Active:          1000000 kB
Inactive:        1000000 kB
SwapTotal:             0 kB
SwapFree:              0 kB
Dirty:               100 kB
Writeback:             0 kB
Mapped:           300000 kB
Slab:             200000 kB
Committed_AS:    3000000 kB
VmallocTotal:   34359738367 kB
VmallocUsed:       20000 kB
VmallocChunk:          0 kB
"""
# What bootstrap.sh leaves on AL2: its own formula's values in the one file.
AL2_BASE = """{
  "kind": "KubeletConfiguration",
  "apiVersion": "kubelet.config.k8s.io/v1beta1",
  "clusterDomain": "cluster.local",
  "ownKey": {"kept": [1, 2.50e+1]},
  "evictionHard": {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%"
  },
  "kubeReserved": {
    "cpu": "70m",
    "ephemeral-storage": "1Gi",
    "memory": "442Mi"
  },
  "maxPods": 29
}
"""
KUBEADM_BASE = """apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
clusterDomain: cluster.local
"""
SETTINGS = {
    # The first has keys that the others have not, so that something must also go away.
    "/settings/a.toml": '[reserve.system_reserved]\nmemory = "100Mi"\ncpu = "50m"\n[kubelet.eviction_hard]\n"memory.available" = "200Mi"\n',
    "/settings/b.toml": "",
    "/settings/c.toml": '[reserve.system_reserved]\nmemory = "300Mi"\n',
    "/settings/broken.toml": "[reserve]\nprofle = 1\n",
}
UNIT = "[Service]\nExecStart=/usr/bin/kubelet {}\n"
AL2, AL2023, AL2023_DIR, DROP_IN, KUBEADM, OUT = LAYOUTS = (
    "eks-al2", "eks-al2023", "eks-al2023-dir", "drop-in", "kubeadm", "stand-alone")
TARGET = {
    AL2: "/etc/kubernetes/kubelet/kubelet-config.json",
    AL2023: "/etc/eks/nodeadm.d/50-node-steward.yaml",
    AL2023_DIR: "/etc/kubernetes/kubelet/config.json.d/50-node-steward.conf",
    DROP_IN: "/etc/kubernetes/kubelet.conf.d/50-node-steward.conf",
    KUBEADM: "/etc/kubernetes/kubelet.conf.d/50-node-steward.conf",
    OUT: "/out/kubelet-config.json",
}
RECORD = "/var/lib/node-steward/merged.json"
STAMP = "/run/node-steward/bootstrap.json"
LOCK = "/run/node-steward/bootstrap.lock"


def layout_files(layout):
    """The files that make the layout be found, as an image has them before any run of ours."""
    unit = "/usr/lib/systemd/system/kubelet.service"
    if layout == AL2:
        return {TARGET[AL2]: AL2_BASE, unit: UNIT.format("--config " + TARGET[AL2])}
    if layout in (AL2023, AL2023_DIR):
        main = "/etc/kubernetes/kubelet/config.json"
        flags = "--config=" + main + (f" --config-dir={main}.d" if layout == AL2023_DIR else "")
        files = {"/usr/bin/nodeadm": "", main: AL2_BASE, unit: UNIT.format(flags), "/etc/eks/nodeadm.d/.keep": ""}
        if layout == AL2023_DIR:
            files[main + ".d/40-nodeadm.conf"] = KUBEADM_BASE + "maxPods: 58\n"
        return files
    if layout == DROP_IN:
        flags = "--config=/etc/kubernetes/kubelet.yaml --config-dir=/etc/kubernetes/kubelet.conf.d"
        return {"/etc/kubernetes/kubelet.yaml": KUBEADM_BASE, unit: UNIT.format(flags)}
    if layout == KUBEADM:
        return {"/var/lib/kubelet/config.yaml": KUBEADM_BASE}
    return {"/base/kubelet.json": AL2_BASE, "/out/.keep": ""}


class Machine:
    """A root directory, and node-steward run on it."""

    def __init__(self, root, layout, machine=1):
        self.root, self.layout = root, layout
        for path, text in {**layout_files(layout), **SETTINGS}.items():
            self.write(path, text)
        self.write("/proc/sys/kernel/pid_max", "4194304\n")
        self.write("/proc/sys/kernel/threads-max", "126000\n")
        self.write("/proc/sys/kernel/osrelease", "6.12.1\n")
        self.write("/sys/class/dmi/id/sys_vendor", "Amazon EC2\n")
        self.write("/sys/class/dmi/id/product_name", "m5.xlarge\n")
        self.write("/sys/fs/cgroup/cgroup.controllers", "cpu io memory pids\n")
        self.write("/etc/node-steward/kubelet-version", "1.30.4\n")
        self.write("/.recorded/statvfs.json", '{"/var/lib/kubelet": {"totalBytes": 85886742528, "availableBytes": 80000000000}}')
        self.become(machine)

    def become(self, number, uuid=None, cores=None, kib=None):
        """Another machine, and so another boot, under the same disk."""
        self.write("/proc/sys/kernel/random/boot_id", f"00000000-0000-0000-0000-00000000000{number}\n")
        self.write("/sys/class/dmi/id/product_uuid", f"ec2{uuid or number}aaaa-0000-0000-0000-000000000000\n")
        self.write("/sys/devices/system/cpu/online", f"0-{(cores or 4 * number) - 1}\n")
        self.write("/proc/meminfo", MEMINFO.format(kib=kib or 16000000 * number))

    def at(self, path):
        return self.root + path

    def write(self, path, data):
        full = self.at(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)

    def read(self, path=None):
        try:
            with open(self.at(path or TARGET[self.layout]), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def command(self, *args):
        where = ["--base", "/base/kubelet.json", "--out", TARGET[OUT]] if self.layout == OUT else []
        return [BINARY, "--root", self.root, "bootstrap", *where, *args]

    def run(self, *args, prefix=(), command=None):
        """Exit code, stdout and stderr."""
        done = subprocess.run([*prefix, *(command or self.command(*args))], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def tree(self, times=False):
        """All that matters: every name outside /proc, /sys and the lock, with mode, owner, content, and mtime where asked."""
        found = {}
        for folder, folders, files in os.walk(self.root):
            if folder == self.root:
                folders[:] = [name for name in folders if name not in ("proc", "sys")]
            for name in files + folders:
                full = os.path.join(folder, name)
                path = full[len(self.root):]
                facts = os.lstat(full)
                if path == LOCK or (stat.S_ISDIR(facts.st_mode) and not times):
                    continue
                data = open(full, "rb").read() if stat.S_ISREG(facts.st_mode) else (
                    os.readlink(full) if stat.S_ISLNK(facts.st_mode) else stat.S_IFMT(facts.st_mode))
                times_too = (facts.st_mtime_ns,) if times and stat.S_ISREG(facts.st_mode) else ()
                found[path] = (facts.st_mode, facts.st_uid, facts.st_gid, data, *times_too)
        return found

    def restore(self, tree):
        """Back to an earlier `tree()`, touching only what differs."""
        now = self.tree()
        for path in now.keys() - tree.keys():
            os.unlink(self.at(path))
        for path, facts in tree.items():
            if now.get(path) != facts:
                self.write(path, facts[3])
                os.chmod(self.at(path), stat.S_IMODE(facts[0]))

    def forget(self):
        shutil.rmtree(self.root)


def others_part(text):
    """AL2's file as a value: what others have in it is what must come back."""
    return json.loads(text)

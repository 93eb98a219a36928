#!/usr/bin/env python3
# Makes the recordings of this folder about the node's own part: what it uses outside of pods.
# It refuses to write what is expected of them: expect.json and WHY.md are written by hand, and it leaves them alone.
from make_resources import Room

MIB = 1 << 20


class Own(Room):
    """The small node of make_resources, with a kubelet that is configured and cgroups that count memory."""

    def kubelet(self, text):
        self.file("/etc/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet --config=/etc/kubelet.yaml --config-dir=/etc/kubelet.d")
        self.file("/etc/kubelet.yaml", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n" + text)

    def group(self, path, held, cache=0):
        """`cache` is page cache, half of it used again, as large files that were read twice leave it."""
        base = f"/sys/fs/cgroup{path}"
        self.file(f"{base}/memory.current", (held + cache) * MIB)
        stat = {"anon": held, "file": cache, "inactive_file": cache - cache // 2, "active_file": cache // 2, "slab_reclaimable": 0}
        self.file(f"{base}/memory.stat", "\n".join(f"{name} {mib * MIB}" for name, mib in stat.items()))


def reservation_exceeded_sick():
    node = Own("reservation-exceeded-sick")
    node.kubelet("kubeReserved: {cpu: 70m, memory: 574Mi, ephemeral-storage: 1Gi}\nsystemReserved: {memory: 100Mi}")
    node.group("/kubepods.slice", 5000)
    for minute in range(32):  # A log collector outside of pods grows, stays, and is restarted.
        collector = 40 if minute < 2 or minute > 22 else min(900, 40 + 120 * minute)
        node.group("/runtime.slice", 210, cache=300)
        node.group("/runtime.slice/containerd.service", 130, cache=250)
        node.group("/runtime.slice/kubelet.service", 80, cache=50)
        node.group("/system.slice", 160 + collector, cache=900)
        node.group("/system.slice/collector.service", collector)
        node.group("/system.slice/systemd-journald.service", 60, cache=400)
        node.steps(1, pace=60)


def reservation_exceeded_well():
    node = Own("reservation-exceeded-well")
    node.kubelet("kubeReserved: {cpu: 70m, memory: 574Mi, ephemeral-storage: 1Gi}")
    node.group("/kubepods.slice", 5000)
    for minute in range(40):  # Much cache, and ten minutes of an update that needs more than there is.
        update = 500 if 10 <= minute < 20 else 0
        node.group("/runtime.slice", 230, cache=4000)
        node.group("/system.slice", 220 + update, cache=6000)
        node.group("/system.slice/update.service", update)
        node.steps(1, pace=60)


if __name__ == "__main__":
    for name, make in list(globals().items()):
        if name.endswith(("_sick", "_well")) and make.__module__ == "__main__":
            make()

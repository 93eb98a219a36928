#!/usr/bin/env python3
# Makes the recordings of this folder about the node's own part: what it uses outside of pods, its units, its network's allowances.
# It refuses to write what is expected of them: expect.json and WHY.md are written by hand, and it leaves them alone.
import json

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


    def interface(self, name, **exceeded):
        """As `ethtool -S` shows it, cut to what matters; `exceeded` are counters since the driver was loaded."""
        self.file(f"/sys/bus/pci/drivers/ena/0000:00:05.0/net/{name}/address", "0a:1b:2c:3d:4e:5f")
        counters = {"total_resets": 0, "tx_timeout": 0}
        for allowance in ("bw_in", "bw_out", "pps", "conntrack", "linklocal"):
            counters[f"{allowance}_allowance_exceeded"] = exceeded.get(allowance, 0)
        counters["conntrack_allowance_available"] = exceeded.get("left", 130_000)
        self.file(f"/.recorded/told/ethtool/{name}", "\n".join(["NIC statistics:"] + [f"     {name}: {count}" for name, count in counters.items()]))

    def units(self, *units):
        """Unit, state, substate, result, restarts, start of the main process."""
        block = "Id={}\nActiveState={}\nSubState={}\nResult={}\nNRestarts={}\nExecMainStartTimestampMonotonic={}\nExecMainCode=1\nExecMainStatus=1\n"
        self.file("/.recorded/told/units", "\n".join(block.format(*unit) for unit in units))

    def offers(self, cpu="3930m", memory="15441936Ki", storage="76224326324"):
        """What the API server shows of this Node from now on: as kubelet counts a machine of 4 cores, 16 GB and 80 GB."""
        capacity = {"cpu": "4", "memory": "16234512Ki", "ephemeral-storage": "83873772Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0", "pods": "58"}
        allocatable = capacity | {"cpu": cpu, "memory": memory, "ephemeral-storage": storage}
        self.put(f"turns/{self.turn:03}", "node", json.dumps({"capacity": capacity, "allocatable": allocatable}) + "\n")


def kubelet_config_drift_sick():
    node = Own("kubelet-config-drift-sick")
    for minute in range(24):
        # After kubelet has started, somebody writes other reservations; a quarter of an hour later kubelet is started anew.
        node.kubelet(f"kubeReserved: {{cpu: 70m, memory: {574 if minute < 3 else 1200}Mi, ephemeral-storage: 1Gi}}\nsystemReserved: {{memory: 100Mi}}")
        if minute >= 18:
            node.offers(memory="14800912Ki")
        elif minute >= 1:
            node.offers()
        node.steps(1, pace=60)


def kubelet_config_drift_well():
    node = Own("kubelet-config-drift-well")
    for minute in range(30):
        # The file system is counted a little smaller than kubelet did; new files are followed by a new start of kubelet; later whole CPUs are set aside.
        cpus = 'reservedSystemCPUs: "0"\n' if minute >= 16 else ""
        node.kubelet(f"{cpus}kubeReserved: {{cpu: 70m, memory: {574 if minute < 4 else 1200}Mi, ephemeral-storage: 1Gi}}\nsystemReserved: {{memory: 100Mi}}")
        if minute < 9:
            node.offers(storage="76224000000")
        else:
            node.offers(cpu="3930m" if minute < 16 else "3", memory="14800912Ki", storage="76224000000")
        node.steps(1, pace=60)


def ena_allowance_exceeded_sick():
    node = Own("ena-allowance-exceeded-sick")
    node.product("m5.large")
    out, dns = 4000, 900
    for minute in range(24):  # A storm of DNS queries for two minutes; later five minutes at the bandwidth.
        dns += 7000 if minute in (4, 5) else 0
        out += 5000 if 12 <= minute < 17 else 0
        node.interface("ens5", linklocal=dns, bw_out=out)
        node.steps(1, pace=60)


def ena_allowance_exceeded_well():
    node = Own("ena-allowance-exceeded-well")
    node.product("m5.large")
    out = 70_000
    for minute in range(16):  # Much of it long ago, short bursts now and then, and a driver that is loaded anew.
        out = 30 if minute == 9 else out + (900 if minute % 5 == 2 else 20)
        node.interface("ens5", linklocal=52_000 if minute < 9 else 0, conntrack=12, bw_out=out)
        node.steps(1, pace=60)


def units_sick():
    node = Own("units-sick")
    for minute in range(34):
        # containerd is killed by its watchdog every minute for a while; kubelet hits its limit of starts, and somebody starts it again.
        killed = min(max(minute - 2, 0), 5)
        kubelet = ("failed", "failed", "start-limit-hit", 5, 900) if 6 <= minute < 12 else ("active", "running", "success", 0, 90 if minute < 6 else 1000)
        node.units(("kubelet.service", *kubelet), ("containerd.service", "active", "running", "watchdog" if killed else "success", killed, 80 + killed))
        node.steps(1, pace=60)


def units_well():
    node = Own("units-well")
    for minute in range(30):
        # Somebody restarts kubelet again and again, containerd ended twice in half an hour, and docker was never started.
        kubelet = ("kubelet.service", "active", "running", "success", 0, 90 + minute * 60)
        runtime = ("containerd.service", "active", "running", "success", 40 + minute // 12, 80)
        node.units(kubelet, runtime, ("docker.service", "inactive", "dead", "success", 0, 0))
        node.steps(1, pace=60)


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

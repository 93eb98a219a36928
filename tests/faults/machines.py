"""A baked image carries no builder's numbers: what was placed for another machine goes or is computed again, also when the run fails.

It refuses the opposite fault as well: a run that fails on the same machine leaves everything as it was.
"""
import json
import os
import subprocess

from fixture import AL2, LAYOUTS, LOCK, OUT, RECORD, TARGET, Machine, layout_files
from kills import STEPS, ordered
from refusals import Refusals

# What tells this machine from the builder's: a new disk, another size, or both.
OTHERS = {"uuid": {"uuid": 7}, "cores": {"uuid": 1, "cores": 2}, "memory": {"uuid": 1, "kib": 64000000, "cores": 4}, "all of it": {"uuid": 9, "cores": 96, "kib": 380000000}}


def broken_settings(machine):
    machine.write("/etc/node-steward/config.toml", "[reserve]\nprofle = 1\n")


def no_meminfo(machine):
    os.unlink(machine.at("/proc/meminfo"))


def odd_meminfo(machine):
    machine.write("/proc/meminfo", "MemTotal: lots\n")


def no_cores(machine):
    machine.write("/sys/devices/system/cpu/online", "what\n")


def refused(machine):
    machine.write("/etc/node-steward/config.toml", '[reserve]\non_excess = "fail"\n[reserve.kube_reserved]\nmemory = "999Gi"\n')



FAILURES = {broken_settings: 2, no_meminfo: 1, odd_meminfo: 1, no_cores: 1, refused: 4}


class Machines(Refusals):
    def bare(self, layout):
        return layout_files(layout).get(TARGET[layout])

    def gone(self, what, machine):
        text = machine.read()
        if machine.layout == AL2:
            good = json.loads(text) == json.loads(self.bare(AL2)) and machine.read(RECORD) is None
        else:
            good = text is None
        self.report.check(f"{machine.layout}: {what}: the builder's numbers are gone", good, text)

    def elsewhere(self):
        for layout in LAYOUTS:
            if layout == OUT:
                continue
            for what, facts in OTHERS.items():
                with self.placed(layout) as machine:
                    builder = machine.read()
                    machine.become(5, **facts)
                    code, _, err = machine.run(*STEPS[0][1:])
                    fresh = Machine(machine.root + "-fresh", layout)
                    fresh.become(5, **facts)
                    fresh.run(*STEPS[0][1:])
                    same = ordered(machine.tree()) == ordered(fresh.tree())
                    self.report.check(f"{layout}: another {what}: as on a fresh machine", code == 0 and same, err or machine.read())
                    self.report.check(f"{layout}: another {what}: not the builder's file", machine.read() != builder or layout == AL2, builder)
                    fresh.forget()
                for failure, wanted in FAILURES.items():
                    if failure in (no_meminfo, odd_meminfo) and what == "memory" or failure is no_cores and what == "cores":
                        # The one fact that differs cannot be read: nothing then says that it is another machine.
                        continue
                    with self.placed(layout) as machine:
                        machine.become(5, **facts)
                        failure(machine)
                        code, _, err = machine.run(*STEPS[0][1:3])
                        name = f"another {what}, {failure.__name__}"
                        self.report.check(f"{layout}: {name}: exit {wanted}, one line", code == wanted and err.count("\n") == 1 and "/root/" not in err, err)
                        self.gone(name, machine)
        self.report.part("numbers from another machine")

    def no_lock(self):
        """A /run that cannot be written keeps nobody from removing the builder's numbers."""
        for layout in LAYOUTS[:-1]:
            with self.placed(layout) as machine:
                machine.become(5, uuid=7)
                full = machine.at(os.path.dirname(LOCK))
                subprocess.run(["mount", "--bind", full, full], check=True)
                subprocess.run(["mount", "-o", "remount,bind,ro", full], check=True)
                try:
                    code, _, err = machine.run(*STEPS[0])
                finally:
                    subprocess.run(["umount", full], check=True)
                self.report.check(f"{layout}: no lock: exit 1, one line", code == 1 and err.count("\n") == 1 and LOCK in err, err)
                self.gone("no lock", machine)
        self.report.part("numbers from another machine, under a read-only /run")

    def here(self):
        for layout in LAYOUTS[:-1]:
            for failure, wanted in FAILURES.items():
                with self.placed(layout) as machine:
                    failure(machine)
                    self.refused(f"the same machine, {failure.__name__}", machine, STEPS[0][:3], wanted, ())
        self.report.part("a failed run on the same machine")

    def edited(self):
        """AL2: what another writer put over our value is his, on any machine."""
        with self.placed(AL2) as machine:
            text = json.loads(machine.read())
            text["kubeReserved"]["memory"], text["maxPods"] = "777Mi", 17
            machine.write(TARGET[AL2], json.dumps(text, indent=2))
            machine.become(5, uuid=7)
            broken_settings(machine)
            machine.run(*STEPS[0][:3])
            found, bare = json.loads(machine.read()), json.loads(self.bare(AL2))
            wanted = {**bare, "maxPods": 17, "kubeReserved": {**bare["kubeReserved"], "memory": "777Mi"}}
            self.report.check("eks-al2: another's later edit stays", found == wanted, found)
        self.report.part("another's edit of a file that we merged into")

    def run(self):
        self.elsewhere()
        self.no_lock()
        self.here()
        self.edited()

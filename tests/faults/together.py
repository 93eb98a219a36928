"""Several runs at once: one after the other, each whole.

From strace's clock: no run makes, fills or renames a file while another holds the lock. It refuses a result that mixes two runs.
"""
import json
import re
import subprocess

import fixture
from fixture import AL2, LAYOUTS, OUT, RECORD, TARGET

PODS = [str(20 + 7 * number) for number in range(10)]
CALL = re.compile(r"^(?:\d+\s+)?(\d+\.\d+) (\w+)\((.*)\)\s+= (-?\d+).*<(\d+\.\d+)>$")


class Together:
    def __init__(self, scratch, report):
        self.scratch, self.report = scratch, report

    def run(self):
        for layout in LAYOUTS:
            for count, rounds in ((10, 4), (2, 10)):
                for number in range(rounds):
                    self.at_once(layout, PODS[number % 3:][:count], f"{count} at once, round {number}")
        self.report.part("two and ten runs at once")

    def at_once(self, layout, pods, what):
        what = f"{layout}: {what}"
        allowed = {}
        for one in pods:
            alone = fixture.Machine(f"{self.scratch}/alone", layout)
            alone.run("--force", "--max-pods", one)
            allowed[one] = alone.tree()
            alone.forget()
        machine = fixture.Machine(f"{self.scratch}/together", layout)
        runs = []
        for one in pods:
            command = ["strace", "-ttt", "-T", "-e", "trace=flock,openat,write,renameat,unlinkat", "-o", f"{self.scratch}/log-{one}",
                       *machine.command("--force", "--max-pods", one)]
            runs.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        errors = [(run.communicate()[1], run.returncode) for run in runs]
        self.report.check(f"{what}: all end well", all(code == 0 for _, code in errors), errors)
        found = machine.tree()
        self.report.check(f"{what}: the result is that of one of them", found in allowed.values(), found.get(TARGET[layout]))
        if layout == AL2:
            wrote = json.loads(found[RECORD][3])["wrote"]["kubeReserved"]
            placed = json.loads(found[TARGET[AL2]][3])["kubeReserved"]
            self.report.check(f"{what}: file and record agree", wrote.items() <= placed.items(), (wrote, placed))
        spans = sorted(self.span(f"{self.scratch}/log-{one}", what) for one in pods)
        overlaps = [(one, other) for one, other in zip(spans, spans[1:]) if other[0] < one[1]]
        self.report.check(f"{what}: no two of them write at once", not overlaps and len(spans) == len(pods), overlaps)
        machine.forget()

    def span(self, log, what):
        """From the first call after the lock was taken to the one that lets it go; every write to a file must lie within. Both are stamps of one
        clock at a call's entry: strace's durations are read from another moment, and off by microseconds."""
        taken = let_go = None
        locked = False
        writes = []
        for line in open(log, encoding="utf-8"):
            match = CALL.match(line)
            if not match:
                continue
            time, name, arguments, result = float(match[1]), match[2], match[3], int(match[4])
            if locked and taken is None:
                taken = time
            if name == "flock" and result == 0:
                if "LOCK_UN" in arguments:
                    let_go = time
                else:
                    locked, taken = True, None
            elif name == "renameat" or ".node-steward.tmp" in arguments or (name == "write" and int(arguments.split(",")[0]) > 2):
                writes.append(time)
        inside = taken and let_go and all(taken <= time <= let_go for time in writes)
        self.report.check(f"{what}: writes only under the lock", inside, (taken, let_go, writes))
        return taken or 0, let_go or 0

"""The experiment: disks learn their light windows, then scenario after scenario loads one of them beside a victim, and each window's
verdicts are held against the victim's own suffering. It refuses to use any number measured here for the verdicts of the same run."""
import argparse
import json
import math
import os
import subprocess
import sys
import time

from daemon import Daemon, Grid
from report import table
from rules import BASELINES, RuleC
from samples import Samples, clock
from scenarios import draw, light

OURS, CROSS_CHECK = "node-steward (rule C)", "rule C, recomputed"
HARM = 3  # times the idle p95: the label, not a rule


class Disk:
    def __init__(self, text):
        self.name, iops, mibps, latency, self.device, self.mount = text.split(":")
        self.iops, self.mibps, self.latency, self.idle = float(iops), float(mibps), float(latency), None

    def __str__(self):
        return f"{self.name} ({self.device}): {self.iops:.0f} IOPS, {self.mibps:.0f} MiB/s, {self.latency} ms"


def p95(values):
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * 0.95) - 1]


class Lab:
    def __init__(self, options):
        self.options, self.disks = options, [Disk(text) for text in options.disk]
        self.samples = Samples({disk.device for disk in self.disks})
        self.samples.start()
        self.log = open(f"{options.scratch}/daemon.log", "wb")
        self.windows = Grid(self.samples, options.window)
        if options.program:
            self.windows = Daemon(options.program, options.config, options.socket, self.log)
        self.windows.start()
        self.rule, self.looked = RuleC(options.baseline_windows), {}

    def load(self, disk, seconds, arguments):
        words = [f"{key}={value}" for key, value in arguments.items()]
        return subprocess.Popen(["load", f"path={disk.mount}/load", "size=160", f"seconds={seconds}", *words],
                                stdout=subprocess.PIPE, text=True)

    def victim(self, disk, seconds):
        record = f"{self.options.scratch}/{disk.name}.victim"
        return subprocess.Popen(["victim", f"{disk.mount}/victim", record, str(seconds)])

    def suffered(self, disk, start, end):
        """The victim's latencies in ms of the samples that began in the window, or of the one that lasted through it."""
        with open(f"{self.options.scratch}/{disk.name}.victim", encoding="ascii") as file:
            rows = [(float(row[0]), float(row[1]) / 1000) for row in (line.split() for line in file) if len(row) > 1]
        inside = [took for begun, took in rows if start <= begun < end]
        return inside or [took for begun, took in rows if begun < end and begun + took >= start]

    def look(self, disk, until):
        """Lets the second rule C see every window of this disk up to `until`, in order, once."""
        for start, end, _ in self.windows.after(disk.device, self.looked.get(disk.device, 0)):
            if end > until:
                return
            self.looked[disk.device] = end
            try:
                figures = self.samples.between(disk.device, start, end)
            except LookupError:
                continue
            disk.seen = (start, self.rule.look(disk.device, figures), figures)
            yield disk.seen

    def learn(self):
        length, count = self.options.window, self.options.baseline_windows + 3
        for size in ("small", "medium", "large"):
            print(f"learning {size}: {count} windows of {length} s on {len(self.disks)} disks at once", flush=True)
            running = [self.load(disk, length * count, light(size, disk, length)) for disk in self.disks]
            if size == "small":
                running += [self.victim(disk, length * count) for disk in self.disks]
            self.wait(running)
        time.sleep(2 * length)
        for disk in self.disks:
            for _ in self.look(disk, clock()):
                pass
            known = {size: self.rule.baseline(disk.device, size) for size in ("small", "medium", "large")}
            print(f"  {disk}: W0 in ms {({k: v and round(v, 2) for k, v in known.items()})}, load {os.getloadavg()[0]:.1f}", flush=True)

    @staticmethod
    def wait(running):
        for process in running:
            if process.wait() != 0:
                raise SystemExit(f"{process.args} ended with {process.returncode}")

    def idle(self, disk):
        begun = clock()
        self.wait([self.victim(disk, self.options.idle)])
        took = self.suffered(disk, begun, clock())
        disk.idle = p95(took)
        print(f"{disk}: the victim alone: p95 {disk.idle:.2f} ms of {len(took)} samples", flush=True)

    def run(self, disk, family, arguments):
        """One scenario: its load, its windows, its labels."""
        o = self.options
        seconds = o.settle + o.window * (o.windows + 2) + 1
        running = [self.victim(disk, seconds), self.load(disk, seconds, arguments)]
        begun = clock() + o.settle * 1000
        time.sleep(seconds - 0.5)
        busy = os.getloadavg()[0]
        told = running[1].communicate()[0].strip()
        self.wait(running)
        subprocess.run(["sync", "-f", disk.mount], check=True)
        rows = []
        deadline = time.monotonic() + 2 * o.window + 5
        while len(self.windows.after(disk.device, begun)) < o.windows and time.monotonic() < deadline:
            time.sleep(0.2)
        wanted = {start: (end, seen) for start, end, seen in self.windows.after(disk.device, begun)[: o.windows]}
        if len(wanted) < o.windows:
            raise SystemExit(f"{len(wanted)} windows of {o.windows} were reported on {disk.device}")
        for start, crossed, figures in self.look(disk, clock()):
            if start not in wanted:
                continue
            end, seen = wanted[start]
            took = self.suffered(disk, start, end)
            worst = p95(took) if took else float("inf")
            verdicts = {CROSS_CHECK: crossed, **{name: rule(figures) for name, rule in BASELINES.items()}}
            if seen is not None:
                verdicts = {OURS: seen.get("saturatedNow"), **verdicts}
            rows.append({"disk": disk.name, "family": family, "start": start, "end": end, "p95": worst, "n": len(took), "idle": disk.idle,
                         "harm": worst >= HARM * disk.idle, "verdicts": verdicts, "figures": figures, "daemon": seen, "load": busy})
        show(disk, family, arguments, rows, told, busy)
        time.sleep(1)
        return rows


def show(disk, family, arguments, rows, told, busy):
    def cell(row):
        f, verdict = row["figures"], row["verdicts"].get(OURS, row["verdicts"][CROSS_CHECK])
        said = {True: "SAT", False: "-", None: "?"}[verdict]
        return f"[{row['p95'] / row['idle']:.1f}x {'HARM' if row['harm'] else 'well'} {said} q{f['aqu']:.1f} aw{f['await']:.1f} some{f['some']:.0f} ut{f['util']:.0f} cpu{f['cpu']:.0f}]"

    words = " ".join(f"{k}={v}" for k, v in arguments.items() if k != "seed")
    print(f"case {disk.name} {family}: {words}\n     {' '.join(cell(row) for row in rows)} load {busy:.1f}; {told}", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--disk", action="append", required=True, help="NAME:IOPS:MIBPS:LATENCY_MS:DEVICE:MOUNT")
    p.add_argument("--scratch", required=True)
    p.add_argument("--seed", type=int, required=True)
    p.add_argument("--scenarios", type=int, required=True, help="on each disk")
    for name in ("--window", "--settle", "--idle"):
        p.add_argument(name, type=float, required=True)
    p.add_argument("--windows", type=int, default=3)
    p.add_argument("--baseline-windows", type=int, required=True)
    p.add_argument("--program", help="left out: rule C is judged by the second implementation alone")
    p.add_argument("--config")
    p.add_argument("--socket")
    p.add_argument("--precision", type=float, required=True, help="goal")
    p.add_argument("--recall", type=float, required=True, help="goal")
    p.add_argument("--keep", help="write one JSON object a window here")
    options = p.parse_args()
    lab = Lab(options)
    try:
        for disk in lab.disks:
            lab.wait([lab.load(disk, 0, {"fill": 1})])
        lab.learn()
        rows, last = [], None
        for disk, family, arguments in draw(lab.disks, options.scenarios, options.seed):
            if disk is not last:
                lab.idle(disk)
                last = disk
            rows += lab.run(disk, family, arguments)
    finally:
        lab.windows.stop()
    if options.keep:
        with open(options.keep, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    rules = list(rows[0]["verdicts"])
    counts = table(rows, rules)
    judged = OURS if OURS in counts else CROSS_CHECK
    c, harmed = counts[judged], sum(row["harm"] for row in rows)
    scale = f"{len(rows)} windows of {options.window:g} s, {len(lab.disks) * options.scenarios} scenarios, {len(lab.disks)} disks, seed {options.seed}"
    print(f"{scale}; harmed: {harmed}; load average {min(r['load'] for r in rows):.1f} to {max(r['load'] for r in rows):.1f}; status missed {lab.windows.misses} times")
    print(f"windows in which tasks waited for a processor more than half of the time: {sum(row['figures']['cpu'] > 50 for row in rows)}")
    goals = [(c.precision() >= options.precision, f"precision {c.precision():.2f} >= {options.precision}"),
             (c.recall() >= options.recall, f"recall {c.recall():.2f} >= {options.recall}"),
             (harmed >= len(rows) // 6 and len(rows) - harmed >= len(rows) // 6, f"both kinds of windows are there: {harmed} of {len(rows)} harmed"),
             (len(rows) == len(lab.disks) * options.scenarios * options.windows, f"{len(rows)} windows judged")]
    if OURS in counts:
        # A window's ends are read twice, a moment apart: what lies on a limit may fall on either side.
        same = sum(row["verdicts"][OURS] == row["verdicts"][CROSS_CHECK] for row in rows)
        goals.append((same >= 0.95 * len(rows), f"agrees with {CROSS_CHECK} in {same} of {len(rows)} windows"))
    for good, text in goals:
        print(f"{'ok' if good else 'FAILED'} {judged}: {text}")
    print(f"{sum(good for good, _ in goals)} passed, {sum(not good for good, _ in goals)} failed")
    sys.exit(0 if all(good for good, _ in goals) else 1)


main()

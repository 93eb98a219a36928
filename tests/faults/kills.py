"""SIGKILL while placing: at the entry and the exit of every writing call, and at random moments.

After each one every file is the old or the new one, to the byte; nothing half-made bears a name that kubelet or nodeadm reads; and the
next run, whichever it is, ends where it would have ended without the kill. It refuses to count a run that ended before its kill.
"""
import collections
import json
import random

import fixture
import strace
import trace
from fixture import AL2, LAYOUTS, OUT, RECORD, TARGET

# Old, new, newer, and back: --max-pods changes the memory, the settings bring keys and take them away.
STEPS = (("--force", "--max-pods", "20", "--config", "/settings/a.toml"),
         ("--force", "--max-pods", "50", "--config", "/settings/b.toml"),
         ("--force", "--max-pods", "110", "--config", "/settings/c.toml"))
FAILING = ("--force", "--config", "/settings/broken.toml")
READ_BY_OTHERS = (".conf", ".yaml", ".yml", ".json")
AFTER = ("the same run", "back to the old", "another machine", "failing on another machine", "failing on the same machine")


class Kills:
    def __init__(self, scratch, report, names):
        self.scratch, self.report, self.names = scratch, report, names
        self.last_call = collections.Counter()
        self.placing = self.total = self.writing = self.in_call = 0

    def states(self, layout):
        """The whole tree after each step, on both machines; a step's result must not depend on what was there before."""
        bare = fixture.Machine(f"{self.scratch}/{layout}-bare", layout)
        trees = {(None, 1): bare.tree()}
        for number in (1, 2):
            for step, args in enumerate(STEPS):
                fresh = fixture.Machine(f"{self.scratch}/{layout}-{step}-{number}", layout, number)
                code, _, err = fresh.run(*args)
                self.report.check(f"{layout}: a clean run", code == 0, err)
                trees[step, number] = fresh.tree()
                if layout != fixture.AL2023:
                    code, out, err = fresh.run(command=[fixture.BINARY, "config", "check", "--kubelet", fresh.at(TARGET[layout])])
                    self.report.check(f"{layout}: what was placed can be read", code == 0, out + err)
                fresh.forget()
        bare.forget()
        return trees

    def layout(self, layout, asynchronous, rng):
        trees = self.states(layout)
        machine = fixture.Machine(f"{self.scratch}/{layout}", layout)
        names = {path for tree in trees.values() for path in tree}
        kill = 0
        for old in (None, *range(len(STEPS))):
            new = 0 if old is None else (old + 1) % len(STEPS)
            machine = self.back_to(machine, old, trees)
            calls, code = trace.trace(machine.command(*STEPS[new]), self.names)
            self.report.check(f"{layout}: step {old} to {new}", code == 0 and machine.tree() == trees[new, 1],
                              differences(trees[new, 1], machine.tree()))
            written = [index for index, call in enumerate(calls) if call.writes]
            self.writing += len(written)
            points = [{"kill_at": (index, op)} for index in written for op in (trace.ENTRY, trace.EXIT)]
            # Between the writing calls nothing changes on disk, so a few of the others stand for all.
            first = next(index for index, call in enumerate(calls) if call.name == "flock")
            others = [index for index in range(first, len(calls) - 1) if index not in written]
            points += [{"kill_at": (index, trace.ENTRY)} for index in rng.sample(others, 8)]
            opened = [index for index, call in enumerate(calls) if call.opens_temporary]
            for _ in range(asynchronous):
                near = rng.randrange(opened[0], written[-1] + 1) if rng.random() < 0.8 else rng.randrange(first, len(calls) - 1)
                points.append({"alarm": (near, rng.uniform(0, 0.0006))})
            for point in points:
                self.one(machine, trees, old, new, names, point, kill % len(AFTER))
                kill += 1
        machine.forget()

    def back_to(self, machine, old, trees):
        """The machine after a step, or before the first one, when our directories are not there either."""
        if old is None:
            machine.forget()
            return fixture.Machine(machine.root, machine.layout)
        machine.become(1)
        machine.restore(trees[old, 1])
        return machine

    def one(self, machine, trees, old, new, names, point, after):
        layout = machine.layout
        machine = self.back_to(machine, old, trees)
        calls, code = trace.trace(machine.command(*STEPS[new]), self.names, **point)
        if code != -9:
            # Only the clock can miss.
            self.report.check(f"{layout}: killed at {point}", "alarm" in point and code == 0, code)
            return
        self.total += 1
        last = calls[-1]
        self.last_call[last.name + (" (temporary)" if last.opens_temporary else "")] += 1
        self.in_call += last.done is None and "alarm" in point
        waiting = sum(call.opens_temporary and (call.done or -1) >= 0 for call in calls) - sum(call.places and call.done == 0 for call in calls)
        self.placing += waiting > 0
        what = f"{layout} {old}->{new} killed at {point} {last.name}"
        now = machine.tree()
        for path in sorted(names | now.keys()):
            if path.endswith(trace.TEMPORARY):
                continue
            either = [trees[old, 1].get(path), trees[new, 1].get(path)]
            whole = now.get(path) in either or (path == RECORD and whole_record(now, trees[old, 1], trees[new, 1]))
            self.report.check(f"{what}: {path} is old or new", whole, now.get(path))
        strange = [path for path in now.keys() - names if path.endswith(READ_BY_OTHERS)]
        self.report.check(f"{what}: no half-made file is read by others", not strange, strange)
        self.next_run(machine, trees, old, new, after, what)

    def next_run(self, machine, trees, old, new, after, what):
        what = f"{what}, then {AFTER[after]}"
        if after in (0, 1):
            step = new if after == 0 or old is None else old
            code, _, err = machine.run(*STEPS[step])
            self.ends_as(machine, trees[step, 1], what, code, err)
            return
        if after in (2, 3):
            machine.become(2)
        if after == 2:
            code, _, err = machine.run(*STEPS[new])
            self.ends_as(machine, trees[new, 2], what, code, err)
            return
        before = machine.tree()
        code, _, err = machine.run(*FAILING)
        self.report.check(f"{what}: exit 2", code == 2, err)
        bare, now = trees[None, 1], machine.tree()
        target = TARGET[machine.layout]
        if after == 4 or machine.layout == OUT:
            self.report.check(f"{what}: all as it was", now == before, differences(before, now))
        elif machine.layout == AL2:
            same = json.loads(now[target][3]) == json.loads(bare[target][3])
            self.report.check(f"{what}: only others' values are left", same and RECORD not in now, now[target][3])
        else:
            self.report.check(f"{what}: the other machine's file is gone", target not in now, now.get(target))
        code, _, err = machine.run(*STEPS[new])
        number = 2 if after == 3 else 1
        self.ends_as(machine, trees[new, number], what + ", then a good run", code, err)

    def ends_as(self, machine, tree, what, code, err):
        now = machine.tree()
        if machine.layout == AL2 and code == 0 and now != tree:
            # Taking values back and laying new ones over can leave another order of keys: kubelet reads the same.
            now, tree = ordered(now), ordered(tree)
        self.report.check(f"{what}: ends as without the kill", code == 0 and now == tree, err or differences(tree, now))


def whole_record(now, old, new):
    """The record may name both merges while the file holds one of them; each part of it is one that is known."""
    if RECORD not in now:
        return False
    record, before, after = (json.loads(tree[RECORD][3]) if RECORD in tree else {} for tree in (now, old, new))
    layer = lambda value: {key: value.get(key) for key in ("machine", "wrote", "before")}
    return layer(record) == layer(after) and all(layer(one) == layer(before) for one in record.get("earlier", []))


def ordered(tree):
    return {path: (*facts[:3], json.loads(facts[3])) if path.endswith(".json") else facts for path, facts in tree.items()}


def differences(wanted, found):
    return [(path, wanted.get(path), found.get(path)) for path in sorted(wanted.keys() | found.keys()) if wanted.get(path) != found.get(path)]


def order(scratch, report):
    """The order of the calls, from strace's log: also gives the names of the system calls."""
    names = {}
    for layout in LAYOUTS:
        machine = fixture.Machine(f"{scratch}/{layout}-order", layout)
        for step in (STEPS[0], STEPS[1]):
            calls = strace.log(machine.command(*step))
            names.update({number: name for name, _, _, number, _ in calls})
            expected = {TARGET[layout].rsplit("/", 1)[1]}
            expected |= {"merged.json"} if layout == AL2 else set()
            expected |= {"bootstrap.json"} if layout != OUT and step is STEPS[0] else set()
            faults = strace.order_faults(calls, expected)
            report.check(f"{layout}: write, fsync, rename, fsync of the directory", not faults, faults)
            others = [name for name, *_ in calls[1:] if name in ("clone", "clone3", "fork", "vfork", "execve", "socket", "connect")]
            report.check(f"{layout}: no other program, no socket", calls and not others, others)
        machine.forget()
    report.part("order of write, fsync, rename, fsync of the directory (strace)")
    return names


def run(scratch, report, asynchronous, seed):
    names = order(scratch, report)
    rng = random.Random(seed)
    kills = Kills(scratch, report, names)
    for layout in LAYOUTS:
        kills.layout(layout, asynchronous, rng)
        report.part(f"kills: {layout}")
    print(f"kills: {kills.total} in all, {kills.placing} of them between the open of a temporary file and its rename, "
          f"{kills.in_call} inside a system call; {kills.writing} writing calls, each killed at its entry and at its exit")
    print("kills by last system call:")
    for name, count in kills.last_call.most_common():
        print(f"  {count:6} {name}")
    report.check("at least 1,000 kills", kills.total >= 1000, kills.total)
    report.check("at least 200 between open and rename", kills.placing >= 200, kills.placing)

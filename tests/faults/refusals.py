"""What cannot be written or understood: the exit code, one clear line, and everything as it was, to the byte and to the mtime.

Mounts happen in the mount namespace that run.sh made; it refuses to mount anything outside the scratch directory.
"""
import contextlib
import os
import subprocess

import fixture
from fixture import AL2, AL2023, DROP_IN, KUBEADM, LOCK, OUT, RECORD, STAMP, TARGET
from kills import STEPS

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


class Refusals:
    def __init__(self, scratch, report):
        self.scratch, self.report, self.count = scratch, report, 0

    @contextlib.contextmanager
    def placed(self, layout, first=STEPS[0]):
        """A machine on which an earlier run has placed its values."""
        self.count += 1
        machine = fixture.Machine(f"{self.scratch}/refusal-{self.count}", layout)
        code, _, err = machine.run(*first)
        self.report.check(f"{layout}: a first run", code == 0, err)
        yield machine
        machine.forget()

    def refused(self, what, machine, args, code, words, prefix=(), command=None):
        """One run that must fail: `words` must be in its one line."""
        before = machine.tree(times=True)
        got, out, err = machine.run(*args, prefix=prefix, command=command)
        what = f"{machine.layout}: {what}"
        self.report.check(f"{what}: exit {code}", got == code, f"exit {got}: {err}{out}")
        self.report.check(f"{what}: one line that says {words}", err.count("\n") == 1 and err.startswith("node-steward: ")
                          and all(word in err for word in words), err)
        after = machine.tree(times=True)
        self.report.check(f"{what}: all as it was", after == before, [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)])

    @contextlib.contextmanager
    def mounted(self, machine, directory):
        """The directory's files on a small tmpfs of their own."""
        full = machine.at(directory)
        os.makedirs(full, exist_ok=True)
        files = {name: (open(f"{full}/{name}", "rb").read()) for name in os.listdir(full) if os.path.isfile(f"{full}/{name}")}
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k,nr_inodes=40,mode=755", "faults", full], check=True)
        try:
            for name, data in files.items():
                with open(f"{full}/{name}", "wb") as file:
                    file.write(data)
            yield full
        finally:
            subprocess.run(["umount", full], check=True)

    def places(self, layout):
        """The directories that a placing writes to."""
        return [os.path.dirname(path) for path in (TARGET[layout], *([RECORD] if layout == AL2 else []), *([STAMP] if layout != OUT else []))]

    def full(self):
        for layout in fixture.LAYOUTS:
            for directory in self.places(layout):
                for kind, leave in (("blocks", 0), ("inodes", 0), ("blocks", 1), ("inodes", 1)):
                    with self.placed(layout) as machine, self.mounted(machine, directory) as full:
                        # Another boot, so that there is a new stamp to write.
                        machine.write("/proc/sys/kernel/random/boot_id", "another boot\n")
                        if leave and (kind == "inodes" or layout != AL2 or directory != os.path.dirname(TARGET[AL2])):
                            continue
                        if leave:
                            # Larger than the one page that is left: the write is cut short before it fails.
                            machine.write(TARGET[AL2], machine.read().replace(b'"ownKey"', b'"long": "' + b"x" * 30000 + b'", "ownKey"'))
                        fill(full, kind, leave)
                        self.refused(f"no {kind} left in {directory}{' after a page' * leave}", machine, STEPS[1], 1, ("No space left", directory, "free some"))
        self.report.part("ENOSPC, of blocks and of inodes")

    def read_only(self):
        for layout in fixture.LAYOUTS:
            for directory in self.places(layout):
                with self.placed(layout) as machine, self.mounted(machine, directory) as full:
                    machine.write("/proc/sys/kernel/random/boot_id", "another boot\n")
                    subprocess.run(["mount", "-o", "remount,ro", full], check=True)
                    self.refused(f"EROFS on {directory}", machine, STEPS[1], 1, ("Read-only file system", directory, "remount"))
                with self.placed(layout) as machine:
                    machine.write("/proc/sys/kernel/random/boot_id", "another boot\n")
                    full = machine.at(directory)
                    subprocess.run(["mount", "--bind", full, full], check=True)
                    subprocess.run(["mount", "-o", "remount,bind,ro", full], check=True)
                    try:
                        self.refused(f"a read-only bind over {directory}", machine, STEPS[1], 1, ("Read-only file system", directory, "remount"))
                    finally:
                        subprocess.run(["umount", full], check=True)
        self.report.part("EROFS, by remount and by a read-only bind")

    def forbidden(self):
        with self.placed(AL2) as machine:
            words = ("Permission denied", LOCK, "run as root")
            self.refused("as nobody", machine, STEPS[1], 1, words, prefix=NOBODY)
            os.chmod(machine.at(LOCK), 0o666)
            self.refused("as nobody, with a lock that anybody may take", machine, STEPS[1], 1, ("Permission denied", "run as root"), prefix=NOBODY)
        with self.placed(OUT) as machine:
            self.refused("as nobody into another's directory", machine, STEPS[1], 1, ("Permission denied", TARGET[OUT], "run as root"), prefix=NOBODY)
            os.chmod(machine.at("/base/kubelet.json"), 0o600)
            self.refused("as nobody from a base that only root reads", machine, STEPS[1], 1, ("Permission denied", "/base/kubelet.json"), prefix=NOBODY)
            os.chmod(machine.at("/base/kubelet.json"), 0o644)
            os.chmod(machine.at("/out"), 0o777)
            self.refused("as nobody, whose file could not keep its owner", machine, STEPS[1], 1, ("Operation not permitted", TARGET[OUT]), prefix=NOBODY)
            os.chown(machine.at("/out"), 65534, 65534)
            os.chown(machine.at(TARGET[OUT]), 65534, 65534)
            os.chmod(machine.at("/out"), 0o500)
            self.refused("as nobody, whose own directory forbids it", machine, STEPS[1], 1, ("Permission denied", TARGET[OUT]), prefix=NOBODY)
            os.chmod(machine.at("/out"), 0o700)
            code, _, err = machine.run(*STEPS[1], prefix=NOBODY)
            self.report.check("stand-alone: as nobody where nothing forbids it", code == 0 and os.stat(machine.at(TARGET[OUT])).st_uid == 65534, err)
        self.report.part("EACCES and EPERM")

    def held(self):
        with self.placed(DROP_IN) as machine:
            holder = subprocess.Popen(["flock", "-x", machine.at(LOCK), "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)
            holder.stdout.readline()
            try:
                self.refused("a lock that is never let go of", machine, STEPS[1], 1, ("another run", LOCK, "10000 ms", "wait"))
            finally:
                holder.kill()
                holder.wait()
                holder.stdout.close()
        self.report.part("a lock that another holds")

    def run(self):
        self.full()
        self.read_only()
        self.forbidden()
        self.held()


def fill(full, kind, leave):
    """Until nothing fits any more; then gives `leave` pages back."""
    number = 0
    with contextlib.suppress(OSError):
        while kind == "inodes":
            number += 1
            open(f"{full}/.filler{number}", "x").close()
    if kind == "blocks":
        file = os.open(f"{full}/.filler", os.O_CREAT | os.O_WRONLY)
        with contextlib.suppress(OSError):
            while os.write(file, b"x" * 4096):
                pass
        os.ftruncate(file, os.fstat(file).st_size - 4096 * leave)
        os.close(file)

#!/usr/bin/env python3
# Makes the recordings of this folder about what goes to the journal: counts of its index, minute by minute, as the probes note them.
# It refuses to write what is expected of them: expect.json and WHY.md are written by hand, and it leaves them alone.
import json

from make_logging import Logs


class Index(Logs):
    """A small node with a persistent journal; every step is a minute."""

    def __init__(self, case, settings=""):
        super().__init__(case, settings)
        self.persistent()
        self.counts = {"kubelet.service": 5000, "containerd.service": 9000, "sshd.service": 200}
        self.priorities = [0, 0, 0, 40, 300, 900, 12960, 0]
        self.notices = {"started": 1, "suppressed": 0, "missedKernel": 0, "missedForward": 0, "failed": 0}
        self.id, self.dropped, self.failed = "a1", [], []
        self.debug, self.critical, self.aside, self.bytes_of = {}, {}, [], 400 << 20
        self.faceted, self.journald_pid = 0, None

    def minute(self, pid=60, priority=6, **units):
        """So many messages a second of each unit in the minute before."""
        for unit, rate in {"kubelet": 3, "containerd": 2, **units}.items():
            name = f"{unit}.service"
            count = round(rate * 60)
            self.counts[name] = self.counts.get(name, 0) + count
            self.priorities[priority if unit in units else 6] += count
        newest = lambda units: {"of": sum(units.values()) + self.faceted, "units": units, "synced": sum(units.values())}
        file = {
            "path": "/var/log/journal/0123456789abcdef0123456789abcdef/system.journal",
            "id": self.id,
            "entries": sum(self.counts.values()),
            "priorities": self.priorities,
            "units": self.counts,
            "notices": self.notices,
            "debug": newest(self.debug),
            "critical": newest(self.critical),
            "dropped": self.dropped,
            "failed": self.failed,
            "cut": None,
        }
        note = {"files": [file], "diskBytes": self.bytes_of, "count": 9, "persistent": True, "setAsideWallMs": self.aside}
        self.file("/.recorded/told/journal", json.dumps(note))
        if self.journald_pid not in (None, pid):  # The id of the one before is another process's.
            old = self.journald_pid
            self.file(f"/proc/{old}/stat", f"{old} (sleep) S 1 {old} {old} 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 {9000 + old} 0")
        self.journald_pid = pid
        self.process("systemd-journald.service", pid, "systemd-journal", write_bytes=300_000, writes=5)
        self.steps(1, pace=60)

    def rotate(self):
        self.id = f"{self.id}r"
        self.counts = {unit: 0 for unit in self.counts}
        self.priorities = [0] * 8


def log_flood_sick():
    node = Index("log-flood-sick")
    for minute in range(14):
        if minute == 6:
            node.rotate()
        node.minute(noisy=0 if minute < 2 else 340 if minute < 9 else 1)


def log_flood_well():
    node = Index("log-flood-well")
    for minute in range(12):  # A start that says much for one minute, and a busy kubelet on a node where little else is said.
        node.minute(api=400 if minute in (2, 7) else 4, kubelet=30)


def debug_logging_sick():
    node = Index("debug-logging-sick")
    for minute in range(10):
        debugging = 2 <= minute < 6
        if debugging:
            node.debug = {"api.service": 60, "kubelet.service": 4}
        node.minute(priority=7, api=35 if debugging else 0.5)


def debug_logging_well():
    node = Index("debug-logging-well")
    node.debug = {"api.service": 64}
    for minute in range(8):
        node.minute(priority=7, api=90 if minute == 3 else 15)


def journal_sync_flood_sick():
    node = Index("journal-sync-flood-sick")
    for minute in range(9):
        if minute >= 2:
            node.critical = {"db.service": 64}
        node.minute(priority=2, db=12 if 2 <= minute < 5 else 0)


def journal_sync_flood_well():
    node = Index("journal-sync-flood-well")
    for minute in range(8):  # Now and then something is critical; then a unit's own output is, often, but it has a facility.
        node.critical, node.faceted = ({"db.service": 3}, 0) if minute < 4 else ({"db.service": 3}, 61)
        node.minute(priority=1, db=9 if minute >= 4 else 0.9 if minute % 2 else 0)


def journal_rate_limited_sick():
    node = Index("journal-rate-limited-sick")
    for minute in range(16):
        if minute == 2:
            node.notices["suppressed"], node.dropped = 1, [["noisy.service", 8236]]
        if minute == 3:
            node.notices["suppressed"], node.dropped = 2, [["noisy.service", 8236], ["noisy.service", 512]]
        node.minute(noisy=20)


def journal_rate_limited_well():
    node = Index("journal-rate-limited-well")
    node.notices["suppressed"], node.dropped = 7, [["noisy.service", 8236]] * 4
    for minute in range(4):  # All of it was before we came.
        node.minute(noisy=20)


# The recordings begin ten minutes after boot.
BOOT_MS = 1_790_000_600_000 - 600_000


def journal_corrupted_sick():
    node = Index("journal-corrupted-sick")
    for minute in range(4):
        if minute == 2:
            node.aside = [BOOT_MS + 5_000, BOOT_MS + 700_000]
        node.minute()


def journal_corrupted_well():
    node = Index("journal-corrupted-well")
    node.aside = [BOOT_MS - 86_400_000, BOOT_MS + 5_000]  # The power went yesterday, and before this boot.
    for _ in range(3):
        node.minute()


def journal_usage_sick():
    node = Index("journal-usage-sick")
    for minute in range(6):
        node.bytes_of = (8 if minute < 2 else 11 if minute < 4 else 2) << 30
        node.minute()


def journal_usage_well():
    node = Index("journal-usage-well")
    node.bytes_of = 11 << 30
    node.mount(259, 11, "/var/log", "ext4", "/dev/nvme0n1p2")  # It has a file system of its own.
    node.place("/var/log", 259, 11)
    for _ in range(3):
        node.minute()


def restarts(node, count):
    """systemd has started journald anew so often by itself since somebody started it."""
    node.file("/.recorded/told/units", f"Id=systemd-journald.service\nActiveState=active\nSubState=running\nResult=success\nNRestarts={count}\nExecMainStartTimestampMonotonic=99\n")


def journald_unhealthy_sick():
    node = Index("journald-unhealthy-sick")
    for minute in range(8):
        if minute == 4:
            node.notices["missedKernel"] = 1
        if minute == 5:
            node.notices["failed"], node.failed = 1, [["systemd-journald.service", "watchdog"]]
        restarts(node, min(max(minute - 1, 0), 2))
        node.minute(pid=60 if minute < 2 else 62 if minute == 2 else 63)


def journald_unhealthy_unasked_sick():
    node = Index("journald-unhealthy-unasked-sick")
    for minute in range(8):  # No bus and no socket of systemd: all that is seen is another process.
        node.minute(pid=60 if minute < 2 else 62 if minute == 2 else 63)


def journald_unhealthy_well():
    node = Index("journald-unhealthy-well")
    for minute in range(8):  # `fix syslog --apply`, `--undo`, an upgrade and an operator: restarts that somebody asked for. Another unit fails.
        if minute == 5:
            node.notices["failed"], node.failed = 1, [["other.service", "exit-code"]]
        restarts(node, 0)
        node.minute(pid=60 + min(minute, 6))


if __name__ == "__main__":
    for name, make in list(globals().items()):
        if name.endswith(("_sick", "_well")) and make.__module__ == "__main__":
            make()

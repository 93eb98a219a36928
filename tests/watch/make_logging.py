#!/usr/bin/env python3
# Makes the recordings of this folder about who writes the host's logs: journald and syslog daemons, their units, configurations and costs.
# It refuses to write what is expected of them: expect.json and WHY.md are written by hand, and it leaves them alone.
from make_resources import Room

DEBIAN = """module(load="imuxsock") # provides support for local system logging
module(load="imklog")   # provides kernel logging support
$IncludeConfig /etc/rsyslog.d/*.conf
*.*;auth,authpriv.none\t\t-/var/log/syslog
auth,authpriv.*\t\t\t/var/log/auth.log
*.emerg\t\t\t\t:omusrmsg:*
"""
RHEL = """module(load="imuxsock"
       SysSock.Use="off") # local messages are retrieved through imjournal now
module(load="imjournal"
       StateFile="imjournal.state")
include(file="/etc/rsyslog.d/*.conf" mode="optional")
*.info;mail.none;authpriv.none;cron.none                /var/log/messages
authpriv.*                                              /var/log/secure
"""
STORE = "/var/log/journal/0123456789abcdef0123456789abcdef/system.journal"


class Logs(Room):
    """A small node with journald, and a syslog daemon where the case says so."""

    def __init__(self, case, settings=""):
        super().__init__(case, settings)
        self.bytes = {}

    def process(self, unit, pid, comm, write_bytes=0, writes=0):
        """It runs, and has written so much more since the turn before."""
        self.daemon(unit, pid, comm)
        old_bytes, old_writes = self.bytes.get(unit, (0, 0))
        now = self.bytes[unit] = (old_bytes + write_bytes, old_writes + writes)
        self.file(f"/proc/{pid}/io", f"rchar: 1\nwchar: 1\nsyscr: 1\nsyscw: {now[1]}\nread_bytes: 0\nwrite_bytes: {now[0]}\ncancelled_write_bytes: 0")

    def journald(self, **written):
        self.process("systemd-journald.service", 60, "systemd-journal", **written)

    def rsyslogd(self, **written):
        self.process("rsyslog.service", 71, "rsyslogd", **written)

    def persistent(self):
        self.file(STORE, "LPKSHHRH")

    def debian(self):
        self.put("root", "/etc/rsyslog.conf", DEBIAN)
        self.file("/usr/lib/systemd/journald.conf", "[Journal]\n#ForwardToSyslog=yes")
        self.file("/.recorded/told/etc/systemd/system/syslog.service", "/lib/systemd/system/rsyslog.service")
        self.file("/etc/systemd/system/multi-user.target.wants/rsyslog.service", "")
        self.file("/.recorded/told/readers", "[]")

    def rhel(self):
        self.put("root", "/etc/rsyslog.conf", RHEL)
        self.file("/usr/lib/systemd/journald.conf", "[Journal]\n#ForwardToSyslog=no")
        self.file("/etc/systemd/system/multi-user.target.wants/rsyslog.service", "")
        self.file("/.recorded/told/readers", "[]")


def syslog_active_sick():
    node = Logs("syslog-active-sick")
    node.persistent()
    node.debian()
    for turn in range(24):
        node.journald(write_bytes=200_000, writes=3)
        if turn == 20:  # Switched off, as the advice says: the unit's cgroup goes with it.
            node.file("/sys/fs/cgroup/system.slice/rsyslog.service/cgroup.procs", "")
        if turn < 20:
            busy = 4 <= turn < 14
            node.rsyslogd(write_bytes=40_000_000 if busy else 40_000, writes=90_000 if busy else 200)
            node.load("nvme0n1", writes=4000 if busy else 10, kib=20)
        node.steps(1, pace=30)


def syslog_active_well():
    node = Logs("syslog-active-well")
    node.rhel()  # The journal is volatile: rsyslog is the only one that keeps anything.
    for turn in range(16):
        node.journald()
        node.rsyslogd(write_bytes=5_000_000, writes=9000)
        if turn == 8:  # The journal is kept from now on, and rsyslog only sends.
            node.persistent()
            node.put(node.layer(), "/etc/rsyslog.conf", RHEL.split("*.info")[0] + "*.* @@logs.example.com\n")
        node.steps(1, pace=30)


def syslog_sync_sick():
    node = Logs("syslog-sync-sick")
    node.rhel()
    node.file("/etc/rsyslog.d/10-safe.conf", "$ActionFileEnableSync on")
    for turn in range(12):
        node.journald()
        node.rsyslogd(write_bytes=12_000_000, writes=6000)
        if turn == 8:
            node.file("/etc/rsyslog.d/10-safe.conf", "$ActionFileEnableSync off")
        node.steps(1, pace=30)


def syslog_sync_well():
    node = Logs("syslog-sync-well")
    node.rhel()
    # What is synced is excepted by a dash, or is no file of a disk.
    node.file("/etc/rsyslog.d/10-safe.conf", "$ActionFileEnableSync on\nkern.* -/var/log/kern.log\n*.emerg /dev/console\n$ActionFileEnableSync off")
    for _ in range(6):
        node.journald()
        node.rsyslogd(write_bytes=12_000_000, writes=6000)
        node.steps(1, pace=30)


if __name__ == "__main__":
    for make in [syslog_active_sick, syslog_active_well, syslog_sync_sick, syslog_sync_well]:
        make()

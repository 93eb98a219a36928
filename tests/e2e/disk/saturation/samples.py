"""Reads /proc/diskstats, /proc/pressure and /proc/stat twenty times a second and answers what happened between two moments.
It refuses to answer for a moment that it did not see within a tenth of a second."""
import bisect
import threading
import time

EVERY = 0.05


def clock():
    """CLOCK_MONOTONIC in ms, the clock that the daemon's windows and the victim's samples carry."""
    return time.clock_gettime(time.CLOCK_MONOTONIC) * 1000


def some(pressure):
    return int(pressure.split("total=")[1].split()[0])


class Samples(threading.Thread):
    def __init__(self, devices):
        super().__init__(daemon=True)
        self.devices, self.times, self.rows, self.ended = devices, [], [], threading.Event()

    def run(self):
        files = [open(path, "rb", buffering=0) for path in ("/proc/diskstats", "/proc/pressure/io", "/proc/pressure/cpu", "/proc/stat")]
        while not self.ended.wait(EVERY):
            for file in files:
                file.seek(0)
            at = clock()
            disks, io, cpu, stat = (file.read(1 << 18).decode() for file in files)
            self.rows.append((self.of_disks(disks), some(io), some(cpu), [int(n) for n in stat.split(None, 11)[1:9]]))
            self.times.append(at)  # Last: whoever sees the time finds the row.

    def of_disks(self, text):
        rows = (line.split() for line in text.splitlines())
        return {row[2]: [int(n) for n in row[3:]] for row in rows if row[2] in self.devices}

    def at(self, ms):
        i = bisect.bisect_left(self.times, ms)
        near = min((k for k in (i - 1, i) if 0 <= k < len(self.times)), key=lambda k: abs(self.times[k] - ms), default=None)
        if near is None or abs(self.times[near] - ms) > 100:
            raise LookupError(f"no sample near {ms:.0f} ms")
        return self.times[near], self.rows[near]

    def between(self, device, start, end):
        """The figures of one window, by the definitions of iostat; times wrap at 2^32."""
        (t0, (disks0, io0, wait0, cpu0)), (t1, (disks1, io1, wait1, cpu1)) = self.at(start), self.at(end)
        dt = t1 - t0
        d = [(b - a) % (1 << 32) for a, b in zip(disks0[device], disks1[device])]
        d += [0] * (17 - len(d))
        ios, jiffies = d[0] + d[4], sum(cpu1) - sum(cpu0)
        # Flushes without data count as writes; where there were any, a write has a block, and every second one does.
        requests = d[0] + (min(d[4], max(d[6] * 512 // 4096, -(-d[4] // 2))) if d[15] else d[4])
        return {
            "ios": ios,
            "iops": ios / dt * 1000,
            "mib": (d[2] + d[6]) / 2048 / dt * 1000,
            "bytes": (d[2] + d[6]) * 512 / ios if ios else 0,
            "await": (d[3] + d[7]) / ios if ios else 0,
            "request": (d[3] + d[7]) / requests if requests else 0,
            "aqu": (d[3] + d[7] + d[14] + d[16]) / dt,
            "util": d[9] / dt * 100,
            "some": (io1 - io0) / dt / 10,
            "cpu": (wait1 - wait0) / dt / 10,
            "iowait": (cpu1[4] - cpu0[4]) / jiffies * 100 if jiffies else 0,
        }

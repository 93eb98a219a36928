"""node-steward itself under test: started with a turn as long as a window, asked through its socket, ended by its process id.
It refuses to read anything else of it than what GET /v1/status says."""
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.path)


def ask(path, address="/v1/status"):
    connection = Connection(path)
    try:
        connection.request("GET", address)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


class Daemon(threading.Thread):
    """The windows that the daemon reports, per device: {endMs: the disk's object}."""

    def __init__(self, program, config, path, log):
        super().__init__(daemon=True)
        self.path, self.windows, self.ended, self.misses = path, {}, threading.Event(), 0
        self.process = subprocess.Popen([program, "run", "--config", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                ask(path)
                return
            except (OSError, ValueError, http.client.HTTPException) as error:
                if self.process.poll() is not None:
                    raise SystemExit(f"node-steward run ended with {self.process.returncode}") from error
                if time.monotonic() > deadline:
                    self.stop()
                    raise SystemExit(f"node-steward does not answer on {path}: {error}") from error
                time.sleep(0.2)

    def run(self):
        while not self.ended.wait(0.4):
            try:
                disks = ask(self.path).get("disks", [])
            except (OSError, ValueError, http.client.HTTPException):
                self.misses += 1
                continue
            for disk in disks:
                if disk.get("window"):
                    self.windows.setdefault(disk["name"], {})[disk["window"]["endMs"]] = disk

    def after(self, device, ms):
        """The windows that begin at `ms` or later, in order: [(start, end, the disk's object)]."""
        seen = sorted(self.windows.get(device, {}).items())
        return [(disk["window"]["startMs"], end, disk) for end, disk in seen if disk["window"]["startMs"] >= ms]

    def stop(self):
        self.ended.set()
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Grid:
    """In the daemon's place, where it is left out on purpose: windows of the same length on the clock's own grid."""

    misses = 0

    def __init__(self, samples, length):
        self.samples, self.length, self.begun = samples, length * 1000, None

    def start(self):
        pass

    def after(self, device, ms):
        del device
        start = -(-ms // self.length) * self.length
        last = self.samples.times[-1] if self.samples.times else 0
        count = max(0, int((last - start) // self.length))
        return [(start + k * self.length, start + (k + 1) * self.length, None) for k in range(count)]

    def stop(self):
        pass

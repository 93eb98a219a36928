"""Counting. A check that fails says what was seen; it refuses to stop at the first."""


import time


class Report:
    def __init__(self):
        self.passed = self.failed = 0
        self.before = (0, 0, time.monotonic())

    def check(self, name, good, seen=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            if self.failed <= 60:
                print(f"FAILED: {name}: {str(seen)[:900]}", flush=True)
        return bool(good)

    def part(self, name):
        """What has been counted since the last part."""
        passed, failed, start = self.before
        self.before = (self.passed, self.failed, time.monotonic())
        print(f"{name}: {self.passed - passed} passed, {self.failed - failed} failed, {self.before[2] - start:.0f} s", flush=True)

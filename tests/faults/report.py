"""Counting. A check that fails says what was seen; it refuses to stop at the first."""


class Report:
    def __init__(self):
        self.passed = self.failed = 0

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
        before = getattr(self, "_before", (0, 0))
        self._before = (self.passed, self.failed)
        print(f"{name}: {self.passed - before[0]} passed, {self.failed - before[1]} failed", flush=True)

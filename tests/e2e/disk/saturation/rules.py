"""The rules that are compared: the usual ones, and rule C worked out here a second time, apart from the daemon.
It refuses to say "not saturated" where it has no baseline: that is None. Rule C came with a queue in requests, and with the latency of the window's own
size of request, whatever others need. Queue, sizes, what a write needs besides and what counts as a request were changed after five runs, each with
its own disks and seed; those that are drawn now have chosen nothing."""
import statistics

BASELINES = {
    "%util > 90": lambda f: f["util"] > 90,
    "iowait > 10 %": lambda f: f["iowait"] > 10,
    "await > 10 ms": lambda f: f["await"] > 10,
    "PSI some > 20 %": lambda f: f["some"] > 20,
    "PSI some > 40 %": lambda f: f["some"] > 40,
    "aqu-sz > 10": lambda f: f["aqu"] > 10,
}
QUEUE, TIMES_LIGHT, SOME = 3, 3, 10
OPERATION, BESIDES_MS = 262144, 0.8
LIGHT_QUEUE, LIGHT_IOS = 1, 20


def size_class(figures):
    return "small" if figures["bytes"] <= 32768 else "medium" if figures["bytes"] <= 262144 else "large"


class RuleC:
    """aqu-sz >= 3 (in operations of at most 256 KiB), PSI some >= 10 %, and await - W0 + S0 + B >= 3 (S0 + B): what the window's requests waited beyond
    their own time W0 (the median await of the light windows of the same size class, both over requests with data) makes a small synced write wait too, which takes S0 of the quiet
    disk and B besides."""

    def __init__(self, windows_needed):
        self.needed, self.light = windows_needed, {}

    def baseline(self, device, of_class):
        seen = self.light.get((device, of_class), [])
        return statistics.median(seen) if len(seen) >= self.needed else None

    def look(self, device, figures):
        """The verdict by what was known before this window; then the window is learned from."""
        of_class = size_class(figures)
        light, small = self.baseline(device, of_class), self.baseline(device, "small")
        verdict = None
        if figures["ios"] == 0:
            verdict = False
        elif light is not None and small is not None:
            queue = figures["aqu"] * max(1, figures["bytes"] / OPERATION)
            quiet = small + BESIDES_MS
            takes = max(0, figures["request"] - light) + quiet
            verdict = queue >= QUEUE and takes >= TIMES_LIGHT * quiet and figures["some"] >= SOME
        if figures["aqu"] < LIGHT_QUEUE and figures["ios"] >= LIGHT_IOS:
            self.light.setdefault((device, of_class), []).append(figures["request"])
        return verdict

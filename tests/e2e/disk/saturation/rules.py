"""The rules that are compared: the usual ones, and rule C worked out here a second time, apart from the daemon.
It refuses to say "not saturated" where it has no baseline: that is None. Its numbers were fixed before any run of this harness."""
import statistics

BASELINES = {
    "%util > 90": lambda f: f["util"] > 90,
    "iowait > 10 %": lambda f: f["iowait"] > 10,
    "await > 10 ms": lambda f: f["await"] > 10,
    "PSI some > 20 %": lambda f: f["some"] > 20,
    "PSI some > 40 %": lambda f: f["some"] > 40,
    "aqu-sz > 10": lambda f: f["aqu"] > 10,
}
QUEUE, TIMES_LIGHT, SOME = 4, 3, 10
LIGHT_QUEUE, LIGHT_IOS = 1, 20


def size_class(figures):
    return "small" if figures["bytes"] <= 32768 else "medium" if figures["bytes"] <= 262144 else "large"


class RuleC:
    """aqu-sz >= 4 and await >= 3 W0 and PSI some >= 10 %, with W0 the median await of the light windows of the same size class."""

    def __init__(self, windows_needed):
        self.needed, self.light = windows_needed, {}

    def baseline(self, device, of_class):
        seen = self.light.get((device, of_class), [])
        return statistics.median(seen) if len(seen) >= self.needed else None

    def look(self, device, figures):
        """The verdict by what was known before this window; then the window is learned from."""
        of_class = size_class(figures)
        light = self.baseline(device, of_class)
        verdict = None
        if figures["ios"] == 0:
            verdict = False
        elif light is not None:
            verdict = figures["aqu"] >= QUEUE and figures["await"] >= TIMES_LIGHT * light and figures["some"] >= SOME
        if figures["aqu"] < LIGHT_QUEUE and figures["ios"] >= LIGHT_IOS:
            self.light.setdefault((device, of_class), []).append(figures["await"])
        return verdict

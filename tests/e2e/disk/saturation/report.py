"""Counts verdicts against the harm label and prints the table. It refuses to hide what was not judged: windows without a baseline count as "no"
and are listed."""
import math


def wilson(good, all_of_them, z=1.96):
    if all_of_them == 0:
        return 0.0, 1.0
    p, n = good / all_of_them, all_of_them
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


class Count:
    def __init__(self):
        self.tp = self.fp = self.fn = self.tn = self.unknown = 0

    def add(self, verdict, harm):
        if verdict is None:
            self.unknown += 1
        if harm:
            self.tp, self.fn = self.tp + bool(verdict), self.fn + (not verdict)
        else:
            self.fp, self.tn = self.fp + bool(verdict), self.tn + (not verdict)

    def precision(self):
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    def recall(self):
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0


def table(windows, rules):
    """Prints one row a rule and gives the counts back."""
    counts = {rule: Count() for rule in rules}
    for window in windows:
        for rule in rules:
            counts[rule].add(window["verdicts"][rule], window["harm"])
    print(f"\n{'rule':<28} {'P':>5} {'95 % interval':>14} {'R':>6} {'95 % interval':>14}   TP/FP/FN   no baseline")
    for rule, c in counts.items():
        p, r = wilson(c.tp, c.tp + c.fp), wilson(c.tp, c.tp + c.fn)
        cells = f"{c.tp}/{c.fp}/{c.fn}"
        print(f"{rule:<28} {c.precision():5.2f} {p[0]:6.2f} to {p[1]:.2f} {c.recall():6.2f} {r[0]:6.2f} to {r[1]:.2f}   {cells:<10} {c.unknown:>11}")
    return counts

"""All faults, one part after the other, or those that are named. Ends with the counts; it refuses to end well when any check failed."""
import os
import sys
import time

import documents
import kills
import machines
import refusals
import together
from report import Report


def main():
    scratch, parts = sys.argv[1], sys.argv[2:]
    report, start = Report(), time.time()
    seed = int(os.environ.get("FAULTS_SEED", "0")) or int(time.time())
    by_the_clock = int(os.environ.get("FAULTS_RANDOM_KILLS", "60"))
    print(f"seed {seed} (FAULTS_SEED), {by_the_clock} kills by the clock for each change (FAULTS_RANDOM_KILLS)")
    every = {
        "kills": lambda: kills.run(scratch, report, by_the_clock, seed),
        "refusals": lambda: refusals.Refusals(scratch, report).run(),
        "documents": lambda: documents.Documents(scratch, report).run(),
        "machines": lambda: machines.Machines(scratch, report).run(),
        "together": lambda: together.Together(scratch, report).run(),
    }
    for name in parts or every:
        every[name]()
    print(f"{time.time() - start:.0f} s")
    print(f"{report.passed} passed, {report.failed} failed")
    sys.exit(1 if report.failed else 0)


main()

#!/usr/bin/env bash
# Which problems were shown on a real part and which on a recorded one alone: a table of what the stages printed ("shown: KIND" in their logs)
# and of the case folders of tests/watch; "shown: KIND *" is a real driver's finding on a device whose words a program made up. It refuses a problem that was
# shown by neither.
#
#   shown.sh        after the stages; logs of earlier runs count, so that single stages may be run again
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/lib.sh
need python3 python3 || skip "lacks python3"
python3 - <<'PY'
import glob, json, pathlib, re

kinds = re.findall(r"^## (\w+)$", pathlib.Path("packaging/doc/problems.md").read_text(encoding="utf-8"), re.M)
real, recorded = {}, {}
for log in glob.glob("target/test-logs/*.log"):
    for kind, made in re.findall(r"^\s*shown: (\w+)( \*)?$", pathlib.Path(log).read_text(encoding="utf-8", errors="replace"), re.M):
        real.setdefault(kind, set()).add(pathlib.Path(log).stem + made.strip())
for path in glob.glob("tests/watch/*/expect.json"):
    for said in json.loads(pathlib.Path(path).read_text(encoding="utf-8")).get("problems", {}).values():
        for problem in said:
            recorded.setdefault(problem.split()[0], set()).add(pathlib.Path(path).parent.name)
width = max(map(len, kinds))
print(f"{'problem':{width}}  {'real part, in the stages':28}  recorded case")
for kind in kinds:
    print(f"{kind:{width}}  {' '.join(sorted(real.get(kind, []))) or '-':28}  {sorted(recorded.get(kind, ['-']))[0]}")
unknown = sorted(set(real) - set(kinds))
neither = [kind for kind in kinds if kind not in real and kind not in recorded]
for text, wrong in ("shown by neither", neither), ("not in the catalogue", unknown):
    print(f"FAILED {text}: {' '.join(wrong)}" if wrong else f"ok: none {text}")
made = [kind for kind in real if all(stage.endswith("*") for stage in real[kind])]
if made:
    print("* a real driver, and a device whose words a program made up")
print(f"{len(kinds)} problems, {sum(kind in real and kind not in made for kind in kinds)} shown on a real part, {len(made)} more on a real driver alone (*)")
print(f"{2 - bool(neither) - bool(unknown)} passed, {bool(neither) + bool(unknown)} failed")
raise SystemExit(1 if neither or unknown else 0)
PY

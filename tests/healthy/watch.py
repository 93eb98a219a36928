#!/usr/bin/env python3
# Collects what a running daemon reports, and judges it afterwards by what a victim on the same disk went through.
# It refuses to call a run good in which the daemon could not be asked, or the victim took too few samples.
#
#   watch.py collect PID FILE     every 2 s the problems of the daemon with that process id, until it ends
#   watch.py judge DIR            of DIR/{seen,victim,idle-from,idle-to,status}
import http.client, json, os, socket, sys, time

HARM = 3.0


class Unix(http.client.HTTPConnection):
    """HTTP on the socket of a process in a mount namespace of its own."""

    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.path)


def ask(pid, what):
    connection = Unix(f"/proc/{pid}/root/run/node-steward/api.sock")
    connection.request("GET", what)
    return json.loads(connection.getresponse().read())


def collect(pid, path):
    with open(path, "a", encoding="utf-8") as file:
        while os.path.exists(f"/proc/{pid}"):
            now = time.monotonic()
            try:
                answer = {"problems": ask(pid, "/v1/problems")}
            except (OSError, ValueError, http.client.HTTPException) as error:
                answer = {"error": str(error)}
            file.write(json.dumps({"at": now, **answer}) + "\n")
            file.flush()
            time.sleep(2)


def p95(values):
    return sorted(values)[int(len(values) * 0.95)]


def judge(directory):
    read = lambda name: open(f"{directory}/{name}", encoding="utf-8").read()
    samples = [(float(begun) / 1e3, float(took) / 1e3) for begun, took, *error in map(str.split, read("victim").splitlines()) if not error]
    idle_from, idle_to = float(read("idle-from")), float(read("idle-to"))
    idle = p95([took for begun, took in samples if idle_from <= begun < idle_to])
    windows = {}
    for begun, took in samples:
        if begun >= idle_to:
            windows.setdefault(int(begun // 5), []).append(took)
    harmed = sum(p95(tooks) >= HARM * idle for tooks in windows.values())
    print(f"victim: idle p95 {idle:.2f} ms; under load {p95([took for begun, took in samples if begun >= idle_to]):.2f} ms, three times idle in {harmed} of {len(windows)} windows of 5 s")

    good = bad = allowed = 0
    polls = [json.loads(line) for line in read("seen").splitlines()]
    deaf = [one for one in polls if "error" in one]
    found, earlier = {}, set()
    for one in polls:
        answer = one.get("problems", [])
        for problem in answer["problems"] if isinstance(answer, dict) else answer:
            # The kernel's log reaches back to before this run; a line's own moment tells.
            logged = [one["value"] for one in problem["evidence"] if one["name"] == "logged"]
            if problem["source"] == "rule" and logged and logged[0] < int(idle_from):
                earlier.add(f"{problem['kind']} {problem['subject']}")
            elif problem["severity"] != "advice":
                entry = found.setdefault((problem["kind"], str(problem["subject"])), {"first": one["at"], "severity": problem["severity"], "polls": 0, "problem": problem})
                entry["polls"] += 1
    for one in sorted(earlier):
        print(f"note    {one}: in the kernel's log from before this run")
    for (kind, subject), entry in found.items():
        before = [took for begun, took in samples if entry["first"] - 60 <= begun <= entry["first"]]
        suffered = p95(before) / idle if before else 0
        told = f"{kind} {subject}, {entry['severity']}, {entry['first'] - idle_to:+.0f} s from the load's start, in {entry['polls']} looks; the victim needed {suffered:.1f} times its idle p95"
        if kind == "DiskSaturated" and suffered >= HARM:
            allowed += 1
            print(f"right   {told}")
        else:
            bad += 1
            print(f"FAILED  {told}: {json.dumps(entry['problem'])}")

    def check(what, holds):
        nonlocal good, bad
        good, bad = good + holds, bad + (not holds)
        print(f"{'ok     ' if holds else 'FAILED '} {what}")

    check(f"findings above advice where nobody suffered: {len(found) - allowed} (with a victim: {allowed})", len(found) == allowed)
    check(f"the daemon answered {len(polls) - len(deaf)} of {len(polls)} times", len(polls) > 10 and not deaf)
    check(f"the victim took {len(samples)} samples", len(samples) > samples[-1][0] - samples[0][0])
    status = json.loads(read("status"))
    turns = status["turns"]
    check(f"{turns['count']} turns, longest gap {turns['longestGapMs'] / 1000:.1f} s", 0 < turns["longestGapMs"] <= 20_000)
    for part in status["detectors"]:
        if part["state"] != "working":
            print(f"note    {part['name']}: {part['state']}{', ' + part['why'] if 'why' in part else ''}")
    for key, value in (("harmed_windows", harmed), ("windows", len(windows)), ("findings", len(found) - allowed), ("allowed", allowed)):
        print(f"healthy.run.{key} {value}")
    print(f"{good} passed, {bad} failed")
    return bad > 0


if __name__ == "__main__":
    if sys.argv[1] == "collect":
        collect(int(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(judge(sys.argv[2]))

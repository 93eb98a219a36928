#!/usr/bin/env python3
# From the kernel's record to the PATCH at the API server, try by try: has the kernel log an ext4 error, waits until a watch of the Nodes shows it, and takes
# the moment at which the request came from the server's own audit log. It refuses clients' clocks, pauses in place of facts, and to leave out a try that nobody reported.
#
#   latency.py single|settled TRIES    each a fresh problem
#   latency.py second TRIES            another disk's, within the second after a first
#
# The environment says where all is: SERVER, CA, CERT, KEY, AUDIT, TRIGGER and TRIGGER_TWO (trigger_fs_error of two file systems), PEER (empty: there is none).
# Prints a row for each program and, for other programs, lines `latency.PHASE.NAME.FIGURE VALUE`; ends with 1 where something was lost.
import datetime
import http.client
import json
import os
import random
import ssl
import sys
import threading
import time

PATIENCE_S = 30
OURS = ("act-a", "NodeStewardDiskHealth")
PEERS = ("act-b", "LatencyLab")


class Watch(threading.Thread):
    """What the Nodes' conditions say, as an administrator sees it."""

    def __init__(self):
        super().__init__(daemon=True)
        context = ssl.create_default_context(cafile=os.environ["CA"])
        context.load_cert_chain(os.environ["CERT"], os.environ["KEY"])
        host = os.environ["SERVER"].removeprefix("https://")
        self.connection = http.client.HTTPSConnection(host, context=context)
        self.news = threading.Condition()
        self.said, self.ended = {}, None

    def get(self, path):
        self.connection.request("GET", path)
        return self.connection.getresponse()

    def begin(self):
        listed = json.loads(self.get("/api/v1/nodes").read())
        for node in listed["items"]:
            self.take(node)
        self.stream = self.get(f"/api/v1/nodes?watch=true&timeoutSeconds=3600&resourceVersion={listed['metadata']['resourceVersion']}")
        self.start()

    def take(self, node):
        for one in node.get("status", {}).get("conditions", []):
            self.said[node["metadata"]["name"], one["type"]] = (one["status"], one.get("message", ""))

    def run(self):
        try:
            for line in self.stream:
                with self.news:
                    self.take(json.loads(line)["object"])
                    self.news.notify_all()
            why = "the server ended the watch"
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            why = repr(error)
        with self.news:
            self.ended = why
            self.news.notify_all()

    def until(self, so):
        """Waits until it is so; False where it is not within the patience."""
        with self.news:
            met = self.news.wait_for(lambda: self.ended or so(self.said), PATIENCE_S)
            if self.ended:
                sys.exit(f"the watch ended: {self.ended}")
            return bool(met)


def said(seen, whose, *words):
    status, message = seen.get(whose, ("", ""))
    return status == "True" and any(word in message for word in words)


def log(trigger, text):
    moment = time.time_ns()
    with open(trigger, "wb", buffering=0) as file:
        file.write(text.encode())
    return moment


def patches(whose):
    """Requests that wrote this condition, in the server's order: when they came, and what they said."""
    node, kind = whose
    found = []
    with open(os.environ["AUDIT"], encoding="utf-8") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the line that is being written
            if event["stage"] != "ResponseComplete" or event["user"]["username"] != f"system:node:{node}" or event["responseStatus"]["code"] != 200:
                continue
            for one in (event.get("requestObject") or {}).get("status", {}).get("conditions", []):
                if one.get("type") == kind and one.get("status") == "True":
                    came = datetime.datetime.fromisoformat(event["requestReceivedTimestamp"].replace("Z", "+00:00"))
                    found.append((round(came.timestamp() * 1e6) * 1000, one.get("message", "")))
    return found


def row(phase, name, tries, whose):
    """`tries` are moments with the words that tell of them."""
    written = patches(whose)
    took, lost = [], 0
    for moment, words in tries:
        came = [at for at, message in written if at >= moment and any(word in message for word in words)]
        if came:
            took.append((came[0] - moment) / 1e6)
        else:
            lost += 1
    took.sort()
    at = lambda share: took[min(len(took) - 1, max(0, -(-len(took) * share // 100) - 1))] if took else float("nan")
    figures = {"p50_ms": at(50), "p90_ms": at(90), "p99_ms": at(99), "most_ms": at(100)}
    print(f"{name:46}" + "".join(f"{figures[key]:10.1f}" for key in figures) + f"{len(tries):8}{lost:6}")
    short = "ours" if whose == OURS else "peer"
    for key, value in (figures | {"tries": len(tries), "lost": lost}).items():
        print(f"latency.{phase}.{short}.{key} {value:.1f}")
    return lost


phase, count = sys.argv[1], int(sys.argv[2])
names = {
    "single": "node-steward, without the settle delay",
    "settled": "node-steward, with the settle delay",
    "second": "node-steward, within a second after another",
}
peer = os.environ["PEER"] if phase == "single" else ""
watch = Watch()
watch.begin()
begun = random.randrange(1 << 24)
ours, peers = [], []
two = os.environ["TRIGGER_TWO"].split("/")[-2]
for index in range(count):
    if not watch.until(lambda seen: seen.get(OURS, ("", ""))[0] == "False"):
        sys.exit(f"the Node is not well before a try: {watch.said.get(OURS)}")
    # In no step with anybody's beat.
    time.sleep(random.uniform(0, 1))
    word = f"try {begun:06x}.{index}-{'even' if index % 2 == 0 else 'odd'}"
    moment = log(os.environ["TRIGGER"], word)
    if phase == "second":
        time.sleep(random.uniform(0.05, 0.95))
        word = f"and {word}"
        moment = log(os.environ["TRIGGER_TWO"], word)
    words = [word] if phase != "second" else [word, f"Ext4Error {two}"]
    ours.append((moment, words))
    peers.append((moment, words))
    watch.until(lambda seen: said(seen, OURS, *words) and (not peer or said(seen, PEERS, *words)))
lost = row(phase, names[phase], ours, OURS)
if peer:
    # What comes late is for the peer to be late with, not lost: its own beat is awaited.
    lost_there = row(phase, peer, peers, PEERS)
sys.exit(1 if lost else 0)

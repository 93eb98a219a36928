"""Targets that are no plain files, and documents that are broken, huge or odd.

It refuses a run that takes more than a bounded amount of memory, ends by a signal, or replaces what is no file.
"""
import json
import os
import stat

import trace
from fixture import AL2, AL2023, BINARY, DROP_IN, KUBEADM, OUT, RECORD, STAMP, TARGET
from kills import STEPS
from refusals import Refusals

MOST_KIB = 64 << 10
# What is wrong with the main file, and what the error must say besides the file's name.
BROKEN = {
    "truncated": (b'{"kind": "KubeletConfiguration", "kubeReserved": {"cpu"', ("EOF",)),
    "empty": (b"", ("empty",)),
    "only blanks": (b"\n  \n", ("nothing but blanks",)),
    "binary": (bytes(range(256)) * 16, ("control character",)),
    "a list": (b"[1, 2]", ("a list",)),
    "an ELF file": (b"\x7fELF\x02\x01\x01" + b"\0" * 4000, ("control character",)),
    "deeply nested JSON": (b'{"a":' * 100000 + b"1" + b"}" * 100000, ("recursion limit",)),
    "deeply nested YAML": (b"a: " + b"[" * 100000 + b"]" * 100000, ()),
    "YAML with a tab": (b"kind: KubeletConfiguration\n\tx: 1\n", ()),
    "YAML that grows a billionfold": (b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(12)), ()),
}


class Documents(Refusals):
    def targets(self):
        for layout in (DROP_IN, AL2023, KUBEADM, OUT, AL2):
            path = TARGET[layout]
            for kind, make in (("directory", os.mkdir), ("pipe", os.mkfifo), ("device", lambda full: os.mknod(full, 0o666 | stat.S_IFCHR, os.makedev(1, 3)))):
                with self.placed(layout) as machine:
                    os.unlink(machine.at(path))
                    make(machine.at(path))
                    self.refused(f"a {kind} in the target's place", machine, STEPS[1], 1, (path, "regular file"))
            for kind, link, lands in (("relative", "real.txt", "real.txt"), ("absolute", os.path.dirname(path) + "/deep/real.txt", "deep/real.txt")):
                with self.placed(layout) as machine:
                    full, real = machine.at(path), f"{os.path.dirname(machine.at(path))}/{lands}"
                    os.makedirs(os.path.dirname(real), exist_ok=True)
                    os.rename(full, real)
                    os.symlink(link, full)
                    code, out, err = machine.run(*STEPS[1])
                    self.report.check(f"{layout}: a {kind} link stays, and its file is written", code == 0 and os.path.islink(full)
                                      and os.stat(real).st_size > 0 and not os.path.islink(real) and "written" in out, err or out)
                    self.report.check(f"{layout}: a {kind} link leaves nothing half-made", not [n for n in machine.tree() if n.endswith(".tmp")])
            with self.placed(layout) as machine:
                os.unlink(machine.at(path))
                os.symlink(os.path.basename(path), machine.at(path))
                self.refused("a link to itself", machine, STEPS[1], 1, (path, "symbolic links"))
            with self.placed(layout) as machine:
                os.unlink(machine.at(path))
                os.symlink("not-there-yet", machine.at(path))
                code, _, err = machine.run(*STEPS[1])
                there = os.path.exists(machine.at(path)) and os.path.islink(machine.at(path))
                # AL2's file is the base as well: without it there is nothing to merge into.
                good = code == 2 and path in err if layout == AL2 else code == 0 and there
                self.report.check(f"{layout}: a dangling link", good, err)
        self.report.part("targets that are links, directories, pipes and devices")

    def broken(self):
        for kind, (data, words) in BROKEN.items():
            for layout, path in ((AL2, TARGET[AL2]), (KUBEADM, "/var/lib/kubelet/config.yaml"), (OUT, "/base/kubelet.json"), (DROP_IN, "/etc/kubernetes/kubelet.conf.d/10-other.conf")):
                with self.placed(layout) as machine:
                    machine.write(path, data)
                    self.refused(kind, machine, STEPS[1], 1, (path, *words))
                    peak = trace.peak(machine.command(*STEPS[1]))
                    self.report.check(f"{layout}: {kind}: memory", 0 < peak < MOST_KIB, f"{peak} KiB")
        self.report.part("broken documents")

    def large(self):
        for layout, path in ((AL2, TARGET[AL2]), (OUT, "/base/kubelet.json"), (KUBEADM, "/var/lib/kubelet/config.yaml")):
            with self.placed(layout) as machine:
                machine.write(path, b'{"kind": "KubeletConfiguration",' + b" " * (100 << 20) + b'"a": 1}')
                self.refused("100 MB", machine, STEPS[1], 1, (path, "larger than", "right file"))
                peak = trace.peak(machine.command(*STEPS[1]))
                self.report.check(f"{layout}: 100 MB: memory", 0 < peak < MOST_KIB, f"{peak} KiB")
                print(f"{layout}: 100 MB base: peak {peak} KiB")
        head = b'{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", '
        for what, data in (("JSON of 3.9 MiB", head + b'"a": "' + b"x" * (3900 << 10) + b'"}'),
                           ("JSON of 700,000 values", head + b'"a": [' + b"1," * 700000 + b"1]}"),
                           ("JSON of 5,000 unknown keys", head + b", ".join(b'"unknown%d": 1' % number for number in range(5000)) + b"}")):
            with self.placed(AL2) as machine:
                machine.write(TARGET[AL2], data)
                peak = trace.peak(machine.command(*STEPS[2]))
                code, _, err = machine.run(*STEPS[1])
                self.report.check(f"{what} is merged", code == 0 and json.loads(machine.read())["kubeReserved"], err)
                print(f"{what}: peak {peak} KiB")
                self.report.check(f"{what}: memory", 0 < peak < 512 << 10, peak)
        self.report.part("large documents")

    def odd(self):
        """Unusual, but kubelet reads them, and so the merge must keep them."""
        text = open_base()
        for kind, data in (("a byte order mark", b"\xef\xbb\xbf" + text), ("CRLF", text.replace(b"\n", b"\r\n")), ("one line", json.dumps(json.loads(text)).encode()),
                           ("a key twice", text.replace(b'"maxPods": 29', b'"maxPods": 28,\n  "maxPods": 29')), ("no line end", text.rstrip()), ("tabs", text.replace(b"  ", b"\t"))):
            for layout, path in ((AL2, TARGET[AL2]), (OUT, "/base/kubelet.json")):
                with self.placed(layout) as machine:
                    machine.write(path, data)
                    code, _, err = machine.run(*STEPS[1])
                    found = json.loads(machine.read().decode("utf-8-sig"))
                    wanted = {**json.loads(text), "kubeReserved": found.get("kubeReserved")}
                    self.report.check(f"{layout}: {kind}: others' keys kept", code == 0 and found == wanted, err or found)
                    self.report.check(f"{layout}: {kind}: ours are there", found["kubeReserved"].get("memory") == "805Mi", found)
        self.report.part("odd documents that kubelet reads")

    def our_own(self):
        """Our own stamp, record and settings, spoilt."""
        for data in (b"", b"{", b"\0" * 100, b'{"bootId": 1}'):
            with self.placed(DROP_IN) as machine:
                machine.write(STAMP, data)
                code, _, err = machine.run(*STEPS[1][1:])
                self.report.check("a spoilt stamp counts as none", code == 0 and json.loads(machine.read(STAMP))["settled"], err)
            with self.placed(AL2) as machine:
                machine.write(RECORD, data)
                self.refused("a spoilt record", machine, STEPS[1], 1, (RECORD, "remove it"))
        for text, place in (("[reserve]\nprofle = 1\n", ":2:1"), ("[reserve\n", ":1:"), ("\xff", ""), ("[reserve]\nprofile = \"nope\"\n", ":2:1"), ("[kubelet]\ndrop_in_number = -1\n", ":2:")):
            with self.placed(DROP_IN) as machine:
                machine.write("/etc/node-steward/config.toml", text.encode("latin-1"))
                self.refused(f"settings {text!r}", machine, ("--force", "--max-pods", "60"), 2, ("/etc/node-steward/config.toml" + place,))
        with self.placed(DROP_IN) as machine:
            self.refused("settings that are not there", machine, ("--config", "/no.toml"), 2, ("/no.toml", "no such file"))
            self.refused("a root that is not there", machine, (), 1, ("/no/such/root",), command=[BINARY, "--root", "/no/such/root", "bootstrap"])
            machine.write("/etc/node-steward/config.toml", "[reserve]\non_excess = \"fail\"\n[reserve.kube_reserved]\nmemory = \"99Gi\"\n")
            self.refused("reservations over capacity", machine, ("--force",), 4, ("memory",))
        self.report.part("our own stamp, record and settings, spoilt")

    def kept(self):
        for layout in (AL2, AL2023, DROP_IN, OUT):
            with self.placed(layout) as machine:
                full = machine.at(TARGET[layout])
                before = machine.tree(times=True)
                code, out, err = machine.run(*STEPS[0])
                self.report.check(f"{layout}: nothing changed, nothing written", code == 0 and machine.tree(times=True) == before and "unchanged" in out, err or out)
                code, out, err = machine.run(*STEPS[1], "--dry-run", "--diff")
                self.report.check(f"{layout}: a dry run writes nothing", code == 0 and machine.tree(times=True) == before and "would be written" in out, err or out)
                os.chown(full, 12, 34)
                os.chmod(full, 0o640)
                label = b"system_u:object_r:kubernetes_file_t:s0\0"
                os.setxattr(full, "security.selinux", label)
                os.setxattr(full, "user.note", b"x")
                code, _, err = machine.run(*STEPS[1])
                facts = os.stat(full)
                seen = (code, stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid, os.getxattr(full, "security.selinux"), os.listxattr(full))
                self.report.check(f"{layout}: mode, owner and label kept", seen[:5] == (0, 0o640, 12, 34, label), (seen, err))
                self.report.check(f"{layout}: no other attribute is made up", "user.note" not in seen[5], seen)
                if layout != OUT:
                    os.unlink(machine.at(STAMP))
                    machine.run("--max-pods", "33")
                    before = machine.tree(times=True)
                    code, out, err = machine.run("--max-pods", "44")
                    self.report.check(f"{layout}: once per boot", code == 0 and "pending" in out and machine.tree(times=True) == before, err or out)
        self.report.part("what is kept: content, mtime, mode, owner, label")

    def run(self):
        self.targets()
        self.broken()
        self.large()
        self.odd()
        self.our_own()
        self.kept()


def open_base():
    from fixture import AL2_BASE
    return AL2_BASE.encode()

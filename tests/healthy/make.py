#!/usr/bin/env python3
# Makes the machines of machines.py as recordings beneath hosts/: the files that the agent reads, and what changes turn by turn.
# It refuses to touch a recording that capture.sh has made, and to write a file that did not change since the turn before.
#
#   make.py [NAME...]     all, or the named ones
import json, shutil, sys
from pathlib import Path

import machines  # noqa: F401 -- fills HOSTS
import own
from shapes import BOOT, HOSTS, UID, backup, block_files, diskstats, group_files, jitter, log_page, mountinfo, pressure, smart_page

HERE = Path(__file__).parent / "hosts"
MADE = "Put together by `make.py`"


def put(base, path, content):
    file = base / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def beneath(places, path):
    return places[max((one for one in places if path == one or path.startswith(one.rstrip("/") + "/")), key=len)]


def answers(places, runtime):
    """What a look at each mount point and at the node's own directories gives."""
    own = ["/var/lib/kubelet", {"crio-": "/var/lib/containers"}.get(runtime, "/var/lib/docker" if "/var/lib/docker" in places else "/var/lib/containerd"), "/var/log", "/var/log/pods"]
    all_of = places | {path: beneath(places, path) for path in own if path not in places}
    keys = ("dev", "totalBytes", "availableBytes", "inodes", "inodesFree", "readOnly")
    return {path: dict(zip(keys, values)) for path, values in all_of.items()}


def kernel_lines(node):
    first = node["disks"][0].name
    lines = [
        (6, f"Linux version {node['kernel']} (builder@host) #1 SMP"), (6, f"EXT4-fs ({first}): mounted filesystem with ordered data mode. Quota mode: none."),
        (5, f"XFS ({first}): Mounting V5 Filesystem"), (6, f"XFS ({first}): Ending clean mount"),
        (3, "operation not supported error, dev loop0, sector 0 op 0x3:(DISCARD) flags 0x800 phys_seg 0 prio class 2"),
        (4, "systemd-journald[410]: File /var/log/journal/m/system.journal corrupted or uncleanly shut down, renaming and replacing."),
        (6, "cni0: port 1(veth12ab34cd) entered blocking state"),
    ]
    return "".join(f"{level},{number + 100},{1000000 + number * 250000},-;{text}\n" for number, (level, text) in enumerate(lines))


def base(node, runtime):
    files = {
        "/etc/os-release": node["os"], "/proc/sys/kernel/osrelease": node["kernel"] + "\n", "/dev/kmsg": kernel_lines(node),
        "/proc/self/mountinfo": mountinfo(node["mounts"]), "/.recorded/statvfs.json": json.dumps(answers(node["places"], runtime), indent=1) + "\n",
        f"/var/log/pods/shop_cart-5d8f_{UID}/app/0.log": "",
    }
    if "system.slice" in "".join(group_files(node["cg"], runtime, "259:0", False)) or node["cg"] == "v1":
        files["/usr/lib/systemd/system/kubelet.service"] = "[Service]\nExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml\n"
        files["/var/lib/kubelet/config.yaml"] = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nkubeReserved: {cpu: 80m, memory: 893Mi}\nsystemReserved: {cpu: 100m, memory: 100Mi}\n"
    files |= own.constant(node) | block_files(node["disks"]) | group_files(node["cg"], runtime, node.get("io_of", "259:0"), node["psi"])
    for device, known in node.get("ext4", {}).items():
        for key in ("errors_count", "warning_count", "last_error_time"):
            files[f"/sys/fs/ext4/{device}/{key}"] = f"{known.get(key, 0)}\n"
        for key in ("last_error_func", "last_error_errcode"):
            if key in known:
                files[f"/sys/fs/ext4/{device}/{key}"] = f"{known[key]}\n"
    for number, (model, serial, kind) in node.get("nvmes", {}).items():
        words = {"state": "live", "model": model.ljust(40), "serial": serial.ljust(20), "firmware_rev": "1.0     ", f"nvme{number}n1/dev": f"259:{number}"}
        files |= {f"/sys/class/nvme/nvme{number}/{key}": word + "\n" for key, word in words.items()}
        files[f"/.recorded/nvme/nvme{number}/smart.bin"] = smart_page()
        if kind != "smart":
            files[f"/.recorded/nvme/nvme{number}/d0.bin"] = log_page(0, 0x3C23B510 if kind == "ebs" else 0xEC2C0D7E, 3_000_000)
    if node.get("refuses_pressure"):
        files["/.recorded/errno.json"] = json.dumps({f"/proc/pressure/{name}": 95 for name in ("io", "memory", "cpu")}) + "\n"
    return files


def make(name, node):
    host = HERE / name
    why = host / "WHY.md"
    if why.exists() and MADE not in why.read_text():
        sys.exit(f"{host} is a recording of capture.sh")
    for part in ("root", "turns"):
        shutil.rmtree(host / part, ignore_errors=True)
    put(host, "WHY.md", f"{node['why']}\n\n{MADE} from what such machines show; no recording of one.\n")
    runtime = node.get("runtime", "cri-containerd-")
    known = base(node, runtime) | {"/proc/sys/kernel/random/boot_id": f"{int(jitter(name) * 1000):08x}-0000-4000-8000-000000000000\n"}
    boot = known["/proc/sys/kernel/random/boot_id"].strip()
    some, full = 5_000_000, 3_000_000
    for number in range(node.get("turns", 12)):
        seconds, shake = number * 10, int(jitter(name, number) * 200)
        some, full = some + 60_000 + shake * 100, full + 40_000 + shake * 60
        now = {
            "/proc/diskstats": backup(seconds, node["fields"]) if node.get("does") == "backup" else diskstats(node["disks"], seconds, node["fields"]),
            "/proc/stat": f"cpu  {50000 + seconds * 20 + shake} 20 {30000 + seconds * 12} {900000 + seconds * 360} {400 + number} 0 {100 + seconds} 0 0 0\ncpu0 1 0 1 1 0 0 0 0 0 0\nbtime {BOOT}\n",
        }
        if node["psi"]:
            now |= {"/proc/pressure/io": pressure(some, full), "/proc/pressure/memory": pressure(1000, 900), "/proc/pressure/cpu": pressure(some * 4, 0)}
        now |= own.journal(node, seconds // 60)
        if name == "al2023-eks":
            now["/.recorded/nvme/nvme0/d0.bin"] = log_page(seconds, 0x3C23B510, 3_000_000)
        if number == 0:
            known |= now
            for path, content in known.items():
                put(host / "root", path, content)
        for path, content in now.items():
            if known[path] != content:
                put(host / f"turns/{number:03}/root", path, content)
        known |= now
        put(host, f"turns/{number:03}/now", json.dumps({"monoMs": 1_000_000 + seconds * 1000, "wallMs": (BOOT + 1000 + seconds) * 1000, "bootId": boot}) + "\n")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    for name in sys.argv[1:] or HOSTS:
        make(name, HOSTS[name])

#!/usr/bin/env python3
# Writes messages in the journal's export format, as a busy node logs them: kubelet, a container runtime, the kernel, cron's short-lived scopes, and many
# units. The same arguments give the same bytes. It refuses to stop early.
#
#   journal.py MESSAGES UNITS >EXPORT
import random
import sys

messages, units = int(sys.argv[1]), int(sys.argv[2])
dice = random.Random(20261121)
names = ["kubelet.service", "containerd.service", *(f"app-{number}.service" for number in range(units - 2))]
weights = [units, units / 2, *(1 + 40 / (1 + number) for number in range(units - 2))]
words = "pod container volume mounted image pulled status updated probe failed retry sandbox network ready node lease request served in ms error timeout".split()
boot, machine = "b" * 32, "a" * 32
start = 1_790_000_000_000_000
out = sys.stdout
picked = dice.choices(names, weights, k=messages)
for number, unit in enumerate(picked):
    us = number * 700
    priority = dice.choices((6, 5, 4, 3, 7, 2), (800, 60, 60, 40, 38, 2))[0]
    text = " ".join(dice.choices(words, k=dice.randint(8, 30)))
    head = f"__REALTIME_TIMESTAMP={start + us}\n__MONOTONIC_TIMESTAMP={us}\n_BOOT_ID={boot}\n_MACHINE_ID={machine}\n_HOSTNAME=node\nPRIORITY={priority}\n"
    if number % 40 == 0:
        out.write(f"{head}_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nSYSLOG_IDENTIFIER=kernel\nMESSAGE=eth0: {number} {text}\n\n")
        continue
    name = unit.removesuffix(".service")
    pid = 1000 + len(name) * 7 + number // 200_000
    extra = f"MESSAGE_ID={number % 90:032x}\n" if number % 50 == 0 else ""
    out.write(
        f"{head}_TRANSPORT=stdout\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER={name}\n_PID={pid}\n"
        f"_UID=0\n_GID=0\n_COMM={name[:15]}\n_EXE=/usr/bin/{name}\n_CMDLINE=/usr/bin/{name} --config=/etc/{name}.yaml\n_SYSTEMD_CGROUP=/system.slice/{unit}\n"
        f"_SYSTEMD_UNIT={unit}\n_SYSTEMD_SLICE=system.slice\n{extra}MESSAGE={number} {text}\n\n"
    )

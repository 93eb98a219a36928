#!/usr/bin/env bash
# What NVMe controllers and the image say of themselves, on a guest: its own controller has a warning set in its health page, the kernel's NVMe target gives a
# disk that calls itself an EBS volume, and a stamp as an image's build leaves it is baked in. Each must be found, and what the advice says ends it. Then two
# controllers that answer Amazon's log page, by a program of ours behind the kernel's driver for NVMe over TCP: all limits exceeded, and slow reads.
# It refuses to take the target's disk for a whole EBS volume: it has no page of Amazon's, and that must be said. Real is the way from the driver and its
# ioctl to the finding; no page here comes from Amazon.
#
#   nvme.sh      NODE_STEWARD=BINARY
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"
[ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program"
work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-nvme.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$work/input" "$work/over/etc/node-steward"
cp "$NODE_STEWARD" "$work/input/node-steward"
cp "$here/inside/target.py" "$work/input/"
date -u -d '200 days ago' +%Y-%m-%d >"$work/over/etc/node-steward/image-built"
code=0
# Bit 2: no longer reliable. Without multipath, as on EC2, a disk is its controller's own and has a timeout.
"$here/run.sh" --memory 1024 --deadline 600 --over "$work/over" --append nvme_core.multipath=N \
    --qemu -global --qemu nvme.smart_critical_warning=4 \
    "$work/input" "$here/inside/nvme.sh" "$work/out" || code=$?
[ "$code" != 77 ] || { tail -n 1 "$work/out/script.log" 2>/dev/null || :; exit 77; }
cat "$work/out/script.log" 2>/dev/null || :
exit "$code"

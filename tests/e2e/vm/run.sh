#!/usr/bin/env bash
# Boots the guest machine, runs a script in it, brings back what the script left, and powers off.
#
#   run.sh [options] INPUT_DIR SCRIPT OUTPUT_DIR
#
# In the guest SCRIPT (bash) runs as root in /vm/input, a copy of INPUT_DIR, after the boot has settled; what it puts into
# /results comes back as OUTPUT_DIR/results, beside exit-code, script.log, journal.txt, console.log and times.
#   --over DIR         lay DIR over the guest's root before systemd starts, as if baked into the image (repeatable)
#   --disk FILE        keep what the guest writes in FILE (qcow2, made when missing): a second run with it is a second boot
#   --memory MIB       4096            --smp N            2
#   --uuid UUID        the machine's identity (DMI product_uuid)
#   --smbios STRING    further fields of DMI type 1, e.g. 'manufacturer=Amazon EC2,product=m5.xlarge'
#   --seed DIR         run cloud-init with DIR's user-data and meta-data (NoCloud); without it cloud-init is off
#   --append ARGS      more kernel arguments
#   --forward H:G      reach guest port G at host port H of 127.0.0.1 (repeatable)
#   --qemu ARG         one more argument for QEMU (repeatable): drives, a QMP socket, devices
#   --deadline SEC     600: then the guest is killed and whatever reached the results disk is kept
# Exit code: the script's; 124 deadline passed; 125 the guest ended without running the script; 77 cannot run here.
# It refuses to listen on anything but loopback and ends no process but its own QEMU. Guests run one at a time: whoever holds
# the heavy lock already sets NODE_STEWARD_HEAVY_HELD=1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"
. "$here/qemu.sh"

over=() qemu=() forward='' disk='' memory=4096 smp=2 uuid=6b1c1c6e-5d3a-4f0e-9a51-0c6f2f5f7a01 smbios='' append='cloud-init=disabled' seed='' deadline=600
while [ $# -gt 0 ]; do
    case $1 in
        --over) over+=("$2") ;;
        --disk) disk=$2 ;;
        --memory) memory=$2 ;;
        --smp) smp=$2 ;;
        --uuid) uuid=$2 ;;
        --smbios) smbios=,$2 ;;
        --seed) seed=$2; append=${append/cloud-init=disabled/cloud-init=enabled} ;;
        --append) append+=" $2" ;;
        --forward) forward+=",hostfwd=tcp:127.0.0.1:${2%%:*}-:${2##*:}" ;;
        --qemu) qemu+=("$2") ;;
        --deadline) deadline=$2 ;;
        -*) say "run.sh: unknown option $1"; exit 2 ;;
        *) break ;;
    esac
    shift 2
done
[ $# = 3 ] || { say "usage: run.sh [options] INPUT_DIR SCRIPT OUTPUT_DIR"; exit 2; }
input=$1 script=$2 out=$3
need_qemu || skip "lacks QEMU 8 or later"
image=$("$here/build.sh") || { code=$?; printf '%s\n' "$image"; exit "$code"; }

mkdir -p "$out"
rm -rf "$out"/{results,exit-code,script.log,journal.txt,console.log,system-state,uptime-at-script,times}
work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-vm.XXXXXX")
emulator=
cleanup() {
    [ -z "$emulator" ] || ! kill -0 "$emulator" 2>/dev/null || { kill "$emulator"; wait "$emulator" || true; }
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' INT TERM

# Input: one tar stream. Its directories are `input` and `over`; `keep` asks for a real shutdown.
mkdir -p "$work/in/over"
ln -s "$(cd "$input" && pwd)" "$work/in/input"
cp "$script" "$work/in/script"
[ -z "$disk" ] || touch "$work/in/keep"
if [ -n "$seed" ]; then
    mkdir -p "$work/in/over/var/lib/cloud/seed/nocloud"
    cp "$seed"/* "$work/in/over/var/lib/cloud/seed/nocloud/"
fi
for dir in ${over[@]+"${over[@]}"}; do cp -a "$dir/." "$work/in/over/"; done
tar -c --owner=0 --group=0 -f "$work/input.tar" -C "$work/in" over script $(cd "$work/in" && ls -d keep 2>/dev/null || true) \
    -C "$(dirname "$(cd "$input" && pwd)")" --transform "s,^$(basename "$(cd "$input" && pwd)")\(/\|$\),input\1," "$(basename "$(cd "$input" && pwd)")"
truncate -s %1M "$work/input.tar"
truncate -s 1G "$work/results.tar"

if [ -n "$disk" ]; then
    [ -e "$disk" ] || qemu-img create -q -f qcow2 -b "$image/root.img" -F raw "$disk"
    root_drive=file=$disk,format=qcow2
else
    root_drive=file=$image/root.img,format=raw,snapshot=on
fi

if [ -z "${NODE_STEWARD_HEAVY_HELD:-}" ]; then exec 8>"$NODE_STEWARD_CACHE/heavy.lock"; flock 8; fi
started=$(date +%s.%N)
TMPDIR=$work timeout -k 5 "$deadline" qemu-system-x86_64 \
    -machine q35 -accel tcg,thread=multi,tb-size=512 -cpu max -smp "$smp" -m "$memory" \
    -uuid "$uuid" -smbios "type=1,uuid=$uuid$smbios" \
    -kernel "$image/vmlinuz" \
    -append "root=/dev/nvme0n1 rw init=/usr/lib/vm/init console=ttyS0 net.ifnames=0 systemd.show_status=1 mitigations=off $append" \
    -drive "$root_drive,if=none,id=root,cache=unsafe" -device nvme,drive=root,serial=root \
    -drive "file=$work/input.tar,format=raw,if=none,id=input,readonly=on" -device virtio-blk-pci,drive=input,serial=input \
    -drive "file=$work/results.tar,format=raw,if=none,id=results,cache=unsafe" -device virtio-blk-pci,drive=results,serial=results \
    -netdev "user,id=net0,ipv6=off$forward" -device virtio-net-pci,netdev=net0,romfile= \
    -nodefaults -device virtio-rng-pci -display none -monitor none -serial "file:$out/console.log" -no-reboot \
    ${qemu[@]+"${qemu[@]}"} </dev/null >"$work/qemu.log" 2>&1 8>&- &
emulator=$!
ended=0
wait "$emulator" || ended=$?
emulator=
seconds=$(awk -v a="$started" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
cat "$work/qemu.log" >&2

tar -x --no-same-owner -f "$work/results.tar" -C "$out" 2>/dev/null || true
{
    echo "image $(basename "$image")"
    echo "uptime at script $(cat "$out/uptime-at-script" 2>/dev/null || echo never)"
    echo "seconds in all $seconds"
} >"$out/times"
if [ -f "$out/exit-code" ]; then exit "$(cat "$out/exit-code")"; fi
if [ "$ended" = 124 ] || [ "$ended" = 137 ]; then say "vm: deadline of $deadline s passed"; exit 124; fi
say "vm: the guest ended without results; last console lines:"; tail -n 5 "$out/console.log" >&2
exit 125

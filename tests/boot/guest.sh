#!/usr/bin/env bash
# Our units on a booted systemd, in the guest machine, as `make install` puts them there. kubelet, nodeadm and kubeadm are stand-ins
# that keep what they would read (tests/e2e/vm/node.sh has the real kubelet); cloud-init and containerd are real.
#
#   boot 1   EKS AL2023: order of the runs; a restart of kubelet changes nothing; a program that hangs or is missing stops nobody;
#            container state on its own volume
#   boot 2   the same disk again: placed anew, with the settings changed meanwhile; the volume is mounted, not formatted
#   boot 3   the disk in another machine: that machine's numbers
#   boot 4   the disk in another machine, settings broken there: none of the old numbers, kubelet runs, the failure is plain
#   boot 5   kubeadm by way of cloud-init (NoCloud): kubelet is started before and by the join that user data runs
#
# It refuses to compare with numbers of its own guess: percentages are computed from what the guest's kernel says.
#   guest.sh [BOOT...]      $NODE_STEWARD names the program; it must run in the guest (Debian stable). --keep DIR is $KEEP
set -euo pipefail
. "$(dirname "$0")/words.sh"
need_program
need jq jq || skip "lacks jq"
need yq yq || skip "lacks yq"
need make make || skip "lacks make"
vm=$repo/tests/e2e/vm
. "$vm/qemu.sh"
need_qemu || skip "lacks QEMU 8 or later"
boots=" ${*:-1 2 3 4 5} "

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-boot.XXXXXX")
attacher=
finish_up() { [ -z "$attacher" ] || kill "$attacher" 2>/dev/null || true; [ -z "${KEEP:-}" ] || { mkdir -p "$KEEP"; rm -f "$work"/*.qcow2 "$work"/*.img; cp -R "$work/." "$KEEP/"; }; rm -rf "$work"; }
trap finish_up EXIT
trap 'exit 130' INT TERM

# The image: what the package brings, the stand-ins, and what the image's builder enabled.
image() { # NAME STAND-INS
    over=$work/$1 wants=$work/$1/etc/systemd/system/multi-user.target.wants
    make -s -C "$repo" install DESTDIR="$over" BINARY="$NODE_STEWARD"
    mkdir -p "$wants"
    cp -R "$boot_dir/guest/common/." "$boot_dir/guest/$2/." "$over/"
}
image al2023 al2023
ln -s /etc/systemd/system/nodeadm-config.service /etc/systemd/system/nodeadm-run.service "$wants/"
ln -s /usr/lib/systemd/system/node-steward-bootstrap.service /usr/lib/systemd/system/node-steward-container-volume.service "$wants/"
mkdir -p "$over/etc/systemd/system/containerd.service.wants"
ln -s /usr/lib/systemd/system/node-steward-container-volume.service "$over/etc/systemd/system/containerd.service.wants/"
# Percentages, so that each machine has numbers of its own.
printf '[reserve.kube_reserved]\nmemory = "10%%"\n[kubelet]\nprotect = true\n' >"$over/etc/node-steward/config.toml"
printf 'VOLUME=vol-0123456789abcdef0\nWAIT=240\nCOPY=yes\n' >"$over/etc/node-steward/container-volume.env"
mkdir -p "$work/none"
mkfifo "$work/monitor.in" "$work/monitor.out"

# boot NAME OVER... -- run.sh's options: a boot with input in $work/in-NAME; results in $out
boot() {
    local name=$1 options=() code=0; shift
    out=$work/out-$name
    while [ "$1" != -- ]; do options+=(--over "$1"); shift; done
    shift
    mkdir -p "$work/in-$name"
    "$vm/run.sh" "${options[@]}" "$@" --smbios 'manufacturer=Amazon EC2,product=m5.large' --deadline 900 "$work/in-$name" "$boot_dir/inside.sh" "$out" || code=$?
    [ "$code" != 77 ] || exit 77
    results=$out/results
    if [ "$code" = 0 ]; then ok "boot $name: $(grep all "$out/times")"; else bad "boot $name: ended with $code: $(tail -n 5 "$out/script.log" 2>/dev/null)"; fi
}
# The volume is attached while its unit waits for it: two NVMe disks at power-on would race for the name of the root disk.
volume=(--qemu -drive --qemu "file=$work/volume.img,format=raw,if=none,id=volume,cache=unsafe" --qemu -device --qemu pcie-root-port,id=late-port,chassis=9
    --qemu -chardev --qemu "pipe,id=monitor,path=$work/monitor" --qemu -mon --qemu chardev=monitor,mode=readline)
attach() { # BOOT: waits for the console to say that the unit has been started
    until grep -qs 'Starting.*Container state on its own volume\|Starting.*node-steward-conta' "$work/out-$1/console.log"; do sleep 1; done
    sleep 2
    echo 'device_add nvme,drive=volume,serial=vol0123456789abcdef0,bus=late-port' >"$work/monitor.in"
    exec cat "$work/monitor.out" >/dev/null
}
# What kubelet read in DIR, merged.
read_by_kubelet() { effective "$1/main" "$1/d"; }
# per cent of this guest's memory, as kubelet would understand it: compared in bytes
share() { jq -r --argjson percent "$1" '.memory * $percent / 100 | floor' "$results/machine.json"; }
bytes() { # of a quantity with at most a binary suffix
    jq -rn --arg q "$1" '($q | capture("^(?<n>[0-9]+)(?<s>[KMG]i)?$")) | (.n | tonumber) * ({"Ki": 1024, "Mi": 1048576, "Gi": 1073741824}[.s // ""] // 1)'
}
near() { # WHAT BYTES QUANTITY: equal but for the cutting to a whole unit of at most 1 MiB
    local found; found=$(bytes "${3:-0}")
    if [ $((found > $2 ? found - $2 : $2 - found)) -lt 1048576 ]; then ok "$1: $3"; else bad "$1: expected about $2 bytes, found $3"; fi
}
memory_read() { read_by_kubelet "$1" | jq -r .kubeReserved.memory; }
uuid_a=6b1c1c6e-5d3a-4f0e-9a51-0c6f2f5f7a01 uuid_b=0d4c8e52-7a1b-4c7e-8f7e-3f0a9d2b6c02

if [[ $boots == *" 1 "* ]]; then
    truncate -s 400M "$work/volume.img"
    mkdir -p "$work/in-1"
    cat >"$work/in-1/action" <<'EOF'
# A restart of kubelet after the settings have changed.
sed -i 's/10%/20%/' /etc/node-steward/config.toml
systemctl restart kubelet
sleep 2
keep restarted
journalctl -b -u kubelet --no-pager >/results/restarted/journal
# A disk that hangs: a FUSE file system that never answers lies over our settings.
modprobe -q fuse || true
python3 - <<'PYTHON' &
import ctypes, os, time
server = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
if ctypes.CDLL(None, use_errno=True).mount(b"hung", b"/etc/node-steward/config.d", b"fuse", 0, options) != 0:
    raise OSError(ctypes.get_errno(), "mount")
time.sleep(600)
PYTHON
server=$!
sleep 2
grep hung /proc/mounts >/results/hung
before=$(cut -d. -f1 /proc/uptime)
systemctl restart kubelet || true
after=$(cut -d. -f1 /proc/uptime)
kill $server; umount -l /etc/node-steward/config.d
keep hanging
echo $((after - before)) >/results/hanging/seconds
# A program that is gone.
mv /usr/bin/node-steward /usr/bin/away
systemctl restart kubelet || true
sleep 1
keep missing
mv /usr/bin/away /usr/bin/node-steward
touch /var/lib/containerd/of-boot-1
EOF
    attach 1 & attacher=$!
    boot 1 "$work/al2023" -- --disk "$work/disk.qcow2" --uuid $uuid_a --smp 2 --memory 2048 "${volume[@]}"
    kill $attacher 2>/dev/null || true; attacher=
    echo "-- order"; cat "$results/order"
    order=$(awk '{ print $1 }' "$results/order" | uniq | grep -v '^$' | paste -sd' ')
    equal "order: nodeadm's config phase, early run, nodeadm's run phase, kubelet with the late run in front" \
        "nodeadm-config.service node-steward-bootstrap.service nodeadm-run.service kubelet.service" "$order"
    equal "in kubelet.service our lines come before kubelet's" "1 0" \
        "$(awk '$1 == "kubelet.service" && / kubelet: start/ { exit } $1 == "kubelet.service" && /unchanged|written/ { n++ } END { print n + 0 }' "$results/order") $(sed -n '/ kubelet: start/,$p' "$results/order" | grep -c 'unchanged\|written' || true)"
    near "kubelet read 10 % of this machine's memory" "$(share 10)" "$(memory_read "$results/boot/read")"
    equal "in one place: nodeadm's drop-in" 40-nodeadm.conf "$(ls "$results/boot/read/d")"
    equal "the stamp is this boot's, and settled" "$(cat "$results/boot-id") true" "$(jq -r '"\(.bootId | rtrimstr("\n")) \(.settled)"' "$results/boot/stamp")"
    equal "all of our units are well" "kubelet active success|node-steward-bootstrap active success|node-steward-container-volume active success|containerd active success" "$(paste -sd'|' "$results/boot/units")"
    equal "no unit failed, no ordering cycle" '' "$(cat "$results/failed-units" "$results/cycles")"
    equal "a restart of kubelet with other settings leaves every file" "$(cat "$results/boot/files")" "$(cat "$results/restarted/files")"
    equal "and kubelet reads the same" "$(read_by_kubelet "$results/boot/read")" "$(read_by_kubelet "$results/restarted/read")"
    if grep -q pending "$results/restarted/journal"; then ok "it says what is pending"; else bad "it says what is pending"; fi
    equal "kubelet starts although our settings lie on a disk that hangs" "kubelet active success" "$(head -n 1 "$results/hanging/units")"
    if [ "$(cat "$results/hanging/seconds")" -ge 40 ] && grep -q 'ExecStartPre=.*signal=ALRM' "$results/hanging/status-kubelet"; then
        ok "after $(cat "$results/hanging/seconds") s, when the run has ended itself"
    else bad "it did not hang, or did not end itself: $(cat "$results/hanging/seconds") s, $(grep ExecStartPre "$results/hanging/status-kubelet")"; fi
    equal "kubelet starts although our program is missing" "kubelet active success" "$(head -n 1 "$results/missing/units")"
    equal "container state lies on its own disk" "/dev/nvme1n1 xfs" "$(tr -s ' ' <"$results/volume")"
    # protect: in the kernel, while kubelet runs, and not only in files.
    near "runtime.slice has the reserved memory for itself" "$(share 10)" "$(sed -n 's,^runtime.slice/memory.min ,,p' "$results/boot/slices")"
    equal "the slices' weights are those of the drop-ins" "$(sed -n 's/^CPUWeight=//p' "$results/boot/slice-files" | paste -sd' ')" \
        "$(sed -n 's,.*/cpu.weight ,,p' "$results/boot/slices" | paste -sd' ')"
    mapfile -t times <"$results/volume-times"
    if [ "${times[0]:-0}" -gt 0 ] && [ "${times[0]}" -lt "${times[1]:-0}" ]; then ok "mounted before containerd"; else bad "mounted before containerd: ${times[*]}"; fi
    first_boot=$(cat "$results/boot-id")
fi

if [[ $boots == *" 2 "* ]]; then
    mkdir -p "$work/in-2"; echo 'ls /var/lib/containerd/of-boot-1 >/results/volume-kept || true' >"$work/in-2/action"
    attach 2 & attacher=$!
    boot 2 "$work/none" -- --disk "$work/disk.qcow2" --uuid $uuid_a --smp 2 --memory 2048 "${volume[@]}"
    kill $attacher 2>/dev/null || true; attacher=
    if [ "$(cat "$results/boot-id")" != "${first_boot:-}" ]; then ok "another boot id"; else bad "another boot id"; fi
    near "the changed settings are placed: 20 %" "$(share 20)" "$(memory_read "$results/boot/read")"
    equal "still in one place" 40-nodeadm.conf "$(ls "$results/boot/read/d")"
    equal "the volume is mounted again, with what was on it" "/dev/nvme1n1 xfs /var/lib/containerd/of-boot-1" "$(tr -s ' ' <"$results/volume") $(cat "$results/volume-kept")"
    cp "$work/disk.qcow2" "$work/moved.qcow2"; cp "$work/disk.qcow2" "$work/broken.qcow2"
    old_fragment=$results/boot/nodeadm.d/50-node-steward.yaml
fi

# The volume stays with the first machine: its unit fails in the others, and containerd starts all the same.
if [[ $boots == *" 3 "* ]]; then
    # Nothing to wait for there.
    mkdir -p "$work/impatient/etc/node-steward"
    printf 'VOLUME=vol-0123456789abcdef0\nWAIT=5\nCOPY=yes\n' >"$work/impatient/etc/node-steward/container-volume.env"
    boot 3 "$work/impatient" -- --disk "$work/moved.qcow2" --uuid $uuid_b --smp 1 --memory 1536
    near "another machine: 20 % of its own memory" "$(share 20)" "$(memory_read "$results/boot/read")"
    equal "the fragment names that machine" "$(jq -r .uuid "$results/machine.json")" \
        "$(sed -n 's/^# node-steward-machine: //p' "$results/boot/nodeadm.d/50-node-steward.yaml" | jq -r .productUuid)"
    equal "the missing volume is a failed unit, and containerd runs" "node-steward-container-volume failed exit-code|containerd active success" "$(tail -n 2 "$results/boot/units" | paste -sd'|')"
    if grep -q 'no disk for vol-0123456789abcdef0' "$out/console.log"; then ok "the console says so"; else bad "the console says so"; fi
fi

if [[ $boots == *" 4 "* ]]; then
    mkdir -p "$work/broken/etc/node-steward/config.d"
    echo '[reserve' >"$work/broken/etc/node-steward/config.d/99-broken.toml"
    boot 4 "$work/impatient" "$work/broken" -- --disk "$work/broken.qcow2" --uuid $uuid_b --smp 1 --memory 1536
    equal "broken settings: kubelet runs, our unit failed" "kubelet active success|node-steward-bootstrap failed exit-code" "$(head -n 2 "$results/boot/units" | paste -sd'|')"
    equal "kubelet has what nodeadm gives that machine" '{"cpu":"60m","ephemeral-storage":"1Gi","memory":"574Mi"}' "$(read_by_kubelet "$results/boot/read" | jq -cS .kubeReserved)"
    equal "no file of ours is left" '' "$(grep -o '/[^ ]*node-steward[^ ]*' "$results/boot/files" || true)"
    equal "the old numbers were others" different "$(grep -q 574Mi "$old_fragment" && echo same || echo different)"
    if grep -q '99-broken.toml' "$results/boot/status-bootstrap"; then ok "systemctl status of our unit names the file"; else bad "systemctl status of our unit: $(cat "$results/boot/status-bootstrap")"; fi
    if grep -qE 'ExecStartPre=.*node-steward.*status=2' "$results/boot/status-kubelet" && grep -q '99-broken.toml' "$results/boot/status-kubelet"; then
        ok "systemctl status of kubelet shows the failed run and the file"
    else bad "systemctl status of kubelet: $(cat "$results/boot/status-kubelet")"; fi
    equal "the console shows both failures" 2 "$(tr -d '\r' <"$out/console.log" | grep -c 'node-steward: .*99-broken.toml')"
fi

if [[ $boots == *" 5 "* ]]; then
    image kubeadm kubeadm
    ln -s /etc/systemd/system/kubelet.service "$wants/"
    mkdir -p "$work/seed" "$work/in-5"
    printf 'instance-id: boot-5\nlocal-hostname: guest\n' >"$work/seed/meta-data"
    # The hook as it is, with the join where its comment says.
    { cat "$repo/bootstrap/cloud-init.yaml"; echo '  - [kubeadm, join]'; } >"$work/seed/user-data"
    touch "$work/in-5/joined"
    cat >"$work/in-5/action" <<'EOF'
cp /var/log/cloud-init-output.log /results/ || true
cloud-init status --long >/results/cloud-init 2>&1 || true
cat /etc/systemd/system/kubelet.service.d/20-node-steward.conf >/results/line || true
ls /etc/node-steward/config.d >/results/settings
journalctl -b -u kubelet --no-pager >/results/kubelet-journal
# It says itself that it is ready.
for _ in $(seq 60); do [ "$(systemctl is-active node-steward)" != activating ] || sleep 1; done
echo "$(systemctl is-enabled node-steward) $(systemctl is-active node-steward)" >/results/watch
EOF
    boot 5 "$over" -- --uuid $uuid_a --smp 2 --memory 2048 --seed "$work/seed"
    echo "-- order"; uniq -c "$results/order" | cut -c1-160 | sed -n 1,8p
    equal "cloud-init brought the settings" 50-user-data.toml "$(cat "$results/settings")"
    equal "and the watch, by cloud-init's hand alone" "enabled active" "$(cat "$results/watch")"
    equal "kubelet started once, after the join" 1 "$(cat "$results/starts")"
    if grep -q 'kubelet: no /var/lib/kubelet/config.yaml' "$results/kubelet-journal"; then ok "and had been tried before it"; else bad "kubelet was never tried before the join: the case shows nothing"; fi
    equal "kubeadm's file is as kubeadm wrote it" "/var/lib/kubelet/config.yaml: OK" "$(cat "$results/kubeadm-file")"
    equal "ours is read beside it" 50-node-steward.conf "$(ls "$results/boot/read/d")"
    equal "the administrator's cpu stays; memory for 29 pods" '{"cpu":"200m","ephemeral-storage":"1Gi","memory":"574Mi"}' "$(read_by_kubelet "$results/boot/read" | jq -cS .kubeReserved)"
    equal "no ordering cycle" '' "$(cat "$results/cycles")"
fi
finish

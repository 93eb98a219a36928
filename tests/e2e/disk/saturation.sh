#!/usr/bin/env bash
# How well DiskSaturated says, window by window, that somebody is harmed: precision and recall on disks with quotas under load,
# beside what %util, iowait, await, queue length and PSI alone would have said.
# It refuses to judge by anything but the victim: harm is a p95 of three times its own on the idle disk, or more.
#
#   saturation.sh [--full] [--without-daemon]
#
#   short form  2 disks, 12 scenarios, 36 windows of 2 s, baselines of 10 windows; about 5 minutes;
#               one scenario weighs a tenth here, so its goals are lower: precision 0.80, recall 0.70
#   --full      4 disks, 32 scenarios, 96 windows of 5 s, baselines of 30 windows; about 25 minutes;
#               precision 0.95, recall 0.90
#
#   NODE_STEWARD=BINARY      judged; with --without-daemon rule C is worked out by the harness alone
#   SATURATION_SEED=N        draws the workloads
#   SATURATION_DISKS='NAME:IOPS:MIBPS:LATENCY_MS ...'
#   SATURATION_KEEP=FILE     one JSON object a window
set -uo pipefail
lab_here=$(cd "$(dirname "$0")" && pwd)
. "$lab_here/../../lib.sh"
. "$lab_here/lab.sh"

scenarios=6 window=2 idle=8 baseline=10 precision=0.80 recall=0.70 disks='brant:1800:75:1.2 pipit:6000:190:0.6' daemon=yes
for word in "$@"; do
    case $word in
        --full) scenarios=8 window=5 idle=20 baseline=30 precision=0.95 recall=0.90 disks='brant:1800:75:1.2 pipit:6000:190:0.6 godwit:600:35:2.6 ruff:3600:130:0.8' ;;
        --without-daemon) daemon=no ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
disks=${SATURATION_DISKS:-$disks} seed=${SATURATION_SEED:-20261126}
[ $daemon = no ] || [ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program"
lab_enter "$@"

arguments=(--scratch "$LAB/memory" --seed "$seed" --scenarios "$scenarios" --window "$window" --settle 2 --idle "$idle"
    --baseline-windows "$baseline" --precision "$precision" --recall "$recall")
for disk in $disks; do
    IFS=: read -r name iops mibps latency <<<"$disk"
    disk_up "$name" "$iops" "$mibps" "$latency" 512M || exit 1
    arguments+=(--disk "$disk:$(basename "$(disk_dev "$name")"):$(disk_mnt "$name")")
done
[ -z "${SATURATION_KEEP:-}" ] || arguments+=(--keep "$SATURATION_KEEP")
if [ $daemon = yes ]; then
    mount_run
    # Windows of one length: no early turns.
    printf '[watch]\nperiod = "%ss"\npressure_some_percent = 0\npressure_full_percent = 0\n[detect.disk_saturated]\nbaseline_windows = %s\n' \
        "$window" "$baseline" >"$LAB/config.toml"
    sed 's/^/settings: /' "$LAB/config.toml"
    arguments+=(--program "$NODE_STEWARD" --config "$LAB/config.toml" --socket /run/node-steward/api.sock)
fi
python3 "$lab_here/saturation/main.py" "${arguments[@]}"

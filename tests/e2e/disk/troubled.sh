#!/usr/bin/env bash
# A really troubled host: a disk with a quota under the load of one guilty process. What `check` knows alone and what it knows from the
# daemon; the problem in `problems`, `status`, API, metrics and log; when it begins and when it ends; then the same disk hung.
# It refuses to accept a problem that names another disk or another process than the guilty one.
#
#   troubled.sh        NODE_STEWARD=BINARY
set -uo pipefail
lab_here=$(cd "$(dirname "$0")" && pwd)
. "$lab_here/../../lib.sh"
. "$lab_here/lab.sh"
[ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program"
lab_enter "$@"
. "$lab_here/steward.sh"

disk_up raven 900 60 1.2 512M || exit 1
disk=$(basename "$(disk_dev raven)") mount=$(disk_mnt raven)
load path="$mount/f" size=160 fill=1 || exit 1
cp "$tools/load" "$LAB/memory/greedy-writer"

# A cgroup such as a service would have; the host's own hierarchy may have no I/O controller, then processes are counted.
unified=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts) group=''
if [ -n "$unified" ] && mkdir "$unified/lab-greedy.service" 2>/dev/null; then
    group=$unified/lab-greedy.service
    trap 'lab_cleanup; rmdir "$group"' EXIT
fi
greedy_up() {
    "$LAB/memory/greedy-writer" path="$mount/f" size=160 direct=1 bs=8192 threads=24 seconds=600 >/dev/null &
    greedy=$!
    own $greedy
    [ -z "$group" ] || echo $greedy >"$group/cgroup.procs"
}
greedy_down() { kill $greedy; wait $greedy 2>/dev/null; }
# asked NAME CODE: node-steward NAME..., its exit code and its words, kept and shown.
asked() { asked_file=$LAB/$1.txt; "$NODE_STEWARD" "$@" >"$asked_file" 2>&1; asked_code=$?; printf -- '--- node-steward %s (exit code %s)\n' "$*" $asked_code; sed 's/^/    /' "$asked_file" | cut -c 1-200; }
tells() { for tells_word in "$@"; do grep -qiE -- "$tells_word" "$asked_file" || return 1; done; }

cat >"$steward_config" <<END
[watch]
period = "2s"
[detect.disk_saturated]
baseline_windows = 8
enter_after = "6s"
enter_among = "12s"
clear_after = "20s"
END

# 1. Alone.
greedy_up
sleep 3
asked check --config "$steward_config"
check "alone, check says that there is no baseline yet" tells 'no baseline yet'
check "alone, check names the disk and who writes" tells "$disk" "greedy-writer"
greedy_down
disk_mode raven hang
greedy_up
sleep 1
asked check --config "$steward_config"
# Three seconds are no stall yet, but what can be seen in them is said.
check "alone, check sees that the disk has answered nothing while it looked" tells "$disk: requests are in flight and none has completed|DiskStalled +$disk"
disk_mode raven normal
greedy_down

# 2. With the daemon, that first learns what the idle disk needs.
steward_up || { finish; exit 1; }
load path="$mount/f" size=160 reads=50 direct=1 bs=8192 threads=2 rate=60 seconds=600 >/dev/null &
light=$!
own $light
baseline() { steward_get /v1/status | jq -es --arg d "$disk" '.[0].disks[] | select(.name == $d) | .baseline.small != null'; }
if until_true 90 baseline; then ok "a baseline of $disk is there after $took s"; else failed "no baseline of $disk in 90 s: $(steward_get /v1/status | jq -c .disks)"; fi
kill $light; wait $light 2>/dev/null
check "before the load: no DiskSaturated" no_problem DiskSaturated "$disk"

alarms() { steward_get /v1/status | jq -r '.counters.pressureAlarms // 0'; }
alarms_before=$(alarms)
greedy_up
began "from the load's start" DiskSaturated "$disk" 90
sleep 5
problem DiskSaturated "$disk" >"$LAB/problem.json"
jq . "$LAB/problem.json" | head -c 3000
judged() { jq -es "$1" "$LAB/problem.json" >/dev/null; }
check "its evidence has numbers with units" judged '.[0] | [.evidence[] | select((.value | type) == "number" and .unit != "")] | length >= 3'
check "its first contributor is the guilty one, with most of the bytes" judged '.[0] | .contributors[0] | (tostring | test("greedy-writer|lab-greedy")) and .shareOfBytes > 0.8'
check "the shares add up to 1" judged '.[0] | [.contributors[].shareOfBytes] | add | . > 0.999 and . < 1.001'
check "it has advice" judged '.[0] | .advice != "" and .advice != null'
asked check --config "$steward_config"
check "check with the daemon names disk and guilty one" tells DiskSaturated "$disk" 'greedy-writer|lab-greedy'
check "check's exit code is 3 ($asked_code)" [ "$asked_code" = 3 ]
asked problems
check "problems names disk and guilty one" tells DiskSaturated "$disk" 'greedy-writer|lab-greedy'
asked status
check "status names the problem" tells DiskSaturated "$disk"
steward_get /metrics >"$LAB/metrics.txt"
asked_file=$LAB/metrics.txt
check "metrics: the problem is there" tells "^[a-z_]+\{[^}]*DiskSaturated[^}]*\} 1"
grep -E "DiskSaturated|$disk" "$LAB/metrics.txt" | head -n 12 | sed 's/^/    /'
check "one line in the log at the beginning" [ "$(said "DiskSaturated $disk ")" = 1 ]
# Streams wake it at once: whoever waits for I/O for 40 % of 2 s.
blind=$(steward_get /v1/status | jq -r '[.sources[], .detectors[]] | map(select(.name == "pressure_alarms" and .state != "working"))[0].why // ""')
if [ -n "$blind" ]; then
    printf 'note: lacks alarms of the kernel, so none can wake it: %s\n' "$blind"
elif alarms_now=$(alarms) && [ "$alarms_now" -gt "$alarms_before" ]; then
    ok "the kernel's alarm of waiting tasks woke it: $((alarms_now - alarms_before)) times under the load"
else
    failed "no alarm of waiting tasks under the load: $alarms_before before it, $alarms_now after; $(head -n 1 /proc/pressure/io)"
fi
greedy_down
over "from the load's end" DiskSaturated "$disk" 180
sleep 1
check "one more line in the log at the end" [ "$(said "DiskSaturated $disk ")" = 2 ]

# 3. The same disk, hung; the detector's own defaults.
disk_mode raven hang
greedy_up
began "from the hang" DiskStalled "$disk" 45 && check "that is within 10 to 30 s" between "$took" 9.5 30.5
disk_mode raven normal
greedy_down
over "from the release" DiskStalled "$disk" 60
check "two lines in the log about it" [ "$(said "DiskStalled $disk ")" -ge 2 ]
printf -- '--- what the daemon said\n'; sed 's/^/    /' "$LAB/steward.log" | cut -c 1-240
steward_down
check "SIGTERM ends it in $took s" at_most "$took" 1
finish

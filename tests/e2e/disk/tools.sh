#!/usr/bin/env bash
# Proves the lab's own disk before anything is judged with it: its quotas, its latency, its hang, its EIO, its counters, its end.
# It refuses to touch any device but those that it makes.
set -uo pipefail
lab_here=$(cd "$(dirname "$0")" && pwd)
. "$lab_here/../../lib.sh"
. "$lab_here/lab.sh"
lab_enter "$@"

field() { awk -v n="$1" '$1 == n {print $2}'; }
within() { awk -v x="$1" -v low="$2" -v high="$3" 'BEGIN {exit !(x >= low && x <= high)}'; }
measured() { load "$@" | tee -a "$LAB/loads" | awk '{print $4}'; }

disk_up one 700 40 1.5 512M || exit 1
disk_up two 3500 150 0.4 512M xfs || exit 1
check "loop reads and writes past the page cache" [ "$(losetup -n -O DIO "$(disk_dev one)" | tr -d ' ')" = 1 ]
one=$(disk_mnt one) two=$(disk_mnt two)
load path="$one/f" size=64 fill=1 && load path="$two/f" size=64 fill=1

got=$(measured path="$one/f" size=64 direct=1 threads=16 reads=50 seconds=4)
check "700 IOPS are 700 ($got/s)" within "$got" 640 735
got=$(measured path="$two/f" size=64 direct=1 threads=32 reads=50 seconds=4)
check "3500 IOPS are 3500 on the other disk ($got/s)" within "$got" 3100 3650
got=$(measured path="$one/f" size=64 direct=1 threads=4 bs=524288 seq=1 seconds=4)
check "40 MiB/s are 40 (80 half MiB: $got/s)" within "$got" 70 84
got=$(load path="$one/f" size=64 direct=1 reads=100 rate=50 seconds=3 | awk '{print $6}')
check "an idle disk answers in its 1.5 ms ($got ms)" within "$got" 1.4 3.5
before=$(disk_counters one | field reads)
load path="$one/f" size=64 direct=1 reads=100 rate=100 seconds=2 >"$LAB/load"
told=$(awk '{print $2}' "$LAB/load") counted=$(($(disk_counters one | field reads) - before))
check "what load did is what the disk counted ($told, $counted)" [ "$told" = "$counted" ]

victim "$one/v" "$LAB/memory/record" 3
n=$(wc -l <"$LAB/memory/record")
check "the victim took its samples ($n in 3 s)" within "$n" 24 31
if victim "$one/v" "$one/record" 1 2>/dev/null; then failed "the victim refuses to record on its own disk"; else ok "the victim refuses to record on its own disk"; fi

disk_mode one hang
load path="$one/f" size=64 direct=1 reads=100 threads=3 seconds=1 >"$LAB/load" &
hung=$!
own $hung
sleep 3
in_flight=$(awk -v d="$(basename "$(disk_dev one)")" '$3 == d {print $12}' /proc/diskstats)
check "hung: three in flight after 3 s ($in_flight)" [ "$in_flight" = 3 ]
check "hung: the loader cannot end" kill -0 $hung
disk_mode one normal
wait $hung
check "released: what waited was answered ($(cat "$LAB/load"))" grep -q 'errors 0$' "$LAB/load"
disk_mode one eio
load path="$one/f" size=64 direct=1 reads=100 rate=20 seconds=1 >"$LAB/load" 2>&1
check "eio: the loader gets errors ($(cat "$LAB/load"))" grep -qE 'errors [1-9]' "$LAB/load"
check "eio: the disk counts them" [ "$(disk_counters one | field errors)" -gt 0 ]
disk_mode one normal

mkdir "$LAB/mute"
mute "$LAB/mute" >"$LAB/mute.out" &
muted=$!
own $muted
for _ in $(seq 30); do grep -qs mounted "$LAB/mute.out" && break; sleep 0.1; done
if { timeout -s KILL 1 stat -f "$LAB/mute"; } >/dev/null 2>&1; then failed "the mute file system answers nothing"; else ok "the mute file system answers nothing"; fi
kill $muted; wait $muted 2>/dev/null
umount -l "$LAB/mute"

disk_down one && disk_down two
if losetup -n -O BACK-FILE | grep -qF "$LAB"; then failed "all loop devices are given back"; else ok "all loop devices are given back"; fi
finish

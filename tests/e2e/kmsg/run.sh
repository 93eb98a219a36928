#!/usr/bin/env bash
# The real /dev/kmsg: a record written there is read, and under a flood every record is either read or counted as lost.
# It refuses to leave kernel.printk_devkmsg changed, and writes with low severity only.
#
#   run.sh [RECORDS]    how many to flood with (1000000)
set -euo pipefail
cd "$(dirname "$0")/../../.."
. tests/lib.sh
[ "$(id -u)" = 0 ] || skip "/dev/kmsg can be written by root only"
[ -w /dev/kmsg ] || skip "/dev/kmsg is not there or not writable"
KMSG_RECORDS=${1:-1000000}
export KMSG_RECORDS
setting=/proc/sys/kernel/printk_devkmsg
before=$(cat $setting)
trap 'echo "$before" >$setting' EXIT
echo on 2>/dev/null >$setting || skip "kernel.printk_devkmsg cannot be changed: writes are limited to a few per second"
out=$(mktemp)
trap 'echo "$before" >$setting; rm -f "$out"' EXIT
code=0
cargo test --locked --test kmsg -- --ignored --nocapture --test-threads 1 2>&1 | tee "$out" || code=$?
# The closing line of a stage, from Rust's own.
grep -oE '[0-9]+ passed; [0-9]+ failed' "$out" | awk '{p += $1; f += $3} END {print p + 0 " passed, " f + 0 " failed"}'
exit "$code"

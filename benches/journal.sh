#!/usr/bin/env bash
# What the per-unit log rates of a 1 GB journal cost: CPU of one look at it as a probe child takes it, once a minute; and the same in a running daemon,
# beside one that has no journal. It refuses figures of a journal that is smaller or whose counts are not whole, and ends with 1 where a minute costs 5 ms.
#
#   journal.sh [SECONDS]     default 600 for the two daemons; 0 leaves them out
#
# The journal is what systemd-journal-remote writes of 2.2 million made-up messages of 300 units, in files of some 80 MB; the largest is taken for the one
# that is written to. It takes a minute or more to make, and is kept in $NODE_STEWARD_CACHE. NODE_STEWARD and JOURNAL_COUNT name built programs.
set -euo pipefail
cd "$(dirname "$0")/.."
self=$PWD/benches/journal.sh
. tests/lib.sh
seconds=${1:-600} messages=${MESSAGES:-2200000} units=${UNITS:-300} bound_us=5000 least_mb=1000
[ "$(id -u)" = 0 ] || skip "needs root: a mount namespace"
need python3 python3 || skip "lacks python3"
need unshare util-linux || skip "lacks unshare"
remote=/lib/systemd/systemd-journal-remote

if [ "${1:-}" = inside ]; then
    # A /var/log and a /run of its own.
    store=$2 seconds=$3 work=$4
    mount -t tmpfs -o mode=755 tmpfs /var/log
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /var/log/journal
    if [ "$store" != none ]; then
        dir=/var/log/journal/$(cat /etc/machine-id 2>/dev/null || printf 'a%.0s' $(seq 32))
        mkdir "$dir"
        mount --bind "$(echo "$store"/*)" "$dir"
    fi
    if [ "$seconds" = looks ]; then exec "$JOURNAL_COUNT" --looks 500; fi
    mkdir /run/node-steward
    exec "$NODE_STEWARD" run --config "$work/config.toml" </dev/null
fi

if [ -z "${JOURNAL_COUNT:-}" ]; then
    cargo build --release --locked -q --example journal-count
    JOURNAL_COUNT=${CARGO_TARGET_DIR:-$PWD/target}/release/examples/journal-count
fi
export JOURNAL_COUNT

key=$({ cat benches/journal.py; echo "$messages $units"; } | sha256sum | cut -c1-16)
store=$NODE_STEWARD_CACHE/journal-$key
if [ ! -e "$store.done" ]; then
    [ -x "$remote" ] || { install_debian systemd-journal-remote && [ -x "$remote" ]; } || skip "lacks systemd-journal-remote"
    rm -rf "$store"
    dir=$store/$(printf 'a%.0s' $(seq 32))
    mkdir -p "$dir"
    start=$SECONDS
    python3 benches/journal.py "$messages" "$units" | heavy nice "$remote" --split-mode=none --output="$dir/system.journal" - >"$store.log" 2>&1 ||
        { tail -n 5 "$store.log" >&2; say "the journal could not be made"; exit 1; }
    # The file that is written to is as large as they become.
    largest=$(ls -S "$dir" | head -n 1)
    if [ "$largest" != system.journal ]; then
        mv "$dir/system.journal" "$dir/system@last.journal"
        mv "$dir/$largest" "$dir/system.journal"
    fi
    touch "$store.done"
    say "a journal in $((SECONDS - start)) s"
fi
mb=$(($(du -s --block-size=1000 "$store" | cut -f1) / 1000))
largest=$(($(stat -c %s "$store"/*/system.journal) / 1000000))
failed=0
[ "$mb" -ge "$least_mb" ] || { printf 'FAILED  the journal has %s MB, %s are wanted\n' "$mb" "$least_mb"; failed=1; }

work=$(mktemp -d -p /dev/shm node-steward-journal.XXXXXX)
pids=()
cleanup() {
    for pid in ${pids[@]+"${pids[@]}"}; do kill "$pid" 2>/dev/null || :; wait "$pid" 2>/dev/null || :; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
alone() { unshare --mount --propagation private "$self" inside "$@"; }

read -r us bytes files counted named < <(alone "$store" looks "$work")
printf 'a journal of %s MB in %s files; the one that is written to has %s MB, %s messages, %s units are told of %s\n' "$mb" "$files" "$largest" "$counted" "$named" "$units"
printf 'a look, once a minute          %7.2f ms CPU   its answer has %s bytes\n' "$(awk "BEGIN {print $us / 1000}")" "$bytes"
printf 'journal.look_us %s\n' "$us"
[ "$us" -lt "$bound_us" ] || { printf 'FAILED  a look takes %s us of CPU, under %s\n' "$us" "$bound_us"; failed=1; }

if [ "$seconds" -gt 0 ]; then
    if [ -z "${NODE_STEWARD:-}" ]; then
        cargo build --release --locked -q
        NODE_STEWARD=${CARGO_TARGET_DIR:-$PWD/target}/release/node-steward
    fi
    export NODE_STEWARD
    : >"$work/config.toml"
    # Children of a moment are not seen by who looks at processes; the kernel books a group's CPU whoever it was. v1 keeps nanoseconds, v2 microseconds.
    groups=/sys/fs/cgroup/cpuacct figure=cpuacct.usage
    [ -d "$groups" ] || groups=/sys/fs/cgroup figure=cpu.stat
    spent() { if [ "$figure" = cpu.stat ]; then awk '$1 == "usage_usec" {print $2}' "$groups/$1/cpu.stat"; else echo $(($(cat "$groups/$1/cpuacct.usage") / 1000)); fi; }
    for name in none "$store"; do
        group=node-steward-journal-$$-${#pids[@]}
        mkdir "$groups/$group" || skip "no cgroup can be made"
        # shellcheck disable=SC2016 # the inner shell's words
        sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$groups/$group" unshare --mount --propagation private "$self" inside "$name" run "$work" >"$work/log-${#pids[@]}" 2>&1 &
        pids+=($!)
        eval "group_${#pids[@]}=$group"
    done
    cleanup_groups() { cleanup; rmdir "$groups/${group_1:?}" "$groups/${group_2:?}" 2>/dev/null || :; }
    trap cleanup_groups EXIT
    sleep 30
    before_1=$(spent "$group_1") before_2=$(spent "$group_2")
    sleep "$seconds"
    for pid in "${pids[@]}"; do kill -0 "$pid" || { say "a daemon ended:"; tail -n 5 "$work"/log-* >&2; exit 1; }; done
    per_minute() { echo $((($2 - $1) * 60 / seconds)); }
    without=$(per_minute "$before_1" "$(spent "$group_1")") with=$(per_minute "$before_2" "$(spent "$group_2")")
    printf 'daemon without a journal       %7.2f ms CPU a minute\n' "$(awk "BEGIN {print $without / 1000}")"
    printf 'daemon with that journal       %7.2f ms CPU a minute\n' "$(awk "BEGIN {print $with / 1000}")"
    printf 'journal.minute_us %s\n' "$((with - without))"
    [ $((with - without)) -lt "$bound_us" ] || { printf 'FAILED  the difference is %s us a minute, under %s\n' "$((with - without))" "$bound_us"; failed=1; }
fi
exit $failed

#!/usr/bin/env bash
# A real systemd as PID 1 of a container (systemd-nspawn), for tests that talk to it. It refuses to run without an owner: when
# that process is gone, the container stops by itself. Nothing is written into its root: what it writes goes to memory.
#
#   container.sh root                                      build the root file system once, print it
#   container.sh start DIR OWNER-PID [-- NSPAWN-FLAG...]   ready when it returns; prints the leader's process id
#   container.sh run DIR COMMAND...                        a command inside, with this one's stdin and stdout
#   container.sh stop DIR
#
# In DIR: leader, console, *.pid. The network is the machine's own, so loopback servers outside are reached from inside.
# The suite is this machine's, so that programs built here find their glibc inside. No io, memory or cpu controllers inside.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
# More of them where a test asks: a root of its own, kept as well.
packages=systemd,systemd-sysv,dbus${CONTAINER_PACKAGES:+,$CONTAINER_PACKAGES}
boot_patience=60

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

root() {
    [ "$(id -u)" = 0 ] || skip "a container needs root"
    need mmdebstrap mmdebstrap || skip "lacks mmdebstrap"
    . /etc/os-release
    # The mirror is the one this machine already uses.
    site=$(apt-get indextargets --format '$(SITE) $(RELEASE)' | awk -v r="${VERSION_CODENAME:-}" '$2 == r { print $1; exit }')
    [ -n "$site" ] || skip "apt names no mirror for ${VERSION_CODENAME:-this system}"
    key=$({ echo "$packages $VERSION_CODENAME"; declare -f root; } | sha256sum | cut -c1-16)
    out=$NODE_STEWARD_CACHE/nspawn/$key
    mkdir -p "$NODE_STEWARD_CACHE/nspawn"
    exec 7>"$NODE_STEWARD_CACHE/nspawn/build.lock"
    flock 7
    if [ ! -f "$out.done" ]; then
        find "$NODE_STEWARD_CACHE/nspawn" -mindepth 1 -maxdepth 1 -mtime +1 ! -name build.lock -exec rm -rf --one-file-system {} +
        rm -rf --one-file-system "$out"
        start=$SECONDS
        # A mirror may be a frozen copy whose release file has passed its date: signatures are still checked.
        nice mmdebstrap --quiet --variant=minbase --mode=root --include="$packages" \
            --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
            "$VERSION_CODENAME" "$out" "deb $site $VERSION_CODENAME main" >"$out.log" 2>&1 7>&- ||
            { tail -n 20 "$out.log" >&2; say "mmdebstrap failed"; rm -rf --one-file-system "$out"; exit 1; }
        rm -rf "$out"/var/cache/apt/* "$out"/var/lib/apt/lists/*
        touch "$out.done"
        say "nspawn: root file system in $((SECONDS - start)) s, $(du -sm "$out" | cut -f1) MB"
    fi
    echo "$out"
}

born() { cut -d' ' -f22 "/proc/$1/stat" 2>/dev/null; }
alive() { [ "$(born "$1")" = "$2" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

# Runs in a mount namespace of its own: cgroup2 where systemd looks for it, a group of our own in it, then the container.
inside_mounts() {
    tree=$1 group=$2
    shift 2
    [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mkdir "/sys/fs/cgroup/$group"
    echo $$ >"/sys/fs/cgroup/$group/cgroup.procs"
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    exec systemd-nspawn --quiet --directory="$tree" --volatile=overlay --boot --keep-unit --register=no --console=pipe \
        --machine="$group" --hostname=ground --link-journal=no --resolv-conf=off --timezone=off "$@"
}

start() {
    owner=$1
    shift
    [ "${1:-}" != -- ] || shift
    owner_born=$(born "$owner") || { say "owner $owner is not running"; exit 2; }
    [ ! -e "$dir/nspawn.pid" ] || { say "$dir is in use: stop it first"; exit 2; }
    need systemd-nspawn systemd-container || skip "lacks systemd-nspawn"
    tree=$(root) || { status=$?; echo "$tree"; exit $status; }
    mkdir -p "$dir"
    group=node-steward-$$
    echo "$group" >"$dir/group"
    unshare --mount --propagation private "$0" inside-mounts "$tree" "$group" "$@" >"$dir/console" 2>&1 </dev/null &
    pid=$!
    echo "$pid $(born $pid)" >"$dir/nspawn.pid"
    # The owner's end is ours.
    (
        while [ -e "$dir/nspawn.pid" ] && alive "$owner" "$owner_born"; do sleep 1; done
        stop
    ) >/dev/null 2>&1 </dev/null &
    start=$SECONDS
    until leader=$(find_leader "$pid") && state=$(run "$leader" systemctl is-system-running 2>/dev/null || :) && case ${state:-} in running | degraded) true ;; *) false ;; esac; do
        if [ $((SECONDS - start)) -ge $boot_patience ] || ! kill -0 "$pid" 2>/dev/null; then
            say "systemd did not come up (${state:-no answer}); its console:"
            tail -n 15 "$dir/console" >&2
            stop
            exit 1
        fi
        sleep 0.2
    done
    echo "$leader $(born "$leader")" >"$dir/leader.pid"
    echo "$leader" >"$dir/leader"
    if [ "$state" = degraded ]; then run "$leader" systemctl --failed --no-legend --plain >&2; fi
    echo "$leader"
}

# The leader is nspawn's child that is process 1 of its own namespace.
find_leader() {
    for status in /proc/[0-9]*/status; do
        if awk -v p="$1" '$1 == "PPid:" && $2 == p {mine = 1} $1 == "NSpid:" && $NF == 1 && NF > 2 {first = 1} END {exit !(mine && first)}' "$status" 2>/dev/null; then
            status=${status#/proc/}
            echo "${status%/status}"
            return 0
        fi
    done
    return 1
}

# run LEADER COMMAND...; with become=exec it takes this process's place
run() {
    leader=$1
    shift
    ${become:-} nsenter --target "$leader" --mount --uts --ipc --pid --cgroup --root --wd=/ -- "$@"
}

stop() {
    [ -s "$dir/nspawn.pid" ] || return 0
    read -r pid started <"$dir/nspawn.pid"
    rm -f "$dir/nspawn.pid"
    if alive "$pid" "$started"; then
        # nspawn asks its systemd to power off.
        kill "$pid" 2>/dev/null || :
        waited=0
        while alive "$pid" "$started" && [ $waited -lt 100 ]; do waited=$((waited + 1)); sleep 0.1; done
        if alive "$pid" "$started"; then kill -9 "$pid" 2>/dev/null || :; fi
    fi
    if [ -s "$dir/leader.pid" ]; then
        read -r pid started <"$dir/leader.pid"
        if alive "$pid" "$started"; then kill -9 "$pid" 2>/dev/null || :; sleep 0.5; fi
    fi
    # It leaves its empty groups behind.
    cgroups=$(findmnt -n -o TARGET -t cgroup2 | head -n 1) group=$(cat "$dir/group")
    [ -z "$cgroups" ] || [ ! -d "$cgroups/$group" ] || find "$cgroups/$group" -depth -type d -exec rmdir {} + 2>/dev/null || say "cgroup $group could not be removed"
    rm -f "$dir/leader" "$dir/leader.pid" "$dir/group"
}

[ $# -ge 1 ] || usage
verb=$1
shift
if [ "$verb" = root ]; then root; exit; fi
if [ "$verb" = inside-mounts ]; then inside_mounts "$@"; fi
[ $# -ge 1 ] || usage
dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift
case $verb in
start) [ $# -ge 1 ] || usage; start "$@" ;;
run) [ -s "$dir/leader" ] || { say "no container runs in $dir"; exit 1; }; become='exec'; run "$(cat "$dir/leader")" "$@" ;;
stop) stop ;;
*) usage ;;
esac

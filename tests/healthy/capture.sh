#!/usr/bin/env bash
# Records healthy machines anew: boots a guest for each name (guests/NAME.sh says with which devices, and what is set up inside), or
# a container, or takes this machine, runs `node-steward capture` there, and lays what it wrote into hosts/NAME. It refuses to
# touch WHY.md, which people write, and to judge what it has recorded: `cargo test --test healthy` does.
#
#   capture.sh NAME...      a file of guests/, `container` or `this-machine`
#
# NODE_STEWARD_STATIC names the static program (else it is built). TURNS (12) and PERIOD (10s) say for how long is recorded.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh"
turns=${TURNS:-12} period=${PERIOD:-10s}
part() { part_out=$("$@") && return 0; part_code=$?; [ -z "$part_out" ] || printf '%s\n' "$part_out"; exit $part_code; }
program=${NODE_STEWARD_STATIC:-}
if [ -z "$program" ]; then part "$here/../../packaging/static.sh"; program=$part_out; fi
[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-capture.XXXXXX")
cleanup() {
    [ ! -e "$work/container/leader" ] || "$here/../ground/container.sh" stop "$work/container" >&2 || :
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# said KEY FILE: the values of the head's lines `# KEY: VALUE`
said() { sed -n "s/^# $1: //p" "$2"; }

guest() {
    script=$1
    options=()
    over=$work/over
    mkdir -p "$over/usr/bin" "$work/input"
    cp "$program" "$over/usr/bin/node-steward"
    while read -r device; do options+=(--qemu -device --qemu "$device"); done < <(said device "$script")
    # Disks may hang on those devices; each gets a file here.
    number=0
    while read -r size device; do
        number=$((number + 1))
        truncate -s "$size" "$work/disk$number"
        options+=(--qemu -drive --qemu "file=$work/disk$number,format=raw,if=none,id=disk$number,cache=unsafe" --qemu -device --qemu "$device,drive=disk$number")
    done < <(said disk "$script")
    while read -r words; do options+=(--append "$words"); done < <(said append "$script")
    while read -r words; do options+=(--memory "$words"); done < <(said memory "$script")
    # Programs that the guest's image lacks, unpacked into it from this machine's suite.
    for package in $(said package "$script"); do
        (cd "$work" && rm -rf package && mkdir package && cd package && apt-get download -qq -o APT::Sandbox::User=root "$package" >&2 && dpkg -x ./*.deb "$over.new") || skip "could not fetch $package"
        # A merged /usr: what a package puts into /sbin belongs below /usr.
        for top in bin sbin lib; do [ ! -d "$over.new/$top" ] || { mkdir -p "$over.new/usr/$top"; cp -a "$over.new/$top/." "$over.new/usr/$top/"; rm -rf "${over:?}.new/$top"; }; done
        cp -a "$over.new/." "$over/"
        rm -rf "$over.new"
    done
    if [ -n "$(said kubelet "$script")" ]; then
        part "$here/../e2e/kube/build.sh" kubelet
        cp "$part_out" "$over/usr/bin/kubelet"
    fi
    cp "$script" "$work/input/setup"
    cat >"$work/script" <<EOF
set -eu
. ./setup
node-steward capture /results/host --turns $turns --period $period
EOF
    "$here/../e2e/vm/run.sh" --over "$over" "${options[@]}" --deadline 1200 "$work/input" "$work/script" "$work/out" ||
        { cat "$work/out/script.log" >&2 2>/dev/null || :; say "$name: the guest ended with an error"; exit 1; }
    mv "$work/out/results/host" "$work/host"
}

container() {
    mkdir -p "$work/shared"
    cp "$program" "$work/shared/node-steward"
    "$here/../ground/container.sh" start "$work/container" $$ -- --bind="$work/shared:/shared" >&2
    "$here/../ground/container.sh" run "$work/container" /shared/node-steward capture /shared/host --turns "$turns" --period "$period" >&2
    "$here/../ground/container.sh" stop "$work/container" >&2
    mv "$work/shared/host" "$work/host"
}

for name; do
    rm -rf "$work/host" "$work/over" "$work/input" "$work/out"
    case $name in
    container) container ;;
    this-machine) "$program" capture "$work/host" --turns "$turns" --period "$period" >&2 ;;
    *) [ -f "$here/guests/$name.sh" ] || { say "unknown name: $name"; exit 2; }; guest "$here/guests/$name.sh" ;;
    esac
    mkdir -p "$here/hosts/$name"
    rm -rf "$here/hosts/$name"/{root,turns}
    # Processes are looked at only where a disk is in trouble; they are many, and they say whose machine it was.
    find "$work/host" -path '*/root/proc/[0-9]*' -prune -exec rm -rf {} +
    find "$work/host" -path '*/.recorded/gone' -exec sed -i '/^\/proc\/[0-9]/d' {} +
    # Names of files that nothing reads.
    find "$work/host" -type f -empty ! -name 'nvme*' ! -name kmsg ! -path '*/log/pods/*' -delete
    mv "$work/host"/{root,turns} "$here/hosts/$name/"
    say "$name: recorded, $(find "$here/hosts/$name" -type f | wc -l) files"
done

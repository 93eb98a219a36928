# A container with a real systemd of its own, the program in it and its unit at hand in /shared. Sourced, never run; it refuses to touch this machine's
# own units, and what it started ends with the script that sourced it.
#
#   LOG_DISK=SIZE            /var/log is a file system of its own, on a disk whose counters can be seen: $work/log
#   CONTAINER_PACKAGES=...   what is installed in it besides

. "$(dirname "${BASH_SOURCE[0]}")/../boot/words.sh"
[ "$(id -u)" = 0 ] || skip "a container needs root"
need jq jq || skip "lacks jq"
need_program
container=$repo/tests/ground/container.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-inside.XXXXXX")
loop='' log_disk=()
cleanup() {
    "$container" stop "$work/container" >&2 || :
    ! mountpoint -q "$work/log" || umount "$work/log" || umount -l "$work/log"
    [ -z "$loop" ] || losetup -d "$loop" 2>/dev/null || :
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

if [ -n "${LOG_DISK:-}" ]; then
    need mkfs.ext4 e2fsprogs || skip "lacks mkfs.ext4"
    mkdir "$work/log"
    truncate -s "$LOG_DISK" "$work/disk"
    mkfs.ext4 -q -F "$work/disk"
    loop=$(losetup --find --show --direct-io=on "$work/disk" 2>/dev/null || losetup --find --show "$work/disk") || skip "no loop device"
    mount "$loop" "$work/log" || skip "a file system cannot be mounted here"
    log_disk=(--bind="$work/log:/var/log")
fi
mkdir "$work/shared"
cp "$NODE_STEWARD" "$work/shared/node-steward"
cp "$repo/systemd/node-steward.service" "$work/shared/"
started=$("$container" start "$work/container" $$ -- --capability=all --bind="$work/shared:/shared" \
    --bind-ro="$work/shared/node-steward:/usr/bin/node-steward" ${log_disk[@]+"${log_disk[@]}"} --bind=/dev/kmsg) ||
    { code=$?; printf '%s\n' "$started"; exit $code; }
inside() { "$container" run "$work/container" "$@"; }
shell() { inside sh -c "$1"; }
# until_true SECONDS COMMAND...
until_true() {
    local left=$(($1 * 5)); shift
    until "$@" >/dev/null 2>&1; do left=$((left - 1)); [ "$left" -gt 0 ] || return 1; sleep 0.2; done
}

# A container with a real systemd of its own, the program in it and its unit at hand in /shared. Sourced, never run; it refuses to touch this machine's
# own units, and what it started ends with the script that sourced it.

. "$(dirname "${BASH_SOURCE[0]}")/../boot/words.sh"
[ "$(id -u)" = 0 ] || skip "a container needs root"
need jq jq || skip "lacks jq"
need_program
container=$repo/tests/ground/container.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-inside.XXXXXX")
cleanup() { "$container" stop "$work/container" >&2 || :; rm -rf --one-file-system "$work"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

mkdir "$work/shared"
cp "$NODE_STEWARD" "$work/shared/node-steward"
cp "$repo/systemd/node-steward.service" "$work/shared/"
started=$("$container" start "$work/container" $$ -- --capability=all --bind="$work/shared:/shared" \
    --bind-ro="$work/shared/node-steward:/usr/bin/node-steward" --bind=/dev/kmsg) ||
    { code=$?; printf '%s\n' "$started"; exit $code; }
inside() { "$container" run "$work/container" "$@"; }
# until_true SECONDS COMMAND...
until_true() {
    local left=$(($1 * 5)); shift
    until "$@" >/dev/null 2>&1; do left=$((left - 1)); [ "$left" -gt 0 ] || return 1; sleep 0.2; done
}

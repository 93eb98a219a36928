# Shell words of the boot tests: counting, a fixture machine, and the runs with the very command lines of our units.
# Sourced, never run. It refuses to touch anything outside the scratch directory $work.

boot_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$boot_dir/../.." && pwd)
. "$repo/tests/lib.sh"

passed=0 failed=0
ok() { passed=$((passed + 1)); printf 'ok: %s\n' "$1"; }
bad() { failed=$((failed + 1)); printf 'FAILED: %s\n' "$1"; }
# equal WHAT EXPECTED FOUND
equal() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1: expected $2, found $3"; fi; }
# says WHAT TEXT: TEXT is in what the last run printed ($work/said)
says() { if grep -qF -- "$2" "$work/said"; then ok "$1"; else bad "$1: no \"$2\" in: $(cat "$work/said")"; fi; }
# run WHAT CODE COMMAND...: keeps the output in $work/said, wants the exit code
run() {
    run_what=$1 run_code=$2 run_found=0; shift 2
    "$@" >"$work/said" 2>&1 || run_found=$?
    if [ "$run_found" = "$run_code" ]; then ok "$run_what"; else bad "$run_what: exit code $run_found, expected $run_code: $(cat "$work/said")"; fi
}
finish() {
    printf '%s passed, %s failed\n' "$passed" "$failed"
    [ "$failed" = 0 ]
}

# The program: what is given, else what this tree has built.
need_program() {
    NODE_STEWARD=${NODE_STEWARD:-$repo/target/release/node-steward}
    [ -x "$NODE_STEWARD" ] || NODE_STEWARD=$repo/target/debug/node-steward
    [ -x "$NODE_STEWARD" ] || skip "lacks the program: build it, or name it in NODE_STEWARD"
    NODE_STEWARD=$(realpath "$NODE_STEWARD")
}

# machine NAME ROOT: lays a recorded machine over ROOT
machine() { mkdir -p "$2"; cp -R "$repo/tests/machines/$1/." "$2/"; }

# A boot of its own for ROOT: another boot id, and an empty /run.
reboot() {
    rm -rf "$1/run"; mkdir -p "$1/run"
    cat /proc/sys/kernel/random/uuid >"$1/proc/sys/kernel/random/boot_id"
}

# The two runs as systemd would start them: the command lines are read from the units, with the root put in. The late one leaves
# --console out: a test has no business on the machine's console.
command_of() { # UNIT KEY
    command_line=$(sed -n "s|^$2=-*\(.*/usr/bin/node-steward bootstrap.*\)|\1|p" "$1")
    [ -n "$command_line" ] || { say "$1 has no $2= with our program"; return 1; }
    printf '%s\n' "$command_line"
}
early() { in_root "$1" "$(command_of "$repo/systemd/node-steward-bootstrap.service" ExecStart)"; }
late() { in_root "$1" "$(command_of "$repo/systemd/kubelet.service.d/90-node-steward.conf" ExecStartPre | sed 's/ --console//')"; }
in_root() { sh -c "exec $(printf '%s' "${2:?}" | sed "s|/usr/bin/node-steward|$NODE_STEWARD --root $1|")"; }
# What kubelet would read: the main file, then drop-ins, merged as objects (lists are replaced whole).
effective() { # MAIN [DIR]: sorted JSON
    { yq . "$1"; [ ! -d "${2:-}" ] || for file in "$2"/*.conf; do [ ! -e "$file" ] || yq . "$file"; done; } |
        jq -sS 'reduce .[] as $one ({}; . * $one) | del(.kind, .apiVersion)'
}

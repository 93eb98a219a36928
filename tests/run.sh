#!/usr/bin/env bash
# Runs the stages of tests/stages one after the other, lanes of stages at low priority beside the others, and prints at the end what ran, what
# was skipped and why.
# It refuses a green skip: with CI=true a skipped stage fails, unless the list says why it may be skipped.
#
#   run.sh [STAGE...]    all stages, or the named ones
#
# A stage that ends with 77 is skipped; its last line beginning with SKIP: says why.
set -uo pipefail
cd "$(dirname "$0")/.."
. tests/lib.sh
logs=target/test-logs
mkdir -p "$logs"
export NODE_STEWARD=${NODE_STEWARD:-$PWD/target/release/node-steward}
export NO_COLOR=1 RUST_BACKTRACE=${RUST_BACKTRACE:-0}

passed=0 failed=0 skipped=0 broken=0 table=''
start_all=$SECONDS
# By lane: its session, and its stages.
declare -A lanes=() beside=()
# Every process of a stage that runs beside the others ends with this script.
end_lanes() { local lane; for lane in "${lanes[@]}"; do kill -- "-$lane" 2>/dev/null || :; done; }
trap end_lanes EXIT
trap 'exit 130' INT TERM
# run_lane LOGS NAME COMMAND...: the stages of a lane, one after the other, in a session of their own
run_lane() {
    local logs=$1 start code
    shift
    # A session has a group of its own before the scheduler, which is weighed apart from its processes.
    { echo 10 >/proc/self/autogroup; } 2>/dev/null
    while [ $# -gt 0 ]; do
        start=$SECONDS code=0
        bash -c "$2" </dev/null >"$logs/$1.log" 2>&1 || code=$?
        echo "$code $((SECONDS - start))" >"$logs/$1.ended"
        shift 2
    done
}

# account NAME SECONDS CODE MAY_SKIP: counts what a stage left in its log
account() {
    local name=$1 code=$3 may_skip=$4 log=$logs/$1.log time counts good bad result
    time=$(printf '%d:%02d' $(($2 / 60)) $(($2 % 60)))
    # The Rust runner closes each of its programs with `12 passed; 0 failed; ...`; a stage of ours ends with `12 passed, 0 failed`.
    counts=$(grep -oE '[0-9]+ passed; [0-9]+ failed' "$log" | awk '{p += $1; f += $3} END {if (NR) print p, f}')
    [ -n "$counts" ] || counts=$(grep -oE '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1 | awk '{print $1, $3}')
    counts=${counts:-0 0}
    good=${counts% *} bad=${counts#* }
    case $code in
        0) result=passed; [ "$good" -gt 0 ] || good=1 ;;
        77)
            result="skipped: $(grep '^SKIP: ' "$log" | tail -n 1 | cut -c 7-)"
            skipped=$((skipped + 1))
            if [ "${CI:-}" = true ] && [ -z "$may_skip" ]; then result="FAILED, may not be skipped ($result)"; broken=1 bad=$((bad + 1)); fi
            ;;
        *) result="FAILED (see $log)" broken=1; [ "$bad" -gt 0 ] || bad=1; tail -n 40 "$log" >&2 ;;
    esac
    passed=$((passed + good)) failed=$((failed + bad))
    table+=$(printf '%-10s %6s  %5d passed %3d failed  %s' "$name" "$time" "$good" "$bad" "$result")$'\n'
}
# collect LANE...: the end of those that run there: what they say is shown then, so that lines do not mix.
collect() {
    local lane one name may_skip code took
    for lane; do
        [ -n "${lanes[$lane]:-}" ] || continue
        wait "${lanes[$lane]}"
        unset "lanes[$lane]"
        while IFS='|' read -r name may_skip; do
            [ -n "$name" ] || continue
            code=1 took=0
            read -r code took <"$logs/$name.ended"
            rm -f "$logs/$name.ended"
            say "== $name, which ran beside:"
            shown_lines <"$logs/$name.log"
            account "$name" "$took" "$code" "$may_skip"
        done <<<"${beside[$lane]}"
    done
}
shown_lines() { grep -E '^(ok|FAILED|SKIP|case |test result|[0-9]+ passed)' | tail -n 400; }

# begin_lane LANE [STAGE...]: starts all of its stages that are wanted, once
begin_lane() {
    local lane=$1 name command may_skip how words=()
    shift
    [ -z "${beside[$lane]:-}" ] || return 0
    while IFS='|' read -r name command may_skip how; do
        name=$(echo "$name" | xargs) may_skip=$(echo "$may_skip" | xargs) how=$(echo "$how" | xargs)
        [ "$how" = "beside $lane" ] || continue
        [ $# = 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
        say "== $name, beside the others ($lane):$command"
        rm -f "$logs/$name.ended" "$logs/$name.log"
        words+=("$name" "$command") beside[$lane]+="$name|$may_skip"$'\n'
    done <tests/stages
    setsid nice -n 10 bash -c "$(declare -f run_lane); run_lane \"\$@\"" lane "$logs" "${words[@]}" &
    lanes[$lane]=$!
}

while IFS='|' read -r name command may_skip how; do
    name=$(echo "$name" | xargs) may_skip=$(echo "$may_skip" | xargs) how=$(echo "$how" | xargs)
    case $name in '' | '#'*) continue ;; esac
    [ $# = 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    log=$logs/$name.log
    case $how in
        # They have begun with the first of them.
        'beside '*) begin_lane "${how#beside }" "$@"; continue ;;
        'after '*) collect "${how#after }" ;;
        # The last one judges what all others said.
        last) collect "${!lanes[@]}" ;;
    esac
    say "== $name:$command"
    start=$SECONDS
    # shellcheck disable=SC2086 -- the list holds command lines
    if [ -t 2 ]; then eval $command </dev/null >"$log" 2>&1; else eval $command </dev/null 2>&1 | tee "$log" | shown_lines; fi
    code=${PIPESTATUS[0]}
    account "$name" $((SECONDS - start)) "$code" "$may_skip"
done <tests/stages
collect "${!lanes[@]}"

printf '\nstage        time  result\n%s' "$table"
printf 'minutes in all: %d:%02d\n' $(((SECONDS - start_all) / 60)) $(((SECONDS - start_all) % 60))
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
exit $broken

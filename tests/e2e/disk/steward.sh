# Shell words around the daemon under test: start, ask, wait, stop. Sourced after lab.sh, inside the lab's namespace.
# It refuses to meet another node-steward of this machine: /run/node-steward is a file system of the run's own.
#
#   steward_up               "${steward_program[@]}" with $steward_config, which was $LAB/steward.toml; $steward is its process id, $LAB/steward.log its words
#   steward_get PATH         the body of GET PATH
#   problem KIND SUBJECT     the problem as JSON; fails where it does not stand
#   no_problem KIND SUBJECT
#   began, over TEXT KIND SUBJECT SECONDS: waited for, counted and printed with their time
#   until_true SECONDS COMMAND...   tries four times a second; $took is the time in s
#   steward_down             SIGTERM; $took is the time to its end in s, $steward_code its exit code

steward_config=$LAB/steward.toml
steward_program=("$NODE_STEWARD")
mount_run
need jq jq || skip "lacks jq"

clock() { awk '{print $1}' /proc/uptime; }
since() { awk -v a="$1" -v b="$(clock)" 'BEGIN {printf "%.1f", b - a}'; }
at_most() { awk -v x="$1" -v y="$2" 'BEGIN {exit !(x <= y)}'; }
between() { awk -v x="$1" -v low="$2" -v high="$3" 'BEGIN {exit !(x >= low && x <= high)}'; }

steward_get() { curl -sf --max-time 5 --unix-socket /run/node-steward/api.sock "http://localhost$1"; }

steward_up() {
    printf 'settings of this run, times shortened:\n'; sed 's/^/    /' "$LAB/steward.toml"
    "${steward_program[@]}" run --config "$steward_config" >"$LAB/steward.out" 2>"$LAB/steward.log" </dev/null &
    steward=$!
    own $steward
    until_true 20 steward_get /v1/status >/dev/null && return 0
    failed "the daemon does not answer: $(tail -n 3 "$LAB/steward.log")"
    return 1
}

steward_down() {
    down_begun=$(clock)
    kill -TERM "$steward"
    wait "$steward"
    steward_code=$? took=$(since "$down_begun")
}

# Slurped, so that no answer at all is a failure and not an empty success.
problem() {
    problem_text=$(steward_get /v1/problems) || return 1
    printf '%s' "$problem_text" | jq -ces --arg k "$1" --arg s "$2" '[.[0].problems[] | select(.kind == $k and ($s == "" or .subject == $s))] | .[0]'
}
no_problem() {
    problem_text=$(steward_get /v1/problems) || return 1
    printf '%s' "$problem_text" | jq -es --arg k "$1" --arg s "$2" '[.[0].problems[] | select(.kind == $k and ($s == "" or .subject == $s))] | length == 0' >/dev/null
}

# began TEXT KIND SUBJECT SECONDS · over TEXT KIND SUBJECT SECONDS; what never began cannot be over.
steward_began=' '
began() {
    if until_true "$4" problem "$2" "$3"; then
        steward_began="$steward_began$2/$3 "
        ok "$1: $2 on ${3:-any} after $took s: $(problem "$2" "$3" | jq -r .summary | cut -c 1-160)"
        shown "$2"
    else
        failed "$1: no $2 on ${3:-any} in $4 s: $(steward_get /v1/problems | jq -c '[.problems[] | [.kind, .subject]]')"
        return 1
    fi
}
over() {
    case $steward_began in *" $2/$3 "*) ;; *) failed "$1: $2 never began, so it cannot end"; return 1 ;; esac
    if until_true "$4" no_problem "$2" "$3"; then ok "$1: $2 is over after $took s"; else failed "$1: $2 stays for $4 s: $(problem "$2" "$3")"; fi
}

until_true() {
    until_begun=$(clock) until_limit=$1
    shift
    while ! "$@" >/dev/null 2>&1; do
        took=$(since "$until_begun")
        at_most "$took" "$until_limit" || return 1
        sleep 0.25
    done
    took=$(since "$until_begun")
}

# The main thread's major faults: what it had to wait for a disk to go on.
major_faults() { sed 's/.*) //' "/proc/$steward/stat" | awk '{print $10}'; }
said() { grep -c "$@" "$LAB/steward.log"; }

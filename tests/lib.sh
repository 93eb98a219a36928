# Shell words that every test stage shares: cache, lock, installing what a stage needs.
# Sourced, never run. It refuses to guess: what is missing and cannot be installed is named.

# Everything that is built or downloaded once lives here, outside the tree.
NODE_STEWARD_CACHE=${NODE_STEWARD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/node-steward}
mkdir -p "$NODE_STEWARD_CACHE"
export NODE_STEWARD_CACHE

say() { printf '%s\n' "$*" >&2; }

# A stage that cannot run here ends with this: 77 is what tests/run.sh counts as "skipped", with the reason.
skip() { printf 'SKIP: %s\n' "$*"; exit 77; }

# need PROGRAM PACKAGE...: make sure PROGRAM can be found, by installing Debian PACKAGEs where that is possible.
need() {
    need_program=$1; shift
    command -v "$need_program" >/dev/null 2>&1 && return 0
    install_debian "$@" && command -v "$need_program" >/dev/null 2>&1
}

# install_debian PACKAGE...: one apt run at a time, no questions; fails where there is no apt or no root.
install_debian() {
    command -v apt-get >/dev/null 2>&1 || { say "lacks apt-get to install: $*"; return 1; }
    [ "$(id -u)" = 0 ] || { say "lacks root to install: $*"; return 1; }
    (
        flock 9
        stamp=$NODE_STEWARD_CACHE/apt-updated
        [ -n "$(find "$stamp" -mmin -720 2>/dev/null)" ] || { apt-get update -qq >/dev/null && touch "$stamp"; }
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$NODE_STEWARD_CACHE/apt.log" 2>&1 ||
            { say "could not install $*: $(tail -n 1 "$NODE_STEWARD_CACHE/apt.log")"; exit 1; }
    ) 9>"$NODE_STEWARD_CACHE/apt.lock"
}

# shown KIND...: these problems were found on a real part, as far as this stage asks; tests/shown.sh makes the table of it, and says what `shown: KIND *` is.
shown() { printf 'shown: %s\n' "$@"; }

# heavy COMMAND...: run one heavy thing (a build, a guest) at a time on this machine.
heavy() { flock "$NODE_STEWARD_CACHE/heavy.lock" "$@"; }

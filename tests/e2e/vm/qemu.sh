# Shell words that see to a QEMU whose emulation can be trusted. Sourced by run.sh after tests/lib.sh.
# It refuses QEMU before 8 (7.2 loses the flags of cmpxchg16b, which panics a current kernel) and leaves the machine's apt
# settings as they are: what stable lacks is installed through a source list of its own.

qemu_major() { qemu-system-x86_64 --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\)\..*/\1/p'; }
qemu_fits() { qemu_major=$(qemu_major); [ "${qemu_major:-0}" -ge 8 ]; }

# need_qemu: qemu-system-x86_64 and qemu-img, from the machine's own suite or else from its backports.
need_qemu() {
    qemu_fits && command -v qemu-img >/dev/null && return 0
    . /etc/os-release
    qemu_apt=$NODE_STEWARD_CACHE/vm/apt
    mkdir -p "$qemu_apt/lists/partial"
    qemu_site=$(apt-get indextargets --format '$(SITE) $(RELEASE)' | awk -v r="${VERSION_CODENAME:-}" '$2 == r { print $1; exit }')
    [ -n "$qemu_site" ] && [ "$(id -u)" = 0 ] || { say "lacks a Debian mirror or root to install QEMU"; return 1; }
    for qemu_suite in "$VERSION_CODENAME" "$VERSION_CODENAME-backports"; do
        echo "deb $qemu_site $qemu_suite main"
    done >"$qemu_apt/sources.list"
    qemu_options="-o Dir::Etc::SourceList=$qemu_apt/sources.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$qemu_apt/lists
        -o Acquire::Check-Valid-Until=false"
    (
        flock 9
        # shellcheck disable=SC2086 — the options are words by intent
        {
            apt-get $qemu_options update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get $qemu_options install -y -qq --no-install-recommends \
                -t "$qemu_suite" qemu-system-x86 qemu-utils
        } >"$NODE_STEWARD_CACHE/apt.log" 2>&1 || { say "could not install QEMU: $(tail -n 1 "$NODE_STEWARD_CACHE/apt.log")"; exit 1; }
    ) 9>"$NODE_STEWARD_CACHE/apt.lock"
    hash -r
    qemu_fits
}

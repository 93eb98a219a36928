#!/usr/bin/env bash
# `make install` into a scratch directory: the files, their modes and links against the committed list, the examples against the
# program itself, and systemd's own verdict on the units where they lie. It refuses to install into the machine.
#
#   install.sh          $NODE_STEWARD names the program (default: what this tree has built); BLESS=1 writes the list anew
set -euo pipefail
. "$(dirname "$0")/words.sh"
need_program
need make make || skip "lacks make"
need systemd-analyze systemd || skip "lacks systemd-analyze"

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
install_to() { make -s -C "$repo" install DESTDIR="$1" BINARY="$NODE_STEWARD" "${@:2}"; }
# Mode, kind and name of everything; the program's size is not the list's business.
listing() { (cd "$1" && find . -mindepth 1 \( -type d -printf '%m dir  %P\n' -o -type l -printf 'link %P -> %l\n' -o -printf '%m file %P\n' \) | LC_ALL=C sort -k3); }

run "make install" 0 install_to "$work/root"
listing "$work/root" >"$work/list"
[ -z "${BLESS:-}" ] || cp "$work/list" "$boot_dir/files.expected"
# A README that the tree does not have yet cannot be installed.
if [ -f "$repo/README.md" ]; then cp "$boot_dir/files.expected" "$work/expected"; else grep -v '/README.md$' "$boot_dir/files.expected" >"$work/expected"; fi
if diff -u "$work/expected" "$work/list" >"$work/said"; then ok "the files are those of the list"; else bad "the files are those of the list: $(cat "$work/said")"; fi
before=$(cd "$work/root" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
run "make install again" 0 install_to "$work/root"
equal "the second time gives the same" "$before" "$(cd "$work/root" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)"
equal "the umask of who installs does not matter" "$(cat "$work/list")" "$(umask 077; install_to "$work/umask" >/dev/null; listing "$work/umask")"
run "no program, no installation" 2 make -s -C "$repo" install DESTDIR="$work/none" BINARY="$work/missing"
equal "and nothing half-done" no "$([ -e "$work/none" ] && echo yes || echo no)"

echo "== another prefix"
run "make install PREFIX=/usr/local" 0 install_to "$work/local" PREFIX=/usr/local
equal "no file names the other prefix's program or hooks" '' \
    "$(grep -rlE '(^|[^l])/usr/(bin/node-steward|lib/node-steward/bootstrap)' "$work/local/usr/local/lib" || true)"
equal "the units start the program where it is" 2 "$(grep -rlE '=.*/usr/local/bin/node-steward bootstrap' "$work/local/usr/local/lib/systemd" | wc -l)"

echo "== systemd's verdict"
# systemd's own units and what kubelet.service needs, so that nothing is missing but what is wrong.
verify() { # ROOT UNITDIR
    local root=$1 units=$1$2
    for dir in /usr/lib/systemd/system /lib/systemd/system; do
        [ ! -d "$dir" ] || { mkdir -p "$root/usr/lib/systemd/system"; cp -n "$dir"/*.target "$root/usr/lib/systemd/system/"; break; }
    done
    mkdir -p "$root/usr/bin"
    for program in kubelet systemctl sh; do printf '#!/bin/sh\n' >"$root/usr/bin/$program"; chmod 755 "$root/usr/bin/$program"; done
    printf '[Service]\nExecStart=/usr/bin/kubelet\n' >"$units/kubelet.service"
    cp "$root/etc/node-steward/container-volume.env.example" "$root/etc/node-steward/container-volume.env"
    local code=0
    systemd-analyze verify --man=no --root="$root" node-steward-bootstrap.service node-steward-container-volume.service \
        node-steward-protect.service kubelet.service >"$work/said" 2>&1 || code=$?
    [ "$code" = 0 ] && [ ! -s "$work/said" ]
}
run "the units, as installed" 0 verify "$work/root" /usr/lib/systemd/system
run "the units under another prefix" 0 verify "$work/local" /usr/local/lib/systemd/system
cp -R "$work/root" "$work/planted"
rm "$work/planted/usr/bin/node-steward"
run "planted: a missing program is found" 1 verify "$work/planted" /usr/lib/systemd/system

echo "== examples"
example=$work/root/etc/node-steward/config.toml.example
run "the example as it is" 0 "$NODE_STEWARD" config check --config "$example"
# Every key: the examples under their headings, without the words behind them.
sed -E 's/^#(["a-z_.-]+ = |\[)/\1/' "$example" >"$work/all.toml"
run "the example with every key in it" 0 "$NODE_STEWARD" config check --config "$work/all.toml"
# The program's own list of keys; of the detectors' tables one stands for all.
keys=$("$NODE_STEWARD" config show --origin -o json --root "$work/root" | grep -oE '"key":"[^"]*"' | cut -d'"' -f4 |
    grep -vE '^detect\.' | sed 's/.*\.//' | sort -u)
keys="$keys $("$NODE_STEWARD" config show --origin -o json --root "$work/root" | grep -oE '"key":"detect\.disk_stalled\.[^"]*"' | cut -d'"' -f4 | sed 's/.*\.//')"
[ "$(wc -w <<<"$keys")" -gt 40 ] || keys="$keys too-few-keys-were-listed"
missing=''
for key in $keys; do grep -qE "^#?$key = |^#?\[[a-z_.]*\b$key(\.[a-z_]+)?\]" "$example" || missing="$missing $key"; done
equal "it names every key ($(wc -w <<<"$keys"))" '' "$missing"
equal "a plain example changes nothing" "$("$NODE_STEWARD" reserve --cores 4 --memory 16Gi --max-pods 58 -o json)" \
    "$("$NODE_STEWARD" reserve --cores 4 --memory 16Gi --max-pods 58 -o json --config "$example")"
finish

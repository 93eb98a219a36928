#!/bin/sh
# Builds a real node-problem-detector as its release is built for a plain node (CGO_ENABLED=0, so without journald), once per
# version, and prints the directory that holds it: node-problem-detector, version, and config/ with the settings that it ships.
# It refuses to download a ready binary and to change a shipped setting: all comes from the Go module proxy, pinned by go.sum.
#
# Kept in $NODE_STEWARD_CACHE/npd/<version>/. The build holds the `heavy` lock: do not call this while holding it. Cold, on two
# cores: 2 minutes. Without Go it ends with 77 and says so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"

module=k8s.io/node-problem-detector
version=$(sed -n "s,^require $module v,,p" "$here/go.mod" | cut -d' ' -f1)
[ -n "$version" ] || { say "go.mod names no version of $module"; exit 1; }
out=$NODE_STEWARD_CACHE/npd/$version
GOCACHE=$NODE_STEWARD_CACHE/gocache
GOFLAGS='-mod=readonly -buildvcs=false'
CGO_ENABLED=0
export GOCACHE GOFLAGS CGO_ENABLED

mkdir -p "$out"
exec 7>"$NODE_STEWARD_CACHE/npd/build.lock"
flock 7
if [ ! -f "$out/done" ]; then
    command -v go >/dev/null 2>&1 || PATH=$PATH:/usr/local/go/bin
    command -v go >/dev/null 2>&1 || skip "no Go toolchain: cannot build node-problem-detector $version"
    source=$(go -C "$here" mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    [ -d "$source/config" ] || { say "the Go module proxy gave no $module $version"; exit 1; }
    rm -rf "$out/config"
    cp -r "$source/config" "$out/config"
    chmod -R u+w "$out/config"
    say "building node-problem-detector $version"
    started=$(date +%s)
    # As its own Makefile does: not stripped, the version stamped in.
    heavy flock -s "$GOCACHE.lock" nice go -C "$here" build -trimpath -ldflags "-X $module/pkg/version.version=v$version" \
        -o "$out/node-problem-detector" "$module/cmd/nodeproblemdetector" >&2 7>&- || { say "could not build node-problem-detector $version"; exit 1; }
    say "built node-problem-detector in $(($(date +%s) - started)) s"
    if [ "$(du -sm "$GOCACHE" | cut -f1)" -gt 6000 ]; then flock "$GOCACHE.lock" go clean -cache; fi
    "$out/node-problem-detector" --version 2>&1 | head -n 1 >"$out/version"
    touch "$out/done"
fi
echo "$out"

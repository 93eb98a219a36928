#!/usr/bin/env bash
# Builds the lab's tools into the cache, keyed by their sources, and prints the directory.
# It refuses to use what another version of the sources made.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"

out=$NODE_STEWARD_CACHE/disklab/$(cat "$here"/tools/*.c "$0" | sha256sum | cut -c 1-16)
if [ ! -e "$out/done" ]; then
    need cc gcc libc6-dev || skip "lacks a C compiler"
    need pkg-config pkg-config || skip "lacks pkg-config"
    pkg-config --exists fuse3 || install_debian fuse3 libfuse3-dev || skip "lacks libfuse3-dev"
    part=$(mktemp -d "$NODE_STEWARD_CACHE/disklab.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    for source in "$here"/tools/*.c; do
        tool=$(basename "$source" .c) libraries=''
        [ "$tool" != quotadisk ] || libraries=$(pkg-config --cflags --libs fuse3)
        # A list of flags, so not quoted.
        # shellcheck disable=SC2086
        cc -O2 -Wall -Wextra -Werror -pthread -o "$part/$tool" "$source" $libraries
    done
    touch "$part/done"
    mkdir -p "$NODE_STEWARD_CACHE/disklab"
    mv -T "$part" "$out" 2>/dev/null || [ -e "$out/done" ]
fi
printf '%s\n' "$out"

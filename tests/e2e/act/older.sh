#!/usr/bin/env bash
# The tests of acting on an older API server, of the version in tests/e2e/kube/old/go.mod: what a kubelet's credential may do there, conditions and Events, cordons
# that people ask for and those that the daemon puts on by itself, the ledger and its policy. It refuses to take a part for passed that ended early.
#
#   older.sh [--full]     short: of each part what a server's version can change; --full: the parts that hold there as they are, whole. NODE_STEWARD names the program
set -euo pipefail
. "$(dirname "$0")/words.sh"
TEST_ASSET_KUBE_APISERVER=${TEST_ASSET_KUBE_APISERVER_OLD:-}
if [ -z "$TEST_ASSET_KUBE_APISERVER" ]; then part "$kube/build.sh" kube-apiserver-old; TEST_ASSET_KUBE_APISERVER=$part_out; fi
export TEST_ASSET_KUBE_APISERVER
export ACT_SHORT=1
[ "${1:-}" != --full ] || ACT_SHORT=''
started=$SECONDS
said=$(mktemp)
trap 'rm -f "$said"' EXIT
good "an older API server: $("$TEST_ASSET_KUBE_APISERVER" --version)"
for name in identity report cordon auto; do
    echo "== $name"
    from=$SECONDS code=0
    "$here/$name.sh" >"$said" 2>&1 || code=$?
    cat "$said"
    # Its last line says why it is skipped.
    [ "$code" != 77 ] || exit 77
    counts=$(grep -oE '^[0-9]+ passed, [0-9]+ failed' "$said" | tail -n 1) || counts='0 passed, 0 failed'
    passed=$((passed + ${counts%% *}))
    more=${counts#*, }
    failed=$((failed + ${more%% *}))
    # A part that broke off has counted nothing of what it did not do.
    if [ "$code" != 0 ] || [ "$counts" = '0 passed, 0 failed' ]; then bad "$name ended with $code"; fi
    printf 'note    %s: %s s\n' "$name" $((SECONDS - from))
done
finish_timed

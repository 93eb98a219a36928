#!/usr/bin/env bash
# All boot tests that need no guest: hooks, container volume, fragment, units in each image's company. Prints one sum.
# It refuses to hide a part that cannot run: then it ends with 77 and every reason, unless another part failed.
# (install.sh and guest.sh are stages of their own.)
set -uo pipefail
cd "$(dirname "$0")" || exit 1
passed=0 failed=0 reasons=''
for part in units hooks volume fragment; do
    echo "== $part"
    code=0
    said=$(bash "./$part.sh") || code=$?
    grep -vE '^[0-9]+ passed, [0-9]+ failed$|^SKIP: ' <<<"$said"
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' <<<"$said" | tail -n 1)
    good=${counts%% *} bad=$(cut -d' ' -f3 <<<"$counts")
    passed=$((passed + ${good:-0})) failed=$((failed + ${bad:-0}))
    case $code in
        0) ;;
        77) reasons="$reasons$part: $(sed -n 's/^SKIP: //p' <<<"$said"); " ;;
        *) [ "${bad:-0}" != 0 ] || { failed=$((failed + 1)); echo "FAILED: $part ended with $code"; } ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] || exit 1
[ -z "$reasons" ] || { echo "SKIP: ${reasons%; }"; exit 77; }

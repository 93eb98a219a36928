#!/usr/bin/env bash
# All tests of the daemon's life: beside file systems that hang, with its pages driven out, under a real systemd, and as an ordinary user. It refuses to hide that a part was skipped.
set -uo pipefail
cd "$(dirname "$0")"
. ../lib.sh
passed=0 failed=0 skipped=''
for part in stuck memory systemd units ordinary; do
    echo "== $part"
    out=$(./$part.sh 2>&1); code=$?
    printf '%s\n' "$out"
    [ "$code" != 77 ] || skipped="$skipped $part ($(printf '%s\n' "$out" | sed -n 's/^SKIP: //p' | tail -n 1))"
    read -r good bad <<<"$(printf '%s\n' "$out" | awk '/^[0-9]+ passed, [0-9]+ failed$/ {p = $1; f = $3} END {print p + 0, f + 0}')"
    passed=$((passed + good)) failed=$((failed + bad))
    case $code in 0 | 77) ;; *) [ "$bad" -gt 0 ] || failed=$((failed + 1)) ;; esac
done
[ -z "$skipped" ] || skip "not all parts ran:$skipped ($passed passed, $failed failed before)"
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]

#!/usr/bin/env bash
# What a real kubelet says of a configuration on a whole machine: one JSON line per case, all cases in one guest boot.
# It refuses to guess: a kubelet that was killed or never decided is "unknown", and a guest that dies is an error.
#
#   kubelet-verdict.sh [--old | --kubelet PATH] [--check] [--keep DIR] [--timeout SEC] [--memory MIB] [--smp N] DIR...
#
# It takes over where tests/e2e/kube/verdict stops: kubepods, enforcement on named cgroups, systemd's cgroup driver, a
# containerd that runs. DIR is a case or a folder of cases, in the same form as there (config.json or config.yaml, conf.d/*.conf,
# flags, meminfo, expect, expect-<minor>); one more file is read:
#   prepare   bash, run in the guest before kubelet: makes a slice, a cgroup, a file. What it adds to the cgroup tree is removed.
# The guest has runtime.slice (kubelet and containerd run in it), system.slice, /etc/kubernetes/pki/ca.crt, the systemd driver,
# and no API server behind its kubeconfig. kubelet gets the case's files as they are.
# Output: {"case":..,"version":..,"stage":..,"verdict":..,"error":..,"exit":..,"ms":..,"cgroups":{SLICE:{memory.max,..}}}
#   stage running: kubelet got past the start of its container and eviction managers: "accepted"; cgroups says what
#   kubelet wrote (without enforcement errors). The other stages are named as in tests/e2e/kube/verdict.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"

which=kubelet kubelet='' check='' keep='' timeout=60 memory=4096 smp=2
while [ $# -gt 0 ]; do
    case $1 in
        --old) which=kubelet-old ;;
        --check) check=1 ;;
        --kubelet) kubelet=$2; shift ;;
        --keep) keep=$2; shift ;;
        --timeout) timeout=$2; shift ;;
        --memory) memory=$2; shift ;;
        --smp) smp=$2; shift ;;
        -*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
        *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
need jq jq || skip "lacks jq"
need openssl openssl || skip "lacks openssl"
[ -n "$kubelet" ] || kubelet=$("$here/../kube/build.sh" "$which") || { code=$?; printf '%s\n' "$kubelet"; exit "$code"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-verdict.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/input/cases" "$work/over/usr/bin" "$work/over/etc/kubernetes/pki"
count=0
add_case() { cp -RL "$1" "$work/input/cases/"; count=$((count + 1)); }
is_case() { [ -e "$1/config.json" ] || [ -e "$1/config.yaml" ]; }
for dir; do
    if is_case "$dir"; then add_case "$dir"; continue; fi
    for case in "$dir"/*/; do
        is_case "$case" || { say "$case has no config.json or config.yaml"; exit 1; }
        add_case "${case%/}"
    done
done
cp "$kubelet" "$work/over/usr/bin/kubelet"
# A certificate that is its own authority, for files that a configuration names, and for a server that is not there.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/O=system:nodes/CN=system:node:guest" \
    -keyout "$work/input/lab.key" -out "$work/over/etc/kubernetes/pki/ca.crt" 2>/dev/null
printf 'timeout=%s\n' "$timeout" >"$work/input/settings"

code=0
"$here/run.sh" --memory "$memory" --smp "$smp" --deadline $((120 + count * (timeout + 5))) --over "$work/over" \
    "$work/input" "$here/inside/verdict.sh" "$work/out" || code=$?
[ -z "$keep" ] || { mkdir -p "$keep"; cp -R "$work/out/." "$keep/"; }
if [ "$code" != 0 ]; then [ "$code" = 77 ] || cat "$work/out/script.log" >&2 || true; exit "$code"; fi
cat "$work/out/results/verdicts"
[ "$(wc -l <"$work/out/results/verdicts")" = "$count" ] || { say "$count cases went in, fewer verdicts came out"; exit 1; }
[ -n "$check" ] || exit 0

passed=0 failed=0
while read -r line; do
    name=$(jq -r .case <<<"$line")
    minor=$(jq -r '.version | ltrimstr("v") | split(".")[:2] | join(".")' <<<"$line")
    expect=$work/input/cases/$name/expect
    [ ! -e "$expect-$minor" ] || expect=$expect-$minor
    why=''
    [ "$(head -n 1 "$expect")" = "$(jq -r .verdict <<<"$line")" ] || why="expected $(head -n 1 "$expect")"
    while IFS= read -r part; do
        [ -z "$part" ] || jq -e --arg part "$part" '(.error + " " + (.cgroups | tojson)) | contains($part)' <<<"$line" >/dev/null || why="expected: $part"
    done < <(tail -n +2 "$expect")
    if [ -z "$why" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); say "$name: $why"; fi
done <"$work/out/results/verdicts"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

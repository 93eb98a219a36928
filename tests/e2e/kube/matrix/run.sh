#!/usr/bin/env bash
# The agreement matrix: each case folder judged by preflight and by real kubelets of two versions. Fatal must mean
# refused and the other way round, every Fatal rule must decide at least one row, `config check` must say what the library
# says, all that node-steward writes must be accepted, and the committed tables must be what kubelet's sources give.
# It refuses to count a row on which kubelet gave no verdict, and it changes no case.
#
#   run.sh [--host] [CASE...]    all rows, or only those without the guest; the results lie in $MATRIX_OUT (target/matrix)
#
# A case is what tests/e2e/kube/verdict takes. More files in it:
#   where         host (the default): tests/e2e/kube/verdict; guest: tests/e2e/vm/kubelet-verdict.sh;
#                 host-v1: kubelet started as it is, on a host with cgroup v1, where its validation must end it
#   ground.json   facts of another machine than this one, for preflight (see preflight-matrix.rs)
#   only          first line: the one kubelet version that the row is for; the other lines say why
#   prepare       see the guest's harness
# out: matrix.tsv (case, version, where, kubelet, stage, preflight, codes, agree, kubelet's last line), rules.tsv (rule, rows)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../../.." && pwd)
. "$root/tests/lib.sh"
guest=1
[ "${1:-}" != --host ] || { guest=; shift; }
[ "$(id -u)" = 0 ] || skip "real kubelets need root"
need jq jq || skip "lacks jq"
for name in kubelet kubelet-old fakecri validator; do
    path=$("$here/../build.sh" $name) || { code=$?; printf '%s\n' "$path"; exit "$code"; }
    case $name in kubelet) new=$path ;; kubelet-old) old=$path ;; esac
done
version_of() { "$1" --version | sed 's/^[^v]*v\([0-9]*\.[0-9]*\).*/\1/'; }
out=${MATRIX_OUT:-$root/target/matrix}
mkdir -p "$out"
work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-matrix.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$root"
cargo build --quiet --locked --example preflight-matrix
judge=$(cargo metadata --format-version 1 --no-deps --offline --locked | jq -r .target_directory)/debug/examples/preflight-matrix
steward=${NODE_STEWARD:-}
if [ -z "$steward" ]; then
    cargo build --quiet --locked --bin node-steward
    steward=$(dirname "$(dirname "$judge")")/node-steward
fi
passed=0 failed=0
good() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAILED %s\n' "$*"; }
# node-steward sees this machine with the cgroup v2 of the validator's room.
in_room() { unshare -m sh -c 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"' in_room "$@"; }

# 1. The committed tables.
mkdir "$work/tables"
(cd "$here/tables" && GOWORK=off go run . "$work/tables" >/dev/null)
for file in fields gates flags; do
    if cmp -s "$work/tables/$file.tsv" "src/kubelet/tables/$file.tsv"; then good; else bad "src/kubelet/tables/$file.tsv is not what kubelet's sources give"; fi
done

# 2. The cases by place, with what node-steward itself writes on this machine.
mkdir "$work/host" "$work/guest" "$work/host-v1"
whole=
[ $# -gt 0 ] || { whole=1; set -- "$here/cases"/*/ "$here/../cases"/*/; }
for dir; do
    name=$(basename "$dir")
    place=host
    [ ! -e "$dir/where" ] || place=$(cat "$dir/where")
    cp -RL "$dir" "$work/$place/$name"
done
if [ -n "$whole" ]; then
    profiles=$("$steward" reserve --profile '?' 2>&1 | sed -n 's/.*expected one of \(.*\)$/\1/p' | tr -d , || true)
    [ -n "$profiles" ] || bad "no profiles in node-steward's answer"
    for version in "$(version_of "$new")" "$(version_of "$old")"; do
        for base in whole-kubeadm whole-al2; do
            file=$(ls "$here/cases/$base"/config.*)
            for profile in $profiles; do
                case $profile in custom | static) continue ;; esac
                dir=$work/host/own-$profile-$base-$version
                mkdir -p "$dir"
                echo "$version" >"$dir/only"
                in_room "$steward" bootstrap --profile "$profile" --base "$file" --out "$dir/$(basename "$file")" --kubelet-version "$version" \
                    --max-pods 110 >"$work/log" 2>&1 || bad "bootstrap --profile $profile over $base for $version: $(tail -n 1 "$work/log")"
                dir=$work/host/own-drop-in-$profile-$base-$version
                mkdir -p "$dir/conf.d"
                echo "$version" >"$dir/only"
                cp "$file" "$dir/"
                in_room "$steward" bootstrap --profile "$profile" --base "$file" --drop-in "$dir/conf.d" --kubelet-version "$version" \
                    --max-pods 110 >"$work/log" 2>&1 || bad "bootstrap --drop-in --profile $profile over $base for $version: $(tail -n 1 "$work/log")"
                [ -n "$(ls "$dir/conf.d")" ] || bad "bootstrap --drop-in --profile $profile over $base for $version wrote nothing"
            done
        done
    done
fi

# 3. What kubelet says.
folder() { # the cases of a place that are for a version
    mkdir -p "$work/$1.$2"
    for dir in "$work/$1"/*/; do
        [ -e "$dir" ] || continue
        if [ ! -e "$dir/only" ] || [ "$(head -n 1 "$dir/only")" = "$2" ]; then ln -s "${dir%/}" "$work/$1.$2/"; fi
    done
    [ -n "$(ls "$work/$1.$2")" ]
}
unrun=
for kubelet in "$new" "$old"; do
    version=$(version_of "$kubelet")
    : >"$work/kubelet.$version" >"$work/preflight.$version"
    for place in host guest host-v1; do
        folder $place "$version" || continue
        say "== $place, kubelet $version: $(ls "$work/$place.$version" | wc -l) cases"
        case $place in
            host) "$here/../verdict" --kubelet "$kubelet" -j 2 "$work/host.$version" >"$work/said" ;;
            guest)
                [ -n "$guest" ] || { unrun='guest rows were not asked for (--host)'; continue; }
                code=0
                "$root/tests/e2e/vm/kubelet-verdict.sh" --kubelet "$kubelet" "$work/guest.$version" >"$work/said" || code=$?
                [ $code != 77 ] || { unrun="guest rows: $(sed -n 's/^SKIP: //p' "$work/said" | tail -n 1)"; continue; }
                [ $code = 0 ] || { bad "the guest ended with $code"; continue; }
                ;;
            host-v1)
                [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ] || { say "no host-v1 rows: this host has cgroup v2"; continue; }
                for dir in "$work/host-v1.$version"/*/; do
                    line=$(unshare -m timeout 20 "$kubelet" --config="$(ls "$dir"/config.*)" --root-dir="$work/root" --cert-dir="$work/root" 2>&1 | tail -n 1 || true)
                    jq -nc --arg case "$(basename "$dir")" --arg version "$version" --arg line "${line#*\] }" \
                        '{case: $case, version: $version, stage: "static", verdict: (if $line | test("failed to validate kubelet configuration") then "refused" else "unknown" end), error: $line}'
                done >"$work/said"
                ;;
        esac
        jq -c --arg where $place '. + {where: $where}' "$work/said" >>"$work/kubelet.$version"
        "$judge" "$version" "$work/$place.$version"/* >>"$work/preflight.$version"
    done
done

# 4. Do they agree, row by row.
for kubelet in "$new" "$old"; do
    version=$(version_of "$kubelet")
    jq -rn --arg version "$version" --slurpfile kubelet "$work/kubelet.$version" --slurpfile preflight "$work/preflight.$version" '
        ($preflight | INDEX(.case)) as $ours | $kubelet[]
        | $ours[.case] as $o | (if $o.fatal == [] then "accepted" else "refused" end) as $p
        | [.case, $version, .where, .verdict, .stage, $p, (if $o.fatal == [] then "-" else $o.fatal | join(",") end), (if $p == .verdict then "agree" else "DISAGREE" end), .error[:400]] | @tsv'
done >"$out/matrix.tsv"
while IFS=$'\t' read -r name version where kubelet stage ours codes agree line; do
    if [ "$agree" = agree ]; then good; else bad "$name, $version ($where): kubelet $kubelet at $stage, preflight $ours [$codes]: $line"; fi
    case $name in own-*) if [ "$kubelet" = accepted ]; then good; else bad "kubelet refuses what node-steward wrote: $name: $line"; fi ;; esac
done <"$out/matrix.tsv"

# 5. Each Fatal rule switched off must turn a row to disagree.
jq -rn --slurpfile a "$work/preflight.$(version_of "$new")" --slurpfile b "$work/preflight.$(version_of "$old")" '
    [($a + $b)[] | . as $row | .decisive[] | {rule: ., row: "\($row.case)@\($row.version)"}] | group_by(.rule)[]
    | "\(.[0].rule)\t\(map(.row) | join(" "))"' >"$out/rules.tsv"
"$judge" --rules >"$work/rules"
while IFS=$'\t' read -r rule severity _; do
    [ "$severity" = fatal ] || continue
    listed=$(sed -n "s/^$rule: //p" "$here/unproven")
    rows=$(awk -F'\t' -v rule="$rule" '$1 == rule { print $2 }' "$out/rules.tsv")
    if [ -n "$rows" ] && [ -z "$listed" ]; then good
    elif [ -n "$rows" ]; then bad "$rule stands in unproven, but decides $rows"
    elif [ -n "$listed" ]; then say "not proven: $rule: $listed"
    elif [ -z "$whole" ]; then :
    elif [ -n "$unrun" ]; then say "not proven in this run: $rule"
    else bad "switching off $rule turns no row red"; fi
done <"$work/rules"

# 6. `config check` says of a case what the library says, as far as the case is about this machine. It looks at this
#    machine's cgroups, too, which the validator's room does not have.
for kubelet in "$new" "$old"; do
    version=$(version_of "$kubelet")
    for dir in "$work/host.$version"/*; do
        [ ! -e "$dir/meminfo" ] && [ ! -e "$dir/ground.json" ] || continue
        ours=$(jq -r --arg case "$(basename "$dir")" 'select(.case == $case) | .fatal | map(select(test("^enforced-cgroup") | not)) | sort | unique | join(",")' "$work/preflight.$version")
        said=$(in_room "$steward" config check --kubelet "$(readlink -f "$dir")" --kubelet-version "$version" -o json 2>"$work/log" |
            jq -r '[.findings[] | select(.severity == "fatal") | .code | select(test("^enforced-cgroup") | not)] | sort | unique | join(",")' 2>>"$work/log" || true)
        if [ "$said" = "$ours" ]; then good; else bad "config check of $(basename "$dir") for $version says [$said], the library [$ours] $(tail -n 1 "$work/log")"; fi
    done
done

awk -F'\t' '{ rows[$2 " " $3]++; said[$2 " " $4]++; if ($8 != "agree") wrong++ } END {
    for (k in rows) printf "rows %s: %d\n", k, rows[k]; for (k in said) printf "kubelet %s: %d\n", k, said[k]; printf "disagreements: %d\n", wrong + 0 }' "$out/matrix.tsv" | sort
printf 'rules that decide a row: %d; the matrix is in %s\n' "$(wc -l <"$out/rules.tsv")" "$out"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ] || exit 1
[ -z "$unrun" ] || skip "$unrun"

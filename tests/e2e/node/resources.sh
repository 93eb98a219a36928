#!/usr/bin/env bash
# Limits of a node really approached: a table of tracked connections filled in a network namespace, task ids in a namespace with few of them and in a
# cgroup with a limit, a daemon that opens files up to its own limit; then what the advice says is done, and the finding is gone. A daemon whose program
# was removed, a package that asks for a reboot, memory that is held outside of pods against what a kubelet's configuration reserves, and the clock as
# adjtimex really has it.
# It refuses to change a setting of the machine: everything is in namespaces and cgroups of its own, and goes with them.
#
#   resources.sh       NODE_STEWARD=BINARY
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lib.sh"
[ "$(id -u)" = 0 ] || skip "needs root: namespaces, cgroups"
[ -x "${NODE_STEWARD:-}" ] || skip "NODE_STEWARD names no program"
need python3 python3 || skip "lacks python3"
need jq jq || skip "lacks jq"
need unshare util-linux || skip "lacks unshare"
need prlimit util-linux || skip "lacks prlimit"

if [ "${1:-}" != inside ]; then
    # A /run of its own, so that no daemon is asked and nobody else sees a request for a reboot.
    exec unshare --mount --propagation private sh -c 'mount -t tmpfs -o mode=755 tmpfs /run && exec "$@"' sh "$0" inside
fi
work=$(mktemp -d /dev/shm/node-steward-resources.XXXXXX)
mkfifo "$work/fifo2"
passed=0 failed=0 missing='' pids=() groups=()
cleanup() {
    for pid in ${pids[@]+"${pids[@]}"}; do kill -9 "$pid" 2>/dev/null; done
    for pid in ${pids[@]+"${pids[@]}"}; do wait "$pid" 2>/dev/null; done
    for group in ${groups[@]+"${groups[@]}"}; do rmdir "$group" 2>/dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT
ok() { passed=$((passed + 1)); printf 'ok %s\n' "$*"; }
bad() { failed=$((failed + 1)); printf 'FAILED %s\n' "$*"; }
lacks() { missing="$missing; $*"; printf 'not here: %s\n' "$*"; }
# look COMMAND...: one turn by a program of its own, in whatever COMMAND enters.
look() { "$@" "$NODE_STEWARD" run --once --dry-run -o json ${config:+--config "$config"} >"$work/turn.json" 2>"$work/turn.err" || { bad "run --once: $(tail -n 1 "$work/turn.err")"; return 1; }; }
found() { jq -c --arg kind "$1" --arg subject "$2" '.problems[] | select(.kind == $kind and .subject == $subject)' "$work/turn.json"; }
# finds SEVERITY KIND SUBJECT | silent KIND SUBJECT
finds() {
    local problem; problem=$(found "$2" "$3")
    [ "$(jq -r .severity <<<"$problem")" = "$1" ] || { bad "$1 $2 $3 expected, found: ${problem:-nothing}; $(jq -c --arg kind "$2" '.detectors' "$work/turn.json" | head -c 600)"; return; }
    [ "$(jq '.evidence | length' <<<"$problem")" -ge 1 ] && [ -n "$(jq -r .advice <<<"$problem")" ] || { bad "$2 $3 lacks evidence or advice: $problem"; return; }
    ok "$1 $2: $(jq -r .summary <<<"$problem")"
    shown "$2"
    printf '   advice: %s\n' "$(jq -r .advice <<<"$problem")"
}
silent() { local problem; problem=$(found "$1" "$2"); if [ -z "$problem" ]; then ok "no $1 $2$3"; else bad "$1 $2$3: $problem"; fi; }
until_true() { for _ in $(seq 200); do "$@" && return 0; sleep 0.1; done; return 1; }

# 1. Connections: 85 %, then all, of this kernel's own limit, from a few sockets to many addresses of the loopback network.
count=/proc/sys/net/netfilter/nf_conntrack_count most=/proc/sys/net/netfilter/nf_conntrack_max
if [ ! -r "$most" ]; then
    lacks "this kernel tracks no connections (no nf_conntrack)"
elif ! need nft nftables; then
    lacks "nft, which switches connection tracking on in a namespace"
else
    unshare --net -- sleep 900 &
    net=$!
    pids+=("$net")
    apart() { [ "$(readlink "/proc/$net/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
    until_true apart || bad "no network namespace"
    into=(nsenter --target "$net" --net --)
    "${into[@]}" sh -c 'ip link set lo up 2>/dev/null || python3 - <<END
import fcntl, socket, struct
s = socket.socket(); fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))
END
nft "add table ip t; add chain ip t out { type filter hook output priority 0; }; add rule ip t out ct state new counter"
echo 900 >/proc/sys/net/netfilter/nf_conntrack_udp_timeout'
    limit=$(cat $most)
    # fill COUNT FIRST_PORT
    cat >"$work/fill.py" <<'END'
import socket, sys
wanted, port = int(sys.argv[1]), int(sys.argv[2])
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sink.bind(("0.0.0.0", 9))
sent = 0
while sent < wanted:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", port)); port += 1
    for number in range(min(wanted - sent, 60000)):
        try:
            s.sendto(b"", (f"127.1.{number >> 8}.{number & 255}", 9))
        except OSError:
            pass  # No room in the table: EPERM.
    sent += 60000
END
    look "${into[@]}" && silent ConntrackNearlyFull node " with an empty table"
    "${into[@]}" python3 "$work/fill.py" $((limit * 85 / 100)) 20000
    printf '   %s of %s connections\n' "$("${into[@]}" cat $count)" "$limit"
    look "${into[@]}" && finds warning ConntrackNearlyFull node
    "${into[@]}" python3 "$work/fill.py" $((limit / 4)) 30000
    look "${into[@]}" && finds critical ConntrackNearlyFull node
    if [ "$(found ConntrackNearlyFull node | jq '[.evidence[] | select(.name | startswith("dropped"))][0].value')" -gt 0 ]; then ok "what found no room is counted"; else bad "nothing was dropped: $(found ConntrackNearlyFull node)"; fi
    kill "$net" 2>/dev/null
fi

# kube-proxy in iptables mode, in a network namespace of its own: real chains, listed by the real iptables-save, and somebody who answers as it does.
if ! need iptables-save iptables; then
    lacks "iptables-save"
else
    cat >"$work/proxy.sh" <<'END'
ip link set lo up
python3 - "$1" >/dev/null 2>&1 <<'PY' &
import http.server, sys
class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/proxyMode" else 404); self.end_headers(); self.wfile.write(sys.argv[1].encode())
http.server.HTTPServer(("127.0.0.1", 10249), Proxy).serve_forever()
PY
server=$!
for _ in $(seq 100); do curl -sf http://127.0.0.1:10249/proxyMode >/dev/null && break; sleep 0.1; done
{ echo '*nat'; seq -f ':KUBE-SVC-%09.0f - [0:0]' "$2"; echo COMMIT; } | iptables-restore || exit 3
"$NODE_STEWARD" check -o json --scratch "$3" >"$4" 2>"$4.err"
kill $server
END
    mkdir "$work/scratch"
    # proxied MODE SERVICES: the finding's text, or nothing
    proxied() {
        unshare --net sh "$work/proxy.sh" "$1" "$2" "$work/scratch" "$work/check.json" || { lacks "iptables in a network namespace"; return 1; }
        jq -r '.preflight.findings[] | select(.code == "kube-proxy-iptables") | .found' "$work/check.json"
    }
    if said=$(proxied iptables 1200); then
        if [ "$said" = "iptables, with chains for 1200 ports of services" ]; then ok "check on kube-proxy: $said"; else bad "check on kube-proxy: ${said:-nothing}; $(tail -n 1 "$work/check.json.err")"; fi
        said=$(proxied iptables 900)$(proxied nftables 1200)
        if [ -z "$said" ]; then ok "nothing on 900 services, nor on nftables"; else bad "$said"; fi
    fi
fi

# 2. Task ids: a namespace of process ids with room for six hundred more than there are.
tasks=$(awk '{split($4, n, "/"); print n[2]}' /proc/loadavg)
cat >"$work/ids.sh" <<'END'
mount -t proc proc /proc
room=$(($1 + 600))
echo $room >/proc/sys/kernel/pid_max || exit 3
for _ in $(seq $((room * 87 / 100 - $1))); do sleep 900 & done
"$2" run --once --dry-run -o json >"$3" 2>"$4"
END
before=$(cat /proc/sys/kernel/pid_max)
# Before that version the one number is the whole machine's, and would be changed.
if [ "$(printf '6.14\n%s\n' "$(uname -r | cut -d- -f1)" | sort -V | head -n 1)" != 6.14 ]; then
    lacks "this kernel has one pid_max for all namespaces (before 6.14)"
else
    unshare --mount --pid --fork --kill-child sh "$work/ids.sh" "$tasks" "$NODE_STEWARD" "$work/turn.json" "$work/turn.err"
    case $? in
        0) finds warning PidsNearlyFull node ;;
        3) lacks "a namespace that may set its own pid_max" ;;
        *) bad "run --once in a namespace of process ids: $(tail -n 1 "$work/turn.err")" ;;
    esac
    [ "$(cat /proc/sys/kernel/pid_max)" = "$before" ] || bad "pid_max of the machine has changed"
fi

# 3. Tasks of a cgroup: v2, or v1's pids hierarchy.
hierarchy=$(awk '$3 == "cgroup" && $4 ~ /(^|,)pids(,|$)/ {print $2; exit}' /proc/mounts)
v2=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
[ -n "$hierarchy" ] || hierarchy=$v2
pods=$hierarchy/kubepods
if [ -z "$hierarchy" ] || [ -e "$pods" ] || ! mkdir "$pods" 2>/dev/null; then
    lacks "a hierarchy of cgroups in which a cgroup kubepods can be made"
elif [ ! -e "$pods/pids.max" ]; then
    rmdir "$pods"
    lacks "the pids controller"
else
    groups+=("$pods")
    echo 50 >"$pods/pids.max"
    look && silent PidsNearlyFull /kubepods " while it is empty"
    for _ in $(seq 49); do
        sleep 900 &
        echo $! >"$pods/cgroup.procs"
        pids+=($!)
    done
    look && finds critical PidsNearlyFull /kubepods
    echo 200 >"$pods/pids.max"
    look && silent PidsNearlyFull /kubepods " with the limit raised"
fi

# 4. A daemon at its limit of open files, found by its unit's cgroup; then its program is removed.
units=$(awk '$3 == "cgroup" && $4 ~ /name=systemd/ {print $2; exit}' /proc/mounts)
[ -n "$units" ] || units=$v2
unit=$units/system.slice/kubelet.service
if [ -z "$units" ] || [ -e "$unit" ]; then
    lacks "a hierarchy of cgroups without a kubelet.service in it"
else
    [ -d "$units/system.slice" ] || { mkdir "$units/system.slice" && groups=("$units/system.slice" ${groups[@]+"${groups[@]}"}); }
    mkdir "$unit" && groups=("$unit" ${groups[@]+"${groups[@]}"})
    cp "$(readlink -f "$BASH")" "$work/kubelet"
    mkfifo "$work/fifo"
    # shellcheck disable=SC2016 # the inner shell's words
    "$work/kubelet" -c 'for _ in $(seq "$1"); do exec {file}</dev/null; done; : >"$2/opened"; read -rt 900 _ <>"$2/fifo"' kubelet 165 "$work" &
    daemon=$!
    pids+=("$daemon")
    prlimit --pid "$daemon" --nofile=200:
    echo "$daemon" >"$unit/cgroup.procs"
    until_true test -e "$work/opened" || bad "the made-up kubelet did not open its files"
    look && finds warning OpenFilesNearlyFull kubelet.service || :
    look && silent RebootPending node " while its program is there"
    prlimit --pid "$daemon" --nofile=800:
    look && silent OpenFilesNearlyFull kubelet.service " after what the advice says"
    rm "$work/kubelet"
    look && finds advice RebootPending node
    found RebootPending node | grep -q 'kubelet.service' && ok "it names the unit" || bad "it does not name kubelet.service"
    printf 'linux-image-amd64\n' >/run/reboot-required.pkgs
    touch /run/reboot-required
    look && found RebootPending node | grep -q 'linux-image-amd64 asked for a reboot' && ok "a package that asks for a reboot is named" || bad "no word of /run/reboot-required: $(found RebootPending node)"
fi

# 5. Memory outside of pods: all topmost cgroups of this machine, one of them ours, against what a made-up kubelet reserves; page cache is not held.
memory=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ {print $2; exit}' /proc/mounts)
[ -n "$memory" ] || memory=$v2
slice=$memory/node-steward-test.slice
disk=$(mktemp -d "${TMPDIR:-/var/tmp}/node-steward-cache.XXXXXX")
# reserve MIB
reserve() {
    mkdir -p /run/systemd/system
    printf '[Service]\nExecStart=/usr/bin/kubelet --config=/run/kubelet.yaml --config-dir=/run/kubelet.d\n' >/run/systemd/system/kubelet.service
    printf 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n' >/run/kubelet.yaml
    [ "$1" = 0 ] || printf 'kubeReserved: {memory: %sMi}\n' "$1" >>/run/kubelet.yaml
}
if [ -z "$memory" ] || [ -e "$slice" ] || [ -n "$(find /etc/systemd/system /usr/lib/systemd/system -name kubelet.service 2>/dev/null)" ]; then
    lacks "a hierarchy of cgroups that counts memory, on a machine without a kubelet"
elif [ "$(stat -f -c %T "$disk")" = tmpfs ] || ! mkdir "$slice" 2>/dev/null || { groups=("$slice" ${groups[@]+"${groups[@]}"}); [ ! -e "$slice/memory.stat" ]; }; then
    lacks "a memory controller for a cgroup of our own, and a disk for page cache"
else
    [ ! -e "$slice/cgroup.subtree_control" ] || echo +memory >"$slice/cgroup.subtree_control"
    mkdir "$slice/hog.service" && groups=("$slice/hog.service" ${groups[@]+"${groups[@]}"})
    config=$work/config.toml
    printf '[detect.reservation_exceeded]\nenter_after = "0s"\n' >"$config"
    python3 -c '
import sys, time
while sys.stdin.readline() != "go\n": pass
held = bytearray(1500 << 20); held[::4096] = b"x" * len(held[::4096])
print("held", flush=True); time.sleep(900)' <"$work/fifo2" >"$work/held" 2>/dev/null &
    hog=$!
    pids+=("$hog")
    exec 7>"$work/fifo2"
    echo "$hog" >"$slice/hog.service/cgroup.procs"
    reserve 0
    look && finds advice ReservationExceeded node
    # Others work on this machine as well, builds and guests: 700 MiB are theirs to take or to give back, and who takes more is reckoned anew.
    held() { reserve 0; look && found ReservationExceeded node | jq '.evidence[] | select(.name == "held outside of pods").value'; }
    for _ in 1 2 3; do
        reserve $(($(held) + 700))
        look && [ -n "$(found ReservationExceeded node)" ] || break
    done
    silent ReservationExceeded node " with 700 MiB to spare"
    echo go >&7
    until_true grep -q held "$work/held" || bad "nothing was held"
    for _ in 1 2 3; do
        reserve $(($(held) - 800))
        look && [ "$(found ReservationExceeded node | jq -r .severity)" != warning ] || break
    done
    finds warning ReservationExceeded node
    found ReservationExceeded node | jq -r '.evidence[] | select(.name == "largest").value' | grep -q 'node-steward-test.slice/hog.service 15[0-9][0-9] MiB' && ok "it names who holds 1500 MiB" || bad "not named: $(found ReservationExceeded node)"
    kill -9 "$hog"; wait "$hog" 2>/dev/null; exec 7>&-
    for _ in 1 2 3; do
        rm -f "$disk/cached"
        before=$(held)
        # shellcheck disable=SC2016 # the inner shell's words
        sh -c 'echo $$ >"$1/cgroup.procs"; head -c 400M /dev/zero >"$2/cached"; sync "$2/cached"; cat "$2/cached" "$2/cached" >/dev/null' sh "$slice/hog.service" "$disk"
        cached=$(cat "$slice/hog.service/memory.current" "$slice/hog.service/memory.usage_in_bytes" 2>/dev/null)
        grown=$(($(held) - before))
        [ "$grown" -ge 200 ] || break
    done
    if [ "$((cached >> 20))" -ge 350 ]; then ok "$((cached >> 20)) MiB of page cache are charged to the cgroup"; else bad "no page cache in the cgroup: $cached"; fi
    if [ "$grown" -lt 200 ]; then ok "what is held outside of pods grew by $grown MiB with it"; else bad "held outside of pods grew by $grown MiB with page cache"; fi
    reserve x
    look && [ "$(jq -r '.detectors[] | select(.name == "reservation_exceeded").state' "$work/turn.json")" = unknown ] && ok "a reservation that kubelet refuses is unknown" || bad "$(jq -c '.detectors[] | select(.name == "reservation_exceeded")' "$work/turn.json")"
    config=''
fi
rm -rf "$disk"

# 6. The clock, as the kernel has it; a quarter of an hour is too long for a test.
config=$work/config.toml
printf '[detect.clock_unsynchronized]\nenter_after = "0s"\n' >"$config"
unset_by=$(python3 -c '
import ctypes
state = (ctypes.c_char * 208)()
outcome = ctypes.CDLL(None).adjtimex(state)
print(int(outcome == 5 or int.from_bytes(bytes(state[40:44]), "little") & 0x40 != 0))')
look && if [ "$unset_by" = 1 ]; then finds warning ClockUnsynchronized node; else silent ClockUnsynchronized node " with a clock that is kept right"; fi
config=''
look && silent ClockUnsynchronized node " in the first quarter of an hour"

[ -z "$missing" ] || skip "not all parts ran$missing ($passed passed, $failed failed before)"
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]

# Runs in the guest for kubelet-verdict.sh: starts kubelet with each case in turn and writes down how far it came.
# It refuses to let one case see another's traces: kubelet's state, its cgroups and what it set on slices go between cases.
set -eu
. ./settings
mkdir -p /results/logs
server='{server: "https://127.0.0.1:1", certificate-authority: /etc/kubernetes/pki/ca.crt}'
user="{client-certificate: /etc/kubernetes/pki/ca.crt, client-key: $PWD/lab.key}"
cat >/etc/kubernetes/kubeconfig <<EOF
apiVersion: v1
kind: Config
current-context: lab
clusters: [{name: lab, cluster: $server}]
users: [{name: lab, user: $user}]
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
EOF
version=$(/usr/bin/kubelet --version | cut -d' ' -f2)
systemctl start containerd
tree() { find /sys/fs/cgroup -mindepth 1 -type d | LC_ALL=C sort; }
tree >/tmp/tree.before

property() { systemctl show --value -p "$2" "$1"; }
# What kubelet set by way of systemd lies in /run as drop-ins of the slice; what it wrote past systemd is set back by hand.
reset() {
    systemctl kill -s KILL case.service 2>/dev/null || true
    while [ "$(property case.service ActiveState)" = active ]; do sleep 0.1; done
    systemctl reset-failed case.service 2>/dev/null || true
    systemctl stop kubepods.slice 2>/dev/null || true
    rm -rf /run/systemd/transient/*.slice* /run/systemd/system.control
    systemctl daemon-reload
    tree | grep -vxFf /tmp/tree.before | sort -r | while read -r dir; do
        case $dir in *.slice) systemctl stop "${dir##*/}" 2>/dev/null || true ;; esac
        rmdir "$dir" 2>/dev/null || true
    done
    for slice in runtime system; do
        for pair in memory.max=max memory.min=0 cpu.weight=100 pids.max=max; do
            echo "${pair#*=}" >"/sys/fs/cgroup/$slice.slice/${pair%=*}" 2>/dev/null || true
        done
    done
    awk '$2 ~ "^/var/lib/kubelet" { print $2 }' /proc/mounts | sort -r | xargs -r umount -l
    rm -rf /var/lib/kubelet
}

cgroups() {
    for dir in /sys/fs/cgroup/*.slice; do
        for file in memory.max memory.min cpu.weight pids.max; do
            printf '%s %s %s\n' "${dir#/sys/fs/cgroup}" "$file" "$(cat "$dir/$file" 2>/dev/null)"
        done
    done | jq -Rn '[inputs | split(" ") | {(.[0]): {(.[1]): (.[2] // "")}}] | reduce .[] as $one ({}; . * $one)'
}

# kubelet's own last words: the line that ends it, without klog's prefix.
last_words() {
    for word in '"Failed to start ContainerManager"' '"Failed to start cAdvisor"' '"Kubelet failed to get node info"' \
        '"command failed"' '^[EF][0-9]' .; do
        line=$(grep -- "$word" "$1" | tail -n 1)
        [ -n "$line" ] || continue
        printf '%s' "$line" | sed 's/^[IWEF][0-9]* [0-9:.]* *[0-9]* [^ ]*\] //'
        return
    done
}

# The last thing that kubelet starts after the container and the eviction manager, said at every verbosity by old and new ones.
started='"Starting Kubelet Plugin Manager"'
for dir in cases/*/; do
    name=$(basename "$dir")
    dir=$PWD/cases/$name
    log=/results/logs/$name.log
    config=$dir/config.json; [ -e "$config" ] || config=$dir/config.yaml
    set -- --config="$config" --kubeconfig=/etc/kubernetes/kubeconfig --hostname-override=guest
    [ ! -d "$dir/conf.d" ] || set -- "$@" --config-dir="$dir/conf.d"
    if [ -e "$dir/flags" ]; then mapfile -t flags < <(grep -v '^ *\(#\|$\)' "$dir/flags"); set -- "$@" "${flags[@]}"; fi
    room=()
    [ ! -e "$dir/meminfo" ] || room=(-p BindReadOnlyPaths="$dir/meminfo:/proc/meminfo")
    [ ! -e "$dir/prepare" ] || bash "$dir/prepare"
    begin=$(date +%s%3N)
    systemd-run --quiet --unit=case --slice=runtime.slice -p Type=exec -p RemainAfterExit=no -p CollectMode=inactive-or-failed \
        -p OOMScoreAdjust=-999 -p "StandardOutput=file:$log" -p "StandardError=file:$log" ${room[@]+"${room[@]}"} \
        bash -c '/usr/bin/kubelet "$@"; code=$?; echo $code >/run/case-exit; exit $code' kubelet "$@" || true
    stage=lab verdict=unknown
    while :; do
        now=$(($(date +%s%3N) - begin))
        if [ -e /run/case-exit ]; then stage=ended; break; fi
        if grep -q -- "$started" "$log"; then stage=running; break; fi
        [ "$now" -lt $((timeout * 1000)) ] || break
        [ "$(property case.service ActiveState)" = active ] || { sleep 0.2; [ -e /run/case-exit ] || { stage=killed; break; }; }
        sleep 0.1
    done
    # Limits of kubepods are written by a loop of their own, and a slice that is too small kills its kubelet soon.
    if [ "$stage" = running ]; then sleep 1; [ ! -e /run/case-exit ] || stage=ended; fi
    exit=-1 error=$(last_words "$log") limits='{}'
    [ ! -e /run/case-exit ] || exit=$(cat /run/case-exit)
    case $stage in
        running)
            limits=$(cgroups)
            error=$(grep -o 'Failed to update Node Allocatable Limits.*\|FailedNodeAllocatableEnforcement.*' "$log" | tail -n 1) || true
            if [ -z "$error" ]; then verdict=accepted; else verdict=refused; fi ;;
        ended)
            verdict=refused
            case $error in
                *'Failed to start ContainerManager'*) stage=container-manager ;;
                *'validate service connection'* | *'failed to determine if swap is on'*) stage=lab verdict=unknown ;;
                *'failed to validate kubelet configuration'* | *'failed to load kubelet config file'* | *'failed to merge kubelet configs'* | \
                *'failed to parse kubelet flag'* | *'unknown flag'* | *'invalid argument'* | *'flag needs an argument'* | \
                *'feature gate'*) stage=static ;;
                *) stage=start ;;
            esac
            [ "$exit" -lt 128 ] || { stage=lab verdict=unknown; error="kubelet was killed, exit code $exit; its last line: $error"; } ;;
        killed) stage=lab error="kubelet was killed ($(property case.service Result)); its last line: $error" ;;
        lab) error="kubelet was undecided after $timeout s; its last line: $error" ;;
    esac
    jq -cn --arg case "$name" --arg version "$version" --arg stage "$stage" --arg verdict "$verdict" --arg error "$error" \
        --argjson exit "$exit" --argjson ms "$now" --argjson cgroups "$limits" '$ARGS.named' >>/results/verdicts
    reset
    rm -f /run/case-exit
done

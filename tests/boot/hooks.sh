#!/usr/bin/env bash
# The user-data hooks, each against a fixture root: hook, then the edits of the real late writer, then the run in front of kubelet
# with the very command line of our unit; what kubelet would read then has our values.
# It refuses to run a hook against the machine itself: systemctl and kubelet are stand-ins found through PATH, and write a log.
#
#   hooks.sh        $NODE_STEWARD names the program (default: what this tree has built)
set -euo pipefail
. "$(dirname "$0")/words.sh"
need_program
need jq jq || skip "lacks jq"
need yq yq || skip "lacks yq"

work=$(mktemp -d "${TMPDIR:-/tmp}/node-steward-hooks.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
cat >"$work/bin/systemctl" <<'EOF'
#!/bin/sh
# Stands in for systemctl: writes down the call; "is-active" says what SYSTEMCTL_ACTIVE holds; "fail" in SYSTEMCTL_FAIL fails a verb.
echo "$*" >>"$CALLS"
case $1 in
    is-active) case " ${SYSTEMCTL_ACTIVE:-} " in *" ${3%.service} "*) exit 0 ;; esac; exit 3 ;;
    restart) [ "${SYSTEMCTL_FAIL:-}" != restart ] || exit 1; [ -z "${ON_RESTART:-}" ] || sh -c "$ON_RESTART" ;;
esac
EOF
printf '#!/bin/sh\necho "Kubernetes v%s"\n' '${KUBELET:-1.36.2}' >"$work/bin/kubelet"
chmod +x "$work"/bin/*
export PATH=$work/bin:$PATH CALLS=$work/calls

# A root with the recorded machine and what our package puts there.
image() { # NAME MACHINE
    root=$work/$1
    machine "$2" "$root"
    mkdir -p "$root"/usr/bin "$root"/usr/lib/systemd/system/kubelet.service.d "$root"/etc "$root"/run
    ln -s "$NODE_STEWARD" "$root/usr/bin/node-steward"
    cp "$repo"/systemd/kubelet.service.d/*.conf "$root/usr/lib/systemd/system/kubelet.service.d/"
    cp "$repo"/systemd/*.service "$root/usr/lib/systemd/system/"
    : >"$CALLS"
}

# bootstrap.sh's edits, in its order: each reads the file, changes it with jq, and writes it over (reference: its jq edits by field).
al2_late_writer() { # CONFIG
    edit() { local new; new=$(jq "$@" "$config"); printf '%s\n' "$new" >"$config"; }
    local config=$1
    edit '.clusterDNS = ["10.100.0.10"]'
    edit '. += {"evictionHard": {"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%"}}'
    edit '. += {"kubeReserved": {"cpu": "80m", "ephemeral-storage": "1Gi", "memory": "893Mi"}}'
    edit '.maxPods = 58'
    edit '.providerID = "aws:///us-west-2a/i-1234567890abcdef0"'
    edit '.cgroupDriver = "systemd"'
    edit '.systemReservedCgroup = "/system" | .kubeReservedCgroup = "/runtime"'
}

echo "== EKS AL2"
image al2 m5.xlarge
config=$root/etc/kubernetes/kubelet/kubelet-config.json
mkdir -p "${config%/*}"
# bootstrap.sh's output without what it adds is what it starts from.
jq 'del(.clusterDNS, .evictionHard, .kubeReserved, .maxPods, .providerID, .systemReservedCgroup, .kubeReservedCgroup) | .cgroupDriver = "cgroupfs"' \
    "$repo/tests/cases/al2-late-writer/late.json" >"$config"
settings='[reserve.system_reserved]
memory = "300Mi"
[reserve.kube_reserved]
cpu = "250m"'
before=$(sha256sum <"$config")
run "the hook runs" 0 env ROOT="$root" NODE_STEWARD_SETTINGS="$settings" sh "$repo/bootstrap/eks-al2.sh"
equal "the hook leaves kubelet's file alone" "$before" "$(sha256sum <"$config")"
equal "it enables the watch, and starts nothing in a directory" "--root=$root enable node-steward.service" "$(cat "$CALLS")"
run "a second run of the hook changes nothing" 0 env ROOT="$root" NODE_STEWARD_SETTINGS="$settings" sh "$repo/bootstrap/eks-al2.sh"
al2_late_writer "$config"
equal "the late writer leaves what the real one leaves" "$(jq -S . "$repo/tests/cases/al2-late-writer/late.json")" "$(jq -S . "$config")"
run "the run in front of kubelet" 0 late "$root"
equal "our values are there, and only they differ" \
    "$(jq -S '.kubeReserved.cpu = "250m" | .systemReserved = {"memory": "300Mi"}' "$repo/tests/cases/al2-late-writer/late.json")" "$(jq -S . "$config")"
run "a second start of kubelet in this boot" 0 late "$root"
says "it finds everything in place" unchanged
reboot "$root"
al2_late_writer "$config"
run "the next boot, after the late writer" 0 late "$root"
equal "our values are there again" '"250m" "300Mi"' "$(jq -c .kubeReserved.cpu,.systemReserved.memory "$config" | paste -sd' ')"
: >"$CALLS"
run "broken settings are said by the hook" 2 env ROOT="$root" NODE_STEWARD_SETTINGS='[reserve' sh "$repo/bootstrap/eks-al2.sh"
equal "and no watch begins with them" "" "$(cat "$CALLS")"
reboot "$root"
al2_late_writer "$config"
before=$(sha256sum <"$config")
run "broken settings fail the run" 2 late "$root"
equal "and leave the file, byte for byte" "$before" "$(sha256sum <"$config")"
rm "$root/usr/lib/systemd/system/kubelet.service.d/90-node-steward.conf"
run "an image without the drop-in is told so" 1 env ROOT="$root" sh "$repo/bootstrap/eks-al2.sh"
rm "$root/usr/bin/node-steward"
run "an image without the program is told so" 1 env ROOT="$root" sh "$repo/bootstrap/eks-al2.sh"

echo "== EKS AL2023"
# mime_part FILE TYPE: the body of the part of that type
mime_part() {
    awk -v type="$2" '/^--node-steward/ { if (body) exit; head = 1; want = 0; next }
        head && /^Content-Type: / { want = index($0, type) }
        head && /^$/ { head = 0; body = want; next }
        body' "$1"
}
image al2023 m5.xlarge
mkdir -p "$root/usr/lib/systemd/system" "$root/etc/eks/kubelet" "$root/etc/kubernetes/kubelet" "$root/etc/node-steward/config.d"
cp -R "$repo/tests/cases/al2023-first-boot/root/." "$root/"
main=$root/etc/kubernetes/kubelet/config.json dir=$root/etc/kubernetes/kubelet/config.json.d fragment=$root/etc/eks/nodeadm.d/50-node-steward.yaml
mime_part "$repo/bootstrap/eks-al2023.mime" x-shellscript >"$work/part.sh"
mime_part "$repo/bootstrap/eks-al2023.mime" node.eks.aws >"$work/nodeconfig.yaml"
equal "the shell part is whole" "#!/bin/sh systemctl restart node-steward-bootstrap.service" \
    "$(head -n 1 "$work/part.sh") $(grep -v '^\(#.*\)\?$' "$work/part.sh" | tail -n 1)"
equal "the NodeConfig part has the four values" '["apiServerEndpoint","certificateAuthority","cidr","name"]' \
    "$(yq -c '.spec.cluster | keys' "$work/nodeconfig.yaml")"
# Restarting our unit runs its command line.
printf '#!/bin/bash\nset -eu\n. "%s/words.sh"\nNODE_STEWARD=%s\nearly "$1"\n' "$boot_dir" "$NODE_STEWARD" >"$work/bin/early-run"; chmod +x "$work/bin/early-run"
run "the hook runs, and restarts our unit" 0 env ROOT="$root" ON_RESTART='early-run $ROOT' sh "$work/part.sh"
equal "it enables, then restarts" \
    "enable node-steward-bootstrap.service node-steward.service|--no-block restart node-steward.service|restart node-steward-bootstrap.service" "$(paste -sd'|' "$CALLS")"
# with_mode FILE: its policy, which is a comment, said
with_mode() { sed -i 's/^#\(\[policy\]\|mode = \)/\1/' "$1"; }
with_mode "$root/etc/node-steward/config.d/50-user-data.toml"
run "the mode that it shows is one" 0 "$NODE_STEWARD" --root "$root" config check
equal "namely observe" 1 "$("$NODE_STEWARD" --root "$root" config show | grep -c 'policy.mode.*observe')"
equal "the fragment is there before nodeadm-run" yes "$([ -f "$fragment" ] && echo yes)"
equal "the fragment alone: no drop-in" no "$([ -e "$dir" ] && echo yes || echo no)"
# nodeadm: the merged spec.kubelet.config becomes its drop-in, and kubelet is given the directory because of it.
nodeadm_run() {
    mkdir -p "$dir"
    yq '{apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration"} + .spec.kubelet.config' "$fragment" >"$dir/40-nodeadm.conf"
    echo 'NODEADM_KUBELET_ARGS="--config=/etc/kubernetes/kubelet/config.json --config-dir=/etc/kubernetes/kubelet/config.json.d --node-ip=10.0.0.5"' \
        >"$root/etc/eks/kubelet/environment"
}
nodeadm_run
run "the run in front of kubelet" 0 late "$root"
says "it finds nodeadm's copy in place" unchanged
equal "our values are effective" "$(yq -cS .spec.kubelet.config.kubeReserved.cpu,.spec.kubelet.config.systemReserved "$fragment" | paste -sd' ')" \
    "$(effective "$main" "$dir" | jq -cS .kubeReserved.cpu,.systemReserved | paste -sd' ')"
equal "in one place only: nodeadm's drop-in" 40-nodeadm.conf "$(ls "$dir")"
reboot "$root"
run "second boot: early" 0 early "$root"
nodeadm_run
run "second boot: in front of kubelet" 0 late "$root"
equal "second boot: one place still" 40-nodeadm.conf "$(ls "$dir")"
# A disk that moved, with settings that are broken there.
reboot "$root"
cp -R "$repo/tests/machines/m5.xlarge-other/." "$root/"
echo '[reserve' >"$root/etc/node-steward/config.d/60-broken.toml"
run "another machine, broken settings: the early run fails" 2 early "$root"
equal "and the fragment of the first machine is gone before nodeadm-run" no "$([ -e "$fragment" ] && echo yes || echo no)"
run "a failing restart fails the shell part" 1 env ROOT="$root" SYSTEMCTL_FAIL=restart sh "$work/part.sh"

echo "== kubeadm"
image kubeadm plain
line=$root/etc/systemd/system/kubelet.service.d/20-node-steward.conf
hook() { env ROOT="$root" "$@" sh "$repo/bootstrap/kubeadm.sh"; }
mkdir -p "$root/usr/lib/systemd/system/kubelet.service.d"
cp "$repo"/tests/cases/kubeadm/root/usr/lib/systemd/system/kubelet.service "$root/usr/lib/systemd/system/"
cp "$repo"/tests/cases/kubeadm/root/usr/lib/systemd/system/kubelet.service.d/*.conf "$root/usr/lib/systemd/system/kubelet.service.d/"
run "the hook runs before join" 0 hook
equal "it reloads systemd" "daemon-reload" "$(head -n 1 "$CALLS")"
equal "kubelet's directory is there" yes "$([ -d "$root/etc/kubernetes/kubelet.conf.d" ] && echo yes)"
stamp=$(stat -c %Y.%i "$line")
run "a second run" 0 hook
equal "writes nothing" "$stamp" "$(stat -c %Y.%i "$line")"
# kubelet is started over and over before join has written its file.
run "a start of kubelet before join" 0 late "$root"
# kubeadm join: its file, with what the administrator reserved for the cluster; its flags.
mkdir -p "$root/var/lib/kubelet"
cp "$repo/tests/cases/kubeadm/root/var/lib/kubelet/config.yaml" "$root/var/lib/kubelet/"
echo 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1"' >"$root/var/lib/kubelet/kubeadm-flags.env"
before=$(sha256sum <"$root/var/lib/kubelet/config.yaml")
run "the run in front of kubelet, after join" 0 late "$root"
equal "kubeadm's file is as it was" "$before" "$(sha256sum <"$root/var/lib/kubelet/config.yaml")"
if grep -q "does not read" "$work/said"; then bad "kubelet reads the directory: $(cat "$work/said")"; else ok "kubelet reads the directory"; fi
equal "ours beside the administrator's, whose cpu stays" '{"cpu":"200m","ephemeral-storage":"1Gi","memory":"1465Mi"}' \
    "$(effective "$root/var/lib/kubelet/config.yaml" "$root/etc/kubernetes/kubelet.conf.d" | jq -cS .kubeReserved)"
for version in 1.28.15 1.29.0; do
    run "kubelet $version" 0 hook KUBELET=$version
    equal "kubelet $version needs the gate" 1 "$(grep -c '^Environment=KUBELET_CONFIG_DROPIN_DIR_ALPHA=on$' "$line")"
done
for version in 1.30.0 1.36.2 1.100.1 2.0.0; do
    run "kubelet $version" 0 hook KUBELET=$version
    equal "kubelet $version needs no gate" 0 "$(grep -c DROPIN_DIR_ALPHA "$line")"
done
run "kubelet 1.27 knows no directory" 1 hook KUBELET=1.27.9
run "an unreadable version is refused" 1 hook KUBELET=unknown
echo 1.29.1 >"$root/etc/node-steward-version"; mkdir -p "$root/etc/node-steward"; mv "$root/etc/node-steward-version" "$root/etc/node-steward/kubelet-version"
run "a version file wins over running kubelet" 0 hook KUBELET=1.36.2
equal "by the file, the gate" 1 "$(grep -c DROPIN_DIR_ALPHA "$line")"
run "a kubelet that runs is not restarted" 0 hook SYSTEMCTL_ACTIVE=kubelet
says "it says when the line counts" "next start"
equal "no restart was asked for" 0 "$(grep -c '^restart' "$CALLS" || true)"
echo 'KUBELET_EXTRA_ARGS=--config-dir=/etc/other' >"$root/etc/default-kubelet"; mkdir -p "$root/etc/default"; mv "$root/etc/default-kubelet" "$root/etc/default/kubelet"
before=$(sha256sum <"$line")
run "another's --config-dir is refused" 1 hook
says "it names the file" /etc/default/kubelet
equal "and leaves what was there" "$before" "$(sha256sum <"$line")"

echo "== cloud-init"
equal "cloud-init knows it by its first line" "#cloud-config" "$(head -n 1 "$repo/bootstrap/cloud-init.yaml")"
image cloud plain
yq -r '.write_files[] | .path + " " + (.content | @base64)' "$repo/bootstrap/cloud-init.yaml" >"$work/files"
while read -r path content; do
    mkdir -p "$root${path%/*}"
    printf %s "$content" | base64 -d >"$root$path"
done <"$work/files"
run "the settings that it brings are good" 0 "$NODE_STEWARD" --root "$root" config check
with_mode "$root/etc/node-steward/config.d/50-user-data.toml"
run "and so is the mode that they show" 0 "$NODE_STEWARD" --root "$root" config check
equal "namely observe" 1 "$("$NODE_STEWARD" --root "$root" config show | grep -c 'policy.mode.*observe')"
yq -r '.runcmd[] | @json' "$repo/bootstrap/cloud-init.yaml" >"$work/commands"
printf '#!/bin/sh\necho called >>%s/kubeadm-hook\n' "$work" >"$work/hook"; chmod +x "$work/hook"
equal "its commands" 2 "$(wc -l <"$work/commands")"
run "the first of them" 0 sh -c "$(head -n 1 "$work/commands" | jq -r '.[2]')"
equal "enables the watch, then restarts it" "enable node-steward.service|--no-block restart node-steward.service" "$(paste -sd'|' "$CALLS")"
while read -r command; do
    mapfile -t words < <(jq -r '.[]' <<<"$command" | sed "s,/usr/lib/node-steward/bootstrap/kubeadm.sh,$work/hook,")
    run "its command, without kubeadm" 0 "${words[@]}"
    equal "does nothing there" no "$([ -e "$work/kubeadm-hook" ] && echo yes || echo no)"
    printf '#!/bin/sh\n' >"$work/bin/kubeadm"; chmod +x "$work/bin/kubeadm"
    run "its command, with kubeadm" 0 "${words[@]}"
    equal "runs the kubeadm hook" called "$(cat "$work/kubeadm-hook")"
done < <(sed 1d "$work/commands")
finish

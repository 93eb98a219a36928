# Runs in the guest for guest.sh: waits until kubelet has started, writes down who ran when and what kubelet read, then does what the
# file `action` says. It refuses to repair anything before it has been written down.
set -eu
boot=$(cat /proc/sys/kernel/random/boot_id)
starts() { find /var/kubelet-starts -maxdepth 1 -name "$boot.*" | wc -l; }
waited=0
until [ "$(starts)" -gt 0 ] && [ "$(systemctl is-active kubelet)" = active ] && { [ ! -e joined ] || [ -e /var/kubeadm-wrote ]; }; do
    waited=$((waited + 1))
    [ "$waited" -lt 200 ] || break
    sleep 1
done
sleep 1
keep() { # NAME: what can be seen now
    mkdir -p "/results/$1"
    cp -R "/var/kubelet-starts/$boot.$(starts)" "/results/$1/read" || true
    systemctl status --no-pager -l kubelet >"/results/$1/status-kubelet" || true
    systemctl status --no-pager -l node-steward-bootstrap >"/results/$1/status-bootstrap" || true
    find /etc/eks /etc/kubernetes /var/lib/kubelet -type f -printf '%p %T@ %i\n' 2>/dev/null | LC_ALL=C sort >"/results/$1/files"
    cp -R /etc/eks/nodeadm.d "/results/$1/" 2>/dev/null || true
    cp /run/node-steward/bootstrap.json "/results/$1/stamp" 2>/dev/null || true
    for file in runtime.slice/memory.min runtime.slice/cpu.weight system.slice/cpu.weight; do
        echo "$file $(cat "/sys/fs/cgroup/$file" 2>/dev/null)"
    done >"/results/$1/slices"
    cat /run/systemd/system/{runtime,system}.slice.d/50-node-steward.conf >"/results/$1/slice-files" 2>/dev/null || true
    for unit in kubelet node-steward-bootstrap node-steward-container-volume containerd; do
        echo "$unit $(systemctl show --value -p ActiveState "$unit") $(systemctl show --value -p Result "$unit")"
    done >"/results/$1/units"
}
keep boot
echo "$boot" >/results/boot-id
starts >/results/starts
# Who said what when, by unit: the order of the boot.
journalctl -b -o json --output-fields=_SYSTEMD_UNIT,MESSAGE --no-pager |
    jq -r 'select(._SYSTEMD_UNIT | . == "kubelet.service" or . == "node-steward-bootstrap.service" or . == "nodeadm-config.service" or . == "nodeadm-run.service")
        | "\(._SYSTEMD_UNIT) \(.MESSAGE)"' >/results/order
jq -n --argjson cores "$(nproc --all)" --argjson memory "$(awk '/^MemTotal:/ { printf "%d", $2 * 1024 }' /proc/meminfo)" \
    --arg uuid "$(cat /sys/class/dmi/id/product_uuid)" '$ARGS.named' >/results/machine.json
findmnt -n -o SOURCE,FSTYPE /var/lib/containerd >/results/volume || true
systemctl show --value -p ActiveEnterTimestampMonotonic node-steward-container-volume containerd | grep . >/results/volume-times || true
systemctl --failed --no-legend --plain | cut -d' ' -f1 >/results/failed-units
sha256sum -c /var/kubeadm-wrote >/results/kubeadm-file 2>&1 || true
journalctl -b --no-pager | grep -i 'ordering cycle' >/results/cycles || true
[ ! -f action ] || . ./action
sync

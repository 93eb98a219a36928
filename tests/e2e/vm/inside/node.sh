# Runs in the guest for node.sh: waits until the Node is Ready and writes down what kubelet and the kernel say.
# It refuses to start or repair anything: the boot's own units did all there is to see.
set -eu
api() { curl -sS -m 10 --cacert ca.crt --cert node-guest.crt --key node-guest.key "https://10.0.2.2:$(cat port)$1"; }
ready() { api /api/v1/nodes/guest 2>/dev/null | jq -e '.status.conditions[]? | select(.type == "Ready" and .status == "True")' >/dev/null 2>&1; }

mkdir -p /results/config.json.d
systemctl show -p ActiveState,Result node-steward-bootstrap.service | sort -r | paste -sd' ' >/results/bootstrap-unit
journalctl -b -o cat -t node-steward --no-pager
cp /var/predicted.json /results/ 2>/dev/null || true
tries=0
until ready; do
    tries=$((tries + 1))
    if [ "$tries" -gt 180 ]; then
        systemctl status --no-pager kubelet containerd
        journalctl -b -u kubelet --no-pager | grep -E ' [EF][0-9]{4} ' | tail -n 5
        exit 1
    fi
    sleep 1
done
cut -d' ' -f1 /proc/uptime >/results/ready-at
cp /etc/kubernetes/kubelet/config.json /results/
cp -R /etc/kubernetes/kubelet/config.json.d/. /results/config.json.d/
# Drop-ins may be YAML: the merge outside wants JSON, in kubelet's order.
python3 -c 'import glob, json, yaml; print(json.dumps([yaml.safe_load(open(f)) for f in
    ["/etc/kubernetes/kubelet/config.json"] + sorted(glob.glob("/etc/kubernetes/kubelet/config.json.d/*.conf"))]))' >/results/written.json
if [ -e pod ]; then
    for tries in $(seq 60); do
        api '/api/v1/namespaces/default/pods?fieldSelector=spec.nodeName=guest' >/results/pods.json
        jq -r '.items[0].status | "\(.phase) \(.podIP)"' /results/pods.json >/results/pod
        ! grep -q Running /results/pod || break
        sleep 1
    done
    cut -d' ' -f1 /proc/uptime >/results/pod-at
fi
curl -sS -m 10 -k --cert to-kubelet.crt --key to-kubelet.key https://127.0.0.1:10250/configz >/results/configz.json

jq -n --argjson cores "$(nproc --all)" --argjson memory "$(awk '/^MemTotal:/ { printf "%d", $2 * 1024 }' /proc/meminfo)" \
    --argjson root "$(stat -f -c '%b * %S' / | awk '{ printf "%d", $1 * $3 }')" '$ARGS.named' >/results/machine.json
kubepods=/sys/fs/cgroup/kubepods.slice
jq -n --arg memory.max "$(cat $kubepods/memory.max)" --arg cpu.weight "$(cat $kubepods/cpu.weight)" '$ARGS.named' >/results/kubepods.json
echo "$(systemctl show --value -p ControlGroup kubelet) $(systemctl show --value -p NRestarts kubelet)" >/results/kubelet-unit

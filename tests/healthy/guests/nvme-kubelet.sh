# A node as a cloud gives it: NVMe root, a second NVMe disk for container state, cgroup v2, containerd, kubelet with a static pod.
# Sourced in the guest. It refuses to go on without the running pod.
# kubelet: yes
# disk: 4G nvme,serial=data
mkfs.xfs -q /dev/nvme1n1 2>/dev/null || mkfs.xfs -q -f /dev/nvme1n1
systemctl stop containerd
mount /dev/nvme1n1 /var/lib/kubelet 2>/dev/null || { mkdir -p /var/lib/kubelet && mount /dev/nvme1n1 /var/lib/kubelet; }
mkdir -p /etc/kubernetes/manifests /etc/eks/kubelet
cat >/etc/kubernetes/kubelet.json <<'EOF'
{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", "staticPodPath": "/etc/kubernetes/manifests", "cgroupDriver": "systemd",
 "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": false}}, "authorization": {"mode": "AlwaysAllow"}}
EOF
echo 'NODEADM_KUBELET_ARGS=--config=/etc/kubernetes/kubelet.json --hostname-override=guest' >/etc/eks/kubelet/environment
cat >/etc/kubernetes/manifests/idle.json <<'EOF'
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "idle", "namespace": "shop"}, "spec": {"hostNetwork": true, "containers": [{"name": "pause", "image": "localhost/pause:1", "imagePullPolicy": "Never"}]}}
EOF
systemctl start containerd pause-image kubelet
for try in $(seq 120); do [ -n "$(ls -d /var/log/pods/shop_idle*/pause/*.log 2>/dev/null)" ] && break; sleep 2; done
ls -d /var/log/pods/shop_idle*/pause/*.log

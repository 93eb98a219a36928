#!/bin/sh
# kubeadm nodes: makes kubelet read drop-ins beside kubeadm's own file. Run it as root before `kubeadm join` (or init).
# It refuses to touch kubeadm's files, to replace another's --config-dir, and to restart a kubelet that runs already.
# ROOT=DIR takes DIR for / (an image that is being built).
set -eu
root=${ROOT:-}
dir=/etc/kubernetes/kubelet.conf.d
unit_dir=$root/etc/systemd/system/kubelet.service.d
line=$unit_dir/20-node-steward.conf
stop() { echo "node-steward: $*" >&2; exit 1; }

# A version file baked into the image saves running a large program at boot.
for file in /usr/lib/node-steward/kubelet-version /etc/eks/kubelet-version.txt /etc/node-steward/kubelet-version; do
    [ ! -s "$root$file" ] || version=$(cat "$root$file")
done
version=${version:-$(kubelet --version)} || stop "cannot find out kubelet's version"
version=${version#Kubernetes }
version=${version#v}.
case $version in
    1.2[89].*) gate='Environment=KUBELET_CONFIG_DROPIN_DIR_ALPHA=on' ;;
    1.[3-9][0-9].* | 1.[1-9][0-9][0-9].* | [2-9].*) gate='' ;;
    *) stop "kubelet $version knows no --config-dir (1.28 and later do): set [kubelet] layout to something else" ;;
esac
for other in "$root"/etc/systemd/system/kubelet.service.d/*.conf "$root"/usr/lib/systemd/system/kubelet.service.d/*.conf \
    "$root"/lib/systemd/system/kubelet.service.d/*.conf "$root/var/lib/kubelet/kubeadm-flags.env" "$root/etc/default/kubelet" \
    "$root/etc/sysconfig/kubelet"; do
    if [ "$other" = "$line" ] || [ ! -f "$other" ]; then continue; fi
    ! grep -q '^[^#]*--config-dir' "$other" ||
        stop "$other gives kubelet a --config-dir already: name that directory as drop_in under [kubelet], nothing else is needed"
done

# kubelet does not start when the directory that it is told to read is missing.
mkdir -p "$root$dir" "$unit_dir"
new=$unit_dir/.20-node-steward.new
{
    echo '# Placed by node-steward: kubelet reads drop-ins beside what kubeadm wrote. Remove this file to undo it.'
    echo '[Service]'
    echo "Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml --config-dir=$dir\""
    [ -z "$gate" ] || echo "$gate"
} >"$new"
if cmp -s "$new" "$line"; then
    rm "$new"
else
    mv "$new" "$line"
fi
systemctl daemon-reload
if systemctl is-active --quiet kubelet.service; then
    echo "node-steward: kubelet runs already; it reads $dir from its next start on" >&2
fi

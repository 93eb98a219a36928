#!/bin/sh
# EKS AL2: what user data runs before /etc/eks/bootstrap.sh.
#
#   /usr/lib/node-steward/bootstrap/eks-al2.sh || echo "node-steward: hook failed, going on" >/dev/console
#   /etc/eks/bootstrap.sh my-cluster ...
#
# AL2 runs rsyslog; where the journal is persistent too (/var/log/journal), logs are written twice. To let them be written once, add
#
#   /usr/bin/node-steward fix syslog --apply || echo "node-steward: logs are written as before" >/dev/console
#
# It refuses where somebody reads rsyslog's files or they are the only log that lasts; what a DaemonSet will read is not to be seen before it
# runs. `fix syslog --undo` takes it back.
#
# It refuses to edit kubelet's configuration itself: bootstrap.sh rewrites that file afterwards. It leaves settings, and the run in
# front of kubelet (kubelet.service.d/90-node-steward.conf) does the rest. Settings that the image or user data brought stay.
# NODE_STEWARD_SETTINGS, where it is set, is TOML to add: what is specific to this group of nodes, such as
#
#   [policy]
#   mode = "observe"
#
# which is the default: what is found is reported, and nothing is done about it. "cordon" and "drain" let a node act by itself:
# /usr/share/doc/node-steward/cluster.md says what that takes. Where the settings are good, the watch is enabled and started.
# ROOT=DIR takes DIR for /, and starts nothing.
set -eu
root=${ROOT:-}
etc=$root/etc/node-steward/config.d
stop() { echo "node-steward: $*" >&2; exit 1; }

[ -x "$root/usr/bin/node-steward" ] || stop "the program is not in this image"
late=''
for dir in /etc /run /usr/local/lib /usr/lib; do
    [ ! -f "$root$dir/systemd/system/kubelet.service.d/90-node-steward.conf" ] || late=yes
done
[ -n "$late" ] || stop "kubelet.service.d/90-node-steward.conf is not in this image: nothing would run before kubelet"

mkdir -p "$etc"
# Named, so that a stray trace of another tool on the image cannot mislead the search for the layout.
{
    echo '# Placed by the EKS AL2 user-data hook.'
    echo '[kubelet]'
    echo 'layout = "eks-al2"'
} >"$etc/.20-eks-al2.new"
mv "$etc/.20-eks-al2.new" "$etc/20-eks-al2.toml"
if [ -n "${NODE_STEWARD_SETTINGS:-}" ]; then
    printf '%s\n' "$NODE_STEWARD_SETTINGS" >"$etc/.50-user-data.new"
    mv "$etc/.50-user-data.new" "$etc/50-user-data.toml"
fi
# Said here, in cloud-init-output.log, while there is somebody to read it; the node starts either way.
"$root/usr/bin/node-steward" --root "${root:-/}" config check
systemctl ${root:+--root="$root"} enable node-steward.service
# restart, not start: an image that enables it may have started it before these settings were there.
[ -n "$root" ] || systemctl --no-block restart node-steward.service

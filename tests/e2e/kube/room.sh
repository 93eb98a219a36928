# Sourced inside fresh namespaces (see configz.sh): lays out a room in which a kubelet can run without touching this
# machine. It refuses to work outside its own process namespace, where its mounts would be the host's.

room_address=192.0.2.10

# room LAB: LAB is a directory on a real disk; the fake runtime is expected at LAB/cri.sock
room() {
    [ $$ = 1 ] || { echo "room.sh: not the first process of a namespace" >&2; return 1; }
    mount --make-rprivate /
    mkdir -p "$1/kubelet" "$1/sysctl"
    mount --bind /proc/sys /proc/sys
    mount -o remount,bind,ro /proc/sys
    # What kubelet would set for the whole machine is laid over instead: it finds nothing to change.
    for wanted in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
        kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
        over=$1/sysctl/$(echo "${wanted%=*}" | tr / .)
        echo "${wanted#*=}" >"$over"
        mount --bind "$over" "/proc/sys/${wanted%=*}"
    done
    head -n 1 /proc/swaps >"$1/sysctl/swaps"
    mount --bind "$1/sysctl/swaps" /proc/swaps
    umount -l /sys/fs/cgroup 2>/dev/null || :
    mount -t cgroup2 -o ro cgroup2 /sys/fs/cgroup
    for name in resolv.conf hosts hostname os-release machine-id passwd group nsswitch.conf; do
        [ ! -r /etc/$name ] || cat /etc/$name >"$1/sysctl/etc.$name"
    done
    for place in /etc /run /var/log /var/lib; do mount -t tmpfs -o mode=0755,size=64m tmpfs $place; done
    for name in "$1"/sysctl/etc.*; do cp "$name" "/etc/${name##*/etc.}"; done
    mkdir -p /etc/kubernetes/pki /var/lib/kubelet
    mount --bind "$1/kubelet" /var/lib/kubelet
    for socket in /run/containerd/containerd.sock /run/crio/crio.sock /run/cri-dockerd.sock; do
        mkdir -p "${socket%/*}"
        ln -s "$1/cri.sock" $socket
    done
    hostname room
    ip link set lo up
    # Kubelet wants an address that is on an interface and not 127.x; the room's loopback may carry any.
    ip address add $room_address/32 dev lo
}

#!/usr/bin/env python3
# Makes a large node of this kernel's own parts, inside namespaces that the caller has made: cgroup directories as kubelet
# and containerd name them, processes that sleep in them, mounts, pods' log directories. Prints what came of it. It refuses to
# run outside: it must be process 1's child in a namespace of process ids of its own.
#
#   real.py WORK PODS CGROUPS PROCESSES MOUNTS
#
# All goes with the namespaces but the cgroup directories, which the caller removes with the group that it was started in.
import os, signal, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import root as shapes


def sleeper(group):
    """A process that sleeps: this one's pages, shared, and no more."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        while True:
            signal.pause()
    with open(f"{group}/cgroup.procs", "w", encoding="utf-8") as file:
        file.write(str(pid))


def main():
    work = sys.argv[1]
    pods, groups, processes, mounts = map(int, sys.argv[2:])
    if os.getppid() != 1:
        sys.exit("real.py belongs into a namespace of process ids of its own")
    # The namespace's root group is the root of the hierarchy, as on a node.
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"], check=True)
    inner, leaves = shapes.pod_groups(pods, groups)
    for path in [*inner, *(path for _, path in leaves)]:
        os.mkdir(path)
    for number in range(processes):
        sleeper(leaves[number % len(leaves)][1])
    # A loop device counts as a disk where a file system lies on it.
    for number, device in enumerate(open(f"{work}/loops", encoding="utf-8").read().split()):
        path = f"/var/lib/kubelet/plugins/kubernetes.io/csi/ebs.csi.aws.com/{number:064x}/globalmount"
        os.makedirs(path)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "nodiscard", device], check=True)
        subprocess.run(["mount", device, path], check=True)
    had = sum(1 for _ in open("/proc/self/mountinfo", encoding="utf-8"))
    for number in range(mounts - had):
        pod = shapes.pod_uid(number % pods)
        path = f"/var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~projected/kube-api-access-{number:05d}"
        os.makedirs(path)
        if number % 3 == 2:
            subprocess.run(["mount", "--bind", work, path], check=True)
        else:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], check=True)
    for pod in range(pods):
        for number in range(2):
            os.makedirs(f"/var/log/pods/team-{pod % 20}_app-{pod}_{shapes.pod_uid(pod)}/container-{number}")
    seen = {
        "cgroups": sum(1 for _ in os.walk("/sys/fs/cgroup/kubepods.slice")),
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),
        "loop devices with a file system": sum(" - ext4 /dev/loop" in line for line in open("/proc/self/mountinfo", encoding="utf-8")),
        "mounts": sum(1 for _ in open("/proc/self/mountinfo", encoding="utf-8")),
    }
    print(", ".join(f"{count} {name}" for name, count in seen.items()))


if __name__ == "__main__":
    main()

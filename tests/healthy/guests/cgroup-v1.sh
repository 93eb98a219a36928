# systemd on cgroup v1, each controller a hierarchy of its own, and containerd beside it. Sourced in the guest.
# It refuses to go on where systemd took cgroup v2 all the same.
# append: systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
[ -d /sys/fs/cgroup/systemd ] && [ ! -e /sys/fs/cgroup/cgroup.controllers ]
systemctl start containerd

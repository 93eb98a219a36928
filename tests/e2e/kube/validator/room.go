// The room that one kubelet is judged in: own mounts, processes, cgroup view, network and host name, so that it sees
// this machine's cores, memory and disk, and cannot change anything of it. It never edits the case's configuration.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

const roomVerb = "verdict-room"

// Where kubelets look for a runtime: the case's own endpoint is used as it stands if it is one of these.
var sockets = []string{"/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock"}

// What kubelet and cadvisor read under /etc; all else there is hidden.
var kept = []string{"resolv.conf", "hosts", "hostname", "os-release", "machine-id", "passwd", "group", "nsswitch.conf"}

func roomCommand(ctx context.Context, kubelet, lab, state string, c testCase) *exec.Cmd {
	args := append([]string{roomVerb, lab, state, c.meminfo, kubelet, "--config=" + c.config}, "--kubeconfig=/etc/kubernetes/kubelet.conf")
	if c.dropIns != "" {
		args = append(args, "--config-dir="+c.dropIns)
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append(args, c.flags...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWCGROUP | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd
}

// enterRoom runs in the new namespaces, lays the room out and becomes kubelet; it returns only on failure.
func enterRoom(args []string) error {
	lab, state, meminfo, kubelet := args[0], args[1], args[2], args[3]
	if err := layOut(lab, state, meminfo); err != nil {
		return fmt.Errorf("%s: %w", roomVerb, err)
	}
	err := syscall.Exec(kubelet, args[3:], os.Environ())
	return fmt.Errorf("%s: %s: %w", roomVerb, kubelet, err)
}

func layOut(lab, state, meminfo string) error {
	if err := mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	// A value that kubelet always wants to change, in a tree that it cannot change: every good configuration ends here.
	if err := bindReadOnly("/proc/sys", "/proc/sys"); err != nil {
		return err
	}
	if err := bindReadOnly(filepath.Join(lab, "panic"), "/proc/sys/kernel/panic"); err != nil {
		return err
	}
	// A laboratory with swap must not refuse what a node without swap accepts.
	if err := bindReadOnly(filepath.Join(lab, "swaps"), "/proc/swaps"); err != nil {
		return err
	}
	if meminfo != "" {
		if err := bindReadOnly(meminfo, "/proc/meminfo"); err != nil {
			return err
		}
	}
	// Since 1.35 kubelet refuses a host on cgroup v1; the room's own unified tree answers that without a setting.
	if err := syscall.Unmount("/sys/fs/cgroup", syscall.MNT_DETACH); err != nil && err != syscall.EINVAL {
		return fmt.Errorf("unmount /sys/fs/cgroup: %w", err)
	}
	if err := mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, ""); err != nil {
		return err
	}
	if err := mount("", "/sys/fs/cgroup", "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	if err := layOutEtc(lab); err != nil {
		return err
	}
	for _, dir := range []string{"/run", "/var/log", "/var/lib"} {
		if err := mount("tmpfs", dir, "tmpfs", 0, "size=64m,mode=0755"); err != nil {
			return err
		}
	}
	if err := os.Mkdir("/var/lib/kubelet", 0o755); err != nil {
		return err
	}
	if err := mount(state, "/var/lib/kubelet", "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	for _, socket := range sockets {
		if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join(lab, "cri.sock"), socket); err != nil {
			return err
		}
	}
	if err := syscall.Sethostname([]byte("verdict")); err != nil {
		return err
	}
	return loopbackUp()
}

func layOutEtc(lab string) error {
	files := map[string][]byte{}
	for _, name := range kept {
		if text, err := os.ReadFile("/etc/" + name); err == nil {
			files[name] = text
		}
	}
	if err := mount("tmpfs", "/etc", "tmpfs", 0, "size=16m,mode=0755"); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile("/etc/"+name, text, 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll("/etc/kubernetes/pki", 0o755); err != nil {
		return err
	}
	for from, to := range map[string]string{"ca.crt": "pki/ca.crt", "kubelet.conf": "kubelet.conf"} {
		text, err := os.ReadFile(filepath.Join(lab, from))
		if err != nil {
			return err
		}
		if err := os.WriteFile("/etc/kubernetes/"+to, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", strings.TrimSpace(kind+" "+source), target, err)
	}
	return nil
}

func bindReadOnly(source, target string) error {
	if err := mount(source, target, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return mount("", target, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
}

func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var request struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); e != 0 {
		return fmt.Errorf("loopback up: %w", e)
	}
	return nil
}

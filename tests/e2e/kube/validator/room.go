// The room that one kubelet is judged in: own mounts, processes, cgroup view, network and host name, so that it sees
// this machine's cores, memory and disk, and cannot change anything of it. It never edits the case's configuration.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

const roomVerb = "verdict-room"

// Where kubelets look for a runtime: the case's own endpoint is used as it stands if it is one of these.
var sockets = []string{"/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock"}

// What kubelet and cadvisor read under /etc; all else there is hidden.
var kept = []string{"resolv.conf", "hosts", "hostname", "os-release", "machine-id", "passwd", "group", "nsswitch.conf"}

// What one room needs to know; it travels to the new namespaces as JSON.
type room struct {
	Lab, State, Meminfo string
	// The room's own cgroup on the host. Without it the room ends at the sysctls; with it they are as kubelet wants
	// them, kubelet may make cgroups beneath, and the room ends at the device plugins' socket.
	Tree    string
	Cgroups []string
}

func (r room) command(ctx context.Context, kubelet string, c testCase) (*exec.Cmd, error) {
	layout, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	args := []string{roomVerb, string(layout), kubelet, "--config=" + c.config, "--kubeconfig=/etc/kubernetes/kubelet.conf"}
	if c.dropIns != "" {
		args = append(args, "--config-dir="+c.dropIns)
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append(args, c.flags...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd, nil
}

// enterRoom runs in the new namespaces, lays the room out and becomes kubelet; it returns only on failure.
func enterRoom(args []string) error {
	// The cgroup namespace belongs to a thread, and the one that calls exec must have it.
	runtime.LockOSThread()
	var r room
	if err := json.Unmarshal([]byte(args[0]), &r); err != nil {
		return fmt.Errorf("%s: %w", roomVerb, err)
	}
	if err := r.layOut(); err != nil {
		return fmt.Errorf("%s: %w", roomVerb, err)
	}
	err := syscall.Exec(args[1], args[1:], os.Environ())
	return fmt.Errorf("%s: %s: %w", roomVerb, args[1], err)
}

func (r room) layOut() error {
	if err := mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := r.layOutSysctls(); err != nil {
		return err
	}
	// A laboratory with swap must not refuse what a node without swap accepts.
	if err := bindReadOnly(filepath.Join(r.Lab, "swaps"), "/proc/swaps"); err != nil {
		return err
	}
	if r.Meminfo != "" {
		if err := bindReadOnly(r.Meminfo, "/proc/meminfo"); err != nil {
			return err
		}
	}
	if err := r.layOutCgroups(); err != nil {
		return err
	}
	if err := layOutEtc(r.Lab); err != nil {
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
	if err := mount(r.State, "/var/lib/kubelet", "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	if r.Tree != "" {
		const plugins = "/var/lib/kubelet/device-plugins"
		if err := os.Mkdir(plugins, 0o750); err != nil {
			return err
		}
		if err := bindReadOnly(plugins, plugins); err != nil {
			return err
		}
		// Else kubelet binds the directory over itself to make it shared, and so hides the one beneath.
		if err := mount("", "/var/lib/kubelet", "", syscall.MS_SHARED, ""); err != nil {
			return err
		}
	}
	for _, socket := range sockets {
		if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join(r.Lab, "cri.sock"), socket); err != nil {
			return err
		}
	}
	if err := syscall.Sethostname([]byte("verdict")); err != nil {
		return err
	}
	return loopbackUp()
}

// A tree that kubelet cannot change. Without a cgroup tree, one value in it is one that kubelet always wants to change:
// every good configuration ends there. With one, all values are those that kubelet wants.
func (r room) layOutSysctls() error {
	if err := bindReadOnly("/proc/sys", "/proc/sys"); err != nil {
		return err
	}
	if r.Tree == "" {
		return bindReadOnly(filepath.Join(r.Lab, "sysctl.unwanted"), "/proc/sys/kernel/panic")
	}
	for name := range wantedSysctls {
		if err := bindReadOnly(sysctlFile(r.Lab, name), "/proc/sys/"+name); err != nil {
			return err
		}
	}
	return nil
}

// Since 1.35 kubelet refuses a host on cgroup v1; the room's own unified tree answers that without a setting.
func (r room) layOutCgroups() error {
	join := func(dir string) error { return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0) }
	if r.Tree != "" {
		if err := join(r.Tree); err != nil {
			return err
		}
	}
	if err := syscall.Unshare(syscall.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("cgroup namespace: %w", err)
	}
	const at = "/sys/fs/cgroup"
	if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil && err != syscall.EINVAL {
		return fmt.Errorf("unmount %s: %w", at, err)
	}
	if err := mount("cgroup2", at, "cgroup2", 0, ""); err != nil {
		return err
	}
	if r.Tree == "" {
		return mount("", at, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
	}
	// A cgroup with processes of its own may not hand controllers down, so kubelet sits in a leaf.
	for _, name := range append([]string{"kubelet"}, r.Cgroups...) {
		if err := os.MkdirAll(filepath.Join(at, name), 0o755); err != nil {
			return err
		}
	}
	return join(filepath.Join(at, "kubelet"))
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

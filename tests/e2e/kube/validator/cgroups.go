// The host's side of a room with cgroups: finds the unified hierarchy, and removes what a room left there. It touches
// no cgroup but those that this run has made.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// cgroup2Mount finds where this host has the unified hierarchy, alone or beside cgroup v1.
func cgroup2Mount() (string, error) {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 3 && f[2] == "cgroup2" && !strings.HasPrefix(f[3], "ro") {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("no writable cgroup2 is mounted on this host: --cgroups has no ground here")
}

// removeTree removes cgroups from the leaves up. The last process may still be on its way out, hence the patience.
func removeTree(dir string) {
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		removeLeaves(dir)
		if _, err := os.Stat(dir); os.IsNotExist(err) || time.Now().After(end) {
			return
		}
	}
}

func removeLeaves(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			removeLeaves(filepath.Join(dir, e.Name()))
		}
	}
	os.Remove(dir)
}

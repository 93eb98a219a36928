// Reads a verdict out of kubelet's output. It knows only kubelet's own last words; it does not read the configuration.
package main

import (
	"regexp"
	"strings"
)

// Kubelet's log line: a letter for the severity, date and time, process, file and line.
var logLine = regexp.MustCompile(`^([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ [^ \]]+\] (.*)$`)

// Words that end a kubelet, in the order in which they speak for the whole run.
var lastWords = []string{`"Failed to start ContainerManager"`, `"Failed to start cAdvisor"`, `"Kubelet failed to get node info"`, `"command failed"`}

// Errors that only the laboratory can cause.
var labFaults = []string{"validate service connection", "failed to create runtime service", "failed to determine if swap is on", "kubelet is configured to not run on a host using cgroup v1"}

var noController = regexp.MustCompile(`/sys/fs/cgroup/[^ ]*/(cpu|cpuset|memory|pids|hugetlb)\.[^ /]+: no such file or directory`)

var kernelFlag = regexp.MustCompile(`invalid kernel flag: [^,]+, expected value: -?\d+, actual value: -?\d+`)

// read gives the stage reached, the verdict and the error line.
func read(output string) (stage, verdict, line string) {
	line = fatalLine(output)
	switch {
	case strings.HasPrefix(line, roomVerb+":"):
		return "lab", "unknown", line
	case strings.Contains(line, "Failed to start ContainerManager"):
		if onlyTunables(line) || strings.Contains(line, "bind: read-only file system") {
			return "container-manager", "accepted", line
		}
		// The named cgroup is there, but this host's unified tree has no controllers to set: no word on the configuration.
		// Likewise without systemd: before 1.31 kubelet takes cgroupDriver from the configuration alone.
		if strings.Contains(line, "Failed to enforce") && noController.MatchString(line) || strings.Contains(line, "systemd not running on this host") {
			return "lab", "unknown", line
		}
		return "container-manager", "refused", line
	}
	for _, fault := range labFaults {
		if strings.Contains(line, fault) {
			return "lab", "unknown", line
		}
	}
	for _, early := range []string{"failed to validate kubelet configuration", "failed to load kubelet config file", "failed to merge kubelet configs", "failed to parse kubelet flag", "unknown flag", "invalid argument", "flag needs an argument", "unrecognized feature gate", "cannot set feature gate", "failed to set feature gates"} {
		if strings.Contains(line, early) {
			return "static", "refused", line
		}
	}
	return "start", "refused", line
}

// onlyTunables: the container manager stopped at the sysctls that the room keeps read-only, and at nothing else.
func onlyTunables(line string) bool {
	_, rest, found := strings.Cut(line, "err=")
	if !found {
		return false
	}
	rest = kernelFlag.ReplaceAllString(rest, "")
	rest = regexp.MustCompile(`open /proc/sys/[a-z_/]+: read-only file system`).ReplaceAllString(rest, "")
	return strings.Trim(rest, `"[], `) == ""
}

func fatalLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	var errors []string
	for i, l := range lines {
		// klog lays an error of several lines out as `err=<`, indented lines, ` >`.
		if strings.HasSuffix(l, "=<") {
			for _, more := range lines[i+1:] {
				if strings.HasPrefix(more, " >") {
					break
				}
				l += " " + strings.TrimSpace(more)
			}
			l += " >"
		}
		if m := logLine.FindStringSubmatch(l); m != nil {
			if m[1] == "E" || m[1] == "F" {
				errors = append(errors, m[2])
			}
		} else if strings.HasPrefix(l, roomVerb+":") || strings.HasPrefix(l, "Error:") || strings.HasPrefix(l, "panic:") {
			errors = append(errors, l)
		}
	}
	for _, words := range lastWords {
		for i := len(errors) - 1; i >= 0; i-- {
			if strings.HasPrefix(errors[i], words) {
				return errors[i]
			}
		}
	}
	if len(errors) > 0 {
		return errors[len(errors)-1]
	}
	return lastLine(output)
}

func lastLine(output string) string {
	output = strings.TrimSpace(output)
	return output[strings.LastIndexByte(output, '\n')+1:]
}

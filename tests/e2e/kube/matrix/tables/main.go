// The generator of src/kubelet/tables: reads the Go sources of each pinned kubelet version and writes which fields,
// feature gates and flags it knows, as TSV rows with the first and last minor version for which the row holds.
// It reads syntax trees only and builds nothing; what it cannot resolve ends it, because a hole in a table would
// let preflight call a good file bad.
//
// Usage: go run . OUTPUT-DIRECTORY
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// The newest patch of each minor version that the project supports.
var pinned = []string{
	"28.15", "29.15", "30.14", "31.14", "32.13", "33.13", "34.4", "35.4", "36.3", "37.0",
}

// modules whose sources are read, besides k8s.io/kubernetes itself.
var staging = []string{"kubelet", "component-base", "apiserver", "client-go", "api", "apimachinery", "controller-manager", "apiextensions-apiserver", "cloud-provider"}

func main() {
	if len(os.Args) != 2 {
		fail("usage: go run . OUTPUT-DIRECTORY")
	}
	fields, gates, flags := table{}, table{}, table{}
	for _, version := range pinned {
		minor, err := strconv.Atoi(strings.Split(version, ".")[0])
		check(err)
		source := &tree{modules: download(version), packages: map[string]*pkg{}}
		for path, kind := range configFields(source) {
			fields.add(path, kind, minor)
		}
		for name, spec := range featureGates(source, minor) {
			gates.add(name, spec, minor)
		}
		for name, spec := range kubeletFlags(source) {
			flags.add(name, spec, minor)
		}
	}
	write("fields.tsv", "# Fields of KubeletConfiguration v1beta1: path, kind, whether kubelet has a default that is not zero, first and last minor version.", fields)
	write("gates.tsv", "# Feature gates: name, default, stage, locked, needs, first and last minor version.", gates)
	write("flags.tsv", "# Flags of kubelet: name, kind, field that it overrides, first and last minor version.", flags)
}

// download fetches the modules of one version through the Go proxy and says where each one's sources lie.
func download(version string) map[string]string {
	wanted := []string{"k8s.io/kubernetes@v1." + version}
	for _, name := range staging {
		wanted = append(wanted, "k8s.io/"+name+"@v0."+version)
	}
	dirs := map[string]string{}
	for _, module := range wanted {
		command := exec.Command("go", "mod", "download", "-json", module)
		command.Dir = os.TempDir()
		command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		command.Stderr = os.Stderr
		out, err := command.Output()
		if err != nil {
			fail("go mod download %s: %v %s", module, err, out)
		}
		var info struct{ Path, Dir string }
		check(json.Unmarshal(out, &info))
		dirs[info.Path] = info.Dir
	}
	return dirs
}

// table holds, for each row's content, the minor versions in which it is so.
type table map[string]map[string][]int

func (t table) add(name, rest string, minor int) {
	if t[name] == nil {
		t[name] = map[string][]int{}
	}
	t[name][rest] = append(t[name][rest], minor)
}

func write(file, title string, rows table) {
	var lines []string
	for name, variants := range rows {
		for rest, minors := range variants {
			for len(minors) > 0 {
				last := 0
				for last+1 < len(minors) && minors[last+1] == minors[last]+1 {
					last++
				}
				lines = append(lines, fmt.Sprintf("%s\t%s\t%d\t%d", name, rest, minors[0], minors[last]))
				minors = minors[last+1:]
			}
		}
	}
	sort.Strings(lines)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s Made by tests/e2e/kube/matrix/tables, not by hand.\n", title)
	for _, line := range lines {
		fmt.Fprintln(&out, line)
	}
	check(os.WriteFile(filepath.Join(os.Args[1], file), out.Bytes(), 0o644))
	fmt.Printf("%s: %d rows\n", file, len(lines))
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "kubelet-tables: "+format+"\n", args...)
	os.Exit(1)
}

// Cases on disk: finds them, reads them, and compares an outcome with what a case expects. It never writes to them, and
// a folder that is no case stops the run, so that none is passed over.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// One case as it lies on disk.
type testCase struct {
	name, config, dropIns, meminfo string
	flags, cgroups                 []string
}

// A directory with a config file is a case; any other directory is a folder of cases.
func findCases(args []string) ([]testCase, error) {
	var cases []testCase
	for _, arg := range args {
		arg, err := filepath.Abs(arg)
		if err != nil {
			return nil, err
		}
		if c, ok, err := readCase(arg); err != nil {
			return nil, err
		} else if ok {
			cases = append(cases, c)
			continue
		}
		entries, err := os.ReadDir(arg)
		if err != nil {
			return nil, err
		}
		before := len(cases)
		for _, e := range entries {
			c, ok, err := readCase(filepath.Join(arg, e.Name()))
			if err != nil {
				return nil, err
			}
			if ok {
				cases = append(cases, c)
			} else if e.IsDir() {
				return nil, fmt.Errorf("%s/%s has no config.json or config.yaml", arg, e.Name())
			}
		}
		if len(cases) == before {
			return nil, fmt.Errorf("no case in %s", arg)
		}
	}
	sort.SliceStable(cases, func(a, b int) bool { return cases[a].name < cases[b].name })
	return cases, nil
}

func readCase(dir string) (testCase, bool, error) {
	c := testCase{name: filepath.Base(dir)}
	for _, name := range []string{"config.json", "config.yaml"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			c.config = filepath.Join(dir, name)
		}
	}
	if c.config == "" {
		return c, false, nil
	}
	if s, err := os.Stat(filepath.Join(dir, "conf.d")); err == nil && s.IsDir() {
		c.dropIns = filepath.Join(dir, "conf.d")
	}
	if _, err := os.Stat(filepath.Join(dir, "meminfo")); err == nil {
		c.meminfo = filepath.Join(dir, "meminfo")
	}
	for name, lines := range map[string]*[]string{"flags": &c.flags, "cgroups": &c.cgroups} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !os.IsNotExist(err) {
			return c, false, err
		}
		for _, line := range strings.Split(string(text), "\n") {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				*lines = append(*lines, line)
			}
		}
	}
	return c, true, nil
}

// The `expect` file (or `expect-1.30` for that version): the verdict, then texts that kubelet's error must contain.
func compare(c testCase, got outcome) string {
	expect := filepath.Join(filepath.Dir(c.config), "expect")
	minor := strings.Join(strings.SplitN(strings.TrimPrefix(got.Version, "v"), ".", 3)[:2], ".")
	text, err := os.ReadFile(expect + "-" + minor)
	if os.IsNotExist(err) {
		text, err = os.ReadFile(expect)
	}
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if got.Verdict != lines[0] {
		return fmt.Sprintf("expected %s, kubelet %s: %s", lines[0], got.Verdict, got.Error)
	}
	for _, part := range lines[1:] {
		if !strings.Contains(got.Error, part) {
			return fmt.Sprintf("expected %q in kubelet's error: %s", part, got.Error)
		}
	}
	return ""
}

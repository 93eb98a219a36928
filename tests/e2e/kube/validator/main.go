// The validator: asks a real kubelet what it says of each case and prints one JSON line per case. The script
// ../verdict builds and starts it; that script's header is the manual. It refuses to judge where it could not look:
// a kubelet that was stopped by the laboratory and not by its configuration is "unknown", never "accepted".
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Where and how cases are judged.
type laboratory struct {
	kubelet, version, dir, keep string
	cgroups                     string // the host's cgroup2 mount, for rooms that reach past the sysctls; else empty
	limit                       time.Duration
}

// What is printed for one case.
type outcome struct {
	Case    string `json:"case"`
	Version string `json:"version"`
	Stage   string `json:"stage"`
	Verdict string `json:"verdict"`
	Error   string `json:"error"`
	Exit    int    `json:"exit"`
	Millis  int64  `json:"ms"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("verdict: ")
	if len(os.Args) > 1 && os.Args[1] == roomVerb {
		log.Fatal(enterRoom(os.Args[2:]))
	}
	kubelet := flag.String("kubelet", "", "kubelet's binary")
	fakecri := flag.String("fakecri", "", "the fake runtime's binary")
	jobs := flag.Int("j", 2, "cases at a time")
	limit := flag.Duration("timeout", 30*time.Second, "time for one case")
	check := flag.Bool("check", false, "compare with each case's `expect` file and count")
	keep := flag.String("keep", "", "write kubelet's whole output to this directory")
	cgroups := flag.Bool("cgroups", false, "go on past the sysctls to kubelet's cgroups")
	flag.Parse()
	if *kubelet == "" || *fakecri == "" || flag.NArg() == 0 || *jobs < 1 {
		flag.Usage()
		os.Exit(2)
	}
	lab := laboratory{kubelet: *kubelet, keep: *keep, limit: *limit}
	if *cgroups {
		var err error
		if lab.cgroups, err = cgroup2Mount(); err != nil {
			log.Fatal(err)
		}
	}
	// Interrupted, the rooms end and what they left is removed; the cases not judged are "unknown".
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	failed, err := judgeAll(ctx, lab, *fakecri, *jobs, *check, flag.Args())
	if err != nil {
		log.Fatal(err)
	}
	if failed {
		os.Exit(1)
	}
}

func judgeAll(ctx context.Context, lab laboratory, fakecri string, jobs int, check bool, args []string) (bool, error) {
	cases, err := findCases(args)
	if err != nil {
		return false, err
	}
	if lab.version, err = versionOf(lab.kubelet); err != nil {
		return false, err
	}
	// Beside /var/lib, so that kubelet's root directory has the file system that a real one would have.
	if lab.dir, err = os.MkdirTemp("/var/tmp", "verdict."); err != nil {
		return false, err
	}
	defer os.RemoveAll(lab.dir)
	if err := furnish(lab.dir); err != nil {
		return false, err
	}
	stop, err := startRuntime(fakecri, filepath.Join(lab.dir, "cri.sock"))
	if err != nil {
		return false, err
	}
	defer stop()
	if lab.keep != "" {
		if err := os.MkdirAll(lab.keep, 0o755); err != nil {
			return false, err
		}
	}

	slots := make(chan struct{}, jobs)
	results := make([]chan outcome, len(cases))
	var wg sync.WaitGroup
	for i := range cases {
		results[i] = make(chan outcome, 1)
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i, c := range cases {
			slots <- struct{}{}
			go func() {
				results[i] <- lab.judge(ctx, fmt.Sprint(i), c)
				<-slots
			}()
		}
	}()
	passed, failed := 0, 0
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for i, c := range cases {
		got := <-results[i]
		if err := out.Encode(got); err != nil {
			return false, err
		}
		if !check {
			continue
		}
		if why := compare(c, got); why != "" {
			failed++
			log.Printf("%s: %s", c.name, why)
		} else {
			passed++
		}
	}
	wg.Wait()
	if check {
		fmt.Printf("%d passed, %d failed\n", passed, failed)
	}
	return failed > 0 || ctx.Err() != nil, nil
}

func versionOf(kubelet string) (string, error) {
	text, err := exec.Command(kubelet, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", kubelet, err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(text)), "Kubernetes "), nil
}

func startRuntime(fakecri, socket string) (func(), error) {
	cmd := exec.Command(fakecri, "-socket", socket)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("the fake runtime did not open %s", socket)
}

func (lab laboratory) judge(parent context.Context, id string, c testCase) outcome {
	ctx, cancel := context.WithTimeout(parent, lab.limit)
	defer cancel()
	got := outcome{Case: c.name, Version: lab.version, Stage: "lab", Verdict: "unknown", Exit: -1}
	r := room{Lab: lab.dir, State: filepath.Join(lab.dir, "state."+id), Meminfo: c.meminfo, Cgroups: c.cgroups}
	if err := os.Mkdir(r.State, 0o755); err != nil {
		got.Error = err.Error()
		return got
	}
	defer os.RemoveAll(r.State)
	if lab.cgroups != "" {
		r.Tree = filepath.Join(lab.cgroups, fmt.Sprintf("verdict.%d.%s", os.Getpid(), id))
		if err := os.Mkdir(r.Tree, 0o755); err != nil {
			got.Error = err.Error()
			return got
		}
		defer removeTree(r.Tree)
	}
	var output bytes.Buffer
	cmd, err := r.command(ctx, lab.kubelet, c)
	if err != nil {
		got.Error = err.Error()
		return got
	}
	cmd.Stdout, cmd.Stderr = &output, &output
	start := time.Now()
	err = cmd.Run()
	got.Millis = time.Since(start).Milliseconds()
	if cmd.ProcessState == nil {
		got.Error = err.Error()
		return got
	}
	got.Exit = cmd.ProcessState.ExitCode()
	if lab.keep != "" {
		if err := os.WriteFile(filepath.Join(lab.keep, c.name+"."+lab.version+".log"), output.Bytes(), 0o644); err != nil {
			log.Print(err)
		}
	}
	if parent.Err() != nil {
		got.Error = "interrupted"
		return got
	}
	if ctx.Err() != nil {
		got.Error = fmt.Sprintf("kubelet still ran after %v; its last line: %s", lab.limit, lastLine(output.String()))
		return got
	}
	got.Stage, got.Verdict, got.Error = read(output.String())
	return got
}

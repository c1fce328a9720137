package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A lab is a folder to measure in.
type lab struct {
	dir    string
	pipe   string // the built binary
	rounds int
}

func newLab(rounds int) (*lab, error) {
	pipe, err := filepath.Abs("build/pipe")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(pipe); err != nil {
		return nil, fmt.Errorf("%w; run make build", err)
	}
	dir, err := os.MkdirTemp("", "pipe-bench-")
	return &lab{dir: dir, pipe: pipe, rounds: rounds}, err
}

func (l *lab) close() { os.RemoveAll(l.dir) }

// machine names what the figures were measured on.
func (l *lab) machine() string {
	cpu := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				cpu = strings.Trim(name, "\t :\n")
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s", cpu, runtime.NumCPU(), runtime.Version())
}

// path is a new place in the lab.
func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// write makes a file in the lab.
func (l *lab) write(name, text string) error {
	p := l.path(name)
	if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
		return err
	}
	return os.WriteFile(p, []byte(text), 0o666)
}

// A command is a program to time.
type command struct {
	dir  string
	env  []string
	args []string
}

func (l *lab) cmd(dir string, args ...string) command {
	return command{dir: dir, env: []string{"PIPE_CACHE=" + l.path("cache")}, args: args}
}

// time runs c once and returns seconds of wall clock.
func (c command) time() (float64, error) {
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start).Seconds()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", strings.Join(c.args, " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	return took, nil
}

// peak runs c once and returns the most bytes that it, or a process of its, had in memory.
func (c command) peak() (float64, error) {
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) * 1024, nil
}

// pair times a and b in turn, after one round that does not count, and
// returns the median of each and of the ratio a/b, round by round.
func (l *lab) pair(a, b func() (float64, error)) (va, vb, ratio float64, err error) {
	var as, bs, ratios []float64
	for i := range l.rounds + 1 {
		x, err := a()
		if err != nil {
			return 0, 0, 0, err
		}
		y, err := b()
		if err != nil {
			return 0, 0, 0, err
		}
		long := x+y > patience
		if i > 0 || long {
			as, bs, ratios = append(as, x), append(bs, y), append(ratios, x/y)
		}
		if long {
			break
		}
	}
	return median(as), median(bs), median(ratios), nil
}

// patience, in seconds, is how long a round may take before no more follow. It
// counts then although it is the first: warming up is a small part of it.
const patience = 300

// alone times a after one round that does not count.
func (l *lab) alone(a func() (float64, error)) (float64, error) {
	var as []float64
	for i := range l.rounds + 1 {
		x, err := a()
		if err != nil {
			return 0, err
		}
		if i > 0 {
			as = append(as, x)
		}
	}
	return median(as), nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// missing is a result without a figure.
func missing(name, unit, better, reference string, err error) Result {
	return Result{Name: name, Unit: unit, Better: better, Reference: reference, Note: err.Error()}
}

// absent says that a peer is not installed.
func absent(program string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("%s is not installed", program)
	}
	return nil
}

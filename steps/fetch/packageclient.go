package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/tied"
)

// A packageClient is a program of this machine that brings packages. Where
// from is the user's configuration of it; pipe knows no registry.
type packageClient struct {
	kind     string     // pypi or npm
	name     string     // for messages
	programs [][]string // ways to start it, the first that is installed counts
	args     func(s *Package, retries int, got string) [][]string
	env      func(tmp string) []string
	missing  []string // what it says when there is no such version
	hint     string   // when it is not installed
}

func pip() packageClient {
	return packageClient{
		kind: "pypi", name: "pip",
		programs: [][]string{{"pip"}, {"pip3"}, {"python3", "-m", "pip"}, {"python", "-m", "pip"}},
		// Only wheels: to look into another package, pip runs its code. One
		// for any platform is preferred, so that all machines get the same.
		args: func(s *Package, retries int, got string) [][]string {
			common := []string{
				"download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--no-cache-dir",
				"--disable-pip-version-check", "--progress-bar", "off", "--retries", strconv.Itoa(retries), "--dest", got,
			}
			exact := s.PyPI + "==" + s.Version
			return [][]string{
				append(common[:len(common):len(common)], "--platform", "any", "--implementation", "py", "--abi", "none", exact),
				append(common[:len(common):len(common)], exact),
			}
		},
		env:     func(string) []string { return nil },
		missing: []string{"No matching distribution found", "Could not find a version"},
		hint:    "install Python's pip, and configure where it finds packages if it does not know yet",
	}
}

func npm() packageClient {
	return packageClient{
		kind: "npm", name: "npm",
		programs: [][]string{{"npm"}},
		args: func(s *Package, retries int, got string) [][]string {
			return [][]string{{
				"pack", "--ignore-scripts", "--loglevel", "error", "--fetch-retries", strconv.Itoa(retries),
				"--pack-destination", got, s.NPM + "@" + s.Version,
			}}
		},
		env: func(tmp string) []string {
			return []string{"npm_config_cache=" + filepath.Join(tmp, "cache"), "npm_config_update_notifier=false", "npm_config_logs_max=0"}
		},
		missing: []string{"E404", "ETARGET"},
		hint:    "install Node.js, which npm comes with",
	}
}

// run leaves the archive in got. tmp is for the client's own files.
func (c packageClient) run(ctx context.Context, s *Package, retries int, tmp, got string) error {
	program, err := c.find()
	if err != nil {
		return &pipeline.FieldError{Field: packageField + "." + c.kind, Err: err, Hint: c.hint}
	}
	var said string
	for _, args := range c.args(s, retries, got) {
		if said, err = c.try(ctx, append(program[:len(program):len(program)], args...), tmp); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !c.isMissing(said) {
			return &pipeline.FieldError{Field: packageField, Err: fmt.Errorf("%s failed (%w): %s", c.name, err, said)}
		}
	}
	e := &pipeline.FieldError{
		Field: packageField + ".version",
		Err:   fmt.Errorf("%s finds no %s %s that it can bring: %s", c.name, s.PyPI+s.NPM, s.Version, said),
	}
	if c.kind == "pypi" {
		e.Hint = "check name and version; a package without a wheel cannot be fetched, since building one runs its code"
	}
	return e
}

func (c packageClient) find() ([]string, error) {
	for _, p := range c.programs {
		if _, err := exec.LookPath(p[0]); err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s is not installed on this machine", c.name)
}

// try runs one command and returns the end of what it said.
func (c packageClient) try(ctx context.Context, command []string, tmp string) (string, error) {
	var said tail
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), c.env(tmp)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	err := tied.Run(cmd)
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it left a process behind that holds its output
	}
	return said.String(), err
}

func (c packageClient) isMissing(said string) bool {
	for _, m := range c.missing {
		if strings.Contains(said, m) {
			return true
		}
	}
	return false
}

// A tail keeps the end of what is written to it.
type tail struct{ b []byte }

const maxTail = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > maxTail {
		t.b = append([]byte(nil), t.b[len(t.b)-maxTail:]...)
	}
	return len(p), nil
}

// String is the last lines as one.
func (t *tail) String() string {
	const most = 4
	lines := bytes.Split(bytes.TrimSpace(t.b), []byte("\n"))
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	var all []string
	for _, l := range lines {
		if s := strings.TrimSpace(printable(string(l))); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, "; ")
}

// Package exec implements the exec step: a program of this machine as a
// cached step, so that what pipe lacks can still be one.
//
// The program starts in a folder that holds in/NAME for every input and
// out/NAME for every output. What it prints is the step's log, in which its
// secrets are ***. It fails when it exits with a code other than 0 or leaves
// an output empty.
package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/tied"
)

// Kind is the exec step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("exec", 1, run)
	k.Pin, k.Check = pin, check
	k.HostTools = true
	return k
}

// Params mirrors schemas/exec.cue.
type Params struct {
	Command []string          `json:"command"`
	Outputs map[string]string `json:"outputs"`
	Env     map[string]string `json:"env"`
	Secrets map[string]Secret `json:"secrets"`
	Version []string          `json:"version"`
}

// A Secret names a variable of the run's environment.
type Secret struct {
	Name string `json:"secret"`
}

const (
	// versionTimeout bounds the version probe.
	versionTimeout = 30 * time.Second
	// maxVersion bounds what the version probe may print, in bytes.
	maxVersion = 64 << 10
	// stopGrace is how long a program may take to stop when asked.
	stopGrace = 5 * time.Second
)

// check refuses a program that this machine does not have.
func check(params json.RawMessage) error {
	p, err := pipeline.DecodeParams[Params](params)
	if err != nil {
		return err
	}
	return lookPath("command", p.Command[0])
}

// pin runs the version probe; without one, a program counts by its command
// alone.
func pin(ctx context.Context, q *pipeline.PinRequest) (pipeline.Pin, error) {
	p, err := pipeline.DecodeParams[Params](q.Params)
	if err != nil {
		return pipeline.Pin{}, err
	}
	if len(p.Version) == 0 {
		return pipeline.Pin{}, nil
	}
	if err := lookPath("version", p.Version[0]); err != nil {
		return pipeline.Pin{}, err
	}
	out, err := probe(ctx, p.Version)
	if err != nil {
		return pipeline.Pin{}, &pipeline.FieldError{Field: "version", Err: err, Hint: firstLine(out)}
	}
	return pipeline.Pin{ID: "version:" + strings.TrimSpace(strings.ToValidUTF8(string(out), "�"))}, nil
}

// probe runs the version command and returns what it prints, in the language
// that steps run in: the key is the same wherever the program is.
func probe(ctx context.Context, version []string) ([]byte, error) {
	if fromInput(version[0]) {
		return nil, fmt.Errorf("%q is asked before there are inputs", version[0])
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	var out bounded
	cmd := exec.CommandContext(ctx, version[0], version[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TZ=UTC")
	cmd.WaitDelay = time.Second // for what it leaves behind with its output open
	err := cmd.Run()
	switch {
	case out.full:
		return nil, fmt.Errorf("it printed more than %d bytes, which is no version", maxVersion)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return out.b, fmt.Errorf("%s did not end within %s", strings.Join(version, " "), versionTimeout)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return out.b, fmt.Errorf("%s failed: %w", strings.Join(version, " "), err)
	}
	return out.b, nil
}

// bounded keeps at most maxVersion bytes, and refuses more.
type bounded struct {
	b    []byte
	full bool
}

func (w *bounded) Write(p []byte) (int, error) {
	if w.full = w.full || len(w.b)+len(p) > maxVersion; w.full {
		return 0, errors.New("too much")
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

// fromInput reports whether a program comes out of an input.
func fromInput(program string) bool {
	return strings.HasPrefix(program, "in/") || strings.HasPrefix(program, "./in/")
}

// lookPath refuses a program that cannot be found, before anything runs.
func lookPath(field, program string) error {
	if fromInput(program) {
		return nil
	}
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		return &pipeline.FieldError{
			Field: field, Err: fmt.Errorf("%q is relative to no folder: the program starts in a folder of its own", program),
			Hint: "fetch the script in a step of its own and run it as in/NAME/…",
		}
	}
	if _, err := exec.LookPath(program); err != nil {
		return &pipeline.FieldError{Field: field, Err: fmt.Errorf("the program %q cannot be found on this machine", program)}
	}
	return nil
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	dir := filepath.Dir(t.Tmp)
	program := p.Command[0]
	if !filepath.IsAbs(program) && strings.Contains(program, "/") {
		program = filepath.Join(dir, program)
	}
	cmd := exec.CommandContext(ctx, program, p.Command[1:]...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Env = environ(p, t)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopGrace
	if err := tied.Run(cmd); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() >= 0 {
			return fmt.Errorf("%s: exit code %d", p.Command[0], exit.ExitCode())
		}
		return fmt.Errorf("%s: %w", p.Command[0], err)
	}
	return missing(p, t)
}

// environ is what the step's own environment allows, and what is declared.
func environ(p Params, t *pipeline.Task) []string {
	env := os.Environ()
	for name, v := range p.Env {
		env = append(env, name+"="+v)
	}
	for name, s := range p.Secrets {
		if v, ok := t.Secret(s.Name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// missing names the outputs in which the program left nothing.
func missing(p Params, t *pipeline.Task) error {
	for name := range p.Outputs {
		entries, err := os.ReadDir(t.Out[name])
		if err != nil || len(entries) == 0 {
			return &pipeline.FieldError{
				Field: "outputs." + name, Err: fmt.Errorf("%s left nothing in out/%s", p.Command[0], name),
				Hint: "the program must write files below out/" + name + " of the folder it starts in",
			}
		}
	}
	return nil
}

func firstLine(out []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return string(line)
}

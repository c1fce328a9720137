package exec

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/steptest"
)

// shell is a step that runs a script of the shell.
func shell(t *testing.T, script, more string) steptest.Case {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("this machine has no sh")
	}
	return steptest.Case{
		Kind: Kind, Out: []string{"files"},
		Params: `{"command":["sh","-c","` + script + `"],"outputs":{"files":"files"}` + more + `}`,
	}
}

func TestSuite(t *testing.T) {
	steptest.Run(t, shell(t, `echo $WORD >out/files/word`, `,"env":{"WORD":"hello"}`))
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct{ script, says string }{
		"exit code": {"exit 7", "sh: exit code 7"},
		"no output": {"true", "sh left nothing in out/files"},
	} {
		if _, err := steptest.Try(t.Context(), t, shell(t, c.script, ""), 1); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// TestStops: a program that is asked to stop may take a moment, not for ever.
func TestStops(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := steptest.Try(ctx, t, shell(t, "exec sleep 60", ""), 1)
	if err == nil || time.Since(start) > stopGrace+5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestPin(t *testing.T) {
	shell(t, "", "")
	pin := func(params string) (string, error) {
		pin, err := Kind.Pin(t.Context(), &pipeline.PinRequest{Params: []byte(params)})
		return pin.ID, err
	}
	none, err := pin(`{"command":["sh"]}`)
	if err != nil || none != "" {
		t.Errorf("no probe: %q, %v", none, err)
	}
	one, err := pin(`{"command":["sh"],"version":["echo","1.0"]}`)
	two, errTwo := pin(`{"command":["sh"],"version":["echo","2.0"]}`)
	if err != nil || errTwo != nil || one == "" || one == two {
		t.Errorf("%q, %v; %q, %v", one, err, two, errTwo)
	}
	var field *pipeline.FieldError
	absent := `{"command":["no-such-program-anywhere"]}`
	if err := Kind.Check([]byte(absent)); !errors.As(err, &field) || field.Field != "command" {
		t.Errorf("an absent program: %v", err)
	}
	if _, err := pin(absent); err != nil {
		t.Errorf("an absent program is in the way of a hit: %v", err)
	}
	if _, err := pin(`{"command":["sh"],"version":["false"]}`); !errors.As(err, &field) || field.Field != "version" {
		t.Errorf("a probe that fails: %v", err)
	}
}

// TestProbe: the version command is bounded in what it may do to pipe.
func TestProbe(t *testing.T) {
	shell(t, "", "")
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	out, err := probe(t.Context(), []string{"sh", "-c", "echo $LC_ALL"})
	if err != nil || string(out) != "C.UTF-8\n" {
		t.Errorf("its language: %q, %v", out, err)
	}
	for says, version := range map[string][]string{
		"which is no version":     {"sh", "-c", "while echo version; do :; done"},
		"before there are inputs": {"in/tool/bin", "--version"},
		"failed: exit status 3":   {"sh", "-c", "echo no; exit 3"},
	} {
		if _, err := probe(t.Context(), version); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", version, err, says)
		}
	}
	start := time.Now()
	out, err = probe(t.Context(), []string{"sh", "-c", "sleep 20 & echo 1"})
	if err != nil || string(out) != "1\n" || time.Since(start) > 10*time.Second {
		t.Errorf("what it left behind held pipe up for %v: %q, %v", time.Since(start), out, err)
	}
}

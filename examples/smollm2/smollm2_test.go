// Package smollm2_test checks the example without its 90 MB of weights, and
// runs it when it is asked to.
package smollm2_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline/compile"
	"github.com/pipe-run/pipe/steps"
)

// A place is a copy of the example, with the binary.
type place struct {
	t        *testing.T
	bin, dir string
	env      []string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	tmp := t.TempDir()
	p := &place{t: t, bin: filepath.Join(tmp, "pipe"), dir: filepath.Join(tmp, "copy")}
	out, err := exec.Command("go", "build", "-o", p.bin, "../../cmd/pipe").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if err := os.CopyFS(p.dir, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	p.env = os.Environ()
	return p
}

// do runs pipe in the copy and returns its standard output.
func (p *place) do(args ...string) []byte {
	p.t.Helper()
	cmd := exec.Command(p.bin, args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("pipe %s: %v\n%s", strings.Join(args, " "), err, errs.Bytes())
	}
	return out
}

// TestVet compiles the example.
func TestVet(t *testing.T) {
	g, err := compile.File(t.Context(), "finetune.cue", compile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	kinds := steps.All()
	for _, n := range g.Nodes {
		if _, ok := kinds[n.Kind]; !ok {
			t.Errorf("%s: no kind %s", n.Name, n.Kind)
		}
	}
	if len(g.Nodes) != 9 {
		t.Errorf("the example has %d steps", len(g.Nodes))
	}
}

// TestPlan vets and plans the example in an empty cache on a machine without
// pip: the lock pins the package, and planning fetches nothing.
func TestPlan(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: builds the binary")
	}
	p := newPlace(t)
	p.env = append(p.env, "PIPE_CACHE="+t.TempDir(), "PATH="+t.TempDir())
	p.do("vet", "finetune.cue")
	var page struct {
		Steps []struct{ Step, Kind, State, Reason string }
	}
	if err := json.Unmarshal(p.do("plan", "finetune.cue", "--json"), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Steps) != 9 {
		t.Errorf("the plan has %d steps", len(page.Steps))
	}
	for _, s := range page.Steps {
		if s.Kind == "fetch" && (s.State != "miss" || s.Reason != "never run") {
			t.Errorf("%s: %s, %s; wanted a pinned source that was never fetched", s.Step, s.State, s.Reason)
		}
		if s.Kind != "fetch" && s.State != "unknown" {
			t.Errorf("%s: %s, %s; wanted unknown", s.Step, s.State, s.Reason)
		}
	}
}

// TestRun runs the example as its README says, and checks the gain that it
// promises. The cache is the user's, so that a rerun is cheap.
func TestRun(t *testing.T) {
	if os.Getenv("PIPE_TEST_SMOLLM2") != "1" {
		t.Skip("set PIPE_TEST_SMOLLM2=1 to fetch 93 MB and train for minutes")
	}
	p := newPlace(t)
	p.do("run", "finetune.cue", "--locked", "--json")
	before, after := p.metrics("before"), p.metrics("after")
	if before["exactMatch"] > 0.1 || after["exactMatch"] < 0.4 {
		t.Errorf("exact match %.3f before and %.3f after", before["exactMatch"], after["exactMatch"])
	}
	if after["loss"] > before["loss"]/2 {
		t.Errorf("loss %.3f before and %.3f after", before["loss"], after["loss"])
	}
}

func (p *place) metrics(step string) map[string]float64 {
	p.t.Helper()
	dir := filepath.Join(p.t.TempDir(), "metrics")
	p.do("get", "finetune.cue", step, dir)
	b, err := os.ReadFile(filepath.Join(dir, "metrics.json"))
	if err != nil {
		p.t.Fatal(err)
	}
	var m map[string]float64
	if err := json.Unmarshal(b, &m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// Package quickstart_test runs the example as a newcomer would: the built
// binary, a copy of the folder somewhere else, an empty cache.
package quickstart_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A place is a copy of the example with a cache of its own.
type place struct {
	t         *testing.T
	dir       string
	cache     string
	env       []string
	buildTags string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: filepath.Join(t.TempDir(), "copy"), cache: t.TempDir()}
	if err := os.CopyFS(p.dir, example(t)); err != nil {
		t.Fatal(err)
	}
	return p
}

// example is the folder as a user gets it.
func example(t *testing.T) fs.FS {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return os.DirFS(here)
}

var built = map[string]string{} // build tags → binary

func build(t *testing.T, tags string) string {
	t.Helper()
	if built[tags] != "" {
		return built[tags]
	}
	dir, err := os.MkdirTemp("", "pipe-quickstart-")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "pipe")
	out, err := exec.Command("go", "build", "-tags", tags, "-o", bin, "../../cmd/pipe").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	built[tags] = bin
	return bin
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, bin := range built {
		os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// do runs pipe in the copy and returns its standard output.
func (p *place) do(args ...string) []byte {
	p.t.Helper()
	cmd := exec.Command(build(p.t, p.buildTags), args...)
	cmd.Dir = p.dir
	cmd.Env = append(append(os.Environ(), "PIPE_CACHE="+p.cache), p.env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("pipe %s: %v\n%s\n%s", strings.Join(args, " "), err, errs.Bytes(), lastLines(out))
	}
	return out
}

func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// A summary is the last line of pipe run --json.
type summary struct {
	Ran, Cached, Failed int
	Steps               map[string]struct {
		Status  string
		Key     string
		Outputs map[string]string
	}
}

func (p *place) run(args ...string) summary {
	p.t.Helper()
	out := p.do(append([]string{"run", "finetune.cue", "--json"}, args...)...)
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var s summary
	if err := json.Unmarshal(lines[len(lines)-1], &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// digests are the outputs of every step.
func (s summary) digests() map[string]string {
	all := map[string]string{}
	for step, v := range s.Steps {
		for out, d := range v.Outputs {
			all[step+"."+out] = d
		}
	}
	return all
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

// TestQuickstart runs the example cold and warm, and checks what its README
// promises: the gain, the budget of arithmetic, and that everything comes from
// the cache the second time.
func TestQuickstart(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: trains a model")
	}
	p := newPlace(t)
	cold := p.run()
	if cold.Ran != 9 || cold.Cached != 0 {
		t.Errorf("cold: ran %d, cached %d", cold.Ran, cold.Cached)
	}
	warm := p.run()
	if warm.Ran != 0 || warm.Cached != 9 || !maps.Equal(cold.digests(), warm.digests()) {
		t.Errorf("warm: ran %d, cached %d; digests equal: %v", warm.Ran, warm.Cached, maps.Equal(cold.digests(), warm.digests()))
	}
	before, after := p.metrics("before"), p.metrics("after")
	if before["exactMatch"] >= 0.1 || after["exactMatch"] <= 0.8 {
		t.Errorf("exact match %.3f before and %.3f after; wanted under 0.1 and over 0.8", before["exactMatch"], after["exactMatch"])
	}
	if after["perplexity"] > before["perplexity"]/2 {
		t.Errorf("perplexity %.3f before and %.3f after; wanted at least halved", before["perplexity"], after["perplexity"])
	}
	if flops := p.flops(); flops > 300e9 || flops < 1e9 {
		t.Errorf("the plan counts %.1f GFLOP; wanted at most 300", flops/1e9)
	}
}

// flops adds up what the plan estimates.
func (p *place) flops() float64 {
	p.t.Helper()
	var page struct {
		Steps []struct {
			Kind     string
			Estimate struct{ FLOPs float64 }
		}
	}
	if err := json.Unmarshal(p.do("plan", "finetune.cue", "--json"), &page); err != nil {
		p.t.Fatal(err)
	}
	total := 0.0
	for _, s := range page.Steps {
		if s.Estimate.FLOPs == 0 && (s.Kind == "train" || s.Kind == "evaluate") {
			p.t.Errorf("no estimate for a step of kind %s", s.Kind)
		}
		total += s.Estimate.FLOPs
	}
	return total
}

// TestEqualBytes runs the example under other conditions and in other caches:
// every output has the same digest.
func TestEqualBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: trains a model several times")
	}
	want := newPlace(t).run().digests()
	one := newPlace(t)
	one.env = []string{"GOMAXPROCS=1"}
	purego := newPlace(t)
	purego.buildTags = "purego"
	for name, got := range map[string]map[string]string{
		"GOMAXPROCS=1": one.run().digests(),
		"-j 1":         newPlace(t).run("-j", "1").digests(),
		"purego":       purego.run().digests(),
	} {
		for _, out := range slices.Sorted(maps.Keys(want)) {
			if got[out] != want[out] {
				t.Errorf("%s: %s differs", name, out)
			}
		}
	}
}

// TestOnlyWhatDependsRuns changes one parameter, then goes back.
func TestOnlyWhatDependsRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: trains a model twice")
	}
	p := newPlace(t)
	p.run()
	var ran []string
	for step, v := range p.run("-t", "rank=12", "lora").Steps {
		if v.Status == "ran" {
			ran = append(ran, step)
		}
	}
	if !slices.Equal(ran, []string{"lora"}) {
		t.Errorf("another rank ran %v", ran)
	}
	if again := p.run(); again.Ran != 0 {
		t.Errorf("going back ran %d steps", again.Ran)
	}
}

// TestHeldOut checks the data: at least 300 rows, no request and no command
// twice, so that no held-out row was seen in other words, and no two requests
// that are equal but for one of the words that do not change the command.
func TestHeldOut(t *testing.T) {
	b, err := os.ReadFile("data/commands.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	requests, commands := map[string]bool{}, map[string]bool{}
	rows := 0
	for line := range strings.Lines(string(b)) {
		var row struct{ Instruction, Output string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		rows++
		bare := bareWords(row.Instruction)
		if requests[bare] {
			t.Errorf("two requests differ only in politeness: %q", row.Instruction)
		}
		if commands[row.Output] {
			t.Errorf("the command %q occurs twice", row.Output)
		}
		requests[bare], commands[row.Output] = true, true
	}
	if rows < 300 {
		t.Errorf("%d rows", rows)
	}
}

// bareWords sorts the words of a request that matter.
func bareWords(request string) string {
	drop := map[string]bool{"please": true, "hey": true, "could": true, "you": true, "the": true, "of": true, "in": true, "to": true, "at": true}
	var words []string
	for w := range strings.FieldsSeq(strings.ReplaceAll(request, ",", "")) {
		if !drop[w] {
			words = append(words, w)
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

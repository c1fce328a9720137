// Package stories_test runs the example on a real model and real data, where
// they are present, through the built binary.
package stories_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
)

// programs are the binaries under test: pipe, and interop, which says what
// the library computes.
type programs struct{ pipe, interop string }

func build(t *testing.T) programs {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-o", dir, "../../cmd/pipe", "../../steps/internal/interop").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return programs{filepath.Join(dir, "pipe"), filepath.Join(dir, "interop")}
}

// A place is a cache, with the folder of shared data.
type place struct {
	t    *testing.T
	p    programs
	data string
	env  []string
}

func newPlace(t *testing.T, p programs) *place {
	for _, name := range []string{"models/stories260K/hf", "datasets/llama-factory/alpaca_en_demo.json", "datasets/text/tinyshakespeare.txt"} {
		shareddata.Path(t, name)
	}
	data, err := filepath.Abs(filepath.Dir(shareddata.Path(t, "models")))
	if err != nil {
		t.Fatal(err)
	}
	return &place{t, p, data, []string{"PIPE_CACHE=" + t.TempDir()}}
}

// do runs pipe on the example and returns its standard output.
func (p *place) do(command string, args ...string) []byte {
	p.t.Helper()
	args = append([]string{command, "finetune.cue", "-t", "data=" + p.data}, args...)
	return output(p.t, exec.Command(p.p.pipe, args...), "", p.env...)
}

func output(t *testing.T, cmd *exec.Cmd, stdin string, env ...string) []byte {
	t.Helper()
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", cmd, err, errs.Bytes(), out)
	}
	return out
}

// run runs the pipeline and returns the digest of every output.
func (p *place) run() map[string]string {
	p.t.Helper()
	var summary struct {
		Ran   int
		Steps map[string]struct{ Outputs map[string]string }
	}
	lines := bytes.Split(bytes.TrimSpace(p.do("run", "--json")), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &summary); err != nil {
		p.t.Fatal(err)
	}
	if summary.Ran != 18 {
		p.t.Errorf("%d steps ran, want 18", summary.Ran)
	}
	digests := map[string]string{}
	for step, s := range summary.Steps {
		for out, digest := range s.Outputs {
			digests[step+"."+out] = digest
		}
	}
	return digests
}

// get returns the folder of a step's output.
func (p *place) get(step string) string {
	p.t.Helper()
	dir := filepath.Join(p.t.TempDir(), step)
	p.do("get", step, dir)
	return dir
}

// loss is what an evaluation measured.
func (p *place) loss(step string) float64 {
	p.t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.get(step), "metrics.json"))
	if err != nil {
		p.t.Fatal(err)
	}
	var m struct{ Loss, Rows float64 }
	if err := json.Unmarshal(raw, &m); err != nil {
		p.t.Fatal(err)
	}
	if m.Rows < 10 || m.Loss <= 0 {
		p.t.Errorf("%s: loss %v of %v rows", step, m.Loss, m.Rows)
	}
	return m.Loss
}

// ask puts a question about a model to interop.
func ask[T any](p *place, about any, args ...string) (answer T) {
	p.t.Helper()
	question, err := json.Marshal(about)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal(output(p.t, exec.Command(p.p.interop, args...), string(question)), &answer); err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// logits are those of every token of one row, by a model and perhaps an adapter.
func (p *place) logits(ids []int, dirs ...string) [][]float64 {
	p.t.Helper()
	return ask[[][][]float64](p, [][]int{ids}, append([]string{"logits"}, dirs...)...)[0]
}

// encode returns a text's ids after the beginning of a sequence.
func (p *place) encode(model, text string) []int {
	p.t.Helper()
	return ask[struct{ Special [][]int }](p, []string{text}, "encode", model).Special[0]
}

func TestRealData(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: trains a real model")
	}
	p := newPlace(t, build(t))
	digests := p.run()
	t.Run("Golden", func(t *testing.T) { p.golden(t) })
	t.Run("Learns", func(t *testing.T) { p.learns(t) })
	t.Run("Merged", func(t *testing.T) { p.merged(t) })
	t.Run("EqualBytes", func(t *testing.T) {
		again := newPlace(t, p.p)
		again.env = append(again.env, "GOMAXPROCS=1", "HOME="+t.TempDir(), "TZ=Pacific/Chatham")
		other := again.run()
		for _, out := range slices.Sorted(maps.Keys(digests)) {
			if other[out] != digests[out] || digests[out] == "" {
				t.Errorf("%s is %s, and in another cache %s", out, digests[out], other[out])
			}
		}
	})
}

// golden compares the fetched model with what an independent program computed.
func (p *place) golden(t *testing.T) {
	raw, err := os.ReadFile(shareddata.Path(t, "models/stories260K/golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Greedy struct {
			IDs  []int
			Text string
		}
		NLL map[string]struct {
			Text   string
			Tokens int     `json:"n_tokens"`
			Sum    float64 `json:"sum_nll"`
		}
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	model := p.get("base")
	const begin = 1
	ids := golden.Greedy.IDs
	for i, row := range p.logits(append([]int{begin}, ids[:len(ids)-1]...), model) {
		if got := slices.Index(row, slices.Max(row)); got != ids[i] {
			t.Fatalf("token %d of the greedy story is %d, want %d", i, got, ids[i])
		}
	}
	story := p.do("generate", "base", "-p", "", "--max-tokens", "100")
	if got := strings.TrimSpace(string(story)); len(got) < 100 || !strings.HasPrefix(strings.TrimSpace(golden.Greedy.Text), got) {
		t.Errorf("pipe generate tells %q, want the beginning of %q", got, golden.Greedy.Text)
	}
	for name, want := range golden.NLL {
		ids := p.encode(model, want.Text)[:want.Tokens] // a longer text was cut
		got := nll(p.logits(ids, model), ids) / float64(want.Tokens-1)
		if mean := want.Sum / float64(want.Tokens-1); math.Abs(got-mean) > 1e-4 {
			t.Errorf("%s: mean loss %v, want %v", name, got, mean)
		}
	}
}

// nll sums the negative log-likelihoods of all ids but the first.
func nll(logits [][]float64, ids []int) (sum float64) {
	for i, id := range ids[1:] {
		var all float64
		for _, v := range logits[i] {
			all += math.Exp(v)
		}
		sum += math.Log(all) - logits[i][id]
	}
	return sum
}

// learns checks that training lowers the loss of what was held out.
func (p *place) learns(t *testing.T) {
	for _, task := range []string{"chat", "speech"} {
		before, after := p.loss(task+"Before"), p.loss(task+"After")
		t.Logf("%s: held-out loss %.4f before and %.4f after", task, before, after)
		if after > before-0.2 {
			t.Errorf("%s: held-out loss %.4f before and %.4f after", task, before, after)
		}
	}
}

// merged checks that a merged model computes what its base computes with the
// adapter: of float32 weights and of quantized ones.
func (p *place) merged(t *testing.T) {
	for _, c := range []struct{ task, base string }{{"chat", "base"}, {"speech", "small"}} {
		after, alone := p.loss(c.task+"After"), p.loss(c.task+"Alone")
		if math.Abs(after-alone) > 1e-4 {
			t.Errorf("%s: loss %v with the adapter, %v merged", c.task, after, alone)
		}
		base, adapter, merged := p.get(c.base), p.get(c.task+"Lora"), p.get(c.task+"Merged")
		ids := p.encode(base, "Once upon a time, there was a king. He said: give thy thoughts no tongue!")
		want, got, plain := p.logits(ids, base, adapter), p.logits(ids, merged), p.logits(ids, base)
		if d := distance(want, got); d > 1e-4 {
			t.Errorf("%s: logits differ by %g when merged", c.task, d)
		}
		if d := distance(want, plain); d < 0.1 {
			t.Errorf("%s: the adapter changes logits by no more than %g", c.task, d)
		}
	}
}

func distance(a, b [][]float64) (d float64) {
	for i := range a {
		for j := range a[i] {
			d = max(d, math.Abs(a[i][j]-b[i][j]))
		}
	}
	return d
}

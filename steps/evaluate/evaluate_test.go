package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/answer"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/metric"
	"github.com/pipe-run/pipe/steps/internal/tiny"
)

// defaults are the parameters that the schema fills in.
const defaults = `{"maxNewTokens": 8, "overLength": "error"}`

// evaluateDir runs the step and returns its output directory.
func evaluateDir(t *testing.T, params string, threads int, in map[string]string) (string, error) {
	t.Helper()
	out := t.TempDir()
	step, err := Kind.New(json.RawMessage(params))
	if err != nil {
		t.Fatal(err)
	}
	return out, step.Run(context.Background(), &pipeline.Task{
		In: in, Out: map[string]string{"metrics": out}, Threads: threads,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Emit: func(pipeline.Fact) {},
	})
}

// metrics runs the step and returns metrics.json.
func metrics(t *testing.T, params string, in map[string]string) map[string]float64 {
	t.Helper()
	dir, err := evaluateDir(t, params, 2, in)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, pipeline.MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]float64
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// greedy is the first token of what a model answers to a question.
func greedy(t *testing.T, model, question string) string {
	t.Helper()
	m, err := answer.Open(model, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	template, err := m.Template(nil, chat.Messages)
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := template.Prompt(context.Background(), []chat.Message{{Role: "user", Content: question}}, "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := m.Answer(context.Background(), m.NewSession(1), prompt, decoder.Limits{MaxNewTokens: 1, Stop: m.Stops(template)})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// question finds a question that the model answers with text that a record can hold.
func question(t *testing.T, model string) (ask, reply string) {
	t.Helper()
	for _, ask := range []string{"abc", "red", "left", "what now", "12", "one two", "zz", "green tea", "q", "up"} {
		if reply := greedy(t, model, ask); strings.TrimSpace(reply) != "" && !strings.Contains(reply, "\ufffd") {
			return ask, reply
		}
	}
	t.Fatal("the random model answers nothing printable")
	return "", ""
}

func TestConversations(t *testing.T) {
	model := tiny.Model(t, 1)
	ask, reply := question(t, model)
	in := map[string]string{"model": model, "records": tiny.Records(t,
		tiny.Chat(ask, " "+strings.TrimSpace(reply)+" "), tiny.Chat("left", "no such answer"))}
	m := metrics(t, `{"maxNewTokens": 1, "overLength": "error"}`, in)
	if m["rows"] != 2 || m["exactMatch"] != 0.5 || m["loss"] <= 0 {
		t.Errorf("metrics %v", m)
	}
	if want := math.Exp(m["loss"]); math.Abs(m["perplexity"]-want) > 1e-9*want {
		t.Errorf("perplexity %v, want %v", m["perplexity"], want)
	}
	size := float64(len(strings.TrimSpace(reply)) + 2 + len("no such answer"))
	if want := m["loss"] * m["tokens"] / size / math.Ln2; math.Abs(m["bitsPerByte"]-want) > 1e-9*want {
		t.Errorf("bits per byte %v, want %v", m["bitsPerByte"], want)
	}
	one := metrics(t, `{"maxNewTokens": 8, "overLength": "error", "limit": 1, "metrics": ["loss"]}`, in)
	if _, asked := one["exactMatch"]; one["rows"] != 1 || asked {
		t.Errorf("metrics of one row %v", one)
	}
}

func TestAdapter(t *testing.T) {
	model := tiny.Model(t, 1)
	in := map[string]string{"model": model, "records": tiny.Records(t, tiny.Chat("abc", "def"), tiny.Chat("left", "right"))}
	base := metrics(t, defaults, in)
	in["adapter"] = tiny.Adapter(t, model, 0)
	if same := metrics(t, defaults, in); same["loss"] != base["loss"] {
		t.Errorf("an adapter with B = 0 moves the loss from %v to %v", base["loss"], same["loss"])
	}
	in["adapter"] = tiny.Adapter(t, model, 0.3)
	if other := metrics(t, defaults, in); math.Abs(other["loss"]-base["loss"]) < 1e-3 {
		t.Errorf("an adapter leaves the loss at %v", base["loss"])
	}
}

// TestAdapterTemplate evaluates with the template that the adapter records.
func TestAdapterTemplate(t *testing.T) {
	model := tiny.Model(t, 1)
	in := map[string]string{"model": model, "records": tiny.Records(t, tiny.Chat("abc", "def"))}
	own := metrics(t, defaults, in)
	asAlpaca := metrics(t, `{"maxNewTokens": 8, "overLength": "error", "template": "alpaca"}`, in)
	if own["loss"] == asAlpaca["loss"] {
		t.Fatal("the templates give one loss")
	}
	adapter := tiny.Adapter(t, model, 0)
	in["adapter"] = adapter
	record := func(c artifact.ChatTemplate) {
		if err := artifact.Write(adapter, artifact.Provenance{Type: "adapter", ChatTemplate: &c}); err != nil {
			t.Fatal(err)
		}
	}
	record(artifact.ChatTemplate{Kind: "alpaca"})
	if m := metrics(t, defaults, in); m["loss"] != asAlpaca["loss"] {
		t.Errorf("loss %v, want that of the adapter's template, %v", m["loss"], asAlpaca["loss"])
	}
	if m := metrics(t, `{"maxNewTokens": 8, "overLength": "error", "template": {"jinja": `+quote(tiny.Template)+`}}`, in); m["loss"] != own["loss"] {
		t.Errorf("loss %v, want that of the template given, %v", m["loss"], own["loss"])
	}
	record(artifact.ChatTemplate{Kind: "model", Digest: "00"})
	if _, err := evaluateDir(t, defaults, 1, in); err == nil || !strings.Contains(err.Error(), "training used another model template") {
		t.Errorf("error %v", err)
	}
}

func quote(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

func TestOverLength(t *testing.T) {
	long := strings.Repeat("long ", 80)
	in := map[string]string{"model": tiny.Model(t, 1), "records": tiny.Records(t, tiny.Chat("abc", "def"), tiny.Chat("abc", long))}
	if _, err := evaluateDir(t, defaults, 1, in); err == nil || !strings.Contains(err.Error(), "rows.jsonl, record 2: it has 407 tokens, more than maxLength 256") {
		t.Errorf("error %v", err)
	}
	m := metrics(t, `{"maxNewTokens": 8, "overLength": "drop"}`, in)
	if m["rows"] != 1 || m["dropped"] != 1 {
		t.Errorf("metrics %v", m)
	}
	m = metrics(t, `{"maxNewTokens": 8, "overLength": "truncate", "maxLength": 20, "metrics": ["bitsPerByte", "loss"]}`, in)
	if m["rows"] != 2 || m["tokens"] != 4+14 {
		t.Errorf("metrics %v", m)
	}
	if want := m["loss"] * 18 / (3 + 14) / math.Ln2; math.Abs(m["bitsPerByte"]-want) > 1e-9 {
		t.Errorf("bits per byte %v, want %v", m["bitsPerByte"], want)
	}
}

func TestPlainText(t *testing.T) {
	in := map[string]string{"model": tiny.Model(t, 1), "records": tiny.Records(t, dataset.Record{Shape: dataset.Text, Text: "some text"})}
	m := metrics(t, defaults, in)
	if _, asked := m["exactMatch"]; asked || m["tokens"] != 9 {
		t.Errorf("metrics %v", m)
	}
	for params, want := range map[string]string{
		`{"metrics": ["exactMatch"], "maxNewTokens": 8, "overLength": "error"}`: "metrics: exactMatch needs",
		`{"template": "alpaca", "maxNewTokens": 8, "overLength": "error"}`:      "template: a template is for conversations",
		`{"maxLength": 257, "maxNewTokens": 8, "overLength": "error"}`:          "maxLength: 257 tokens",
	} {
		if _, err := evaluateDir(t, params, 1, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", params, err)
		}
	}
}

// TestSegments measures the trained segments, and asks nothing.
func TestSegments(t *testing.T) {
	model := tiny.Model(t, 1)
	segments := []dataset.Segment{{Text: "some "}, {Text: "text", Train: true}}
	m := metrics(t, defaults, map[string]string{"model": model, "records": tiny.Records(t, dataset.Record{Shape: dataset.Segments, Segments: segments})})
	if _, asked := m["exactMatch"]; asked {
		t.Errorf("metrics %v", m)
	}
	if want := m["loss"] * m["tokens"] / math.Ln2 / float64(len("text")); math.Abs(m["bitsPerByte"]-want) > 1e-9 {
		t.Errorf("bits per byte %v, want %v", m["bitsPerByte"], want)
	}
}

// TestShapes: what cannot be evaluated is refused before anything runs, at the
// field that asks for it.
func TestShapes(t *testing.T) {
	for _, c := range []struct {
		params string
		shape  dataset.Shape
		field  string // "" is none
	}{
		{defaults, "", ""},
		{defaults, dataset.Messages, ""},
		{defaults, dataset.PromptCompletion, ""},
		{defaults, dataset.Text, ""},
		{defaults, dataset.Segments, ""},
		{defaults, dataset.Preference, "in.records"},
		{defaults, dataset.Judged, "in.records"},
		{`{"template": "alpaca", "maxNewTokens": 8, "overLength": "error"}`, dataset.Messages, ""},
		{`{"template": "alpaca", "maxNewTokens": 8, "overLength": "error"}`, dataset.PromptCompletion, "template"},
		{`{"metrics": ["exactMatch"], "maxNewTokens": 8, "overLength": "error"}`, dataset.PromptCompletion, ""},
		{`{"metrics": ["loss", "exactMatch"], "maxNewTokens": 8, "overLength": "error"}`, dataset.Segments, "metrics"},
	} {
		var at *pipeline.FieldError
		_, err := Kind.Shapes(json.RawMessage(c.params), map[string]string{"records": string(c.shape)})
		if errors.As(err, &at); c.field == "" && err != nil || c.field != "" && (at == nil || at.Field != c.field || at.Hint == "") {
			t.Errorf("%s of %s: %v", c.params, c.shape, err)
		}
	}
}

func TestThreadsDoNotMatter(t *testing.T) {
	model := tiny.Model(t, 2)
	var records []dataset.Record
	for _, s := range []string{"a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg"} {
		records = append(records, tiny.Chat(s, s+s))
	}
	in := map[string]string{"model": model, "adapter": tiny.Adapter(t, model, 0.1), "records": tiny.Records(t, records...)}
	var first string
	for _, threads := range []int{1, 2, 7} {
		dir, err := evaluateDir(t, defaults, threads, in)
		if err != nil {
			t.Fatal(err)
		}
		var all string
		for _, name := range []string{pipeline.MetricsFile, metric.RowsFile} {
			raw, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			all += string(raw)
		}
		if first == "" {
			first = all
		}
		if all != first {
			t.Errorf("%d threads write other bytes than 1", threads)
		}
	}
}

func TestWrongAdapter(t *testing.T) {
	model := tiny.Model(t, 1)
	adapter := tiny.Adapter(t, model, 0.1)
	raw, err := os.ReadFile(filepath.Join(model, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), `"intermediate_size": 64`, `"intermediate_size": 96`, 1)
	if err := os.WriteFile(filepath.Join(model, "config.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	in := map[string]string{"model": model, "adapter": adapter, "records": tiny.Records(t, tiny.Chat("a", "b"))}
	if _, err := evaluateDir(t, defaults, 1, in); err == nil || !strings.Contains(err.Error(), "does not fit the model") {
		t.Errorf("error %v", err)
	}
}

// TestEstimate compares the forecast with what a run does.
func TestEstimate(t *testing.T) {
	model := tiny.Model(t, 1)
	records := tiny.Records(t, tiny.Chat("abc", "def"), tiny.Chat(strings.Repeat("long ", 30), "answer"))
	e, err := Kind.Estimate(context.Background(), &pipeline.EstimateRequest{
		Params:  json.RawMessage(defaults),
		Inputs:  map[string]fs.FS{"model": os.DirFS(model), "records": os.DirFS(records)},
		Threads: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := answer.Open(model, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	// Scored once and read once as prompts, and 8 new tokens to each.
	real := float64(2*(3+3+4+150+6+4) + 2*8)
	if e.Parameters != m.Params() || float64(e.Tokens) < real/3 || float64(e.Tokens) > 3*real {
		t.Errorf("%d weights and %d tokens, want %d and about %v", e.Parameters, e.Tokens, m.Params(), real)
	}
	if want := 2 * float64(e.Parameters) * float64(e.Tokens); e.FLOPs != want || e.Memory < 4*e.Parameters || e.Seconds <= 0 {
		t.Errorf("estimate %+v, want %v FLOPs", e, want)
	}
}

// TestGolden holds the bytes of one evaluation. Where they change on purpose,
// the kind's version must be raised.
func TestGolden(t *testing.T) {
	model := tiny.Model(t, 5)
	dir, err := evaluateDir(t, defaults, 2, map[string]string{
		"model": model, "adapter": tiny.Adapter(t, model, 0.1),
		"records": tiny.Records(t, tiny.Chat("what is up", "the sky"), tiny.Chat("left", "right")),
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := artifact.Digest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := "10015ca6a88edf2b4d7bd18729ec60e3e5d46cbea685472eebf6118810d0718b"; got != want || Kind.Version != 3 {
		t.Errorf("version %d writes %s, want version 3 and %s", Kind.Version, got, want)
	}
}

// TestAnotherModel: an adapter that was trained on another model, or with
// another tokenizer, is refused, by the plan too; one that says nothing of it is
// taken as it is.
func TestAnotherModel(t *testing.T) {
	model := tiny.Model(t, 1)
	digest, err := artifact.Digest(model)
	if err != nil {
		t.Fatal(err)
	}
	root, err := pipeline.ParseDigest(digest)
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]string{"model": model, "adapter": tiny.Adapter(t, model, 0.1), "records": tiny.Records(t, tiny.Chat("abc", "def"))}
	q := &pipeline.EstimateRequest{
		Params: json.RawMessage(defaults), Inputs: map[string]fs.FS{}, Digests: map[string]pipeline.Digest{"model": root}, Threads: 1,
	}
	for name, dir := range in {
		q.Inputs[name] = os.DirFS(dir)
	}
	for _, c := range []struct {
		from artifact.Provenance
		want string
	}{
		{artifact.Provenance{}, ""},
		{artifact.Provenance{Base: digest}, ""},
		{artifact.Provenance{Base: "00", Original: digest}, ""},
		{artifact.Provenance{Base: "00"}, "trained on another model than in.model"},
		{artifact.Provenance{Base: "00", Original: digest, Tokenizer: "11"}, "trained with another tokenizer than the model's"},
	} {
		c.from.Type = pipeline.TypeAdapter
		if err := artifact.Write(in["adapter"], c.from); err != nil {
			t.Fatal(err)
		}
		_, ran := evaluateDir(t, defaults, 1, in)
		_, planned := Kind.Estimate(context.Background(), q)
		for _, err := range []error{ran, planned} {
			var field *pipeline.FieldError
			if c.want == "" && err == nil {
				continue
			}
			if c.want == "" || !errors.As(err, &field) || field.Field != "in.adapter" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: got %v, want %q", c.from, err, c.want)
			}
		}
	}
}

package selection

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/steptest"
)

// folder writes an artifact of one file in a folder within it.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// candidates makes inputs: an adapter that holds its name, and metrics.
func candidates(t *testing.T, metrics map[string]string) map[string]string {
	t.Helper()
	in := map[string]string{}
	for name, text := range metrics {
		in[name+".adapter"] = folder(t, map[string]string{"adapter_config.json": name, "sub/weights": strings.Repeat(name, 1000)})
		in[name+".metrics"] = folder(t, map[string]string{"metrics.json": text})
	}
	return in
}

func try(t *testing.T, params string, in map[string]string) (out map[string]string, err error) {
	t.Helper()
	task, err := steptest.Try(t.Context(), t, steptest.Case{Kind: Kind, Params: params, In: in, Out: []string{"adapter", "metrics"}}, 1)
	return task.Out, err
}

func TestChosen(t *testing.T) {
	const a, b, c = `{"loss":1.5,"acc":0.5}`, `{"loss":1.25,"acc":0.75}`, `{"loss":null,"acc":0.75}`
	for params, want := range map[string]string{
		`{"of":"adapter","metric":"loss"}`:                   "b",
		`{"of":"adapter","metric":"loss","better":"higher"}`: "a",
		`{"of":"adapter","metric":"acc","better":"lower"}`:   "a",
		`{"of":"adapter","metric":"acc","better":"higher"}`:  "b", // of equal ones the first
	} {
		in := candidates(t, map[string]string{"c": c, "b": b, "a": a})
		out, err := try(t, params, in)
		if err != nil {
			t.Errorf("%s: %v", params, err)
			continue
		}
		if got := steptest.Files(t, out["adapter"]); len(got) != 2 || !maps.Equal(got, steptest.Files(t, in[want+".adapter"])) {
			t.Errorf("%s: passed on %v; wanted %s", params, got, want)
		}
	}
}

// TestComparison: gates look at the metrics of the chosen one, and all stand in
// the comparison, in the order of their names.
func TestComparison(t *testing.T) {
	out, err := try(t, `{"of":"adapter","metric":"loss"}`, candidates(t, map[string]string{"b": `{"loss":0.1,"x":null}`, "a": `{"loss":null}`}))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"metrics.json": `{"loss":0.1}`,
		"comparison.json": `{"metric":"loss","better":"lower","chosen":"b","candidates":[` +
			`{"name":"a","value":null,"metrics":{"loss":null}},{"name":"b","value":0.1,"metrics":{"loss":0.1,"x":null}}]}`,
	} {
		b, err := os.ReadFile(filepath.Join(out["metrics"], name))
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		var wanted any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(wanted)
		if string(g) != string(w) {
			t.Errorf("%s: %s, want %s", name, g, w)
		}
	}
}

func TestMistakes(t *testing.T) {
	const params = `{"of":"adapter","metric":"loss"}`
	for _, c := range []struct {
		params  string
		metrics map[string]string
		want    string
	}{
		{params, map[string]string{"a": `{"loss":1}`, "b": `{"perplexity":2,"acc":1}`},
			`in.b.metrics: candidate b has no metric "loss" (its metrics are acc, perplexity)`},
		{params, map[string]string{"a": `{}`}, "it has no metrics"},
		{params, map[string]string{"a": `{"loss":null}`, "b": `{"loss":null}`}, "a number for no candidate of 2"},
		{params, map[string]string{"a": `{"loss":"low"}`}, `candidate a: metrics.json: "loss" is no number`},
		{params, map[string]string{"a": `[1]`}, "metrics.json"},
		{params, map[string]string{"a": `{"loss":1e999}`}, `"loss" is no number`},
	} {
		if _, err := try(t, c.params, candidates(t, c.metrics)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v; want %q", c.params, c.metrics, err, c.want)
		}
	}
	in := candidates(t, map[string]string{"a": `{"loss":1}`})
	in["a.metrics"] = t.TempDir()
	if _, err := try(t, params, in); err == nil || !strings.Contains(err.Error(), "no file metrics.json") {
		t.Errorf("without metrics.json: %v", err)
	}
	in = candidates(t, map[string]string{"a": `{"loss":1}`})
	if err := os.Symlink("sub", filepath.Join(in["a.adapter"], "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := try(t, params, in); err == nil || !strings.Contains(err.Error(), "link is no regular file") {
		t.Errorf("a link: %v", err)
	}
}

func TestVet(t *testing.T) {
	some := []string{"a.adapter", "a.metrics"}
	for params, want := range map[string]string{
		`{"of":"adapter","metric":"exactMatch"}`:          "",
		`{"of":"model","metric":"bitsPerByte"}`:           "",
		`{"of":"model","metric":"acc","better":"higher"}`: "",
		`{"of":"model","metric":"acc"}`:                   `metric: whether lower or higher numbers of "acc" are better is not known`,
		`{"of":"model","metric":"acc","beter":"x"}`:       "beter",
	} {
		if err := vet(json.RawMessage(params), some); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; want %q", params, err, want)
		}
	}
	if err := vet(json.RawMessage(`{"of":"model","metric":"loss"}`), nil); err == nil || !strings.Contains(err.Error(), "in: there is no candidate") {
		t.Errorf("without candidates: %v", err)
	}
}

func TestSuite(t *testing.T) {
	steptest.Run(t, steptest.Case{
		Kind: Kind, Params: `{"of":"adapter","metric":"loss"}`, Out: []string{"adapter", "metrics"},
		In: candidates(t, map[string]string{"a": `{"loss":2}`, "b": `{"loss":1}`, "c": `{"loss":1}`}),
	})
}

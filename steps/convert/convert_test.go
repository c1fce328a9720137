package convert

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/steptest"
)

// result is what a step left.
type result struct {
	out     map[string]string
	metrics map[string]float64
	log     string
}

// convert runs the step over files by name, with parameters as in JSON.
func convert(t *testing.T, files map[string]string, params string) (result, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return convertDir(t, dir, params)
}

func convertDir(t *testing.T, dir, params string) (result, error) {
	t.Helper()
	raw, out := steptest.Filled(t, map[string]any{"container": "auto", "onError": "fail"}, params)
	step, res := steptest.New(t, Kind, raw), result{out: out, metrics: map[string]float64{}}
	var log strings.Builder
	err := step.Run(context.Background(), &pipeline.Task{
		In: map[string]string{"files": dir}, Out: res.out, Tmp: t.TempDir(), Threads: 1,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
		Emit: func(f pipeline.Fact) {
			if m, ok := f.(pipeline.Metric); ok {
				res.metrics[m.Name] = m.Value
			}
		},
	})
	res.log = log.String()
	return res, err
}

func texts(records []dataset.Record) (all []string) {
	for _, r := range records {
		all = append(all, r.Text+r.Prompt+r.Completion)
	}
	return all
}

// numbered is JSONL of n texts, from first on.
func numbered(first, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"text\":\"row %d\"}\n", first+i)
	}
	return b.String()
}

func TestFilesAreReadInOrderOfName(t *testing.T) {
	res, err := convert(t, map[string]string{
		"b.csv": "text,x\nthree,1\n", "a/z.jsonl": `{"text":"one"}`, "a/y/k.json": `[{"text":"zero"}]`,
		"b.tsv": "x\ttext\n1\tfour\n", "README.md": "no data", "LICENSE": "none", ".hidden/x.json": "[",
	}, `{"format":"text"}`)
	if err != nil {
		t.Fatal(err)
	}
	got := steptest.Records(t, res.out["records"])
	if want := []string{"zero", "one", "three", "four"}; !slices.Equal(texts(got), want) {
		t.Errorf("records %q, want %q", texts(got), want)
	}
	if want := (dataset.Origin{File: "a/z.jsonl", Record: 1}); got[1].Origin != want {
		t.Errorf("origin %v, want %v", got[1].Origin, want)
	}
	for _, name := range []string{"passed over README.md", "passed over LICENSE"} {
		if !strings.Contains(res.log, name) {
			t.Errorf("the log does not say %q: %s", name, res.log)
		}
	}
}

func TestPlainText(t *testing.T) {
	text := "\ufeffone\r\ntwo\r\n\r\n \r\nthree\n"
	for split, want := range map[string][]string{
		`{}`:                                {"one\r\ntwo\r\n\r\n \r\nthree\n"},
		`{"text":{"split":"paragraph"}}`:    {"one\r\ntwo", "three"},
		`{"text":{"split":"line"}}`:         {"one", "two", "three"},
		`{"container":"text","columns":{}}`: {"one\r\ntwo\r\n\r\n \r\nthree\n"},
	} {
		params := strings.Replace(split, "{", `{"format":"text",`, 1)
		params = strings.Replace(params, ",}", "}", 1)
		res, err := convert(t, map[string]string{"a.txt": text}, params)
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(steptest.Records(t, res.out["records"])); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", params, got, want)
		}
	}
}

func TestSplitIsStableWhenRowsAreAppended(t *testing.T) {
	params := `{"format":"text","split":{"test":0.2,"validation":0.1}}`
	sides := func(files map[string]string) map[string]string {
		res, err := convert(t, files, params)
		if err != nil {
			t.Fatal(err)
		}
		sides := map[string]string{}
		for part, dir := range res.out {
			for _, text := range texts(steptest.Records(t, dir)) {
				if other, ok := sides[text]; ok && other != part {
					t.Errorf("%s is in %s and in %s", text, part, other)
				}
				sides[text] = part
			}
		}
		return sides
	}
	before := sides(map[string]string{"a.jsonl": numbered(0, 1000)})
	after := sides(map[string]string{"a.jsonl": numbered(500, 700) + numbered(0, 1000)})
	counts := map[string]int{}
	for text, side := range before {
		counts[side]++
		if after[text] != side {
			t.Errorf("%s moved from %s to %s", text, side, after[text])
		}
	}
	for part, share := range map[string]float64{"test": 0.2, "validation": 0.1, "train": 0.7} {
		if n := float64(counts[part]); n < 1000*share-60 || n > 1000*share+60 {
			t.Errorf("%s holds %v of 1000", part, n)
		}
	}
}

func TestShuffleAndLimit(t *testing.T) {
	order := func(seed int, limit int, files map[string]string) []string {
		res, err := convert(t, files, fmt.Sprintf(`{"format":"text","shuffle":{"seed":%d},"limit":%d}`, seed, limit))
		if err != nil {
			t.Fatal(err)
		}
		return texts(steptest.Records(t, res.out["records"]))
	}
	whole := map[string]string{"a.jsonl": numbered(0, 300)}
	one := order(1, 300, whole)
	if slices.IsSorted(one) {
		t.Error("not shuffled")
	}
	if !slices.Equal(one, order(1, 300, map[string]string{"x.jsonl": numbered(200, 100), "y.jsonl": numbered(0, 200)})) {
		t.Error("the order depends on where the rows stood")
	}
	if slices.Equal(one, order(2, 300, whole)) {
		t.Error("the seed does not matter")
	}
	if !slices.Equal(one[:10], order(1, 10, whole)) {
		t.Error("the limit does not keep the first of the shuffled records")
	}
	res, err := convert(t, whole, `{"format":"text","limit":7}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(steptest.Records(t, res.out["records"])); len(got) != 7 || got[6] != "row 6" {
		t.Errorf("a limit of 7 kept %q", got)
	}
}

func TestConversationsSurviveTheSpool(t *testing.T) {
	row := `{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u <&> \u2028"},` +
		`{"role":"assistant","content":null,"weight":0.5,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]},` +
		`{"role":"tool","name":"f","content":"1"},{"role":"assistant","content":"done"}],"tools":[{"type":"function"}]}`
	plain, err := convert(t, map[string]string{"a.json": row}, `{"format":"messages"}`)
	if err != nil {
		t.Fatal(err)
	}
	shuffled, err := convert(t, map[string]string{"a.json": row}, `{"format":"messages","shuffle":{"seed":3}}`)
	if err != nil {
		t.Fatal(err)
	}
	a, b := steptest.Records(t, plain.out["records"]), steptest.Records(t, shuffled.out["records"])
	if len(a) != 1 || !reflect.DeepEqual(a, b) {
		t.Errorf("%+v, shuffled %+v", a, b)
	}
	if want := `[{"id":"c1","type":"function","function":{"name":"f","arguments":{"a":1}}}]`; a[0].Messages[2].ToolCalls != want {
		t.Errorf("tool calls %s, want %s", a[0].Messages[2].ToolCalls, want)
	}
}

const mixed = `{"instruction":"a","output":"b"}
{"instruction":"a","output":7}

{"instruction":"a"
{"instruction":"a","result":"x"}
{"instruction":"a","output":"c"}
`

func TestBadRowsAreNamed(t *testing.T) {
	_, err := convert(t, map[string]string{"d/m.jsonl": mixed}, `{"format":"alpaca"}`)
	if err == nil {
		t.Fatal("bad rows were accepted")
	}
	want := `3 bad rows (onError: "skip" leaves them out):
d/m.jsonl: record 2 (line 2): output: wanted a string, found a number: 7
d/m.jsonl: record 3 (line 4): the JSON ends where ',' or '}' was wanted at byte 83: near "{\"instruction\":\"a\""
d/m.jsonl: record 4 (line 5): output: is missing; the row has instruction, result`
	if err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	res, err := convert(t, map[string]string{"d/m.jsonl": mixed}, `{"format":"alpaca","onError":"skip"}`)
	if err != nil {
		t.Fatal(err)
	}
	if res.metrics["rows/read"] != 5 || res.metrics["rows/skipped"] != 3 || res.metrics["records/records"] != 2 {
		t.Errorf("metrics %v", res.metrics)
	}
	if !strings.Contains(res.log, "record 4 (line 5): output: is missing") {
		t.Errorf("the log does not name what was skipped: %s", res.log)
	}
}

func TestNoMoreThanTwentyBadRowsAreNamed(t *testing.T) {
	_, err := convert(t, map[string]string{"m.jsonl": strings.Repeat("x\n", 50)}, `{"format":"text"}`)
	if err == nil || strings.Count(err.Error(), "\n") != maxBad || !strings.Contains(err.Error(), "record 20 ") {
		t.Errorf("%v", err)
	}
}

func TestRefusals(t *testing.T) {
	one := map[string]string{"a.jsonl": `{"text":"x"}`}
	for _, test := range []struct {
		files  map[string]string
		params string
		want   string
	}{
		{one, `{"format":"text","split":{"test":0.5}}`, "split: of 1 records, none falls into "},
		{one, `{"format":"text","split":{"test":0.5,"validation":0.5}}`, "leave nothing"},
		{one, `{"format":"text","columns":{"txt":"text"}}`, `columns: format text has no column "txt"`},
		{one, `{"format":"text","text":{"split":"line"}}`, "text: no file is plain text"},
		{one, `{"format":"text","rows":"data"}`, "rows: no file is JSON"},
		{one, `{"format":"text","columns":{"text":"body"}}`, "body: is missing (the text); the row has text"},
		{map[string]string{}, `{"format":"text"}`, "holds no files"},
		{map[string]string{"a.bin": "x"}, `{"format":"text"}`, "a.bin: its container cannot be told"},
		{map[string]string{"a.jsonl.gz": "\x1f\x8b"}, `{"format":"text"}`, "a.jsonl.gz: unpacking gzip: "},
		{map[string]string{"a.jsonl": "\n\n"}, `{"format":"text"}`, "no records: 0 rows were read"},
		{map[string]string{"a.jsonl": "1\n"}, `{"format":"text","onError":"skip"}`, "no records: 1 rows were read and 1 skipped"},
		{map[string]string{"a.json": `[{"text":"x"},{"te`}, `{"format":"text","onError":"skip"}`, "a.json: record 2: the file ends within a value"},
		{map[string]string{"a.json": `{"a":[{"text":"x"}],"b":[{"text":"y"}]}`}, `{"format":"text"}`, "several fields hold lists of objects (a, b); say which with rows"},
		{map[string]string{"a.csv": "text\n\"x"}, `{"format":"text","onError":"skip"}`, "a.csv: record 1 (line 2): a quoted field that starts here never ends: "},
		{map[string]string{"a.jsonl": "{\"text\":\"\xff\"}"}, `{"format":"text"}`, "a.jsonl: record 1 (line 1): invalid UTF-8 (byte 0xff) at byte 9"},
		{map[string]string{"a.jsonl": `{"text":"\ud800"}`}, `{"format":"text"}`, `\ud800 is half of a surrogate pair and stands for no character at byte 9`},
	} {
		_, err := convert(t, test.files, test.params)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v with %s: %v, want %q", test.files, test.params, err, test.want)
		}
	}
}

func TestRowsOfAWrapper(t *testing.T) {
	text := `{"about":"x","a":[{"text":"one"}],"b":[{"text":"two"}]}`
	res, err := convert(t, map[string]string{"a.json": text}, `{"format":"text","rows":"b"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(steptest.Records(t, res.out["records"])); !slices.Equal(got, []string{"two"}) {
		t.Errorf("%q", got)
	}
}

func TestCancelStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	step, err := Kind.New(json.RawMessage(`{"format":"text","container":"auto","onError":"fail"}`))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.jsonl"), []byte(numbered(0, 10)), 0o666); err != nil {
		t.Fatal(err)
	}
	err = step.Run(ctx, &pipeline.Task{
		In: map[string]string{"files": dir}, Out: map[string]string{"records": t.TempDir()}, Tmp: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Emit: func(pipeline.Fact) {},
	})
	if err != context.Canceled {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

func TestEqualInputsGiveEqualBytes(t *testing.T) {
	for _, params := range []string{
		`{"format":"alpaca","columns":{"instruction":"question","output":"answer"},"split":{"test":0.1}}`,
		`{"format":"alpaca","columns":{"instruction":"question","output":"answer"},"shuffle":{"seed":7},"limit":500,"split":{"test":0.1,"validation":0.05}}`,
	} {
		dir := shareddata.Path(t, "datasets/gsm8k")
		a, err := convertDir(t, dir, params)
		if err != nil {
			t.Fatal(err)
		}
		b, err := convertDir(t, dir, params)
		if err != nil {
			t.Fatal(err)
		}
		for name := range a.out {
			x, err := os.ReadFile(filepath.Join(a.out[name], "data-00000.arrow"))
			if err != nil {
				t.Fatal(err)
			}
			y, err := os.ReadFile(filepath.Join(b.out[name], "data-00000.arrow"))
			if err != nil {
				t.Fatal(err)
			}
			if string(x) != string(y) {
				t.Errorf("%s: %s differs between two runs", params, name)
			}
		}
	}
}

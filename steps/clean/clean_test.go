package clean

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/steptest"
)

// write makes a records artifact of one shape.
func write(t *testing.T, records ...dataset.Record) string {
	t.Helper()
	dir := t.TempDir()
	shape := dataset.Text
	if len(records) > 0 {
		shape = records[0].Shape
	}
	w, err := dataset.CreateRecordsAs(dir, shape, "told by a test")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if r.Origin.File == "" {
			r.Origin = dataset.Origin{File: "rows.jsonl", Record: int64(i + 1)}
		}
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func texts(all ...string) (records []dataset.Record) {
	for _, text := range all {
		records = append(records, dataset.Record{Shape: dataset.Text, Text: text})
	}
	return records
}

// result is what a step left.
type result struct {
	out     map[string]string
	numbers map[string]float64
	samples []sample
	log     string
}

// cleaned runs the step with parameters as in JSON.
func cleaned(t *testing.T, in map[string]string, params string) (result, error) {
	t.Helper()
	raw, out := steptest.Filled(t, map[string]any{"samples": 20}, params)
	out["report"] = t.TempDir()
	step, res := steptest.New(t, Kind, raw), result{out: out}
	var log strings.Builder
	err := step.Run(context.Background(), &pipeline.Task{
		In: in, Out: res.out, Tmp: t.TempDir(), Threads: 2,
		Log: slog.New(slog.NewTextHandler(&log, nil)), Emit: func(pipeline.Fact) {},
	})
	res.log = log.String()
	if err != nil {
		return res, err
	}
	data, err := os.ReadFile(filepath.Join(res.out["report"], pipeline.MetricsFile))
	if err == nil {
		err = json.Unmarshal(data, &res.numbers)
	}
	if err != nil {
		t.Fatal(err)
	}
	if told := Kind.Metrics(raw); !slices.Equal(told, slices.Sorted(maps.Keys(res.numbers))) {
		t.Errorf("metrics %q, but the report has %v", told, res.numbers)
	}
	data, err = os.ReadFile(filepath.Join(res.out["report"], RemovedFile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var s sample
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		res.samples = append(res.samples, s)
	}
	return res, nil
}

func records(t *testing.T, dir string) []dataset.Record {
	t.Helper()
	r, err := dataset.OpenRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Layout() != "told by a test" {
		t.Errorf("the layout became %q", r.Layout())
	}
	return steptest.Records(t, dir)
}

func kept(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, r := range records(t, dir) {
		all = append(all, r.Text)
	}
	return all
}

const (
	long  = "the harbour office opens at eight in the morning and every ship that comes in before noon is given a berth on the northern quay unless the tide is low"
	alike = "the harbour office opens at eight in the morning and every ship that comes in before noon is given a berth on the northern quay unless the tide is high"
	hanzi = "港口办公室早上八点开门，中午以前进港的每一条船都会在北码头得到一个泊位，除非正好赶上退潮"
	kanji = "港口办公室早上八点开门，中午以前进港的每一条船都会在北码头得到一个泊位，除非正好赶上涨潮"
)

func TestDuplicates(t *testing.T) {
	in := map[string]string{"records": write(t, texts(long, "short", alike, hanzi, "short", kanji, "SHORT", "", "", "!!")...)}
	res, err := cleaned(t, in, `{"duplicates":{"exact":true,"near":{"similarity":0.7,"ngram":5,"permutations":128}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := kept(t, res.out["records"]), []string{long, "short", hanzi, "", "!!"}; !slices.Equal(got, want) {
		t.Errorf("%q stay, want %q", got, want)
	}
	if res.numbers["removed/exactDuplicate"] != 2 || res.numbers["removed/nearDuplicate"] != 3 || res.numbers["removedShare"] != 0.5 {
		t.Errorf("numbers %v", res.numbers)
	}
	want := sample{Reason: "nearDuplicate", Action: "removed", File: "rows.jsonl", Record: 3, Of: &origin{"rows.jsonl", 1}, Similarity: 25.0 / 27, Text: alike}
	if got := res.samples[0]; got.Of == nil || *got.Of != *want.Of || got.Similarity != want.Similarity || got.Text != want.Text || got.Record != 3 {
		t.Errorf("%+v, want %+v", got, want)
	}
	if !strings.Contains(res.log, "nearDuplicate: rows.jsonl, record 6 is like rows.jsonl, record 4 (similarity 0.9") {
		t.Errorf("the log does not name a Chinese near-duplicate: %s", res.log)
	}
}

func TestSystemMessagesDoNotMakeTwins(t *testing.T) {
	var all []dataset.Record
	for _, ask := range []string{"when does the office open", "where is the quay"} {
		all = append(all, dataset.Record{Shape: dataset.Messages, Messages: []dataset.Message{
			{Role: "system", Content: long}, {Role: "user", Content: ask}, {Role: "assistant", Content: "look: " + ask},
		}})
	}
	res, err := cleaned(t, map[string]string{"records": write(t, all...)}, `{"duplicates":{"exact":true,"near":{"similarity":0.5,"ngram":3,"permutations":64}}}`)
	if err != nil || res.numbers["kept"] != 2 {
		t.Errorf("%v, %v", res.numbers, err)
	}
}

func TestPersonalData(t *testing.T) {
	calls := `[{"type":"function","function":{"name":"call","arguments":{"number":13800138000,"to":"ann\u0040example.org","id":7}}}]`
	all := []dataset.Record{
		{Shape: dataset.Messages, Messages: []dataset.Message{{Role: "user", Content: "write to ann@example.org or 10.0.0.7"}, {Role: "assistant", ToolCalls: calls}}},
		{Shape: dataset.Messages, Messages: []dataset.Message{{Role: "user", Content: "my card is 4111 1111 1111 1111"}, {Role: "assistant", Content: "oh"}}},
		{Shape: dataset.Messages, Messages: []dataset.Message{{Role: "user", Content: "hi"}, {Role: "assistant", Content: "hi"}}},
	}
	res, err := cleaned(t, map[string]string{"records": write(t, all...)}, `{"pii":{"email":"mask","phone":"mask","ipAddress":"report","creditCard":"drop"}}`)
	if err != nil {
		t.Fatal(err)
	}
	got := records(t, res.out["records"])
	if len(got) != 2 || got[0].Messages[0].Content != "write to [email] or 10.0.0.7" {
		t.Fatalf("%+v", got)
	}
	if want := `[{"type":"function","function":{"name":"call","arguments":{"number":"[phone]","to":"[email]","id":7}}}]`; got[0].Messages[1].ToolCalls != want {
		t.Errorf("calls %s, want %s", got[0].Messages[1].ToolCalls, want)
	}
	for name, want := range map[string]float64{"pii/email": 1, "pii/phone": 1, "pii/ipAddress": 1, "pii/creditCard": 1, "removed/pii": 1} {
		if res.numbers[name] != want {
			t.Errorf("%s is %v, want %v", name, res.numbers[name], want)
		}
	}
	for _, s := range res.samples {
		for _, secret := range []string{"ann", "4111", "10.0"} {
			if strings.Contains(s.Text, secret) || strings.Contains(res.log, secret) {
				t.Errorf("the report tells %s: %+v", secret, s)
			}
		}
	}
}

func TestContamination(t *testing.T) {
	test := write(t, texts("Question: how many berths does the northern quay have when the tide is low?", "港口办公室每天早上八点开门营业", "tiny one")...)
	train := write(t, texts(
		"so how many berths does the northern quay have when the tide is low and cold",
		"据说港口办公室每天早上八点开门营业，不要迟到", "tiny one", "a tiny one", "how many berths does the quay have")...)
	in := map[string]string{"records": train, "harbour": test}
	res, err := cleaned(t, in, `{"contamination":{"ngram":13,"maxOverlap":0,"action":"drop"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := kept(t, res.out["records"]), []string{"a tiny one", "how many berths does the quay have"}; !slices.Equal(got, want) {
		t.Errorf("%q stay, want %q", got, want)
	}
	if res.samples[0].Detail != "1 of 4 n-grams are in harbour" {
		t.Errorf("detail %q", res.samples[0].Detail)
	}
	res, err = cleaned(t, in, `{"contamination":{"ngram":13,"maxOverlap":0.5,"action":"report"}}`)
	if err != nil || res.numbers["contaminated"] != 1 || res.numbers["kept"] != 5 {
		t.Errorf("%v, %v", res.numbers, err)
	}
	_, err = cleaned(t, in, `{"contamination":{"ngram":13,"maxOverlap":0,"action":"fail"}}`)
	if err == nil || !strings.Contains(err.Error(), "3 of 5 records share text with a test:\ncontamination: rows.jsonl, record 1: 1 of 4") {
		t.Errorf("%v", err)
	}
}

// numbered are n different texts.
func numbered(first, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("row %d", first+i))
	}
	return all
}

func TestSplitIsThatOfContent(t *testing.T) {
	const params = `{"duplicates":{"exact":true},"split":{"test":0.2,"validation":0.1}}`
	sides := func(all []string) map[string]string {
		res, err := cleaned(t, map[string]string{"records": write(t, texts(all...)...)}, params)
		if err != nil {
			t.Fatal(err)
		}
		sides := map[string]string{}
		for _, part := range []string{"train", "test", "validation"} {
			for _, text := range kept(t, res.out[part]) {
				sides[text] = part
			}
			if n, want := res.numbers["records/"+part], float64(len(kept(t, res.out[part]))); n != want {
				t.Errorf("%s counts %v of %v", part, n, want)
			}
		}
		return sides
	}
	before, after := sides(numbered(0, 300)), sides(append(numbered(200, 300), numbered(0, 300)...))
	for text, side := range before {
		if after[text] != side {
			t.Errorf("%s moved from %s to %s", text, side, after[text])
		}
	}
}

func TestSplitByAnswer(t *testing.T) {
	var all []dataset.Record
	for i := range 200 {
		class := "common"
		if i%50 == 0 {
			class = "rare"
		}
		all = append(all, dataset.Record{Shape: dataset.PromptCompletion, Prompt: fmt.Sprint("item ", i), Completion: class})
	}
	res, err := cleaned(t, map[string]string{"records": write(t, all...)}, `{"split":{"test":0.1,"by":"answer"}}`)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, part := range []string{"train", "test"} {
		for _, r := range records(t, res.out[part]) {
			counts[part+" "+r.Completion]++
		}
	}
	if counts["test rare"] != 1 || counts["train rare"] != 3 || counts["test common"] != 20 || counts["train common"] != 176 {
		t.Errorf("%v", counts)
	}
}

// TestHeldOutTextIsNotTrainedOn: near copies of held-out records are found on the other side.
func TestHeldOutTextIsNotTrainedOn(t *testing.T) {
	var all []string
	for i := range 200 {
		body := ""
		for j := range 20 {
			body += fmt.Sprintf("w%d ", (i%100)*20+j)
		}
		all = append(all, fmt.Sprintf("%d: %s", i, body))
	}
	for _, by := range []string{"", `,"by":"file"`} {
		res, err := cleaned(t, map[string]string{"records": write(t, texts(all...)...)},
			`{"contamination":{"ngram":13,"maxOverlap":0,"action":"drop"},"split":{"test":0.2`+by+`}}`)
		if err != nil {
			t.Fatal(err)
		}
		test := map[string]bool{}
		for _, text := range kept(t, res.out["test"]) {
			_, body, _ := strings.Cut(text, ":")
			test[body] = true
		}
		for _, text := range kept(t, res.out["train"]) {
			if _, body, _ := strings.Cut(text, ":"); test[body] {
				t.Errorf("%s is held out and trained on", text)
			}
		}
		n := res.numbers
		if n["removed/contamination"] == 0 || n["records/train"]+n["records/test"]+n["removed/contamination"] != 200 {
			t.Errorf("%v", n)
		}
	}
}

func TestLooks(t *testing.T) {
	loop := strings.Repeat("and so on and on ", 20)
	in := map[string]string{"records": write(t, texts(long, hanzi, "%%% 17 ###", loop, "a\nb\na\na\nb", "ok")...)}
	for params, want := range map[string][]string{
		`{"length":{"min":3,"max":60,"unit":"words"}}`:                             {long, hanzi, "a\nb\na\na\nb"},
		`{"length":{"max":10,"unit":"characters"}}`:                                {"%%% 17 ###", "a\nb\na\na\nb", "ok"},
		`{"filters":{"nonLetters":0.5}}`:                                           {long, hanzi, loop, "a\nb\na\na\nb", "ok"},
		`{"filters":{"repeatedLines":0.3}}`:                                        {long, hanzi, "%%% 17 ###", loop, "ok"},
		`{"filters":{"repeatedWords":0.5}}`:                                        {long, hanzi, "%%% 17 ###", "a\nb\na\na\nb", "ok"},
		`{"language":{"keep":["zh"],"minConfidence":0.3,"unknown":"keep"}}`:        {hanzi, "%%% 17 ###", "a\nb\na\na\nb", "ok"},
		`{"language":{"keep":["en"],"minConfidence":0.3,"unknown":"drop"}}`:        {long, loop},
		`{"normalize":{"form":"nfkc","lineEndings":true,"invisible":true}}`:        {long, strings.ReplaceAll(hanzi, "，", ","), "%%% 17 ###", loop, "a\nb\na\na\nb", "ok"},
		`{"length":{"min":3,"unit":"lines"},"filters":{"nonLetters":0.9}}`:         {"a\nb\na\na\nb"},
		`{"length":{"min":100,"unit":"bytes"},"filters":{"repeatedWords":0.9999}}`: {long, hanzi, loop},
	} {
		res, err := cleaned(t, in, params)
		if err != nil {
			t.Errorf("%s: %v", params, err)
			continue
		}
		if got := kept(t, res.out["records"]); !slices.Equal(got, want) {
			t.Errorf("%s: %q stay, want %q", params, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	in := map[string]string{"records": write(t, texts("one", "two")...)}
	for params, want := range map[string]string{
		`{"length":{"min":99,"unit":"words"}}`:    "length: of 2 records none is left: left out 2 length, such as\nlength: rows.jsonl, record 1: 1 words",
		`{"split":{"test":0.000001}}`:             "split: of 2 records, none falls into test",
		`{"split":{"test":0.5,"by":"answer"}}`:    "split.by: records of shape text have no answer",
		`{"split":{"test":0.5,"by":"desirable"}}`: "split.by: records of shape text have no desirable",
	} {
		var field *pipeline.FieldError
		if _, err := cleaned(t, in, params); !errors.As(err, &field) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", params, err, want)
		}
	}
	if _, err := cleaned(t, map[string]string{"records": write(t)}, `{"duplicates":{"exact":true}}`); err == nil || !strings.Contains(err.Error(), "in.records: there are no records") {
		t.Errorf("no records: %v", err)
	}
}

func TestVet(t *testing.T) {
	for _, c := range []struct{ params, inputs, want string }{
		{`{"samples":3}`, "records", "kind: there is nothing to clean"},
		{`{"length":{"min":5,"max":4,"unit":"words"}}`, "records", "length: nothing has at least 5 and at most 4 words"},
		{`{"length":{"unit":"words"}}`, "records", "length: it asks for nothing"},
		{`{"normalize":{}}`, "records", "normalize: it asks for nothing"},
		{`{"pii":{}}`, "records", "pii: it asks for nothing"},
		{`{"filters":{}}`, "records", "filters: it asks for nothing"},
		{`{"duplicates":{"exact":false}}`, "records", "duplicates: it asks for nothing"},
		{`{"duplicates":{"exact":true}}`, "records mmlu", "in.mmlu: nothing looks for it"},
		{`{"contamination":{"ngram":13}}`, "records", "contamination: there is nothing to look for"},
		{`{"contamination":{"ngram":13},"split":{"test":0.1}}`, "records", ""},
		{`{"contamination":{"ngram":13}}`, "records a b", ""},
		{`{"split":{"test":0.6,"validation":0.4}}`, "records", "leave nothing to train on"},
		{`{"language":{"keep":["en","zh","en"]}}`, "records", "language.keep[2]: \"en\" is there twice"},
	} {
		err := Kind.Vet([]byte(c.params), strings.Fields(c.inputs))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.params, err, c.want)
		}
	}
}

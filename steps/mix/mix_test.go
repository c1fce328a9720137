package mix

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/steptest"
)

// numbered writes n records whose texts begin with a name.
func numbered(t *testing.T, name string, n int) string {
	t.Helper()
	dir := t.TempDir()
	w, err := dataset.CreateRecords(dir, dataset.Text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Write(dataset.Record{Shape: dataset.Text, Text: fmt.Sprintf("%s %d", name, i), Origin: dataset.Origin{File: "f", Record: int64(i + 1)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mixed(t *testing.T, in map[string]string, params string) ([]dataset.Record, error) {
	t.Helper()
	task, err := steptest.Try(t.Context(), t, steptest.Case{Kind: Kind, Params: params, In: in, Out: []string{"records"}}, 2)
	if err != nil {
		return nil, err
	}
	return steptest.Records(t, task.Out["records"]), nil
}

func TestShares(t *testing.T) {
	in := map[string]string{"a": numbered(t, "a", 10), "b": numbered(t, "b", 4)}
	for params, want := range map[string][2]int{
		`{}`:                        {10, 4},
		`{"weights":{"a":1,"b":1}}`: {4, 4},
		`{"weights":{"a":3,"b":1}}`: {10, 3},
		`{"weights":{"a":1,"b":1},"repeat":true}`: {10, 10},
		`{"weights":{"a":2,"b":1},"total":6}`:     {4, 2},
		`{"counts":{"a":1,"b":9},"repeat":true}`:  {1, 9},
		`{"counts":{"a":10,"b":4},"seed":7}`:      {10, 4},
		`{"weights":{"a":0.1,"b":0.2},"total":5}`: {2, 3},
		`{"weights":{"a":5,"b":1},"repeat":true}`: {20, 4},
	} {
		got, err := mixed(t, in, params)
		if err != nil {
			t.Errorf("%s: %v", params, err)
			continue
		}
		times := map[string]int{}
		var counts [2]int
		for _, r := range got {
			times[r.Text]++
			counts[r.Text[0]-'a']++
			if !strings.HasPrefix(r.Origin.File, r.Text[:1]+"/f") {
				t.Errorf("%s comes from %s", r.Text, r.Origin.File)
			}
		}
		if counts != want {
			t.Errorf("%s: %v, want %v", params, counts, want)
		}
		least, most := 1<<30, 0
		for text, n := range times {
			if text[0] == 'b' {
				least, most = min(least, n), max(most, n)
			}
		}
		if most-least > 1 {
			t.Errorf("%s: a record of b comes %d times, another %d times", params, most, least)
		}
	}
}

func TestOrderFollowsSeed(t *testing.T) {
	in := map[string]string{"a": numbered(t, "a", 50), "b": numbered(t, "b", 50)}
	order := func(params string) (all []string) {
		got, err := mixed(t, in, params)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			all = append(all, r.Text)
		}
		return all
	}
	one, two := order(`{"seed":1}`), order(`{"seed":2}`)
	if slices.IsSorted(one) || slices.Equal(one, two) || !slices.Equal(one, order(`{"seed":1}`)) {
		t.Errorf("%q\n%q", one, two)
	}
}

func TestRefusals(t *testing.T) {
	in := map[string]string{"a": numbered(t, "a", 10), "b": numbered(t, "b", 0)}
	for params, want := range map[string]string{
		`{"counts":{"a":11,"b":1}}`: "counts.a: 11 records are wanted of input a, which has 10 (repeat: true takes them again)",
		`{"counts":{"a":1,"b":1}}`:  "in.b: it has no records",
	} {
		if _, err := mixed(t, in, params); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", params, err, want)
		}
	}
	other := t.TempDir()
	w, err := dataset.CreateRecords(other, dataset.PromptCompletion)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mixed(t, map[string]string{"a": in["a"], "c": other}, `{}`); err == nil || !strings.Contains(err.Error(), "in.c: its records are of shape prompt-completion, those of a of shape text") {
		t.Errorf("%v", err)
	}
}

func TestVet(t *testing.T) {
	for params, want := range map[string]string{
		`{}`:                                   "",
		`{"weights":{"a":1,"b":2}}`:            "",
		`{"weights":{"a":1,"c":2}}`:            "weights.c: there is no such input (the inputs are a, b)",
		`{"counts":{"a":1}}`:                   "counts: nothing is said of input b",
		`{"counts":{"a":1},"weights":{"a":1}}`: "counts: there are weights too",
		`{"total":5}`:                          "total: it needs weights",
		`{"repeat":true}`:                      "repeat: without weights or counts",
	} {
		err := Kind.Vet([]byte(params), []string{"b", "a"})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", params, err, want)
		}
	}
}

func TestSuite(t *testing.T) {
	in := map[string]string{"a": numbered(t, "a", 30), "b": numbered(t, "b", 9)}
	steptest.Run(t, steptest.Case{Kind: Kind, Params: `{"weights":{"a":1,"b":1},"repeat":true,"seed":3}`, In: in, Out: []string{"records"}})
}

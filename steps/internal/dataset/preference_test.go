package dataset

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
)

// TestPreference: the layouts in which pairs come, and what cannot be one.
func TestPreference(t *testing.T) {
	user, better, worse := Message{Role: "user", Content: "hi"}, Message{Role: "assistant", Content: "hello"}, Message{Role: "assistant", Content: "go away"}
	plain := Record{Shape: Preference, Messages: []Message{user}, Chosen: []Message{better}, Rejected: []Message{worse}}
	withSystem := plain
	withSystem.Messages = []Message{{Role: "system", Content: "be kind"}, user}
	withInput := plain
	withInput.Messages = []Message{{Role: "user", Content: "say it\nhi"}}
	for _, c := range []struct {
		row     string
		columns map[string]string
		want    Record
		bad     string
	}{
		{`{"prompt":"hi","chosen":"hello","rejected":"go away"}`, nil, plain, ""},
		{`{"prompt":[{"role":"user","content":"hi"}],"chosen":[{"role":"assistant","content":"hello"}],"rejected":{"role":"assistant","content":"go away"}}`, nil, plain, ""},
		{`{"conversations":[{"from":"human","value":"hi"}],"chosen":{"from":"gpt","value":"hello"},"rejected":{"from":"gpt","value":"go away"}}`, nil, plain, ""},
		{`{"instruction":"say it","input":"hi","chosen":"hello","rejected":"go away"}`, nil, withInput, ""},
		{`{"q":"hi","good":"hello","bad":"go away","system":"be kind"}`, map[string]string{"prompt": "q", "chosen": "good", "rejected": "bad"}, withSystem, ""},
		{`{"chosen":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}],"rejected":[{"role":"user","content":"hi"},{"role":"assistant","content":"go away"}]}`, nil, plain, ""},

		{`{"prompt":"hi","chosen":"hello"}`, nil, Record{}, "rejected: is missing"},
		{`{"prompt":"hi","chosen":"hello","rejected":"hello"}`, nil, Record{}, "is the same as chosen"},
		{`{"prompt":" ","chosen":"hello","rejected":"no"}`, nil, Record{}, "prompt: is empty"},
		{`{"prompt":"hi","chosen":" ","rejected":"no"}`, nil, Record{}, "chosen: "},
		{`{"chosen":"hello","rejected":"no"}`, nil, Record{}, "do not begin with the same messages"},
		{`{"prompt":"hi","chosen":[{"role":"user","content":"x"}],"rejected":"no"}`, nil, Record{}, "must end with an assistant's message"},
		{`{"prompt":"hi","chosen":7,"rejected":"no"}`, nil, Record{}, "wanted text or a list of messages"},
		{`{"prompt":"hi","chosen":[5],"rejected":"no"}`, nil, Record{}, "chosen[0]"},
		{`{"prompt":"hi","chosen":"a","rejected":"b","images":["x.png"]}`, nil, Record{}, "only text"},
	} {
		s, err := NewShaper(PreferenceFormat, c.columns)
		if err != nil {
			t.Fatal(err)
		}
		v, err := ParseJSON([]byte(c.row))
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Record("f", Raw{Value: v, Record: 1})
		switch {
		case c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad)):
			t.Errorf("%s: %v, want %q", c.row, err, c.bad)
		case c.bad == "" && err != nil:
			t.Errorf("%s: %v", c.row, err)
		case c.bad == "":
			got.Origin = Origin{}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %+v", c.row, got)
			}
		}
	}
}

// TestPreferenceComesBack: what is written is read, and both answers count in
// the hash.
func TestPreferenceComesBack(t *testing.T) {
	want := Record{
		Shape: Preference, Tools: "[]", Origin: Origin{File: "f", Record: 3},
		Messages: []Message{{Role: "user", Content: "hi"}},
		Chosen:   []Message{{Role: "assistant", Content: "hello"}},
		Rejected: []Message{{Role: "assistant", Content: "go away"}},
	}
	dir := t.TempDir()
	w, err := CreateRecords(dir, Preference)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(want); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Next()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	swapped := want
	swapped.Chosen, swapped.Rejected = want.Rejected, want.Chosen
	if swapped.Hash() == want.Hash() {
		t.Error("the hash does not tell which answer is better")
	}
}

// TestLLaMAFactoryPreference reads the preference data of LLaMA-Factory's demo.
func TestLLaMAFactoryPreference(t *testing.T) {
	for _, c := range []struct {
		file    string
		columns map[string]string
		rows    int
	}{
		{"dpo_en_demo.json", nil, 300},
		{"v1_dpo_demo.jsonl", map[string]string{"chosen": "chosen_messages", "rejected": "rejected_messages"}, 0},
	} {
		s, err := NewShaper(PreferenceFormat, c.columns)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(shareddata.Path(t, "datasets/llama-factory/"+c.file))
		if err != nil {
			t.Fatal(err)
		}
		texts := strings.Split(strings.TrimSpace(string(raw)), "\n")
		var rows []Value
		if strings.HasSuffix(c.file, ".json") {
			all, err := ParseJSON(raw)
			if err != nil {
				t.Fatal(err)
			}
			rows = all.Items
		} else {
			for _, line := range texts {
				v, err := ParseJSON([]byte(line))
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, v)
			}
		}
		if c.rows > 0 && len(rows) != c.rows || len(rows) == 0 {
			t.Errorf("%s: %d rows", c.file, len(rows))
		}
		for i, v := range rows {
			if _, err := s.Record(c.file, Raw{Value: v, Record: int64(i + 1)}); err != nil {
				t.Errorf("%s: %v", c.file, err)
			}
		}
	}
}

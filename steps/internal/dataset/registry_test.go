package dataset

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
)

// TestRegistryLayouts: entries of LLaMA-Factory's registry and how they are read.
func TestRegistryLayouts(t *testing.T) {
	registry, err := ParseRegistry([]byte(`{
		"plain": {"file_name": "a.json"},
		"mapped": {"file_name": "a.json", "columns": {"prompt": "q", "response": "a", "history": "h"}},
		"pretrain": {"file_name": "a.txt", "columns": {"prompt": "text"}},
		"ranked": {"file_name": "a.json", "ranking": true, "columns": {"prompt": "q", "chosen": "c", "rejected": "r"}},
		"judged": {"file_name": "a.json", "columns": {"prompt": "q", "response": "a", "kto_tag": "good"}},
		"chat": {"file_name": "a.json", "formatting": "sharegpt", "columns": {"messages": "m"}, "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "Q", "function_tag": "call"}},
		"pairs": {"file_name": "a.json", "formatting": "sharegpt", "ranking": true, "columns": {"messages": "m", "chosen": "c", "rejected": "r"}},
		"openai": {"file_name": "a.json", "formatting": "openai"},
		"media": {"file_name": "a.json", "formatting": "sharegpt", "columns": {"images": "pictures"}},
		"odd": {"file_name": "a.json", "columns": {"kto_tags": "x", "prompt": "p"}},
		"tag": {"file_name": "a.json", "formatting": "sharegpt", "tags": {"rule_tag": "x"}},
		"form": {"file_name": "a.json", "formatting": "chatml"}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	type m = map[string]string
	for name, want := range map[string]any{
		"plain":    Layout{Format: AlpacaFormat, Only: true, Columns: m{}},
		"mapped":   Layout{Format: AlpacaFormat, Only: true, Columns: m{"instruction": "q", "output": "a", "history": "h"}},
		"pretrain": Layout{Format: TextFormat, Columns: m{"text": "text"}},
		"ranked":   Layout{Format: PreferenceFormat, Only: true, Columns: m{"prompt": "q", "chosen": "c", "rejected": "r"}},
		"judged":   Layout{Format: KTOFormat, Only: true, Columns: m{"prompt": "q", "completion": "a", "label": "good"}},
		"chat":     Layout{Format: ShareGPTFormat, Only: true, Columns: m{"conversations": "m", "from": "role", "value": "content"}, Roles: m{"Q": "user", "call": calling}},
		"pairs":    Layout{Format: PreferenceFormat, Only: true, Columns: m{"prompt": "m", "chosen": "c", "rejected": "r"}},
		"openai":   Layout{Format: MessagesFormat, Only: true, Columns: m{}},
		"media":    "its column pictures holds images",
		"odd":      "columns.kto_tags has no place",
		"tag":      "tags.rule_tag is none of LLaMA-Factory's",
		"form":     `formatting "chatml" is none of`,
	} {
		e, err := registry.Entry(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Layout()
		if text, ok := want.(string); ok {
			if err == nil || !strings.HasPrefix(err.Error(), text) {
				t.Errorf("%s: %v, want %s", name, err, text)
			}
		} else if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	if _, err := registry.Entry("plane"); err == nil || !strings.Contains(err.Error(), "it has chat, form, judged") {
		t.Errorf("%v", err)
	}
}

// TestRegistryWithoutFiles: what is elsewhere is not read, and options that mean
// nothing here are said.
func TestRegistryWithoutFiles(t *testing.T) {
	for want, e := range map[string]RegistryEntry{
		"on the Hugging Face Hub as a/b": {HubURL: "a/b", FileName: "x.json"},
		"on ModelScope as a/b":           {ModelScopeURL: "a/b"},
		"on OpenMind as a/b":             {OpenMindURL: "a/b"},
		"in cloud storage as s3":         {CloudFile: "s3"},
		"loaded by a program (dir)":      {ScriptURL: "dir", FileName: "x.json"},
		"names no file":                  {},
	} {
		if _, err := e.Local(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", e, err, want)
		}
	}
	notes := RegistryEntry{Subset: "s", Split: "t", Folder: "f", NumSamples: 5}.Notes()
	if len(notes) != 4 || !strings.HasPrefix(notes[3], "num_samples 5 is passed over") {
		t.Errorf("%q", notes)
	}
}

// TestRealRegistry reads LLaMA-Factory's own registry: every entry is understood
// or refused for a reason, and each that has a file here makes records of it.
func TestRealRegistry(t *testing.T) {
	file := shareddata.Path(t, "datasets/llama-factory/"+RegistryFile)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := ParseRegistry(raw)
	if err != nil || len(registry) < 100 {
		t.Fatalf("%d entries, %v", len(registry), err)
	}
	want := map[string]int{
		"identity": 91, "alpaca_en_demo": 999, "alpaca_zh_demo": 1000, "glaive_toolcall_en_demo": 300,
		"dpo_en_demo": 300, "kto_en_demo": 150, "wiki_demo": 1, "c4_demo": 300,
	}
	var refused []string
	for name, entry := range registry {
		layout, err := entry.Layout()
		if err != nil {
			refused = append(refused, name)
			if !strings.Contains(err.Error(), "only text can be trained on") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		local, err := entry.Local()
		if err != nil {
			continue
		}
		path := filepath.Join(filepath.Dir(file), local)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		shaper, err := layout.Shaper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows, err := Open(path, local, Options{Columns: shaper.Columns()})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for raw, err := rows.Next(); err == nil; raw, err = rows.Next() {
			records, _ := shaper.Records(local, raw, nil)
			n += len(records)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
		if n != want[name] {
			t.Errorf("%s: %d records, want %d", name, n, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not read: %v", want)
	}
	slices.Sort(refused)
	if !slices.Contains(refused, "mllm_demo") || len(refused) != 13 {
		t.Errorf("refused %v", refused)
	}
}

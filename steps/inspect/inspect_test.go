package inspect

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/dataset"
)

func put(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// header is a safetensors file of one tensor [2, 3] in F32.
func safetensorsText() string {
	header := `{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}`
	return string([]byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}) + header + strings.Repeat("\x00", 24)
}

func TestPath(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"rows.jsonl", `{"a":1,"b":"x"}` + "\n" + `{"a":null}` + "\n",
			`{"type":"rows","bytes":27,"facts":{"container":"jsonl","rows":2,"columns":{"a":"a number or null","b":"a string"}}}`},
		{"list.json", "[\n       {\"a\":1}]",
			`{"type":"rows","bytes":17,"facts":{"container":"json","rows":1,"columns":{"a":"a number"}}}`},
		{"words.txt", "hello\nthere\n",
			`{"type":"rows","bytes":12,"facts":{"container":"text","rows":1,"columns":{"":"a string"}}}`},
		{"unknown.bin", "\x01\x02\x03\x00", `{"type":"file","bytes":4,"facts":{}}`},
		{"nameless", safetensorsText(),
			`{"type":"safetensors","bytes":89,"facts":{"parameters":6,"tensors":1,"dtypes":{"F32":6}},"tensors":[{"name":"a","dtype":"F32","shape":[2,3]}]}`},
	} {
		p, err := Path(t.Context(), put(t, c.name, c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, err := json.Marshal(p); err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v\nwant %s", c.name, got, err, c.want)
		}
	}
}

func TestPathErrors(t *testing.T) {
	for name, text := range map[string]string{
		"short.safetensors": "\xff\xff\xff",
		"long.safetensors":  "\xff\xff\xff\xff\xff\xff\xff\x7f{",
		"cut.gguf":          "GGUF\x03\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff",
		"broken.json":       `[{"a":`,
	} {
		if p, err := Path(t.Context(), put(t, name, text)); err == nil {
			t.Errorf("%s is taken for %+v", name, p)
		}
	}
	if _, err := Path(t.Context(), filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a path that does not exist holds something")
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"metrics.json": `{"loss":1.5,"accuracy":0.5}`, "note": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Path(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(p.Facts); p.Type != "metrics" || string(got) != `{"accuracy":0.5,"loss":1.5}` || len(p.Files) != 2 {
		t.Errorf("%s %s %v", p.Type, got, p.Files)
	}
}

func TestPreviewTokens(t *testing.T) {
	dir := t.TempDir()
	w, err := dataset.CreateTokens(dir, dataset.TokenOptions{Packed: true})
	if err != nil {
		t.Fatal(err)
	}
	none := int64(dataset.Unsupervised)
	if err := w.Write(dataset.Row{
		InputIDs: []int32{5, 6, 7, 8, 9}, AttentionMask: []int8{1, 1, 1, 1, 1},
		Labels: []int64{none, 6, 7, none, 9}, PositionIDs: []int32{0, 1, 2, 0, 1},
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := Rows(dir, "", Choice{First: 1, Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(p)
	const want = `{"type":"tokens","rows":[{"row":1,"tokens":5,"supervised":3,"documents":2,"pieces":[` +
		`{"text":"5","supervised":false,"ids":[5],"tokens":["5"]},{"text":"6 7","supervised":true,"ids":[6,7],"tokens":["6","7"]},` +
		`{"text":"8","supervised":false,"starts":true,"ids":[8],"tokens":["8"]},{"text":"9","supervised":true,"ids":[9],"tokens":["9"]}]}],` +
		`"total":1,"lengths":{"rows":1,"tokens":5,"supervised":3,"documents":2,"unended":0,"bos":0,"eos":0,"doubledBOS":0,"weighted":0,` +
		`"shortest":5,"longest":5,"histogram":[{"atMost":8,"rows":1}]}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
}

// TestAdapterMethods: what a method adds to an adapter is told.
func TestAdapterMethods(t *testing.T) {
	for _, c := range []struct{ adapter, want string }{
		{"dora", "dora=true"}, {"tokens", "trainableTokens=[20 7 3]"}, {"both-tied", "modulesToSave=[embed_tokens lm_head]"},
	} {
		p, err := Path(t.Context(), "../internal/lora/testdata/peft/"+c.adapter)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range p.Facts {
			found = found || fmt.Sprintf("%s=%v", f.Name, f.Value) == c.want
		}
		if !found {
			t.Errorf("%s: no %s in %v", c.adapter, c.want, p.Facts)
		}
	}
}

package fetch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/steptest"
)

// tensors is a safetensors file with one tensor.
func tensors(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.safetensors")
	w, err := safetensors.Create(path, []safetensors.Spec{{Name: name, DType: tensor.F32, Shape: []int{1}}}, nil)
	if err == nil {
		err = w.Write(name, []byte{0, 0, 0, 0})
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// folderParams is a source of a folder with these files.
func folderParams(t *testing.T, files map[string]string, more string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		writeTestFile(t, filepath.Join(dir, name), content)
	}
	return `{"source": {"file": {"path": "` + dir + `"}}` + more + `}`
}

func TestModel(t *testing.T) {
	weights := tensors(t, "model.norm.weight")
	card := "---\nlanguage: en\nlicense: apache-2.0\n---\n# Card\nlicense: none\n"
	for name, files := range map[string]map[string]string{
		"weights": {"config.json": "{}", "model.safetensors": weights, "README.md": card},
		"blank":   {"config.json": "{}", "tokenizer.json": "{}", "README.md": card},
		"nested":  {"top/sub/config.json": "{}", "top/sub/model.safetensors": weights, "top/sub/README.md": card},
	} {
		out, err := newMachine(t).fetch(folderParams(t, files, `, "as": "model"`))
		if err != nil || out["config.json"] != "{}" || len(out) != len(files)+1 {
			t.Errorf("%s: %v, %v", name, out, err)
			continue
		}
		const want = "{\n  \"schema\": 1,\n  \"type\": \"model\",\n  \"source\": {\n    \"kind\": \"file\"\n  },\n  \"license\": \"apache-2.0\"\n}\n"
		if out["pipe.json"] != want {
			t.Errorf("%s: pipe.json is %s", name, out["pipe.json"])
		}
	}
}

// An archive fetched as a model is unpacked unasked.
func TestModelInArchive(t *testing.T) {
	weights := tensors(t, "model.norm.weight")
	entries := []entry{{name: "m/config.json", body: []byte("{}"), mode: 0o755}, {name: "m/model.safetensors", body: []byte(weights)}}
	for name, content := range map[string]string{
		"m.zip": zipOf(t, entries...), "m.bin": gzOf(t, tarOf(t, entries...)), "m.tar": tarOf(t, entries...),
	} {
		out, err := newMachine(t).fetch(fileParams(t, name, content, `, "as": "model"`))
		if err != nil || out["config.json"] != "{}" || out["model.safetensors"] != weights {
			t.Errorf("%s: %d files, %v", name, len(out), err)
		}
	}
	_, err := newMachine(t).fetch(fileParams(t, "m.zip", zipOf(t, entries...), `, "as": "model", "unpack": "none"`))
	wantField(t, err, "as", "no model", "m.zip")
}

// What pipe made keeps its own provenance.
func TestModelKeepsProvenance(t *testing.T) {
	own := `{"schema":1,"type":"model","base":"` + strings.Repeat("a", 64) + `"}`
	files := map[string]string{"config.json": "{}", "pipe.json": own}
	out, err := newMachine(t).fetch(folderParams(t, files, `, "as": "model"`))
	if err != nil || out["pipe.json"] != own {
		t.Errorf("pipe.json is %s, %v", out["pipe.json"], err)
	}
	files["pipe.json"] = `{"schema":99}`
	_, err = newMachine(t).fetch(folderParams(t, files, `, "as": "model"`))
	wantField(t, err, "as", "schema 99")
}

func TestModelRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		words string
	}{
		"no config":     {map[string]string{"a.txt": "x"}, "neither config.json nor a GGUF file"},
		"no JSON":       {map[string]string{"config.json": "{"}, "config.json"},
		"no object":     {map[string]string{"config.json": "[1]"}, "config.json"},
		"pickle":        {map[string]string{"config.json": "{}", "pytorch_model.bin": "x"}, "runs code"},
		"bad weights":   {map[string]string{"config.json": "{}", "model.safetensors": "x"}, "model.safetensors"},
		"missing shard": {map[string]string{"config.json": "{}", "model.safetensors.index.json": `{"weight_map": {"a": "model-1.safetensors"}}`}, "model-1.safetensors"},
		"two GGUF":      {map[string]string{"a.gguf": "x", "b.gguf": "x"}, "a.gguf, b.gguf"},
		"bad GGUF":      {map[string]string{"a.gguf": "GGUFx"}, "a.gguf"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			_, err := m.fetch(folderParams(t, c.files, `, "as": "model"`))
			wantField(t, err, "as", c.words)
			if strings.Contains(err.Error(), m.work) {
				t.Errorf("error %q names a folder that nobody knows", err)
			}
		})
	}
}

func TestAdapter(t *testing.T) {
	weights := tensors(t, "base_model.model.lm_head.lora_A.weight")
	good := map[string]string{"adapter_config.json": "{}", "adapter_model.safetensors": weights}
	out, err := newMachine(t).fetch(folderParams(t, good, `, "as": "adapter"`))
	if err != nil || out["adapter_model.safetensors"] != weights || !strings.Contains(out["pipe.json"], `"adapter"`) {
		t.Errorf("%d files, %v", len(out), err)
	}
	for words, files := range map[string]map[string]string{
		"no adapter_config.json":       {"adapter_model.safetensors": weights},
		"no adapter_model.safetensors": {"adapter_config.json": "{}"},
		"runs code":                    {"adapter_config.json": "{}", "adapter_model.bin": "x"},
		"adapter_model.safetensors":    {"adapter_config.json": "{}", "adapter_model.safetensors": "x"},
		"adapter_config.json":          {"adapter_config.json": "null", "adapter_model.safetensors": weights},
	} {
		_, err := newMachine(t).fetch(folderParams(t, files, `, "as": "adapter"`))
		wantField(t, err, "as", words)
	}
}

// A GGUF becomes the Hugging Face layout, with equal bytes everywhere.
func TestModelFromGGUF(t *testing.T) {
	path := shareddata.Path(t, "models/stories260K/stories260K-f32.gguf")
	text := `{"as": "model", "source": {"file": {"path": "` + path + `"}}}`
	m := newMachine(t)
	pin, err := m.pin(text, false)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.run(t.Context(), text, pin.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json", "pipe.json"} {
		if out[name] == "" {
			t.Errorf("there is no %s", name)
		}
	}
	if len(out[filepath.Base(path)]) > 0 {
		t.Error("the GGUF is still there")
	}
	steptest.Run(t, steptest.Case{Kind: Kind, Params: string(params(t, text)), Out: []string{"model"}, Pin: pin.ID})
}

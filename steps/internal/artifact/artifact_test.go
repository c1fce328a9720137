package artifact

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

func TestWriteRead(t *testing.T) {
	dir := t.TempDir()
	want := Provenance{
		Type: "adapter", Base: strings.Repeat("ab", 32), Original: strings.Repeat("cd", 32),
		TrainedOn:    &Quantization{Scheme: "nf4", BlockSize: 64, DoubleQuant: true, Skip: []string{"lm_head"}},
		ChatTemplate: &ChatTemplate{Kind: "jinja", Digest: "00", Jinja: "{% for m in messages %}<{{ m.role }}>{% endfor %}"},
		License:      "apache-2.0",
	}
	if err := Write(dir, want); err != nil {
		t.Fatal(err)
	}
	want.Schema = Schema
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
	raw, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), "<{{ m.role }}>") || !strings.HasSuffix(string(raw), "}\n") {
		t.Errorf("unexpected encoding:\n%s", raw)
	}
}

func TestReadAbsentAndBad(t *testing.T) {
	if p, err := Read(t.TempDir()); err != nil || p.Schema != 0 {
		t.Errorf("absent: %+v, %v", p, err)
	}
	for text, want := range map[string]string{
		`{"schema": 99}`: "schema 99",
		`{"schema": 0}`:  "schema 0",
		`[1`:             "pipe.json",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, File), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want it to mention %q", text, err, want)
		}
	}
}

func TestCopySideFiles(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"config.json": "{}", "tokenizer.json": "tok", "model.safetensors": "w", "pipe.json": "p"} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dst, "config.json"), []byte("own"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := CopySideFiles(src, dst); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"config.json": "own", "tokenizer.json": "tok"} {
		if got, err := os.ReadFile(filepath.Join(dst, name)); err != nil || string(got) != want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
	entries, err := os.ReadDir(dst)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("copied %d files, want 2", len(entries))
	}
	if err := os.Symlink("/", filepath.Join(src, "vocab.json")); err != nil {
		t.Fatal(err)
	}
	if err := CopySideFiles(src, dst); err == nil {
		t.Error("a link was followed")
	}
}

func TestRewriteConfig(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	text := `{"rope_theta": 1e5, "quantization_config": {"a": 1}, "torch_dtype": "bfloat16", "x": {"b": 1, "a": 0.10}}`
	if err := os.WriteFile(filepath.Join(src, "config.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := RewriteConfig(src, dst, map[string]any{"quantization_config": nil, "torch_dtype": "float32"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dst, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"rope_theta\": 1e5,\n  \"torch_dtype\": \"float32\",\n  \"x\": {\n    \"a\": 0.10,\n    \"b\": 1\n  }\n}\n"
	if string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestDigest holds the digest against one made by hand from the protobuf
// messages.
func TestDigest(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"b": "x", "d/a": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	x, empty := pipeline.SumBytes([]byte("x")), pipeline.SumBytes(nil)
	inner := &pipeline.Directory{Files: []pipeline.FileNode{{Name: "a", Digest: empty}}}
	sub := inner.Encode()
	root := &pipeline.Directory{
		Files: []pipeline.FileNode{{Name: "b", Digest: x, Size: 1}},
		Dirs:  []pipeline.DirNode{{Name: "d", Digest: pipeline.SumBytes(sub), Size: int64(len(sub))}},
	}
	got, err := Digest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := pipeline.SumBytes(root.Encode()).String(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

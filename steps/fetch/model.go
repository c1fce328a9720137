package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/gguf"
	"github.com/pipe-run/pipe/steps/internal/jsonfile"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

const (
	configFile = "config.json"
	maxConfig  = 4 << 20 // bytes
)

// model makes a model of what is in dir: a GGUF file is converted, a model in
// the Hugging Face layout checked. Weights may be absent, which is where
// training from random weights begins.
func model(ctx context.Context, t *pipeline.Task, dir, out string, from artifact.Source) error {
	dir, err := top(dir)
	if err != nil {
		return err
	}
	ggufs, err := filepath.Glob(filepath.Join(dir, "*.gguf"))
	if err != nil {
		return err
	}
	if !has(dir, configFile) && len(ggufs) > 0 {
		return fromGGUF(ctx, t, dir, out, ggufs, from)
	}
	if err := checkModel(dir); err != nil {
		return err
	}
	if err := move(dir, out); err != nil {
		return err
	}
	return provide(out, artifact.Provenance{Type: pipeline.TypeModel, Source: &from})
}

func fromGGUF(ctx context.Context, t *pipeline.Task, dir, out string, ggufs []string, from artifact.Source) error {
	if len(ggufs) > 1 {
		return fmt.Errorf("there are %d GGUF files (%s): a model is one of them", len(ggufs), bases(ggufs))
	}
	info, err := gguf.Convert(ctx, t.Threads, ggufs[0], out)
	if err != nil {
		return trim(err, dir)
	}
	t.Log.Info("converted from GGUF", "weights", info.Stored)
	if err := artifact.CopySideFiles(dir, out); err != nil {
		return err
	}
	license := info.License
	if license == "" {
		license = declaredLicense(dir)
	}
	return provide(out, artifact.Provenance{Type: pipeline.TypeModel, Source: &from, License: license})
}

// checkModel refuses what no step could read: the configuration is JSON, and
// the headers of the weights are sound.
func checkModel(dir string) error {
	if err := checkObject(dir, configFile); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is neither config.json nor a GGUF file, so this is no model; there is %s", listing(dir))
		}
		return err
	}
	tensors, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		return err
	}
	if len(tensors) > 0 || has(dir, "model.safetensors.index.json") {
		w, err := weights.Open(dir)
		if err != nil {
			return trim(err, dir)
		}
		return w.Close()
	}
	for _, pattern := range pickles() {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return fmt.Errorf("its weights are only in %s: %s", bases(found), whyNoPickle)
		}
	}
	return nil
}

// pickles are the names of weights that Python unpickles.
func pickles() []string {
	return []string{"pytorch_model*.bin", "adapter_model*.bin", "*.pt", "*.pth", "*.ckpt"}
}

const whyNoPickle = "a Python pickle runs code when it is read, so that pipe does not read it; look for safetensors, or convert it where you trust it"

// adapter checks that dir holds a PEFT adapter, and makes it the output.
func adapter(dir, out string, from artifact.Source) error {
	dir, err := top(dir)
	if err != nil {
		return err
	}
	if err := checkAdapter(dir); err != nil {
		return err
	}
	if err := move(dir, out); err != nil {
		return err
	}
	return provide(out, artifact.Provenance{Type: pipeline.TypeAdapter, Source: &from})
}

// provide writes the provenance of a model or adapter, unless pipe made it and
// it brings its own.
func provide(dir string, p artifact.Provenance) error {
	if has(dir, artifact.File) {
		_, err := artifact.Read(dir)
		return err
	}
	if p.License == "" {
		p.License = declaredLicense(dir)
	}
	return artifact.Write(dir, p)
}

// top goes down while there is nothing but one folder, as in archives.
func top(dir string) (string, error) {
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return "", err
		}
		if len(entries) != 1 || !entries[0].IsDir() {
			return dir, nil
		}
		dir = filepath.Join(dir, entries[0].Name())
	}
}

// checkObject reports a file that is not one JSON object.
func checkObject(dir, name string) error {
	raw, err := head(filepath.Join(dir, name), maxConfig+1)
	if err != nil {
		return err
	}
	if len(raw) > maxConfig {
		return fmt.Errorf("%s is larger than %d bytes", name, maxConfig)
	}
	var object map[string]json.RawMessage
	if err := jsonfile.Decode(raw, &object); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if object == nil {
		return fmt.Errorf("%s is null", name)
	}
	return nil
}

// head returns at most n bytes of a file.
func head(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

func has(dir, name string) bool {
	info, err := os.Lstat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular()
}

// trim takes the folder of this run out of a message.
func trim(err error, dir string) error {
	return trimmed{err, strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")}
}

type trimmed struct {
	error
	message string
}

func (t trimmed) Error() string { return t.message }
func (t trimmed) Unwrap() error { return t.error }

// listing names some of what is in dir.
func listing(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return "nothing"
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return some(all)
}

func bases(paths []string) string {
	var all []string
	for _, p := range paths {
		all = append(all, filepath.Base(p))
	}
	return some(all)
}

// some joins the first few names.
func some(all []string) string {
	if len(all) > maxOthers {
		return strings.Join(all[:maxOthers], ", ") + fmt.Sprintf(" and %d more", len(all)-maxOthers)
	}
	return strings.Join(all, ", ")
}

// declaredLicense reads the licence in the front matter of README.md, the
// card of a model on the hub; "" if there is none.
func declaredLicense(dir string) string {
	raw, err := head(filepath.Join(dir, "README.md"), 64<<10)
	if err != nil || !bytes.HasPrefix(raw, []byte("---")) {
		return ""
	}
	for i, line := range strings.Split(string(raw), "\n") {
		line = strings.TrimRight(line, "\r ")
		if i > 0 && line == "---" {
			break
		}
		if v, ok := strings.CutPrefix(line, "license:"); ok {
			v = strings.Trim(strings.TrimSpace(v), `"'`)
			if len(v) <= 100 && !strings.ContainsAny(v, "[]{}&*!|>#\t") {
				return strings.ToValidUTF8(v, "")
			}
		}
	}
	return ""
}

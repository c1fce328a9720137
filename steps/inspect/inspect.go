// Package inspect says what a file or folder holds: a model, an adapter,
// tokens, records, tensors, rows. It is a door for the command line and no
// step: nothing it says is an artifact.
package inspect

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

	"github.com/pipe-run/pipe/steps/internal/artifact"
)

// A Page is what is known of a file or folder. Facts stand in an order for
// people to read.
type Page struct {
	Type    string   `json:"type"`  // an artifact's type, or "safetensors", "rows", "file"
	Bytes   int64    `json:"bytes"` // of all files
	Facts   Facts    `json:"facts"`
	Tensors []Tensor `json:"tensors,omitempty"`
	Files   []File   `json:"files,omitempty"` // of a folder, by name
	From    any      `json:"provenance,omitempty"`
}

// A Fact is one thing known: a number, a text, or a map of such.
type Fact struct {
	Name  string
	Value any
}

// Facts are an object in JSON.
type Facts []Fact

// MarshalJSON keeps the order.
func (fs Facts) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range fs {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// A Tensor is one tensor of a file or model. Shape is as in PyTorch.
type Tensor struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
}

// elements is the number of t's elements.
func (t Tensor) elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= int64(d)
	}
	return n
}

// A File is one file of a folder.
type File struct {
	Name string `json:"name"` // slash-separated
	Size int64  `json:"size"` // bytes
}

// fact adds a fact, unless it is empty.
func (p *Page) fact(name string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case int:
		value = int64(v)
	}
	p.Facts = append(p.Facts, Fact{name, value})
}

// Path says what the file or folder at path holds.
func Path(ctx context.Context, path string) (*Page, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return folder(ctx, path)
	case info.Mode().IsRegular():
		return file(ctx, path)
	}
	return nil, fmt.Errorf("%s is neither a file nor a folder", path)
}

// folders are the kinds of folder, told by a file that only they have, the
// most telling first.
var folders = []struct {
	mark string
	read func(context.Context, string, *Page) error
}{
	{"adapter_config.json", adapter},
	{"config.json", model},
	{"dataset_info.json", tokens},
	{"data-00000.arrow", records},
	{"metrics.json", metrics},
}

func folder(ctx context.Context, dir string) (*Page, error) {
	p := &Page{Type: "files", Facts: Facts{}}
	if err := p.list(dir); err != nil {
		return nil, err
	}
	for _, f := range folders {
		if _, err := os.Stat(filepath.Join(dir, f.mark)); err != nil {
			continue
		}
		if err := f.read(ctx, dir, p); err != nil {
			return nil, err
		}
		return p, p.provenance(dir)
	}
	if len(p.Files) == 1 { // a fetched file, a GGUF
		one, err := file(ctx, filepath.Join(dir, filepath.FromSlash(p.Files[0].Name)))
		if err != nil {
			return nil, err
		}
		one.Files = p.Files
		return one, one.provenance(dir)
	}
	return p, p.provenance(dir)
}

// maxFiles bounds how many files of a folder are listed.
const maxFiles = 1_000_000

// list enters the files below dir.
func (p *Page) list(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(path) // through links, as in hub caches
		if err != nil {
			return err
		}
		if len(p.Files) == maxFiles {
			return fmt.Errorf("%s has more than %d files", dir, maxFiles)
		}
		rel, err := filepath.Rel(dir, path)
		p.Files = append(p.Files, File{filepath.ToSlash(rel), info.Size()})
		p.Bytes += info.Size()
		return err
	})
}

// provenance enters pipe.json.
func (p *Page) provenance(dir string) error {
	from, err := artifact.Read(dir)
	if err != nil {
		return err
	}
	if from.Schema > 0 {
		p.From = from
	}
	return nil
}

// file says what one file holds, by its first bytes and its name.
func file(ctx context.Context, path string) (*Page, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	head, err := headOf(path)
	if err != nil {
		return nil, err
	}
	p := &Page{Type: "file", Bytes: info.Size(), Facts: Facts{}}
	switch {
	case bytes.HasPrefix(head, []byte("GGUF")):
		err = ggufFile(path, p)
	case strings.HasSuffix(path, ".safetensors"), isSafetensors(head):
		err = safetensorsFile(path, p)
	default:
		err = rowsFile(ctx, path, p)
	}
	return p, err
}

// isSafetensors reports whether head begins with a length below 4 GiB and an
// object.
func isSafetensors(head []byte) bool {
	return len(head) > 8 && head[8] == '{' && string(head[4:8]) == "\x00\x00\x00\x00"
}

// headOf returns the first bytes of a file.
func headOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

// Package artifact holds what every step that reads or writes a model or an
// adapter shares: the provenance file pipe.json and the side files (config,
// tokenizer, licence) that travel with the weights.
//
// Everything in pipe.json is derived from content. It never holds a step name,
// a path, a host or a date, since equal inputs must give equal bytes.
package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/steps/internal/jsonfile"
)

// File is the name of the provenance file at the root of an artifact.
const File = "pipe.json"

// Schema is the version of the provenance format that Write produces.
const Schema = 1

// maxProvenance bounds how much of a provenance file is read; the largest part
// is a chat template of some kilobytes.
const maxProvenance = 4 << 20

// Provenance says what an artifact was made of. Digests are lower-case hex
// SHA-256 of an artifact's root or of a file's bytes. Fields that do not apply
// are empty and are left out of the file.
type Provenance struct {
	// Schema is the version of this format; Write sets it.
	Schema int `json:"schema"`
	// Type is "model", "adapter", "tokens" or "gguf".
	Type string `json:"type"`
	// Source is where a fetched model came from.
	Source *Source `json:"source,omitempty"`
	// Base is the digest of the model this artifact was derived from: what was
	// quantized, or what an adapter was trained on.
	Base string `json:"base,omitempty"`
	// Original is the digest of the dense model at the root of it all: for an
	// adapter trained on quantized weights, or a merged model.
	Original string `json:"original,omitempty"`
	// Adapter is the digest of the adapter merged into a model.
	Adapter string `json:"adapter,omitempty"`
	// Quantization is how the weights of this model are stored; nil when they are dense.
	Quantization *Quantization `json:"quantization,omitempty"`
	// TrainedOn is how the base of an adapter was stored while it was trained; nil when dense.
	TrainedOn *Quantization `json:"trainedOn,omitempty"`
	// MergedInto says which weights a merge added the adapter to: "quantized" or "original".
	MergedInto string `json:"mergedInto,omitempty"`
	// Tokenizer is the digest of the tokenizer (token.Tokenizer.Digest).
	Tokenizer string `json:"tokenizer,omitempty"`
	// ChatTemplate is the template that the training text was rendered with.
	ChatTemplate *ChatTemplate `json:"chatTemplate,omitempty"`
	// Pairs says that every row of tokens is a pair: a better document, then a worse one.
	Pairs bool `json:"pairs,omitempty"`
	// License is the licence the source declares, as an SPDX identifier where it is one.
	License string `json:"license,omitempty"`
}

// Source names a published model by content.
type Source struct {
	// Kind is "huggingface", "http", "file" or "package".
	Kind string `json:"kind"`
	// Repo is a repository or package name, as the source spells it.
	Repo string `json:"repo,omitempty"`
	// Commit is the commit or version that was fetched.
	Commit string `json:"commit,omitempty"`
}

// Quantization is how linear weights are stored.
type Quantization struct {
	// Scheme is "nf4", "fp4" or "q8_0".
	Scheme string `json:"scheme"`
	// BlockSize is the number of weights that share a scale.
	BlockSize int `json:"blockSize"`
	// DoubleQuant says that the scales are themselves quantized to 8 bits.
	DoubleQuant bool `json:"doubleQuant"`
	// Skip lists the modules left unquantized, sorted.
	Skip []string `json:"skip,omitempty"`
}

// ChatTemplate identifies a chat template and, for "jinja", carries it.
type ChatTemplate struct {
	// Kind is "model", a built-in template's name, "jinja" or "none" (plain text rows).
	Kind string `json:"kind"`
	// Digest is the SHA-256 of the template text.
	Digest string `json:"digest,omitempty"`
	// Jinja is the template's source, so that an evaluation can use the same one.
	Jinja string `json:"jinja,omitempty"`
	// Date is the day that the template was told, as in "2026-01-31".
	Date string `json:"date,omitempty"`
}

// Write stores the provenance as dir/pipe.json: two-space JSON in field order
// with a final newline.
func Write(dir string, p Provenance) error {
	p.Schema = Schema
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return fmt.Errorf("encoding %s: %w", File, err)
	}
	return os.WriteFile(filepath.Join(dir, File), buf.Bytes(), 0o644)
}

// Read returns the provenance in dir/pipe.json. A directory without one, such
// as a model made by another program, gives the zero Provenance and no error.
// A newer schema than this program knows is an error.
func Read(dir string) (Provenance, error) { return ReadFS(os.DirFS(dir)) }

// ReadFS is Read for an artifact of which only the files are given.
func ReadFS(files fs.FS) (Provenance, error) {
	f, err := files.Open(File)
	if errors.Is(err, fs.ErrNotExist) {
		return Provenance{}, nil
	}
	if err != nil {
		return Provenance{}, fmt.Errorf("reading provenance: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxProvenance+1))
	if err != nil {
		return Provenance{}, fmt.Errorf("reading %s: %w", File, err)
	}
	if len(raw) > maxProvenance {
		return Provenance{}, fmt.Errorf("%s is larger than %d bytes", File, maxProvenance)
	}
	var p Provenance
	if err := jsonfile.Decode(raw, &p); err != nil {
		return Provenance{}, fmt.Errorf("%s: %w", File, err)
	}
	if p.Schema < 1 || p.Schema > Schema {
		return Provenance{}, fmt.Errorf("%s has schema %d; this version of pipe reads up to %d", File, p.Schema, Schema)
	}
	return p, nil
}

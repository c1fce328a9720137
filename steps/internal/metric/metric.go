// Package metric turns scored rows into the numbers that evaluations report
// and gates are checked on.
package metric

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// Names of the metrics.
const (
	// Loss is the mean negative log-likelihood of the supervised tokens, in nats.
	Loss = "loss"
	// Perplexity is exp(loss).
	Perplexity = "perplexity"
	// BitsPerByte is the summed negative log-likelihood in bits over the UTF-8
	// bytes of the supervised text; unlike the loss it compares tokenizers.
	BitsPerByte = "bitsPerByte"
	// ExactMatch is the share of asked rows whose greedy answer equals the record's
	// but for white space at either end.
	ExactMatch = "exactMatch"
)

// Names lists the metrics in order.
func Names() []string { return []string{Loss, Perplexity, BitsPerByte, ExactMatch} }

// RowsFile is the file of a metrics artifact that holds every row.
const RowsFile = "rows.arrow"

// Row is one scored record.
type Row struct {
	File   string // origin of the record
	Record int64
	Tokens int64   // supervised
	Bytes  int64   // of supervised text
	NLL    float64 // sum over the supervised tokens, in nats
	Asked  bool    // an answer was generated
	Want   string  // the record's answer
	Got    string  // the generated one
}

// Match says whether the generated answer is the record's.
func (r Row) Match() bool { return r.Asked && strings.TrimSpace(r.Got) == strings.TrimSpace(r.Want) }

// Summary computes the named metrics over rows, and beside them how many rows
// and tokens they are made of. Sums run in the order of the rows. A metric
// without anything to measure is an error.
func Summary(names []string, rows []Row) (map[string]float64, error) {
	var nll, tokens, size, asked, matched float64
	for _, r := range rows {
		nll += r.NLL
		tokens += float64(r.Tokens)
		size += float64(r.Bytes)
		if r.Asked {
			asked++
		}
		if r.Match() {
			matched++
		}
	}
	out := map[string]float64{"rows": float64(len(rows))}
	likelihood := slices.ContainsFunc(names, func(n string) bool { return n != ExactMatch })
	if likelihood {
		if tokens == 0 {
			return nil, fmt.Errorf("no supervised token to measure")
		}
		if math.IsNaN(nll) || math.IsInf(nll, 0) {
			return nil, fmt.Errorf("the loss is not a finite number: the model computes %v", nll)
		}
		out["tokens"] = tokens
	}
	for _, name := range names {
		switch name {
		case Loss:
			out[name] = nll / tokens
		case Perplexity:
			out[name] = min(kernel.Exp64(nll/tokens), math.MaxFloat64)
		case BitsPerByte:
			if size == 0 {
				return nil, fmt.Errorf("no byte of supervised text to measure %s on", name)
			}
			out[name] = nll / (size * math.Ln2)
		case ExactMatch:
			if asked == 0 {
				return nil, fmt.Errorf("no answer to measure %s on", name)
			}
			out[name] = matched / asked
		default:
			return nil, fmt.Errorf("metric %q is none of %s", name, strings.Join(Names(), ", "))
		}
	}
	return out, nil
}

// Write stores a metrics artifact in dir: metrics.json, an object of numbers
// with sorted keys in the shortest spelling that reads back equal, and the rows.
func Write(dir string, metrics map[string]float64, rows []Row) error {
	for name, v := range metrics {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("metric %s is %v", name, v)
		}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetIndent("", "  ")
	if err := enc.Encode(metrics); err != nil {
		return fmt.Errorf("encoding metrics: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, pipeline.MetricsFile), buf.Bytes(), 0o644); err != nil {
		return err
	}
	return dataset.WriteTable(filepath.Join(dir, RowsFile), columns(rows))
}

// columns turns rows into a table. A row that was not asked has empty texts.
func columns(rows []Row) []dataset.Column {
	n := len(rows)
	file, want, got := make([]string, n), make([]string, n), make([]string, n)
	record, tokens, size := make([]int64, n), make([]int64, n), make([]int64, n)
	nll := make([]float64, n)
	asked, match := make([]bool, n), make([]bool, n)
	for i, r := range rows {
		file[i], record[i] = r.File, r.Record
		tokens[i], size[i], nll[i] = r.Tokens, r.Bytes, r.NLL
		asked[i], match[i], want[i], got[i] = r.Asked, r.Match(), r.Want, strings.ToValidUTF8(r.Got, "\ufffd")
	}
	return []dataset.Column{
		{Name: "file", Data: file}, {Name: "record", Data: record},
		{Name: "tokens", Data: tokens}, {Name: "bytes", Data: size}, {Name: "nll", Data: nll},
		{Name: "asked", Data: asked}, {Name: "match", Data: match},
		{Name: "answer", Data: want}, {Name: "generated", Data: got},
	}
}

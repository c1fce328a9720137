// Package weights reads the tensors of a Hugging Face model directory by name,
// whether they lie in one safetensors file or in shards named by an index, and
// whether they are stored as floats or in few bits.
package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Names of the files a model directory keeps its tensors in.
const (
	SingleFile = "model.safetensors"
	IndexFile  = "model.safetensors.index.json"
)

// Dir is an open model directory. Its methods may be called from several
// goroutines at once; Close comes last.
type Dir struct {
	path  string
	files []*safetensors.File
	where map[string]location // every stored tensor
	names []string            // logical tensors, sorted
	quant map[string]quant.Header
}

// location is where a stored tensor lies.
type location struct {
	file  *safetensors.File
	name  string // of the file, for messages
	entry safetensors.Tensor
}

// Open opens the tensors of the model in dir: model.safetensors, or else the
// shards that model.safetensors.index.json names. The headers of all files and
// the layout of quantized weights are checked; data is read on demand.
func Open(dir string) (*Dir, error) {
	d := &Dir{path: dir, where: map[string]location{}, quant: map[string]quant.Header{}}
	if err := d.open(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Dir) open() error {
	_, err := os.Stat(filepath.Join(d.path, SingleFile))
	switch {
	case err == nil:
		err = d.openSingle()
	case errors.Is(err, fs.ErrNotExist):
		err = d.openShards()
	}
	if err != nil {
		return err
	}
	return d.list()
}

func (d *Dir) openSingle() error {
	file, err := d.openFile(SingleFile)
	if err != nil {
		return err
	}
	for _, t := range file.Tensors() {
		d.where[t.Name] = location{file, SingleFile, t}
	}
	return nil
}

func (d *Dir) openShards() error {
	index, err := readIndex(filepath.Join(d.path, IndexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the model has no weights: neither %s nor %s is there", SingleFile, IndexFile)
	}
	if err != nil {
		return err
	}
	shards := map[string]*safetensors.File{}
	for _, name := range index.shards() {
		if shards[name], err = d.openFile(name); err != nil {
			return err
		}
	}
	for name, shard := range index.WeightMap {
		entry, ok := shards[shard].Tensor(name)
		if !ok {
			return fmt.Errorf("%s places tensor %q in %s, which does not hold it", IndexFile, name, shard)
		}
		d.where[name] = location{shards[shard], shard, entry}
	}
	return nil
}

func (d *Dir) openFile(name string) (*safetensors.File, error) {
	file, err := safetensors.Open(filepath.Join(d.path, name))
	if err != nil {
		return nil, err
	}
	d.files = append(d.files, file)
	return file, nil
}

// list finds the logical tensors: everything but the extra parts of quantized weights.
func (d *Dir) list() error {
	stored := make([]string, 0, len(d.where))
	for name := range d.where {
		stored = append(stored, name)
	}
	sort.Strings(stored)
	for _, name := range stored {
		weight, isPart := quant.IsPart(name)
		if !isPart {
			d.names = append(d.names, name)
			continue
		}
		if _, done := d.quant[weight]; done {
			continue
		}
		loc, ok := d.where[weight]
		if !ok {
			return fmt.Errorf("%s: tensor %q belongs to %q, which is missing", d.where[name].name, name, weight)
		}
		q, err := d.readQuant(weight)
		if err != nil {
			return fmt.Errorf("%s: quantized tensor %q: %w", loc.name, weight, err)
		}
		d.quant[weight] = q
	}
	return nil
}

// readQuant reads what describes a quantized weight and checks it against the size of the codes.
func (d *Dir) readQuant(name string) (quant.Header, error) {
	parts := map[string]quant.Part{}
	for _, suffix := range quant.Suffixes() {
		loc, ok := d.where[name+suffix]
		if !ok {
			continue
		}
		data, err := loc.file.Read(loc.entry)
		if err != nil {
			return nil, err
		}
		parts[suffix] = quant.Part{Suffix: suffix, DType: loc.entry.DType, Shape: loc.entry.Shape, Data: data}
	}
	codes := d.where[name].entry
	q, err := quant.Parse(quant.Part{DType: codes.DType, Shape: codes.Shape}, parts)
	if err != nil {
		return nil, err
	}
	if got, want := codes.Bytes(), int64(q.CodeBytes()); got != want {
		return nil, fmt.Errorf("%d bytes of codes, not %d", got, want)
	}
	return q, nil
}

// Names lists the logical tensors, sorted: a quantized weight is one tensor.
func (d *Dir) Names() []string { return slices.Clone(d.names) }

// Has reports whether there is a tensor of that name.
func (d *Dir) Has(name string) bool {
	_, err := d.find(name)
	return err == nil
}

// Shape is a tensor's logical shape.
func (d *Dir) Shape(name string) ([]int, error) {
	loc, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if q, ok := d.quant[name]; ok {
		rows, columns := q.Shape()
		return []int{rows, columns}, nil
	}
	return slices.Clone(loc.entry.Shape), nil
}

// DType is "NF4", "FP4" or "Q8_0" for a quantized weight, else the stored dtype: "F32", "BF16", "F16", …
func (d *Dir) DType(name string) (string, error) {
	loc, err := d.find(name)
	if err != nil {
		return "", err
	}
	if q, ok := d.quant[name]; ok {
		return strings.ToUpper(q.Scheme()), nil
	}
	return string(loc.entry.DType), nil
}

// Quantized reports whether any tensor is stored in few bits.
func (d *Dir) Quantized() bool { return len(d.quant) > 0 }

// File is the name of the file that holds a tensor; "" for a tensor that is none.
func (d *Dir) File(name string) string { return d.where[name].name }

// F32 is a copy of the tensor's elements in float32, row-major: exact for F32,
// BF16 and F16, dequantized (and not rounded to the original dtype) for quantized weights.
func (d *Dir) F32(name string) ([]float32, error) {
	loc, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if q, ok, err := d.Quant(name); err != nil {
		return nil, err
	} else if ok {
		rows, columns := q.Shape()
		values := make([]float32, rows*columns)
		quant.Dequantize(1, q, values)
		return values, nil
	}
	size := loc.entry.DType.Size()
	values := make([]float32, loc.entry.Elements())
	chunk := make([]byte, min(1<<20, int(loc.entry.Bytes())))
	for at := 0; at < len(values); {
		n := min(len(chunk)/size, len(values)-at)
		if err := loc.file.ReadAt(loc.entry, chunk[:n*size], int64(at*size)); err != nil {
			return nil, fmt.Errorf("%s: %w", loc.name, err)
		}
		if err := tensor.Decode(values[at:at+n], loc.entry.DType, chunk[:n*size]); err != nil {
			return nil, fmt.Errorf("%s: tensor %q: %w", loc.name, name, err)
		}
		at += n
	}
	return values, nil
}

// Quant reads a quantized weight as it is stored; false for any other tensor.
func (d *Dir) Quant(name string) (quant.Tensor, bool, error) {
	loc, err := d.find(name)
	if err != nil {
		return nil, false, err
	}
	header, ok := d.quant[name]
	if !ok {
		return nil, false, nil
	}
	codes, err := loc.file.Read(loc.entry)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", loc.name, err)
	}
	q, err := header.WithCodes(codes)
	if err != nil {
		return nil, false, fmt.Errorf("%s: quantized tensor %q: %w", loc.name, name, err)
	}
	return q, true, nil
}

// Stored is a tensor as it lies in its file, with its bytes: what copying a
// tensor unchanged needs. For a quantized weight these are the codes.
func (d *Dir) Stored(name string) (safetensors.Spec, []byte, error) {
	loc, err := d.find(name)
	if err != nil {
		return safetensors.Spec{}, nil, err
	}
	data, err := loc.file.Read(loc.entry)
	if err != nil {
		return safetensors.Spec{}, nil, fmt.Errorf("%s: %w", loc.name, err)
	}
	return safetensors.Spec{Name: name, DType: loc.entry.DType, Shape: loc.entry.Shape}, data, nil
}

// find locates a tensor; the error of a missing one names the file it should be in.
func (d *Dir) find(name string) (location, error) {
	loc, ok := d.where[name]
	if !ok {
		file := IndexFile
		if len(d.files) == 1 {
			file = SingleFile
		}
		return location{}, fmt.Errorf("model has no tensor %q (looked in %s)", name, filepath.Join(d.path, file))
	}
	return loc, nil
}

// Close closes all files.
func (d *Dir) Close() error {
	var err error
	for _, f := range d.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

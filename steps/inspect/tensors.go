package inspect

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/gguf"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
)

// count enters how many tensors and elements there are, by dtype.
func (p *Page) count() {
	var all int64
	byType := map[string]int64{}
	for _, t := range p.Tensors {
		all += t.elements()
		byType[t.DType] += t.elements()
	}
	p.fact("parameters", all)
	p.fact("tensors", len(p.Tensors))
	p.fact("dtypes", byType)
}

func safetensorsFile(path string, p *Page) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	p.Type = "safetensors"
	for _, t := range f.Tensors() {
		p.Tensors = append(p.Tensors, Tensor{t.Name, string(t.DType), shape(t.Shape)})
	}
	p.count()
	if m := f.Metadata(); len(m) > 0 {
		p.fact("metadata", m)
	}
	return nil
}

// maxValue is how much of a metadata entry is shown, in bytes.
const maxValue = 200

func ggufFile(path string, p *Page) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	p.Type = "gguf"
	p.fact("version", int(f.Version))
	for _, name := range []string{"general.architecture", "general.name", "general.license"} {
		text, _ := f.Text(name)
		p.fact(name[len("general."):], text)
	}
	for _, t := range f.Tensors() {
		p.Tensors = append(p.Tensors, Tensor{t.Name, t.Type.String(), shape(t.Shape)})
	}
	p.count()
	meta := map[string]string{}
	for _, key := range f.Keys() {
		meta[key] = short(f.Value(key))
	}
	p.fact("metadata", meta)
	return nil
}

// short shows a metadata entry; of a list only its length.
func short(v any) string {
	var n int
	switch list := v.(type) {
	case []string:
		n = len(list)
	case []float32:
		n = len(list)
	case []int32:
		n = len(list)
	default:
		s := fmt.Sprint(v)
		if len(s) > maxValue {
			s = fmt.Sprintf("%.*s… (%d bytes)", maxValue, s, len(s))
		}
		return s
	}
	return fmt.Sprintf("%d values", n)
}

func shape(dims []int) []int { return append([]int{}, dims...) }

// sorted are the keys of m in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

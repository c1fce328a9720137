package weights

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// stored is a tensor with its bytes.
type stored struct {
	safetensors.Spec
	data []byte
}

func floats(t testing.TB, name string, dtype tensor.DType, shape []int, values ...float32) stored {
	t.Helper()
	data := make([]byte, len(values)*dtype.Size())
	if err := tensor.Encode(data, dtype, values); err != nil {
		t.Fatal(err)
	}
	return stored{safetensors.Spec{Name: name, DType: dtype, Shape: shape}, data}
}

func write(t testing.TB, path string, tensors ...stored) {
	t.Helper()
	var specs []safetensors.Spec
	data := map[string][]byte{}
	for _, x := range tensors {
		specs = append(specs, x.Spec)
		data[x.Name] = x.data
	}
	w, err := safetensors.Create(path, specs, safetensors.PyTorch())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range safetensors.Order(specs) {
		if err := w.Write(s.Name, data[s.Name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeText(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *Dir {
	t.Helper()
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// check compares what a Dir says of a tensor.
func check(t *testing.T, d *Dir, name, dtype string, shape []int, values []float32) {
	t.Helper()
	gotShape, err1 := d.Shape(name)
	gotType, err2 := d.DType(name)
	got, err3 := d.F32(name)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	if !reflect.DeepEqual(gotShape, shape) || gotType != dtype || !reflect.DeepEqual(got, values) {
		t.Errorf("%s is %s %v %v, want %s %v %v", name, gotType, gotShape, got, dtype, shape, values)
	}
}

func TestSingleFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, SingleFile),
		floats(t, "a", tensor.F32, []int{2, 1}, 1.5, -2),
		floats(t, "b", tensor.BF16, []int{2}, 3, 0.5),
		floats(t, "c", tensor.F16, []int{1, 1, 1}, 0.1),
		stored{safetensors.Spec{Name: "i", DType: tensor.I64, Shape: []int{1}}, make([]byte, 8)})
	d := open(t, dir)
	if got := d.Names(); !reflect.DeepEqual(got, []string{"a", "b", "c", "i"}) {
		t.Errorf("names %v", got)
	}
	check(t, d, "a", "F32", []int{2, 1}, []float32{1.5, -2})
	check(t, d, "b", "BF16", []int{2}, []float32{3, 0.5})
	check(t, d, "c", "F16", []int{1, 1, 1}, []float32{0.0999755859375})
	if _, err := d.F32("i"); err == nil {
		t.Error("an integer tensor converts to F32")
	}
	if _, ok, err := d.Quant("a"); ok || err != nil {
		t.Errorf("a is quantized: %v, %v", ok, err)
	}
	if d.Has("x") || !d.Has("a") {
		t.Error("Has is wrong")
	}
	if _, err := d.F32("x"); err == nil || !strings.Contains(err.Error(), `"x"`) || !strings.Contains(err.Error(), SingleFile) {
		t.Errorf("missing tensor: %v", err)
	}
	if d.Quantized() {
		t.Error("nothing is quantized")
	}
}

func TestLargeTensorInPieces(t *testing.T) {
	values := make([]float32, 1<<18+3)
	for i := range values {
		values[i] = float32(i)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, SingleFile), floats(t, "a", tensor.F32, []int{len(values)}, values...))
	check(t, open(t, dir), "a", "F32", []int{len(values)}, values)
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "m-1.safetensors"), floats(t, "a", tensor.F32, nil, 1), floats(t, "extra", tensor.F32, nil, 1))
	write(t, filepath.Join(dir, "m-2.safetensors"), floats(t, "b", tensor.F32, nil, 2))
	writeText(t, filepath.Join(dir, IndexFile), `{"metadata":{"total_size":8},"weight_map":{"b":"m-2.safetensors","a":"m-1.safetensors"}}`)
	d := open(t, dir)
	if got := d.Names(); !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("names %v", got)
	}
	check(t, d, "b", "F32", []int{}, []float32{2})
	if _, err := d.Shape("c"); err == nil || !strings.Contains(err.Error(), IndexFile) {
		t.Errorf("missing tensor: %v", err)
	}
}

func TestIndexRefused(t *testing.T) {
	many := strings.Builder{}
	for i := range maxShards + 1 {
		fmt.Fprintf(&many, `"t%d":"s%d",`, i, i)
	}
	for text, want := range map[string]string{
		`{"weight_map":{"a":"../m.safetensors"}}`:   "not a plain file name",
		`{"weight_map":{"a":"/etc/m.safetensors"}}`: "not a plain file name",
		`{"weight_map":{"a":"x/m.safetensors"}}`:    "not a plain file name",
		`{"weight_map":{"a":""}}`:                   "not a plain file name",
		`{"weight_map":{"a":1}}`:                    IndexFile,
		`{"weight_map":{}}`:                         "empty",
		`{`:                                         IndexFile,
		`{"weight_map":{"a":"absent.safetensors"}}`: "absent.safetensors",
		`{"weight_map":{"c":"m.safetensors"}}`:      `places tensor "c" in m.safetensors`,
		`{"weight_map":{` + strings.TrimSuffix(many.String(), ",") + `}}`: "shards",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "m.safetensors"), floats(t, "a", tensor.F32, nil, 1))
		writeText(t, filepath.Join(dir, IndexFile), text)
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: error %v, want one with %q", text, err, want)
		}
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "neither") {
		t.Errorf("empty directory: %v", err)
	}
}

// quantized is a tensor [3, 64] as it is stored.
func quantized(t testing.TB, name string, opt quant.Options) (quant.Tensor, []stored) {
	t.Helper()
	x := make([]float32, 3*64)
	for i := range x {
		x[i] = float32(math.Abs(float64(i%17)-8)) / 9
	}
	q, err := quant.Quantize(1, x, []int{3, 64}, opt)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := q.Parts()
	if err != nil {
		t.Fatal(err)
	}
	var list []stored
	for _, p := range parts {
		list = append(list, stored{safetensors.Spec{Name: name + p.Suffix, DType: p.DType, Shape: p.Shape}, p.Data})
	}
	return q, list
}

// schemes are all there are.
func schemes() []quant.Options {
	return []quant.Options{
		{Scheme: quant.NF4, BlockSize: 128, DType: tensor.BF16},
		{Scheme: quant.NF4, BlockSize: 64, DType: tensor.BF16, DoubleQuant: true},
		{Scheme: quant.FP4, BlockSize: 64, DType: tensor.F16},
		{Scheme: quant.FP4, BlockSize: 32, DType: tensor.F32, DoubleQuant: true},
		{Scheme: quant.Q8},
	}
}

func TestQuantized(t *testing.T) {
	for _, opt := range schemes() {
		q, tensors := quantized(t, "l.q_proj.weight", opt)
		dir := t.TempDir()
		write(t, filepath.Join(dir, SingleFile), append(tensors, floats(t, "l.norm.weight", tensor.F32, []int{1}, 1))...)
		d := open(t, dir)
		if got := d.Names(); !reflect.DeepEqual(got, []string{"l.norm.weight", "l.q_proj.weight"}) || !d.Quantized() {
			t.Errorf("names %v, quantized %v", got, d.Quantized())
		}
		want := make([]float32, 3*64)
		quant.Dequantize(1, q, want)
		check(t, d, "l.q_proj.weight", strings.ToUpper(opt.Scheme), []int{3, 64}, want)
		got, ok, err := d.Quant("l.q_proj.weight")
		if err != nil || !ok || !reflect.DeepEqual(got, q) {
			t.Errorf("%+v differs: %v, %v", opt, ok, err)
		}
	}
}

// TestQuantizedDamaged leaves out and shortens every tensor of a weight in turn.
func TestQuantizedDamaged(t *testing.T) {
	for _, opt := range schemes() {
		_, tensors := quantized(t, "w.weight", opt)
		for i, x := range tensors {
			rest := append(append([]stored{}, tensors[:i]...), tensors[i+1:]...)
			if opt.Scheme != quant.Q8 || i == 0 { // integers without scales are no quantized weight
				refused(t, x.Name+" is missing", rest)
			}
			if size := x.DType.Size(); len(x.data) > size {
				x.Shape, x.data = []int{1}, x.data[:size]
			} else {
				x.Shape, x.data = []int{0}, nil
			}
			refused(t, x.Name+" is short", append(rest, x))
		}
	}
	_, tensors := quantized(t, "w.weight", quant.Options{Scheme: quant.Q8})
	dir := t.TempDir()
	write(t, filepath.Join(dir, SingleFile), tensors[0])
	if _, err := open(t, dir).F32("w.weight"); err == nil || !strings.Contains(err.Error(), "I8") {
		t.Errorf("integers without scales: %v", err)
	}
}

func refused(t *testing.T, what string, tensors []stored) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, SingleFile), tensors...)
	if d, err := Open(dir); err == nil {
		t.Errorf("%s: opens as %v", what, d.Names())
	} else if !strings.Contains(err.Error(), `"w.weight"`) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestRealModel(t *testing.T) {
	d := open(t, shareddata.Path(t, "models/stories260K/hf"))
	if shape, err := d.Shape("model.embed_tokens.weight"); err != nil || !reflect.DeepEqual(shape, []int{512, 64}) {
		t.Errorf("embedding is %v, %v", shape, err)
	}
	if len(d.Names()) != 1+5*9+1 {
		t.Errorf("%d tensors", len(d.Names()))
	}
}

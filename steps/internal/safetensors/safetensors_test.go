package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// file builds a file from a header and the number of its data bytes.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	for i := range data {
		b = append(b, byte(i))
	}
	return b
}

func open(b []byte) (*File, error) { return New(bytes.NewReader(b), int64(len(b))) }

func TestRead(t *testing.T) {
	f, err := open(file(`{"b":{"shape":[2],"data_offsets":[4,8],"dtype":"BF16"},"__metadata__":{"format":"pt"},`+
		`"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"z":{"dtype":"I64","shape":[0,3],"data_offsets":[8,8]}}   `, 8))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range f.Tensors() {
		names = append(names, x.Name)
	}
	if !reflect.DeepEqual(names, []string{"a", "b", "z"}) || !reflect.DeepEqual(f.Metadata(), PyTorch()) {
		t.Errorf("tensors %v, metadata %v", names, f.Metadata())
	}
	b, ok := f.Tensor("b")
	if !ok || b.DType != tensor.BF16 || b.Elements() != 2 || b.Bytes() != 4 {
		t.Errorf("b is %+v, %v", b, ok)
	}
	if data, err := f.Read(b); err != nil || !bytes.Equal(data, []byte{4, 5, 6, 7}) {
		t.Errorf("b holds %v, %v", data, err)
	}
	if err := f.ReadAt(b, make([]byte, 3), 2); err == nil {
		t.Error("reading past the tensor is allowed")
	}
	if _, ok := f.Tensor("c"); ok {
		t.Error("there is no c")
	}
}

func TestRefuses(t *testing.T) {
	const a = `"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	for _, test := range []struct {
		header string
		data   int
		want   string // in the error
	}{
		{``, 0, "header"},
		{`[]`, 0, "header"},
		{` {}`, 0, "'{'"},
		{`{}`, 1, "1 bytes follow"},
		{`{` + a + `}x`, 4, "after the closing"},
		{`{` + a, 4, "not valid JSON"},
		{`{` + a + `,}`, 4, "not valid JSON"},
		{`{` + a + `,` + a + `}`, 4, `"a" appears twice`},
		{`{` + a + `,"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4, `"a" appears twice`},
		{`{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4, `tensor "a": "dtype" appears twice`},
		{`{` + a + `}`, 3, `tensor "a" ends at byte 4`},
		{`{` + a + `}`, 5, "1 bytes follow the last tensor"},
		{"{\"a\xff\":{}}", 0, "UTF-8"},
		{`{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}`, 4, `tensor "a": unknown dtype "F31"`},
		{`{"a":{"dtype":4,"shape":[1],"data_offsets":[0,4]}}`, 4, "dtype is not a string"},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4, `tensor "a": F32 [2] takes 8 bytes`},
		{`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4, "whole number"},
		{`{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}`, 4, "whole number"},
		{`{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}`, 4, "not a number"},
		{`{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}`, 4, "instead of"},
		{`{"a":{"dtype":"F32","shape":[4294967296,4294967296,1],"data_offsets":[0,0]}}`, 0, "more than 2^63 bytes"},
		{`{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}`, 0, "more than 2^63 bytes"},
		{`{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}`, 4, "whole number"},
		{`{"a":{"dtype":"F32","shape":[` + strings.Repeat("1,", 40) + `1],"data_offsets":[0,4]}}`, 4, "more than 32"},
		{`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4, "after their end"},
		{`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4]}}`, 4, "two numbers"},
		{`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`, 4, "more than 2"},
		{`{"a":{"dtype":"F32","shape":[1]}}`, 4, "needs dtype"},
		{`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, 4, `unknown field "x"`},
		{`{"a":[]}`, 0, "instead of"},
		{`{"__metadata__":{"x":1}}`, 0, "not a string"},
		{`{"__metadata__":{"x":"1","x":"2"}}`, 0, "twice"},
		{`{` + a + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}`, 6, `tensor "b" begins at byte 2, inside tensor "a"`},
		{`{` + a + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4, `inside tensor "a"`},
		{`{` + a + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[5,9]}}`, 9, "1 bytes after the end of what precedes"},
		{`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8, "4 bytes after"},
	} {
		_, err := open(file(test.header, test.data))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.header, err, test.want)
		}
	}
	for _, length := range []uint64{1 << 63, 1<<63 + 5, 1<<64 - 1, 3} {
		b := file(`{}`, 0)
		binary.LittleEndian.PutUint64(b, length)
		if _, err := open(b); err == nil {
			t.Errorf("header length %d is accepted", length)
		}
	}
}

// write encodes tensors with their data, in the order of Order.
func write(t testing.TB, specs []Spec, metadata map[string]string, data map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, specs, metadata)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Order(specs) {
		d := data[s.Name]
		for _, piece := range [][]byte{d[:len(d)/2], d[len(d)/2:]} {
			if err := w.Write(s.Name, piece); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWriteIsCanonical(t *testing.T) {
	specs := []Spec{{"z", tensor.F32, []int{2}}, {"a", tensor.U8, []int{3}}, {"empty", tensor.F32, []int{0, 5}},
		{"b<\"", tensor.F32, nil}, {"c", tensor.BF16, []int{1, 1}}}
	data := map[string][]byte{"z": []byte("12345678"), "a": []byte("abc"), "b<\"": []byte("BBBB"), "c": []byte("cc")}
	const header = `{"__metadata__":{"format":"pt","x":"é"},"b<\"":{"dtype":"F32","shape":[],"data_offsets":[0,4]},` +
		`"empty":{"dtype":"F32","shape":[0,5],"data_offsets":[4,4]},"z":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},` +
		`"c":{"dtype":"BF16","shape":[1,1],"data_offsets":[12,14]},"a":{"dtype":"U8","shape":[3],"data_offsets":[14,17]}}`
	want := file(header+strings.Repeat(" ", (8-len(header)%8)%8), 0)
	want = append(want, "BBBB12345678ccabc"...)
	for range 3 {
		got := write(t, specs, map[string]string{"x": "é", "format": "pt"}, data)
		if !bytes.Equal(got, want) {
			t.Fatalf("wrote %q\n want %q", got, want)
		}
		specs = append(specs[1:], specs[0])
	}
}

func TestWriterRefuses(t *testing.T) {
	var sink bytes.Buffer
	for _, specs := range [][]Spec{
		{{"a", tensor.F32, nil}, {"a", tensor.U8, nil}},
		{{"__metadata__", tensor.F32, nil}},
		{{"a\xff", tensor.F32, nil}},
		{{"a", "F31", nil}},
		{{"a", tensor.F32, []int{-1}}},
		{{"a", tensor.F32, []int{1 << 40, 1 << 40}}},
		{{"a", tensor.U8, []int{1 << 62}}, {"b", tensor.U8, []int{1 << 62}}},
	} {
		if _, err := NewWriter(&sink, specs, nil); err == nil {
			t.Errorf("%v is accepted", specs)
		}
	}
	w, err := NewWriter(&sink, []Spec{{"a", tensor.U8, []int{2}}, {"b", tensor.U8, []int{2}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write("b", []byte("x")); err == nil {
		t.Error("b may be written before a")
	}
	if err := w.Write("a", []byte("xyz")); err == nil {
		t.Error("a takes more than its bytes")
	}
	if err := w.Write("a", []byte("xy")); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), `"b" lacks 2 bytes`) {
		t.Errorf("closing early: %v", err)
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(path, []byte("short"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + ".absent", filepath.Dir(path)} {
		if f, err := Open(p); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v, %v", p, f, err)
		}
	}
}

// TestRealAdapterRewritesIdentically shows that the writer's order and header
// are those of the reference implementation, which wrote this file.
func TestRealAdapterRewritesIdentically(t *testing.T) {
	original, err := os.ReadFile(shareddata.Path(t, "models/smollm135m-lora-medical-5ep/adapter_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(rewrite(t, original), original) {
		t.Error("the adapter is written differently")
	}
}

// rewrite reads a file and writes its tensors again.
func rewrite(t testing.TB, b []byte) []byte {
	f, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	var specs []Spec
	data := map[string][]byte{}
	for _, x := range f.Tensors() {
		specs = append(specs, Spec{x.Name, x.DType, x.Shape})
		if data[x.Name], err = f.Read(x); err != nil {
			t.Fatal(err)
		}
	}
	return write(t, specs, f.Metadata(), data)
}

func TestTortureWeights(t *testing.T) {
	dir := shareddata.Path(t, "torture/weights-malformed")
	raw, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]struct {
		Valid bool
		Why   string
	}
	if err := json.Unmarshal(raw, &expected); err != nil {
		t.Fatal(err)
	}
	tested := 0
	for name, want := range expected {
		if !strings.HasSuffix(name, ".safetensors") {
			continue
		}
		tested++
		f, err := Open(filepath.Join(dir, name))
		if (err == nil) != want.Valid {
			t.Errorf("%s (%s): valid should be %v, error is %v", name, want.Why, want.Valid, err)
		}
		if err == nil {
			f.Close()
		}
	}
	if tested < 19 {
		t.Errorf("only %d files", tested)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(file(`{"b":{"shape":[2],"data_offsets":[4,8],"dtype":"BF16"},"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 8))
	f.Add(file(`{}`, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := open(b); err != nil {
			return
		}
		canonical := rewrite(t, b)
		if !bytes.Equal(rewrite(t, canonical), canonical) {
			t.Error("what was written is written differently the second time")
		}
	})
}

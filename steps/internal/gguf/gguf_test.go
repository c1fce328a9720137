package gguf

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
)

func TestRead(t *testing.T) {
	b := new(builder)
	b.set("a.u32", uint32(7)).set("a.f32", float32(0.5)).set("a.bool", true).set("a.text", "é")
	b.set("a.texts", []string{"x", "", "yz"}).set("a.ints", []int32{-1, 2}).set("a.negative", int32(-3))
	b.set("a.f64s", raw{kindArray, 0, 0, 0, kindF64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f})
	b.floats("w", []float32{1, 2, 3, 4, 5, 6}, 2, 3)
	b.tensor("q", 8, append([]byte{0, 0x40, 3, 0x80}, make([]byte, 30)...), 32)
	f, err := open(b.bytes())
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := f.Uint("a.u32"); n != 7 || !ok {
		t.Error("a.u32", n, ok)
	}
	if _, ok := f.Uint("a.negative"); ok {
		t.Error("a negative number is a Uint")
	}
	if s, ok := f.Text("a.text"); s != "é" || !ok {
		t.Error("a.text", s, ok)
	}
	if v := f.Value("a.f64s"); !reflect.DeepEqual(v, []float64{1.5}) {
		t.Errorf("a.f64s is %#v", v)
	}
	if list, ok := f.Ints("a.ints"); !ok || !reflect.DeepEqual(list, []int32{-1, 2}) {
		t.Error("a.ints", list, ok)
	}
	if len(f.Keys()) != 8 || f.Keys()[0] != "a.u32" {
		t.Error("keys", f.Keys())
	}
	w, _ := f.Tensor("w")
	if values, err := f.F32(w); err != nil || !reflect.DeepEqual(values, []float32{1, 2, 3, 4, 5, 6}) || !reflect.DeepEqual(w.Shape, []int{2, 3}) {
		t.Error("w", w.Shape, values, err)
	}
	q, _ := f.Tensor("q")
	if values, err := f.F32(q); err != nil || values[0] != 6 || values[1] != -256 || q.Bytes() != 34 {
		t.Error("q", values, err)
	}
}

func TestRefuses(t *testing.T) {
	ok := func() *builder { return new(builder).set("general.alignment", uint32(32)).floats("a", count(8), 8) }
	long := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	at := func(offset int, value []byte) []byte {
		b := ok().bytes()
		copy(b[offset:], value)
		return b
	}
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"empty":             {nil, "not a GGUF"},
		"magic":             {[]byte("GGML\x03\x00\x00\x00"), "not a GGUF"},
		"version":           {at(4, []byte{1}), "version 1"},
		"big endian":        {at(4, []byte{0, 0, 0, 3}), "big-endian"},
		"tensor count":      {at(8, long(1<<60)), "tensors: reaches past"},
		"entry count":       {at(16, long(1<<60)), "entries: reaches past"},
		"key length":        {at(24, long(1<<63+1)), "reaches past"},
		"value type":        {at(24+8+17, []byte{77}), "unknown value type 77"},
		"no alignment":      {at(24+8+17+4, []byte{33}), "general.alignment"},
		"dimensions":        {new(builder).info("a", 0, 0, 1, 1, 1, 1, 1).bytes(), "5 dimensions"},
		"huge dimension":    {new(builder).info("a", 0, 0, 1<<63).bytes(), "too large"},
		"huge shape":        {new(builder).info("a", 0, 0, 1<<31, 1<<31, 4).bytes(), "too large"},
		"huge blocks":       {new(builder).info("a", 12, 0, 1<<40, 1<<22).bytes(), "too large"},
		"unknown type":      {new(builder).info("a", 4, 0, 1).bytes(), "unknown ggml type 4"},
		"partial block":     {new(builder).info("a", 2, 0, 33).bytes(), "whole blocks"},
		"past the end":      {new(builder).info("a", 0, 0, 1).bytes(), `tensor "a" needs 4 bytes`},
		"offset":            {new(builder).info("a", 0, 1<<62, 1).bytes(), "past the end"},
		"huge offset":       {new(builder).info("a", 0, 1<<63, 1).bytes(), "offset"},
		"unaligned":         {ok().info("b", 0, 4, 1).bytes(), "not aligned"},
		"overlap":           {ok().info("b", 0, 0, 1).bytes(), "inside tensor"},
		"duplicate":         {ok().info("a", 0, 32, 0).bytes(), `"a" appears twice`},
		"duplicate key":     {new(builder).set("k", true).set("k", true).bytes(), `"k" appears twice`},
		"empty name":        {new(builder).info("", 0, 0, 0).bytes(), "empty name"},
		"bad name":          {new(builder).info("\xff", 0, 0, 0).bytes(), "UTF-8"},
		"bool":              {new(builder).set("k", raw{kindBool, 0, 0, 0, 2}).bytes(), "bool of value 2"},
		"nested array":      {new(builder).set("k", raw{kindArray, 0, 0, 0, kindArray, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}).bytes(), "array of value type 9"},
		"array count":       {new(builder).set("k", raw(append([]byte{kindArray, 0, 0, 0, kindString, 0, 0, 0}, long(1<<61)...))).bytes(), "reaches past"},
		"cut in a tensor":   {ok().bytes()[:70], "tensor"},
		"cut in the header": {ok().bytes()[:30], "metadata"},
	} {
		if _, err := open(test.file); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
	file := ok().bytes()
	for n := range file {
		if _, err := open(file[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are accepted", n, len(file))
		}
	}
}

func TestUnreadableTypeIsListed(t *testing.T) {
	f, err := open(new(builder).tensor("a", 10, make([]byte, 84), 256).bytes())
	if err != nil {
		t.Fatal(err)
	}
	a, _ := f.Tensor("a")
	if _, err := f.F32(a); err == nil || !strings.Contains(err.Error(), "Q2_K") {
		t.Errorf("unpacking Q2_K: %v", err)
	}
}

func TestTortureWeights(t *testing.T) {
	dir := shareddata.Path(t, "torture/weights-malformed")
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]struct {
		Valid bool
		Why   string
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	tested := 0
	for name, want := range expected {
		if !strings.HasSuffix(name, ".gguf") {
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
	if tested < 14 {
		t.Errorf("only %d files", tested)
	}
}

func TestTortureRealCorruption(t *testing.T) {
	path := shareddata.Path(t, "torture/weights-real-corruption/ggml-vocab-llama-spm.utf8-mangled.gguf")
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(tinyLlama().bytes())
	f.Add(new(builder).set("general.alignment", uint32(64)).set("x", []float32{1}).tensor("a", 14, make([]byte, 210), 256).bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := New(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, x := range file.Tensors() {
			if _, err := file.Read(x); err != nil {
				t.Errorf("%s was accepted but cannot be read: %v", x.Name, err)
			}
			if x.Elements() < 1<<20 && x.Type.Decodes() {
				if _, err := file.F32(x); err != nil {
					t.Errorf("%s was accepted but cannot be unpacked: %v", x.Name, err)
				}
			}
		}
	})
}

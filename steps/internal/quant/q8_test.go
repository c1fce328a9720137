package quant

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// TestQ8EqualsGGML compares with ggml's reference quantizer: codes and scales
// are those of its blocks.
func TestQ8EqualsGGML(t *testing.T) {
	q, err := QuantizeQ8(1, goldenInput(), []int{2, 128})
	if err != nil {
		t.Fatal(err)
	}
	var blocks []byte
	for b := range 8 {
		blocks = append(append(blocks, q.Scales[2*b:2*b+2]...), q.Codes[32*b:32*b+32]...)
	}
	for _, g := range ggmlGolden {
		if g.format == "Q8_0" && !bytes.Equal(blocks, decodeHex(t, g.hex)) {
			t.Errorf("blocks %x\nwant %s", blocks, g.hex)
		}
	}
}

func TestSize(t *testing.T) {
	for _, opt := range []Options{plain, double, floats4, {Scheme: FP4, BlockSize: 4096}, {Scheme: Q8}} {
		for _, shape := range [][]int{{1, 32}, {96, 64}, {300, 160}} {
			q, err := Quantize(1, random(shape[0]*shape[1], 1), shape, opt)
			if err != nil {
				t.Fatal(err)
			}
			if got := opt.Size(shape[0] * shape[1]); got != q.Bytes() {
				t.Errorf("%+v of %v: %d bytes, want %d", opt, shape, got, q.Bytes())
			}
		}
	}
}

// TestQ8RoundsHalfAway compares the rounding with its definition.
func TestQ8RoundsHalfAway(t *testing.T) {
	var x [32]float32
	for i := -254; i <= 254; i++ {
		near := float32(i) / 2
		for j, v := range []float32{near, math.Nextafter32(near, 200), math.Nextafter32(near, -200), near + 0.25} {
			x[j], x[31-j] = v, -v
		}
		var plain, fast [32]byte
		q8CodesPlain(plain[:], x[:], 1)
		for j, v := range x {
			if want := int8(math.Round(max(-127, min(127, float64(v))))); math.Abs(float64(v)) <= 127.4 && int8(plain[j]) != want {
				t.Fatalf("%v becomes %d, want %d", v, int8(plain[j]), want)
			}
		}
		if q8CodesFast(fast[:], x[:], 1) > 0 && fast != plain {
			t.Fatalf("around %v: %v, want %v", near, fast, plain)
		}
	}
}

func TestQ8EveryRangeAgrees(t *testing.T) {
	const rows, columns = 3, 32 * 40
	q, err := QuantizeQ8(2, random(rows*columns, 5), []int{rows, columns})
	if err != nil {
		t.Fatal(err)
	}
	for row := range rows {
		whole := make([]float32, columns)
		for i := range whole {
			at := row*columns + i
			whole[i] = float32(int8(q.Codes[at])) * tensor.F32FromF16(binary.LittleEndian.Uint16(q.Scales[at/32*2:]))
		}
		for lo := 0; lo < columns; lo += 1 + lo/40 {
			for hi := lo; hi <= columns; hi += 1 + (hi-lo)/3 {
				part := make([]float32, hi-lo)
				q.Unpack(part, row, lo)
				if !same(part, whole[lo:hi]) {
					t.Fatalf("elements %d to %d differ", lo, hi)
				}
			}
		}
	}
}

func TestQ8ThreadsDoNotMatter(t *testing.T) {
	x := random(32*9000, 4)
	one, err1 := QuantizeQ8(1, x, []int{100, 2880})
	many, err2 := QuantizeQ8(7, x, []int{100, 2880})
	if err1 != nil || err2 != nil || !reflect.DeepEqual(one, many) {
		t.Error("seven threads give other bits than one", err1, err2)
	}
}

func TestQ8Edges(t *testing.T) {
	for name, x := range map[string][]float32{
		"zeros": make([]float32, 32), "tiny": {31: 1e-45}, "small": {0: 1e-6, 31: 1e-5}, "huge": {3: 127 * 65504, 31: 0},
	} {
		q, err := QuantizeQ8(1, x, []int{1, 32})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := make([]float32, 32)
		Dequantize(1, q, got)
		for i, v := range got {
			if math.Abs(float64(v-x[i])) > float64(maxAbs(x))/100+1e-5 {
				t.Errorf("%s: %v becomes %v", name, x[i], v)
			}
		}
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1)), 1e7} {
		x := make([]float32, 96)
		x[40] = bad
		if _, err := QuantizeQ8(1, x, []int{1, 96}); err == nil || !strings.Contains(err.Error(), "32 to 63") {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := QuantizeQ8(1, make([]float32, 80), []int{2, 40}); err == nil {
		t.Error("rows of 40 elements are accepted")
	}
}

// parsedQ8 parses a weight as Dir does.
func parsedQ8(codes Part, parts map[string]Part) (Tensor, error) {
	h, err := Parse(codes, parts)
	if err != nil {
		return nil, err
	}
	return h.WithCodes(codes.Data)
}

func TestQ8PartsRoundTrip(t *testing.T) {
	q, err := QuantizeQ8(1, random(96*64, 5), []int{96, 64})
	if err != nil {
		t.Fatal(err)
	}
	parts, err := q.Parts()
	if err != nil {
		t.Fatal(err)
	}
	codes, scale := parts[0], parts[1]
	back, err := parsedQ8(codes, map[string]Part{"_scale": scale})
	if err != nil || !reflect.DeepEqual(back, Tensor(q)) {
		t.Errorf("does not survive serialization: %v", err)
	}
	for name, damage := range map[string]func(codes, scale *Part){
		"codes are U8":     func(c, _ *Part) { c.DType = tensor.U8 },
		"one dimension":    func(c, _ *Part) { c.Shape = []int{96 * 64} },
		"overflow":         func(c, _ *Part) { c.Shape = []int{1 << 62, 64} },
		"columns":          func(c, _ *Part) { c.Shape = []int{128, 48} },
		"short codes":      func(c, _ *Part) { c.Data = c.Data[1:] },
		"scale is BF16":    func(_, s *Part) { s.DType = tensor.BF16 },
		"a scale per row":  func(_, s *Part) { s.Shape, s.Data = []int{96, 1}, s.Data[:192] },
		"short scale":      func(_, s *Part) { s.Data = s.Data[:10] },
		"scale not finite": func(_, s *Part) { s.Data = bytes.Clone(s.Data); s.Data[3] = 0x7c },
	} {
		c, s := codes, scale
		damage(&c, &s)
		if _, err := parsedQ8(c, map[string]Part{"_scale": s}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseQ8(f *testing.F) {
	f.Add(2, 32, 2, 1, []byte{0, 60, 0, 60}, make([]byte, 64))
	f.Fuzz(func(t *testing.T, rows, columns, scaleRows, scaleColumns int, scales, codes []byte) {
		q, err := parsedQ8(Part{DType: tensor.I8, Shape: []int{rows, columns}, Data: codes},
			map[string]Part{"_scale": {DType: tensor.F16, Shape: []int{scaleRows, scaleColumns}, Data: scales}})
		if err != nil {
			return
		}
		x := make([]float32, len(codes))
		Dequantize(1, q, x)
		for _, v := range x {
			if v-v != 0 {
				t.Fatal("not finite")
			}
		}
	})
}

func FuzzQ8(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 0, 191})
	f.Fuzz(func(t *testing.T, raw []byte) {
		x := make([]float32, len(raw)/128*32)
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		q, err := QuantizeQ8(1, x, []int{1, len(x)})
		if err != nil {
			return
		}
		codes := make([]byte, 32)
		for b := range len(x) / 32 {
			block := x[32*b : 32*b+32]
			q8CodesPlain(codes, block, reciprocal(maxAbs(block)/127))
			if !bytes.Equal(codes, q.Codes[32*b:32*b+32]) {
				t.Fatalf("codes %v, want %v", q.Codes[32*b:32*b+32], codes)
			}
		}
	})
}

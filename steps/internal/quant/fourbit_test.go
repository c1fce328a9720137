package quant

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

var plain = Options{Scheme: NF4, BlockSize: 64, DType: tensor.F32}
var floats4 = Options{Scheme: FP4, BlockSize: 64, DType: tensor.F16, DoubleQuant: true}
var double = Options{Scheme: NF4, BlockSize: 64, DType: tensor.BF16, DoubleQuant: true}

// random fills n values from a small generator, a normal-ish mix of magnitudes.
func random(n int, seed uint32) []float32 {
	x := make([]float32, n)
	for i := range x {
		var sum float32
		for range 4 {
			seed = seed*1664525 + 1013904223
			sum += float32(int32(seed>>8)-1<<23) / (1 << 23)
		}
		x[i] = sum * 0.02
	}
	return x
}

func TestNF4GoldenBlock(t *testing.T) {
	x := make([]float32, 64)
	for i := range x {
		x[i] = float32(i-31) / 32
	}
	q, err := QuantizeFourBit(1, x, []int{8, 8}, plain)
	if err != nil {
		t.Fatal(err)
	}
	const want = "00001111111122222333344455566677788999aaabbbccccddddeeeeeeefffff"
	if got := hex.EncodeToString(q.Packed); got != want {
		t.Errorf("packed %s\n  want %s", got, want)
	}
	if !reflect.DeepEqual(q.Absmax, []float32{1}) {
		t.Errorf("absmax %v", q.Absmax)
	}
}

func TestNF4TableBits(t *testing.T) {
	want := []uint32{0xbf800000, 0xbf3239b1, 0xbf066b30, 0xbeca32a0, 0xbe91a24d, 0xbe3d353f, 0xbdba7871, 0,
		0x3da2faff, 0x3e24cae3, 0x3e7c04dd, 0x3ead033a, 0x3ee1a4b8, 0x3f1007ab, 0x3f3913b3, 0x3f800000}
	for i, w := range want {
		if got := math.Float32bits(nf4().table[i]); got != w {
			t.Errorf("table[%d] = %08x, want %08x", i, got, w)
		}
	}
}

// TestDynamicMap compares with create_dynamic_map of bitsandbytes 0.50.2 on PyTorch 2.15.
func TestDynamicMap(t *testing.T) {
	var b []byte
	for _, v := range dynamicMap() {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); got != "e732639a65f497b4ad684bb166a4467708255edd5207757de8b8f0c7e1fda89c" {
		t.Errorf("sha256 %s", got)
	}
	if m := dynamicMap(); m[127] != 0 || m[255] != 1 {
		t.Errorf("0 and 1 are not at 127 and 255: %v %v", m[127], m[255])
	}
}

// countBelow is the definition of a code.
func countBelow(c *fourBitCode, y float32) byte {
	n := 0
	for _, threshold := range c.thresholds {
		if y > threshold {
			n++
		}
	}
	return c.order[n]
}

func TestFourBitCodeCountsThresholds(t *testing.T) {
	for _, scheme := range []string{NF4, FP4} {
		c := codesOf(scheme)
		check := func(y float32) {
			if got, want := c.code(y), countBelow(c, y); got != want {
				t.Fatalf("%s: code of %v is %d, want %d", scheme, y, got, want)
			}
		}
		infinity := float32(math.Inf(1))
		for _, center := range append(c.thresholds[:], -1, 0, 1) {
			for _, toward := range []float32{-infinity, infinity} {
				y := center
				for range 1000 {
					check(y)
					y = math.Nextafter32(y, toward)
				}
			}
		}
		for i := -1024; i <= 1024; i++ {
			y := float32(i) / 1024
			check(y)
			check(math.Nextafter32(y, 2))
			check(math.Nextafter32(y, -2))
		}
		for bits := uint32(0); bits < 0x3f800000; bits += 7919 {
			check(math.Float32frombits(bits))
			check(-math.Float32frombits(bits))
		}
	}
}

func TestFourBitRoundTripOfTableValues(t *testing.T) {
	x := make([]float32, 16*7)
	for i := range x {
		x[i] = nf4().table[i%16] * 0.25
	}
	for _, opt := range []Options{plain, {Scheme: NF4, BlockSize: 32, DType: tensor.F16}} {
		q, err := QuantizeFourBit(2, x, []int{7, 16}, opt)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(x))
		Dequantize(2, q, got)
		if !reflect.DeepEqual(got, x) {
			t.Errorf("block size %d: table values do not survive", opt.BlockSize)
		}
	}
}

func TestFourBitErrorIsBounded(t *testing.T) {
	x := random(4096+17, 3)
	for _, opt := range []Options{plain, double, floats4} {
		q, err := QuantizeFourBit(2, x, []int{len(x)}, opt)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(x))
		Dequantize(1, q, got)
		scales := make([]float32, (len(x)+63)/64)
		q.scales(scales, 0)
		for i := range x {
			// Half the widest gap of the tables, 0.167, plus what double quantization adds.
			if d := math.Abs(float64(got[i] - x[i])); d > 0.19*float64(scales[i/64])+1e-9 {
				t.Fatalf("%+v: element %d: %v became %v (scale %v)", opt, i, x[i], got[i], scales[i/64])
			}
		}
	}
}

func TestFourBitEveryRangeAgrees(t *testing.T) {
	x := random(64*40+5, 9)
	for _, opt := range []Options{plain, double, floats4} {
		q, err := QuantizeFourBit(1, x, []int{len(x)}, opt)
		if err != nil {
			t.Fatal(err)
		}
		scales := make([]float32, (len(x)+63)/64)
		q.scales(scales, 0)
		whole := make([]float32, len(x))
		for i := range whole {
			whole[i] = q.Table[q.Packed[i/2]>>(4-4*(i%2))&15] * scales[i/64]
		}
		for lo := 0; lo < len(x); lo += 1 + lo/50 {
			for hi := lo; hi <= len(x); hi += 1 + (hi-lo)/3 {
				part := make([]float32, hi-lo)
				q.Unpack(part, 0, lo)
				if !same(part, whole[lo:hi]) {
					t.Fatalf("elements %d to %d differ", lo, hi)
				}
			}
		}
	}
}

func TestFourBitThreadsDoNotMatter(t *testing.T) {
	x := random(64*5000+1, 4)
	one, err := QuantizeFourBit(1, x, []int{len(x)}, double)
	if err != nil {
		t.Fatal(err)
	}
	many, err := QuantizeFourBit(7, x, []int{len(x)}, double)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(one, many) {
		t.Error("seven threads give other bits than one")
	}
	a, b := make([]float32, len(x)), make([]float32, len(x))
	Dequantize(1, one, a)
	Dequantize(5, one, b)
	if !reflect.DeepEqual(a, b) {
		t.Error("dequantizing with five threads gives other bits than with one")
	}
}

func TestFourBitEdges(t *testing.T) {
	for name, x := range map[string][]float32{
		"empty": {}, "one": {3}, "zeros": make([]float32, 100), "tiny": {1e-45, -1e-45, 0},
		"huge": {math.MaxFloat32, -math.MaxFloat32, 1},
	} {
		for _, opt := range []Options{plain, double, floats4} {
			q, err := QuantizeFourBit(2, x, []int{len(x)}, opt)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			got := make([]float32, len(x))
			Dequantize(1, q, got)
			for _, v := range got {
				if v-v != 0 {
					t.Errorf("%s: dequantizes to %v", name, v)
				}
			}
		}
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		x := make([]float32, 200)
		x[100] = float32(bad)
		if _, err := QuantizeFourBit(1, x, []int{200}, double); err == nil || !strings.Contains(err.Error(), "64 to 127") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func partMap(t *testing.T, q *FourBit) map[string]Part {
	t.Helper()
	list, err := q.Parts()
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]Part{}
	for _, p := range list {
		parts[p.Suffix] = p
	}
	return parts
}

func parseAll(parts map[string]Part) (*FourBit, error) {
	q, err := ParseFourBit(parts)
	if err != nil {
		return nil, err
	}
	w, err := q.WithCodes(parts[""].Data)
	if err != nil {
		return nil, err
	}
	return w.(*FourBit), nil
}

func TestFourBitPartsRoundTrip(t *testing.T) {
	for _, opt := range []Options{plain, double, {Scheme: FP4, BlockSize: 4096, DType: tensor.F16, DoubleQuant: true}} {
		q, err := QuantizeFourBit(1, random(96*33, 5), []int{96, 33}, opt)
		if err != nil {
			t.Fatal(err)
		}
		parts := partMap(t, q)
		back, err := parseAll(parts)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, q) {
			t.Errorf("%+v does not survive serialization", opt)
		}
	}
}

func TestFourBitStateJSON(t *testing.T) {
	q, err := QuantizeFourBit(1, []float32{0.5, -0.25}, []int{2, 1}, double)
	if err != nil {
		t.Fatal(err)
	}
	q.Nested.Offset = 0.043701171875
	const want = `{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [2, 1], "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.043701171875}`
	if got := string(partMap(t, q)[".quant_state.bitsandbytes__nf4"].Data); got != want {
		t.Errorf("state %s\n want %s", got, want)
	}
}

func TestPythonFloat(t *testing.T) {
	for want, f := range map[string]float64{
		"0.0": 0, "1.0": 1, "0.0001": 1e-4, "1e-05": 1e-5, "123456789.5": 123456789.5,
		"1e+16": 1e16, "1000000000000000.0": 1e15, "0.043736960738897324": float64(float32(0.04373696)),
		"1.401298464324817e-45": 1.401298464324817e-45,
	} {
		if got := pythonFloat(f); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestParseFourBitRefuses(t *testing.T) {
	q, err := QuantizeFourBit(1, random(640, 1), []int{10, 64}, double)
	if err != nil {
		t.Fatal(err)
	}
	const stateKey = ".quant_state.bitsandbytes__nf4"
	edit := func(old, new string) func(map[string]Part) {
		return func(parts map[string]Part) {
			p := parts[stateKey]
			if !bytes.Contains(p.Data, []byte(old)) {
				t.Fatalf("state has no %s", old)
			}
			p.Data = bytes.Replace(p.Data, []byte(old), []byte(new), 1)
			parts[stateKey] = p
		}
	}
	for name, damage := range map[string]func(map[string]Part){
		"no state":            func(p map[string]Part) { delete(p, stateKey) },
		"two states":          func(p map[string]Part) { p[".quant_state.bitsandbytes__fp4"] = p[stateKey] },
		"state not JSON":      edit("{", "["),
		"other type":          edit("nf4", "fp4"),
		"block size 0":        edit(`"blocksize": 64`, `"blocksize": 0`),
		"block size 48":       edit(`"blocksize": 64`, `"blocksize": 48`),
		"dtype":               edit("bfloat16", "int8"),
		"shape too large":     edit("[10, 64]", "[10, 65]"),
		"negative shape":      edit("[10, 64]", "[-10, -64]"),
		"overflowing shape":   edit("[10, 64]", "[4294967296, 4294967296, 640]"),
		"nested block size":   edit(`"nested_blocksize": 256`, `"nested_blocksize": -256`),
		"nested dtype":        edit("float32", "float16"),
		"no offset":           edit("nested_offset", "nested_offsex"),
		"no codes":            func(p map[string]Part) { delete(p, "") },
		"no table":            func(p map[string]Part) { delete(p, ".quant_map") },
		"short absmax":        func(p map[string]Part) { a := p[".absmax"]; a.Data = a.Data[1:]; p[".absmax"] = a },
		"no nested absmax":    func(p map[string]Part) { delete(p, ".nested_absmax") },
		"short nested table":  func(p map[string]Part) { a := p[".nested_quant_map"]; a.Data = a.Data[4:]; p[".nested_quant_map"] = a },
		"nested absmax is U8": func(p map[string]Part) { a := p[".nested_absmax"]; a.DType = tensor.U8; p[".nested_absmax"] = a },
		"nested absmax is NaN": func(p map[string]Part) {
			a := p[".nested_absmax"]
			a.Data = []byte{0, 0, 0xc0, 0x7f}
			p[".nested_absmax"] = a
		},
	} {
		parts := partMap(t, q)
		damage(parts)
		if _, err := parseAll(parts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestIsPart(t *testing.T) {
	for name, want := range map[string]string{
		"a.weight.absmax": "a.weight", "a.weight.quant_map": "a.weight", "a.weight.nested_absmax": "a.weight",
		"a.weight.nested_quant_map": "a.weight", "a.weight.quant_state.bitsandbytes__nf4": "a.weight",
		"a.weight_scale": "a.weight", "a.weight": "", "a.scale": "", "a.bias": "", "absmax": "", "a.absmax": "",
	} {
		if got, ok := IsPart(name); got != want || ok != (want != "") {
			t.Errorf("IsPart(%q) = %q, %v", name, got, ok)
		}
	}
}

// TestPackFastEqualsPlain compares the kernels with the plain Go that defines
// them, on every length, between guard bytes.
func TestPackFastEqualsPlain(t *testing.T) {
	if _, done := maxAbsFast(make([]float32, 32)); done == 0 {
		t.Skip("no kernels on this machine or in this build")
	}
	for _, c := range []*fourBitCode{nf4(), fp4()} {
		values := random(300, 11)
		values[77], values[78] = 0.5, -0.75
		for n := range values {
			x := values[:n]
			largest, done := maxAbsFast(x)
			if want := maxAbsBits(x[:done]); largest != want || done != n&^31 {
				t.Fatalf("%d elements: largest %08x of %d, want %08x", n, largest, done, want)
			}
			got := bytes.Repeat([]byte{0xa5}, n/2+64)
			want := bytes.Clone(got)
			scale := 1 / max(maxAbs(x), minScale)
			done = packFast(got[16:], x, c, scale)
			c.pack(want[16:], x[:done], scale)
			if !bytes.Equal(got, want) {
				t.Fatalf("%d elements: codes %x\nwant %x", n, got, want)
			}
		}
		for _, threshold := range c.thresholds {
			var x [32]float32
			y := threshold
			for i := range x[:16] {
				x[i], x[31-i] = y, math.Nextafter32(threshold, 1)
				y = math.Nextafter32(y, -1)
			}
			var got, want [16]byte
			packFast(got[:], x[:], c, 1)
			c.pack(want[:], x[:], 1)
			if got != want {
				t.Errorf("around %v: codes %x, want %x", threshold, got, want)
			}
		}
	}
}

func FuzzParseFourBit(f *testing.F) {
	q, err := QuantizeFourBit(1, random(70, 1), []int{7, 10}, double)
	if err != nil {
		f.Fatal(err)
	}
	list, err := q.Parts()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(list[0].Data, list[2].Data, list[3].Data, list[5].Data)
	f.Fuzz(func(t *testing.T, packed, codes, absmax, state []byte) {
		parts := map[string]Part{}
		for _, p := range list {
			parts[p.Suffix] = p
		}
		set := func(suffix string, data []byte) { p := parts[suffix]; p.Data = data; parts[suffix] = p }
		set("", packed)
		set(".absmax", codes)
		set(".nested_absmax", absmax)
		set(".quant_state.bitsandbytes__nf4", state)
		q, err := parseAll(parts)
		if err != nil {
			return
		}
		Dequantize(1, q, make([]float32, q.Len()))
	})
}

func FuzzFourBit(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 0, 191}, true, true)
	f.Fuzz(func(t *testing.T, raw []byte, doubleQuant, floats bool) {
		scheme := NF4
		if floats {
			scheme = FP4
		}
		x := make([]float32, len(raw)/4)
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		q, err := QuantizeFourBit(1, x, []int{len(x)}, Options{Scheme: scheme, BlockSize: 32, DType: tensor.F32, DoubleQuant: doubleQuant})
		if err != nil {
			return
		}
		for i := range x {
			block := x[i/32*32 : min(i/32*32+32, len(x))]
			want := countBelow(codesOf(scheme), x[i]*(1/max(maxAbs(block), minScale)))
			if got := q.Packed[i/2] >> (4 - 4*(i%2)) & 15; got != want {
				t.Fatalf("element %d: code %d, want %d", i, got, want)
			}
		}
		Dequantize(1, q, make([]float32, len(x)))
	})
}

package quant

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"testing"
)

// goldenInput is what ggmlGolden encodes: 256 values of a linear congruential
// generator, with an outlier at every 37th.
func goldenInput() []float32 { return goldenNumbers(256) }

func goldenNumbers(n int) []float32 {
	x := make([]float32, n)
	seed := uint32(12345)
	for i := range x {
		seed = seed*1664525 + 1013904223
		v := float32(int32(seed>>8)-1<<23) / (1 << 23)
		if i%37 == 0 {
			v *= 3
		}
		x[i] = v * 0.05
	}
	return x
}

// ggmlGolden holds goldenInput as ggml's reference quantizers encode it, with
// the largest error that each format's step allows on it.
var ggmlGolden = []struct {
	format string
	hex    string
	within float64
}{
	{"Q4_0", "9b2470b578b9ba968888798a95696ba679585fa1886aa7647d609aba84688647974b64b5619d244b7b02620eaf3a21f4666d" +
		"fa6112fabfa399a676695ab975b996b78b5656989a50bba2b57a768709b9b47677788888799975b92a235776997495ab565b" +
		"9507785466a56a861e9fcb595534bd96a11edc8a1352b9b709ac4e1eed38adcafc2b3f977d50ab81be925969", 0.0195},
	{"Q4_1", "99229bb0a0f7acfcfec8bbbcacbdd88d8fe8ad7b852034aa5583468b608f53235b7667a747a28a19a71d39a9dbb585fdadf2" +
		"50d6de0ba993059eed05d3215aaa3227667392026803371641869735328fe720eca808516635f30209575653444453325903" +
		"3d212aaf6998cca6d7df787fc70aab7698e79eb8921e34a924a5aaca31595ee01275ecad3548f5526e1e4eaaed389dcaec2b" +
		"3f977d509b81be924959", 0.0095},
	{"Q8_0", "a41481d5040c24de00040819d71629da12fcf729f8282c0ef900edf90fe2dc1fefd46a11fae00b46b77fe2e54507191813cd" +
		"4128fa22e7200c28f7d4f91a0338f04025ca6c0d38d3d5595a9e8de3714420b4df705fd9643a0978287fdd56628623228b18" +
		"7685ce13e91d18f3dee928f51d17d5192406e27ff6e1132234cc11cef0d7012b33ebef2dc81231da1b0cf6ed3a2113fafeff" +
		"f1ee36f2d20f15fa7fd5d30c0911fafb09ef10d23913eadc09c7d22ae42fd2f006c8dfd81fe0c9ed0af2141ad5d20c81f4d0" +
		"e61fe6032c0fd7ec3538ab2270a3c5e65463ed15edc0bc313651d5eee86bb0086f33d1d87fe75b0e560556253f3674f65681" +
		"2e8c5e9c0d1362ae194267a5ae11f8d519033213c9d9", 0.0007},
	{"Q4_K", "040ba818bfac58747fd551550c1f3e6e50376bac0ee83b3bab6d777c6e17ac8a5a7e3a7e6e8c4a2b597a5c9848ad89172b75" +
		"653d1d2180367f6c1a63755f2ef53e2b687f9a0f650d3e104a8a90393f809881c66573f299f776a3c4648382e9836095c6a3" +
		"dfd07075c505a37395e295b0d485daabc1b9fe70d305bc1dd5289592e23a9acce425359e71579e8ab4944f55", 0.0095},
	{"Q5_K", "6206a718bfec9c797fd552560f13206fb4a0e1c785e3f9218725e541a145b7ab8567e5e7bd2701c52501e5cfa9a76728a06f" +
		"d86a0ef1777869ccf0fbef305b17a60f760fdf1aa647a4f6ca42915d143f56e9da7a3a53017bedd723d6fbad4afa7b46c0fd" +
		"240ecb096b20930321526d1031018dcae6e512feeb3777c815f5c215d03b8c47afb0f0ea9a0b47e72ac52b70c71ac5559182" +
		"fdf0c509692bda402a34d4644599e75b6a3cf2be4d147737afba", 0.005},
	{"Q6_K", "f136418399580081f23696b57af7a45f7623e634611695b08de57586daaa3cef6198ad3f826167379faebaaa7bed8006632f" +
		"5dc01afd64e69383fe6428c0ae5bc5651109856a00be1683814168aa62281b4c3bc2b15b6b5d4eec4131cea40c6b641c6591" +
		"07e7d0ea6707c3318e6a315f229b83cd05c695b433d08df419a819c1a85956b2be814a9a7276a5465679b6158ad05a0414c1" +
		"6ace8af655133b90823fe4a3d991f29ec47cf1268a02e212acb236d5590628eae645b9914656656ac5aa802c4a25df25682c" +
		"295dd4a02a30d6236182", 0.0035},
}

func TestGGMLGolden(t *testing.T) {
	x := goldenInput()
	if bits := math.Float32bits(x[0]); bits != 0xbe135512 {
		t.Fatalf("generator: first value has bits %08x", bits)
	}
	for _, g := range ggmlGolden {
		src, err := hex.DecodeString(g.hex)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := GGML(g.format)
		if !ok {
			t.Fatalf("no format %s", g.format)
		}
		got := make([]float32, len(x))
		if err := f.Decode(got, src); err != nil {
			t.Fatal(err)
		}
		var worst float64
		for i := range x {
			worst = max(worst, math.Abs(float64(got[i]-x[i])))
		}
		if worst > g.within || worst < g.within/4 {
			t.Errorf("%s: largest error %g, expected at most %g and not far below", g.format, worst, g.within)
		}
	}
}

// TestGGMLByHand checks single elements against values worked out by hand.
func TestGGMLByHand(t *testing.T) {
	const one, two = "003c", "0040" // halves
	zeros := func(n int) string { return strings.Repeat("00", n) }
	for _, test := range []struct {
		format, hex string
		element     int
		want        float32
	}{
		{"Q4_0", two + "f0" + zeros(15), 0, -16},
		{"Q4_0", two + "f0" + zeros(15), 16, 14},
		{"Q4_1", two + one + "f3" + zeros(15), 0, 7},
		{"Q4_1", two + one + "f3" + zeros(15), 16, 31},
		{"Q5_0", two + "01000200" + "f1" + zeros(15), 0, 2},
		{"Q5_0", two + "01000200" + "f1" + zeros(15), 16, -2},
		{"Q5_0", two + "01000200" + "f1" + zeros(15), 17, 0},
		{"Q5_1", two + one + "01000000" + "f1" + zeros(15), 0, 35},
		{"Q5_1", two + one + "00000100" + "f1" + zeros(15), 16, 63},
		{"Q8_0", two + "7f80" + zeros(30), 0, 254},
		{"Q8_0", two + "7f80" + zeros(30), 1, -256},
		// Sub-block 0: scale 3, min 5; its first code 9. Sub-block 1: scale 4, min 6; code 10.
		{"Q4_K", two + one + "03040000" + "05060000" + zeros(4) + "a9" + zeros(127), 0, 2*3*9 - 5},
		{"Q4_K", two + one + "03040000" + "05060000" + zeros(4) + "a9" + zeros(127), 32, 2*4*10 - 6},
		// Sub-block 4: scale 0x12 and min 0x23, their upper two bits in bytes 0 and 4; first code 7.
		{"Q4_K", two + one + "40000000" + "80000000" + "32000000" + zeros(64) + "07" + zeros(63), 128, 2*0x12*7 - 0x23},
		{"Q5_K", two + one + "03040000" + "05060000" + zeros(4) + "02" + zeros(31) + "a9" + zeros(127), 0, 2*3*9 - 5},
		{"Q5_K", two + one + "03040000" + "05060000" + zeros(4) + "02" + zeros(31) + "a9" + zeros(127), 32, 2*4*26 - 6},
		{"Q6_K", "a9" + zeros(127) + "1b" + zeros(63) + "fd" + zeros(15) + two, 0, 2 * -3 * (9 + 48 - 32)},
		{"Q6_K", zeros(32) + "a9" + zeros(95) + "1b" + zeros(63) + zeros(2) + "05" + zeros(13) + two, 32, 2 * 5 * (9 + 32 - 32)},
		{"Q6_K", "a9" + zeros(127) + "1b" + zeros(63) + zeros(4) + "05" + zeros(11) + two, 64, 2 * 5 * (10 + 16 - 32)},
		{"Q6_K", zeros(64+32) + "a9" + zeros(31) + zeros(32) + "1b" + zeros(31) + zeros(14) + "05" + zeros(1) + two, 224, 2 * 5 * (10 - 32)},
	} {
		src, err := hex.DecodeString(test.hex)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := GGML(test.format)
		dst := make([]float32, f.Elements)
		if err := f.Decode(dst, src); err != nil {
			t.Errorf("%s: %v", test.format, err)
		} else if dst[test.element] != test.want {
			t.Errorf("%s: element %d of %s is %v, want %v", test.format, test.element, test.hex, dst[test.element], test.want)
		}
	}
}

func TestGGMLRefusesPartialBlocks(t *testing.T) {
	f, _ := GGML("Q4_0")
	for _, n := range [][2]int{{17, 32}, {18, 31}, {36, 32}, {0, 32}} {
		if err := f.Decode(make([]float32, n[1]), make([]byte, n[0])); err == nil {
			t.Errorf("%d bytes decode to %d elements", n[0], n[1])
		}
	}
	if _, ok := GGML("Q3_K"); ok {
		t.Error("Q3_K is not a known format")
	}
}

// FuzzGGML compares every format with reading its fields one element at a time.
func FuzzGGML(f *testing.F) {
	for _, g := range ggmlGolden {
		b, _ := hex.DecodeString(g.hex)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"} {
			format, _ := GGML(name)
			if len(b) < format.Bytes {
				continue
			}
			dst := make([]float32, format.Elements)
			if err := format.Decode(dst, b[:format.Bytes]); err != nil {
				t.Fatal(err)
			}
			for i, got := range dst {
				if want := element(name, b, i); math.Float32bits(got) != math.Float32bits(want) && (got == got || want == want) {
					t.Fatalf("%s: element %d is %v, want %v", name, i, got, want)
				}
			}
		}
	})
}

// element reads element i of a block by the bit positions in the format's description.
func element(name string, b []byte, i int) float32 {
	nibble := func(at int) int { return int(b[at+i%16]>>(i/16*4)) & 15 }
	fifth := func(at int) int { return int(binary.LittleEndian.Uint32(b[at:])>>i&1) << 4 }
	k := func(q int) float32 {
		scale, minimum := sixBits(b[4:16], i/32)
		return float32(half(b)*scale*float32(q)) - half(b[2:])*minimum
	}
	switch name {
	case "Q4_0":
		return float32(nibble(2)-8) * half(b)
	case "Q4_1":
		return float32(float32(nibble(4))*half(b)) + half(b[2:])
	case "Q5_0":
		return float32(nibble(6)+fifth(2)-16) * half(b)
	case "Q5_1":
		return float32(float32(nibble(8)+fifth(4))*half(b)) + half(b[2:])
	case "Q8_0":
		return float32(int8(b[2+i])) * half(b)
	case "Q4_K":
		return k(int(b[16+i/64*32+i%32]>>(i/32%2*4)) & 15)
	case "Q5_K":
		return k(int(b[48+i/64*32+i%32]>>(i/32%2*4))&15 | int(b[16+i%32]>>(i/32)&1)<<4)
	}
	h, row, l := i/128, i/32%4, i%32 // Q6_K
	q := int(b[64*h+row%2*32+l]>>(row/2*4))&15 | int(b[128+32*h+l]>>(2*row)&3)<<4
	return half(b[208:]) * float32(int8(b[192+8*h+2*row+l/16])) * float32(q-32)
}

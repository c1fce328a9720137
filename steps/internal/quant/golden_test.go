package quant

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// bnbGolden is what interop/golden/quant.py stored of bitsandbytes 0.50.2: bytes
// in hex, little endian.
type bnbGolden struct {
	Scheme       string `json:"scheme"`
	Elements     int    `json:"elements"`
	BlockSize    int    `json:"blockSize"`
	Nested       bool   `json:"nested"`
	Codes        string `json:"codes"`
	Absmax       string `json:"absmax"`
	NestedAbsmax string `json:"nestedAbsmax"`
	NestedOffset string `json:"nestedOffset"`
	Values       string `json:"values"` // the first, dequantized
}

func TestBitsAndBytesGolden(t *testing.T) {
	raw, err := os.ReadFile("testdata/bitsandbytes.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []bnbGolden
	if err := json.Unmarshal(raw, &all); err != nil || len(all) != 4 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	for _, g := range all {
		q, err := QuantizeFourBit(2, goldenNumbers(g.Elements), []int{g.Elements}, Options{
			Scheme: g.Scheme, BlockSize: g.BlockSize, DoubleQuant: g.Nested, DType: tensor.F32,
		})
		if err != nil {
			t.Fatal(err)
		}
		equal := func(what string, got []byte, want string) {
			if hex.EncodeToString(got) != want {
				t.Errorf("%s of %d elements: %s %x\nwant %s", g.Scheme, g.Elements, what, got, want)
			}
		}
		equal("codes", q.Packed, g.Codes)
		if g.Nested {
			equal("absmax", q.Nested.Codes, g.Absmax)
			equal("nested absmax", littleEndian(q.Nested.Absmax...), g.NestedAbsmax)
			equal("nested offset", littleEndian(q.Nested.Offset), g.NestedOffset)
		} else {
			equal("absmax", littleEndian(q.Absmax...), g.Absmax)
		}
		values := make([]float32, 64)
		q.Unpack(values, 0, 0)
		equal("values", littleEndian(values...), g.Values)
	}
}

func littleEndian(x ...float32) (b []byte) {
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

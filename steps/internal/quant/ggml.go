package quant

import (
	"encoding/binary"
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Format is a block format of ggml: Bytes bytes hold Elements elements. Decoded
// values are those of ggml's reference code, every operation rounded to float32.
type Format struct {
	Name     string
	Elements int
	Bytes    int
	decode   func(dst []float32, src []byte) // one block
}

// GGML finds a block format by its name in ggml: "Q4_0", "Q6_K", …
func GGML(name string) (Format, bool) {
	for _, f := range []Format{q4_0(), q4_1(), q5_0(), q5_1(), q8_0(), q4_K(), q5_K(), q6_K()} {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}

// Decode writes the elements of whole blocks to dst.
func (f Format) Decode(dst []float32, src []byte) error {
	if len(src)%f.Bytes != 0 || len(dst) != len(src)/f.Bytes*f.Elements {
		return fmt.Errorf("%d bytes of %s are not %d elements", len(src), f.Name, len(dst))
	}
	for len(src) > 0 {
		f.decode(dst[:f.Elements], src[:f.Bytes])
		dst, src = dst[f.Elements:], src[f.Bytes:]
	}
	return nil
}

// half reads an IEEE half.
func half(b []byte) float32 { return tensor.F32FromF16(binary.LittleEndian.Uint16(b)) }

package gguf

import (
	"fmt"

	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Type is a tensor's type as ggml numbers it.
type Type uint32

// layout is how many bytes hold how many elements; the zero layout is no type.
type layout struct {
	name            string
	elements, bytes int
}

func (t Type) layout() layout {
	switch t {
	case 0:
		return layout{"F32", 1, 4}
	case 1:
		return layout{"F16", 1, 2}
	case 2:
		return layout{"Q4_0", 32, 18}
	case 3:
		return layout{"Q4_1", 32, 20}
	case 6:
		return layout{"Q5_0", 32, 22}
	case 7:
		return layout{"Q5_1", 32, 24}
	case 8:
		return layout{"Q8_0", 32, 34}
	case 9:
		return layout{"Q8_1", 32, 36}
	case 10:
		return layout{"Q2_K", 256, 84}
	case 11:
		return layout{"Q3_K", 256, 110}
	case 12:
		return layout{"Q4_K", 256, 144}
	case 13:
		return layout{"Q5_K", 256, 176}
	case 14:
		return layout{"Q6_K", 256, 210}
	case 15:
		return layout{"Q8_K", 256, 292}
	case 16:
		return layout{"IQ2_XXS", 256, 66}
	case 17:
		return layout{"IQ2_XS", 256, 74}
	case 18:
		return layout{"IQ3_XXS", 256, 98}
	case 19:
		return layout{"IQ1_S", 256, 50}
	case 20:
		return layout{"IQ4_NL", 32, 18}
	case 21:
		return layout{"IQ3_S", 256, 110}
	case 22:
		return layout{"IQ2_S", 256, 82}
	case 23:
		return layout{"IQ4_XS", 256, 136}
	case 24:
		return layout{"I8", 1, 1}
	case 25:
		return layout{"I16", 1, 2}
	case 26:
		return layout{"I32", 1, 4}
	case 27:
		return layout{"I64", 1, 8}
	case 28:
		return layout{"F64", 1, 8}
	case 29:
		return layout{"IQ1_M", 256, 56}
	case 30:
		return layout{"BF16", 1, 2}
	case 34:
		return layout{"TQ1_0", 256, 54}
	case 35:
		return layout{"TQ2_0", 256, 66}
	case 39:
		return layout{"MXFP4", 32, 17}
	}
	return layout{}
}

// String is the name in ggml: "F32", "Q4_K", …
func (t Type) String() string {
	if name := t.layout().name; name != "" {
		return name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Float reports whether elements are stored one by one as floats, and as which dtype.
func (t Type) Float() (tensor.DType, bool) {
	switch name := t.String(); name {
	case "F32", "F16", "BF16":
		return tensor.DType(name), true
	}
	return "", false
}

// Decodes reports whether File.F32 can unpack the type.
func (t Type) Decodes() bool {
	_, float := t.Float()
	_, block := quant.GGML(t.String())
	return float || block
}

// decode unpacks src, whole blocks, to dst.
func (t Type) decode(dst []float32, src []byte) error {
	if dtype, ok := t.Float(); ok {
		return tensor.Decode(dst, dtype, src)
	}
	format, ok := quant.GGML(t.String())
	if !ok {
		return fmt.Errorf("%s cannot be unpacked", t)
	}
	return format.Decode(dst, src)
}

package quant

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Suffixes of the parts; stateSuffix is followed by the type.
const (
	absmaxSuffix       = ".absmax"
	tableSuffix        = ".quant_map"
	nestedAbsmaxSuffix = ".nested_absmax"
	nestedTableSuffix  = ".nested_quant_map"
	stateSuffix        = ".quant_state.bitsandbytes__"
)

// maxState bounds the JSON of a quant_state; real ones have 200 bytes.
const maxState = 1 << 16

// state is the JSON object in a quant_state tensor.
type state struct {
	QuantType       string   `json:"quant_type"`
	BlockSize       int      `json:"blocksize"`
	DType           string   `json:"dtype"`
	Shape           []int    `json:"shape"`
	NestedBlockSize int      `json:"nested_blocksize"`
	NestedDType     string   `json:"nested_dtype"`
	NestedOffset    *float64 `json:"nested_offset"`
}

// torchDTypes names the dtypes a 4-bit weight can come from as torch does.
func torchDType(d tensor.DType) (string, bool) {
	switch d {
	case tensor.F32:
		return "float32", true
	case tensor.F16:
		return "float16", true
	case tensor.BF16:
		return "bfloat16", true
	}
	return "", false
}

// isFourBitPart reports whether name is one of the extra parts of a 4-bit weight, and of which.
func isFourBitPart(name string) (weight string, ok bool) {
	if i := strings.Index(name, ".weight.quant_state."); i >= 0 {
		return name[:i+len(".weight")], true
	}
	for _, suffix := range []string{nestedAbsmaxSuffix, nestedTableSuffix, absmaxSuffix, tableSuffix} {
		if weight, ok := strings.CutSuffix(name, suffix); ok && strings.HasSuffix(weight, ".weight") {
			return weight, true
		}
	}
	return "", false
}

// fourBitSuffixes lists the suffixes under which parts of a 4-bit weight other than its codes may lie.
func fourBitSuffixes() []string {
	return []string{absmaxSuffix, tableSuffix, nestedAbsmaxSuffix, nestedTableSuffix, stateSuffix + NF4, stateSuffix + FP4}
}

// Parts implements Tensor, as bitsandbytes serializes the weight.
func (t *FourBit) Parts() ([]Part, error) {
	dtype, ok := torchDType(t.DType)
	if !ok {
		return nil, fmt.Errorf("a 4-bit weight cannot come from %s", t.DType)
	}
	shape := strings.ReplaceAll(fmt.Sprint(t.Dims), " ", ", ")
	var js strings.Builder
	fmt.Fprintf(&js, `{"quant_type": "%s", "blocksize": %d, "dtype": "%s", "shape": %s`, t.Type, t.BlockSize, dtype, shape)
	parts := []Part{
		{"", tensor.U8, []int{len(t.Packed), 1}, t.Packed},
		floatPart(tableSuffix, t.Table[:]),
	}
	if n := t.Nested; n != nil {
		fmt.Fprintf(&js, `, "nested_blocksize": %d, "nested_dtype": "float32", "nested_offset": %s`, n.BlockSize, pythonFloat(float64(n.Offset)))
		parts = append(parts,
			Part{absmaxSuffix, tensor.U8, []int{len(n.Codes)}, n.Codes},
			floatPart(nestedAbsmaxSuffix, n.Absmax),
			floatPart(nestedTableSuffix, n.Table[:]))
	} else {
		parts = append(parts, floatPart(absmaxSuffix, t.Absmax))
	}
	js.WriteString("}")
	return append(parts, Part{stateSuffix + t.Type, tensor.U8, []int{js.Len()}, []byte(js.String())}), nil
}

// ParseFourBit puts a 4-bit weight together from its parts, by suffix, all but the
// codes. Everything that the weight claims is
// checked against the sizes of the parts; errors name the suffix at fault.
func ParseFourBit(parts map[string]Part) (*FourBit, error) {
	t, s, err := parseState(parts)
	if err != nil {
		return nil, err
	}
	elements, err := elementCount(s.Shape)
	if err != nil {
		return nil, err
	}
	t.Dims = s.Shape
	if err := floats(parts, tableSuffix, t.Table[:]); err != nil {
		return nil, err
	}
	blocks := elements / t.BlockSize
	if elements%t.BlockSize > 0 {
		blocks++
	}
	if s.NestedBlockSize == 0 {
		t.Absmax = make([]float32, len(parts[absmaxSuffix].Data)/4)
		if len(t.Absmax) != blocks {
			return nil, fmt.Errorf("%s has %d values, not %d", absmaxSuffix, len(t.Absmax), blocks)
		}
		return t, floats(parts, absmaxSuffix, t.Absmax)
	}
	t.Nested, err = parseNested(parts, s, blocks)
	return t, err
}

// CodeBytes implements Header.
func (t *FourBit) CodeBytes() int { return t.Len()/2 + t.Len()%2 }

// WithCodes implements Header.
func (t *FourBit) WithCodes(packed []byte) (Tensor, error) {
	if want := t.CodeBytes(); len(packed) != want {
		return nil, fmt.Errorf("%d bytes of codes, not %d, for shape %v", len(packed), want, t.Dims)
	}
	c := *t
	c.Packed = packed
	return &c, nil
}

// parseState reads the quant_state and what follows from it alone.
func parseState(parts map[string]Part) (*FourBit, *state, error) {
	kind := NF4
	part, ok := parts[stateSuffix+kind]
	if fp4, isFP4 := parts[stateSuffix+FP4]; isFP4 {
		if ok {
			return nil, nil, fmt.Errorf("two quant_state tensors, nf4 and fp4")
		}
		kind, part, ok = FP4, fp4, true
	}
	name := stateSuffix + kind
	if !ok {
		return nil, nil, fmt.Errorf("no %s tensor", name)
	}
	if len(part.Data) > maxState {
		return nil, nil, fmt.Errorf("%s has %d bytes", name, len(part.Data))
	}
	var s state
	if err := json.Unmarshal(part.Data, &s); err != nil {
		return nil, nil, fmt.Errorf("%s is not valid JSON: %w", name, err)
	}
	if s.QuantType != kind {
		return nil, nil, fmt.Errorf("%s holds quant_type %q", name, s.QuantType)
	}
	if err := checkBlockSize(s.BlockSize); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, d := range []tensor.DType{tensor.F32, tensor.F16, tensor.BF16} {
		if torch, _ := torchDType(d); torch == s.DType {
			return &FourBit{Type: kind, DType: d, BlockSize: s.BlockSize}, &s, nil
		}
	}
	return nil, nil, fmt.Errorf("%s: unknown dtype %q", name, s.DType)
}

func parseNested(parts map[string]Part, s *state, blocks int) (*Nested, error) {
	if err := checkBlockSize(s.NestedBlockSize); err != nil {
		return nil, fmt.Errorf("nested_blocksize: %w", err)
	}
	if s.NestedDType != "float32" || s.NestedOffset == nil {
		return nil, fmt.Errorf("double quantization needs nested_dtype float32 (is %q) and nested_offset", s.NestedDType)
	}
	n := &Nested{BlockSize: s.NestedBlockSize, Codes: parts[absmaxSuffix].Data, Offset: float32(*s.NestedOffset)}
	if len(n.Codes) != blocks {
		return nil, fmt.Errorf("%s has %d codes, not %d", absmaxSuffix, len(n.Codes), blocks)
	}
	n.Absmax = make([]float32, (blocks+n.BlockSize-1)/n.BlockSize)
	if err := floats(parts, nestedAbsmaxSuffix, n.Absmax); err != nil {
		return nil, err
	}
	return n, floats(parts, nestedTableSuffix, n.Table[:])
}

// elementCount multiplies a shape from a file.
func elementCount(shape []int) (int, error) {
	n := 1
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt/d {
			return 0, fmt.Errorf("shape %v does not fit", shape)
		}
		n *= d
	}
	return n, nil
}

// floats reads the float32 part under suffix, which must fill dst.
func floats(parts map[string]Part, suffix string, dst []float32) error {
	part, ok := parts[suffix]
	if !ok {
		return fmt.Errorf("no %s tensor", suffix)
	}
	if part.DType != tensor.F32 || len(part.Data) != 4*len(dst) {
		return fmt.Errorf("%s has %d bytes of %s, not %d of F32", suffix, len(part.Data), part.DType, 4*len(dst))
	}
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(part.Data[4*i:]))
	}
	if !finite(dst) {
		return fmt.Errorf("%s holds a value that is not finite", suffix)
	}
	return nil
}

func floatPart(suffix string, values []float32) Part {
	var b bytes.Buffer
	b.Grow(4 * len(values))
	for _, v := range values {
		b.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
	}
	return Part{suffix, tensor.F32, []int{len(values)}, b.Bytes()}
}

// pythonFloat writes a finite number as Python's repr does.
func pythonFloat(f float64) string {
	s := strconv.FormatFloat(f, 'e', -1, 64)
	exponent, _ := strconv.Atoi(s[strings.IndexByte(s, 'e')+1:])
	if exponent < -4 || exponent >= 16 {
		return s
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

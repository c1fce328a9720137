package quant

import (
	"slices"
	"strings"
)

// Header is a stored weight whose codes are not read yet.
type Header interface {
	// Shape is that of the weight.
	Shape() (rows, columns int)

	// Scheme is NF4, FP4 or Q8.
	Scheme() string

	// CodeBytes is the size of the codes.
	CodeBytes() int

	// WithCodes is the weight with its codes, which it keeps.
	WithCodes(codes []byte) (Tensor, error)
}

// IsPart reports whether name is one of the extra parts of a quantized weight, and of which.
func IsPart(name string) (weight string, ok bool) {
	if weight, ok := strings.CutSuffix(name, scaleSuffix); ok && strings.HasSuffix(weight, ".weight") {
		return weight, true
	}
	return isFourBitPart(name)
}

// Suffixes lists the suffixes under which parts of a quantized weight other than its codes may lie.
func Suffixes() []string { return append(fourBitSuffixes(), scaleSuffix) }

// Parse puts a weight together from what describes its codes and from its other
// parts, by suffix. Everything that the weight claims is checked against the
// sizes of the parts; errors name the suffix at fault.
func Parse(codes Part, parts map[string]Part) (Header, error) {
	if scale, ok := parts[scaleSuffix]; ok && !slices.ContainsFunc(fourBitSuffixes(), func(s string) bool { _, ok := parts[s]; return ok }) {
		return header(parseQ8(codes, scale))
	}
	return header(ParseFourBit(parts))
}

// header keeps a failed pointer from becoming an interface that is not nil.
func header[T Header](t T, err error) (Header, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}

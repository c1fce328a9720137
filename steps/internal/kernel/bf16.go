package kernel

import "math"

// Numerics "bf16" multiplies matrices whose elements were rounded to bfloat16 and sums in float32, as the tile
// instruction TDPBF16PS does (Intel SDM volume 2). These rules define every bit:
//
//   - K is cut into steps of 32, the last one filled up with zeros on both sides.
//   - In a step the products of the 16 even k are summed in order by fused multiply-adds that begin at +0; those of the
//     16 odd k likewise. Then c = c + (even + odd).
//   - Every operation rounds to nearest even, takes subnormal operands as zeros of their sign and returns a zero of the
//     result's sign where the result, rounded as if exponents had no bound, is below 2^-126. No mode of the processor
//     changes that. Which NaN comes out is not defined.
//
// A pair is a uint32 with an even k in its low half and the next k in its high half. A panel of B is pairs [k/2][NR].

// BF16Depth is the K of one step. Sums depend on it, so K may be cut into blocks at its multiples only.
const BF16Depth = 32

// stepPairs is the number of pairs in one step.
const stepPairs = BF16Depth / 2

// A BF16Tile is one microkernel of bf16 matrix multiplication. All of them give the same bits.
type BF16Tile struct {
	Name   string
	MR, NR int
	// Row is the tile for few rows, of the same NR; nil if there is none.
	Row *BF16Tile
	// Whole says which form a panel of A has: pairs [step][MR][16], a row beside a row; otherwise split, float32s
	// [step][2][16][MR], first the even k of a step, then the odd ones.
	Whole bool

	mul func(panels, steps, last int, a, b *uint32, c *float32, ldc, load int)
}

// StepSize is the number of uint32s that one step of a panel of A takes.
func (t *BF16Tile) StepSize() int {
	if t.Whole {
		return stepPairs * t.MR
	}
	return BF16Depth * t.MR
}

// Mul computes C[panels*MR, NR] = A·B, plus C if add is set. a holds panels of A one after the other, b one panel of B;
// both are as deep as k, at least 1, takes steps, and zero beyond k. Row i of C begins at c[i*ldc]. It panics when a
// slice is too short.
func (t *BF16Tile) Mul(panels, k int, a, b []uint32, c []float32, ldc int, add bool) {
	steps := (k + BF16Depth - 1) / BF16Depth
	_, _, _ = a[panels*steps*t.StepSize()-1], b[steps*stepPairs*t.NR-1], c[(panels*t.MR-1)*ldc+t.NR-1]
	last := (k - (steps-1)*BF16Depth + 7) / 8
	load := 0
	if add {
		load = 1
	}
	t.mul(panels, steps, last, &a[0], &b[0], &c[0], ldc, load)
}

// GenericBF16 returns the plain Go tile, which defines the bits.
func GenericBF16() *BF16Tile { return &BF16Tile{Name: "generic 8x8", MR: 8, NR: 8, mul: bf16Mul8x8} }

// WholeBF16 returns the plain Go tile whose panels are those of AMX tiles, so that packing them can be tested anywhere.
func WholeBF16() *BF16Tile {
	return &BF16Tile{Name: "generic 32x32", MR: 32, NR: 32, Whole: true, mul: bf16MulWhole}
}

// BF16Tiles returns the tiles this machine can run, fastest first. The last is GenericBF16. Where the processor has
// AMX, the first call asks the kernel for leave to use it.
func BF16Tiles() []*BF16Tile { return append(machineBF16Tiles(), GenericBF16()) }

// RoundBF16 rounds to bfloat16, to nearest even. A NaN stays one (made quiet).
func RoundBF16(x float32) uint16 { return uint16(roundHigh(x) >> 16) }

// roundHigh is RoundBF16 with the result in the upper half; the lower half is arbitrary.
func roundHigh(x float32) uint32 {
	u := math.Float32bits(x)
	if u&0x7fffffff > 0x7f800000 {
		return u | 0x400000
	}
	return u + 0x7fff + u>>16&1
}

// pairOf rounds lo and hi.
func pairOf(lo, hi float32) uint32 { return roundHigh(lo)>>16 | roundHigh(hi)&0xffff0000 }

// evenOdd widens the two elements of a pair; subnormal ones become zero.
func evenOdd(p uint32) (even, odd float32) { return flushed(p << 16), flushed(p & 0xffff0000) }

// flushed is the float32 of bits u, or a zero of its sign if that is subnormal.
func flushed(u uint32) float32 {
	if u&0x7f800000 == 0 {
		u &= 1 << 31
	}
	return math.Float32frombits(u)
}

// addFlushed is a + b. A result below the normal range is exact before it is flushed.
func addFlushed(a, b float32) float32 {
	s := flushed(math.Float32bits(a)) + flushed(math.Float32bits(b))
	return flushed(math.Float32bits(s))
}

// fmaFlushed is a*b + c, where a, b and c are not subnormal. The float64 sum, exact or not, lies on the side of the
// bound where the exact one lies: it is inexact there only when a*b is far smaller than c, which is then 2^-126 or more.
func fmaFlushed(a, b, c float32) float32 {
	x, y, z := float64(a), float64(b), float64(c)
	s := float64(x*y) + z
	if math.Abs(s) < 0x1p-126-0x1p-151 {
		return float32(math.Copysign(0, s))
	}
	return float32(fma(x, y, z))
}

// BF16Step returns c plus the products of one step, 16 pairs of A and 16 of B: the definition, operation by operation.
func BF16Step(c float32, a, b []uint32) float32 {
	var even, odd float32
	for i := range stepPairs {
		a0, a1 := evenOdd(a[i])
		b0, b1 := evenOdd(b[i])
		even, odd = fmaFlushed(a0, b0, even), fmaFlushed(a1, b1, odd)
	}
	return addFlushed(c, addFlushed(even, odd))
}

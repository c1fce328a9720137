package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exactFMA is a*b + c in arbitrary precision, rounded once.
func exactFMA(a, b, c float32) float32 {
	x, y, z := float64(a), float64(b), float64(c)
	if x-x != 0 || y-y != 0 || z-z != 0 || x*y == 0 || z == 0 {
		return float32(x*y + z) // not finite, or exact in float64
	}
	sum := new(big.Float).SetPrec(700).Mul(big.NewFloat(x), big.NewFloat(y))
	sum.Add(sum, big.NewFloat(z))
	if sum.Sign() == 0 {
		return 0
	}
	f, _ := sum.Float32()
	return f
}

func checkFMA(t *testing.T, a, b, c float32) {
	t.Helper()
	if got, want := FMA(a, b, c), exactFMA(a, b, c); !same(float64(got), float64(want)) {
		t.Errorf("FMA(%x, %x, %x) = %x, want %x", a, b, c, got, want)
	}
}

// adversaries are operands whose sums land on or next to the middle between two float32s, or below the normal range.
var adversaries = [][3]float32{
	{1, 1 + 0x1p-23, 0x1p-60}, {0x1.000002p0, 0x1.000002p0, 0x1p-80}, {0x1p-75, 0x1p-75, 0x1p-149}, {0x1p-75, 0x1p-75, -0x1p-149},
	{0x1p-75, -0x1p-75, 0x1p-126}, {0x1.fffffep-70, 0x1p-80, 0x1p-149}, {0x1p127, 2, -0x1p127}, {0x1p127, 0x1.fffffep0, 0x1p103},
	{0x1p12, 0x1p12, 0x1p-100}, {0x1.000002p12, 0x1.000002p12, 1}, {0x1p100, 0x1p-124, 0x1.000002p0}, {0x1p-149, 0x1p-149, 1},
	{0x1p-149, 0x1p-149, 0x1p-126}, {-0x1p-149, 0x1p-149, 0x1p-126}, {0, 5, 0}, {3, -2, 6}, {0x1.8p-75, 0x1p-74, 0x1p-149},
}

func TestFMAOnAdversaries(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	edges := []float32{0, float32(math.Copysign(0, -1)), 1, -1, inf, -inf, nan, math.MaxFloat32, -math.MaxFloat32, 0x1p-149, -0x1p-149, 0x1p-126}
	for _, a := range edges {
		for _, b := range edges {
			for _, c := range edges {
				checkFMA(t, a, b, c)
			}
		}
	}
	for _, v := range adversaries {
		checkFMA(t, v[0], v[1], v[2])
		checkFMA(t, -v[0], v[1], v[2])
	}
}

// twiceRounded is what float32(math.FMA(…)) gives.
func twiceRounded(a, b, c float32) float32 {
	return float32(math.FMA(float64(a), float64(b), float64(c)))
}

// Random operands, built so that the sum is often half way between two float32s but for a tiny rest.
func TestFMAOnRandomOperands(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	n, wrong := 200_000, 0
	if testing.Short() {
		n = 20_000
	}
	for i := range n {
		a, b, c := math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32())
		switch i % 4 {
		case 0: // short significands of like size
			a, b, c = float32(r.IntN(1<<13)), float32(r.IntN(1<<13)), float32(r.IntN(1<<24))*0x1p-3
		case 1: // half an ulp of c, less a little
			c = float32(r.IntN(1<<23)|1<<23) * 2
			d := 0x1p-23 * float32(r.IntN(3))
			a, b = 1+d, 1-d
		case 2: // subnormal results
			a, b, c = float32(r.NormFloat64())*0x1p-70, float32(r.NormFloat64())*0x1p-73, float32(r.NormFloat64())*0x1p-140
		}
		checkFMA(t, a, b, c)
		if !same(float64(twiceRounded(a, b, c)), float64(exactFMA(a, b, c))) {
			wrong++
		}
		if t.Failed() {
			return
		}
	}
	if wrong == 0 {
		t.Error("no operands tell FMA from one that rounds twice: the test is too easy")
	}
}

func FuzzFMA(f *testing.F) {
	for _, v := range adversaries {
		f.Add(math.Float32bits(v[0]), math.Float32bits(v[1]), math.Float32bits(v[2]))
	}
	f.Fuzz(func(t *testing.T, a, b, c uint32) {
		checkFMA(t, math.Float32frombits(a), math.Float32frombits(b), math.Float32frombits(c))
	})
}

func BenchmarkFMA(b *testing.B) {
	x, y, z := float32(1.1), float32(0.9), float32(0.1)
	for b.Loop() {
		z = FMA(x, y, z)
	}
	if z != z {
		b.Fatal("not a number")
	}
}

package kernel

import (
	"math"
	"math/big"
	"sync"
)

// The elementary functions in arbitrary precision, by series, as the reference of the tests.

const prec = 1400 // bits: enough to reduce 1e300 modulo π/2

func num(x float64) *big.Float { return new(big.Float).SetPrec(prec).SetFloat64(x) }

func add(x, y *big.Float) *big.Float { return new(big.Float).SetPrec(prec).Add(x, y) }
func sub(x, y *big.Float) *big.Float { return new(big.Float).SetPrec(prec).Sub(x, y) }
func mul(x, y *big.Float) *big.Float { return new(big.Float).SetPrec(prec).Mul(x, y) }
func quo(x, y *big.Float) *big.Float { return new(big.Float).SetPrec(prec).Quo(x, y) }

// small says whether term no longer matters beside sum, at 200 bits.
func small(term, sum *big.Float) bool {
	return term.Sign() == 0 || term.MantExp(nil) < sum.MantExp(nil)-200
}

// arctanInverse returns atan(1/n), or atanh(1/n) if sign is 1, at full precision.
func arctanInverse(n float64, sign float64) *big.Float {
	term := quo(num(1), num(n))
	sum := num(0)
	for i := 0; term.MantExp(nil) > -prec-10; i++ {
		sum = add(sum, quo(term, num(float64(2*i+1))))
		term = quo(mul(term, num(sign)), num(n*n))
	}
	return sum
}

// Machin's formula, and ln 2 = 2 atanh(1/3).
var bigPi = sync.OnceValue(func() *big.Float {
	return mul(num(4), sub(mul(num(4), arctanInverse(5, -1)), arctanInverse(239, -1)))
})
var bigLn2 = sync.OnceValue(func() *big.Float { return mul(num(2), arctanInverse(3, 1)) })

// nearest returns the integer nearest to x.
func nearest(x *big.Float) *big.Float {
	half := num(0.5)
	if x.Sign() < 0 {
		half = num(-0.5)
	}
	i, _ := add(x, half).Int(nil)
	return new(big.Float).SetPrec(prec).SetInt(i)
}

func bigExp(x *big.Float) *big.Float {
	k := nearest(quo(x, bigLn2()))
	r := quo(sub(x, mul(k, bigLn2())), num(256)) // e^r = (e^(r/256))^256
	r.SetPrec(prec)
	sum, term := num(1), num(1)
	for i := 1; !small(term, sum); i++ {
		term = short(quo(mul(term, r), num(float64(i))))
		sum = short(add(sum, term))
	}
	for range 8 {
		sum = short(mul(sum, sum))
	}
	n, _ := k.Int64()
	return new(big.Float).SetMantExp(sum, int(n))
}

// short rounds to 300 bits, which makes what follows quicker.
func short(x *big.Float) *big.Float { return new(big.Float).SetPrec(300).Set(x) }

// bigLog is Newton's iteration from the standard library's logarithm: each turn doubles the right bits.
func bigLog(x *big.Float) *big.Float {
	m := new(big.Float)
	e := x.MantExp(m)
	f, _ := m.Float64()
	y := add(mul(num(float64(e)), bigLn2()), num(math.Log(f)))
	for range 3 {
		w := bigExp(y)
		d := quo(sub(x, w), add(x, w)) // Halley's
		y = short(add(y, mul(num(2), d)))
	}
	return y
}

// bigSinCos returns sin(x) and cos(x).
func bigSinCos(x float64) (sin, cos *big.Float) {
	half := quo(bigPi(), num(2))
	k := nearest(quo(num(x), half))
	r := short(sub(num(x), mul(k, half)))
	series := func(term *big.Float, i int) *big.Float {
		sum := short(term)
		for ; !small(term, sum); i += 2 {
			term = short(quo(mul(term, mul(r, r)), num(-float64(i*(i+1)))))
			sum = short(add(sum, term))
		}
		return sum
	}
	s, c := series(r, 2), series(num(1), 1)
	n, _ := k.Int(nil)
	switch new(big.Int).Mod(n, big.NewInt(4)).Int64() {
	case 0:
		return s, c
	case 1:
		return c, s.Neg(s)
	case 2:
		return s.Neg(s), c.Neg(c)
	}
	return c.Neg(c), s
}

// ulps returns the distance of got from want in units of the last place of a format with the given bits of significand
// and least exponent.
func ulps(got float64, want *big.Float, bits, least int) float64 {
	if math.IsInf(got, 0) {
		// Take infinity for the first number that is too large.
		e := 1024
		if bits == 24 {
			e = 128
		}
		got = 0
		over := new(big.Float).SetPrec(prec).SetMantExp(num(1), e)
		if want.Cmp(over) >= 0 {
			return 0
		}
		d, _ := sub(over, want).Float64()
		return d / math.Ldexp(1, e-bits)
	}
	exp := max(want.MantExp(nil)-bits, least)
	d := sub(num(got), want)
	d.SetMantExp(d, -exp)
	f, _ := d.Abs(d).Float64()
	return f
}

func ulps64(got float64, want *big.Float) float64 { return ulps(got, want, 53, -1074) }
func ulps32(got float32, want *big.Float) float64 { return ulps(float64(got), want, 24, -149) }

package kernel

import (
	"math"
	"slices"
	"testing"
)

// Known answers of Random123, the authors' own implementation (its file kat_vectors).
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{
			[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
			[2]uint32{0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		},
		{
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
			[2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	} {
		if got := philox(c.counter, c.key); got != c.want {
			t.Errorf("philox(%x, %x) = %x, want %x", c.counter, c.key, got, c.want)
		}
	}
}

// The numbers that artifacts depend on; they must never change.
func TestRandGolden(t *testing.T) {
	s := Rand(42, "shuffle", 7)
	if got, want := [3]uint32{s.Uint32(), s.Uint32(), s.Uint32()}, [3]uint32{0x1da53300, 0x39ded39e, 0x4bf919c5}; got != want {
		t.Errorf("words %#x, want %#x", got, want)
	}
	if got, want := Rand(42, "shuffle", 7).Perm(10), []int{4, 5, 9, 0, 6, 3, 7, 8, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("permutation %v, want %v", got, want)
	}
	s = Rand(1, "init", 0)
	if got, want := [3]float32{s.Normal(), s.Normal(), s.Float32()}, [3]float32{-0x1.2b983p+00, 0x1.92de4ap-01, 0x1.d7eba4p-01}; got != want {
		t.Errorf("numbers %x, want %x", got, want)
	}
}

func TestRandTellsStreamsApart(t *testing.T) {
	seen := map[uint64]string{}
	for _, c := range []struct {
		name string
		s    *Stream
	}{
		{"base", Rand(1, "a", 2)}, {"seed", Rand(2, "a", 2)}, {"purpose", Rand(1, "b", 2)}, {"position", Rand(1, "a", 3)},
		{"swapped", Rand(2, "a", 1)}, {"high position", Rand(1, "a", 2<<32)}, {"longer purpose", Rand(1, "aa", 2)},
	} {
		v := c.s.Uint64()
		if seen[v] != "" {
			t.Errorf("%s and %s give the same stream", c.name, seen[v])
		}
		seen[v] = c.name
	}
}

func TestRandDistributions(t *testing.T) {
	const n = 200_000
	s := Rand(9, "test", 0)
	var sum, squares, cubes, fourth, uniform float64
	for range n {
		x := float64(s.Normal())
		sum += x
		squares += x * x
		cubes += x * x * x
		fourth += x * x * x * x
		u := s.Float32()
		if u < 0 || u >= 1 {
			t.Fatalf("Float32 gave %v", u)
		}
		uniform += float64(u)
	}
	for _, c := range []struct {
		name             string
		got, want, slack float64
	}{
		{"mean", sum / n, 0, 0.01}, {"variance", squares / n, 1, 0.02}, {"skew", cubes / n, 0, 0.05},
		{"kurtosis", fourth / n, 3, 0.1}, {"uniform mean", uniform / n, 0.5, 0.005},
	} {
		if math.Abs(c.got-c.want) > c.slack {
			t.Errorf("%s is %v, want %v ± %v", c.name, c.got, c.want, c.slack)
		}
	}
	counts := make([]int, 6)
	for range 60_000 {
		counts[s.Below(6)]++
	}
	for i, c := range counts {
		if c < 9_500 || c > 10_500 {
			t.Errorf("%d came %d times of 60000", i, c)
		}
	}
}

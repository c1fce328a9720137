package kernel

import (
	"math"
	"slices"
	"testing"
)

// TestMaskIsTheStream compares a mask with the halves of the stream's words.
func TestMaskIsTheStream(t *testing.T) {
	key := Rand(3, "dropout", 0)
	for _, drop := range []uint32{0, 1, 6554, 32768, 65535} {
		for _, n := range []int{1, 63, 64, 65, 200} {
			s, words := key.At(7<<32|5), Rand(3, "dropout", 7<<32|5)
			mask := make([]uint64, (n+63)/64)
			s.Mask(mask, n, drop)
			var word uint32
			for i := range n {
				if i%2 == 0 {
					word = words.Uint32()
				}
				if got, want := mask[i/64]>>(i%64)&1 == 1, word&0xffff >= drop; got != want {
					t.Fatalf("drop %d: element %d of %d is kept: %t, want %t", drop, i, n, got, want)
				}
				word >>= 16
			}
		}
	}
}

// TestMaskEqualsPlainGo compares the machine's instructions with the definition.
func TestMaskEqualsPlainGo(t *testing.T) {
	for i := range uint64(40) {
		s := Rand(i, "equal", 0).At(i * 0x9e3779b97f4a7c15)
		got, want := make([]uint64, i), make([]uint64, i)
		drop := uint32(i * 1621)
		s.Mask(got, 64*int(i), drop)
		plainly(func() { s.Mask(want, 64*int(i), drop) })
		if !slices.Equal(got, want) {
			t.Fatalf("mask %d is %x, in plain Go %x", i, got, want)
		}
	}
}

func TestMaskKeepsItsShare(t *testing.T) {
	const n = 1 << 16
	mask := make([]uint64, n/64)
	s := Rand(1, "share", 0).At(0)
	s.Mask(mask, n, 13107) // 0.2
	kept := 0
	for i := range n {
		kept += int(mask[i/64] >> (i % 64) & 1)
	}
	if share := float64(kept) / n; math.Abs(share-0.8) > 0.01 {
		t.Errorf("%v are kept, want 0.8", share)
	}
}

func TestDropout(t *testing.T) {
	x := make([]float32, 70)
	for i := range x {
		x[i] = float32(i) - 20.5
	}
	mask := []uint64{0xf0f0_1234_5678_9abc, 0x2a}
	dst, sum := make([]float32, len(x)), slices.Clone(x)
	Dropout(dst, x, mask, 1.25)
	DropoutAdd(sum, x, mask, 1.25)
	for i := range x {
		var want float32
		if mask[i/64]>>(i%64)&1 == 1 {
			want = x[i] * 1.25
		}
		if dst[i] != want || sum[i] != x[i]+want {
			t.Fatalf("element %d: %v and %v, want %v and %v", i, dst[i], sum[i], want, x[i]+want)
		}
	}
}

func BenchmarkMask(b *testing.B) {
	mask := make([]uint64, 1536/64)
	key := Rand(1, "bench", 0)
	b.SetBytes(1536)
	for i := range b.N {
		s := key.At(uint64(i))
		s.Mask(mask, 1536, 3277)
	}
}

func BenchmarkDropout(b *testing.B) {
	mask, x := make([]uint64, 1536/64), make([]float32, 1536)
	b.SetBytes(4 * 1536)
	for range b.N {
		Dropout(x, x, mask, 1.25)
	}
}

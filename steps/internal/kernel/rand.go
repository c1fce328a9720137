package kernel

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/bits"
)

// A Stream is a sequence of random numbers that depends on nothing but what Rand was given. It is Philox4x32-10 (Salmon,
// Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): block i of four words is a bijective
// mix of the 128-bit counter (i, position) under a 64-bit key. A Stream is not safe for concurrent use.
type Stream struct {
	key      [2]uint32
	position uint64
	block    uint64
	words    [4]uint32
	left     int // words not handed out yet
}

// Rand returns the stream of a seed, a purpose ("dropout", "shuffle", …) and a position (an epoch, a row, an update).
// Streams that differ in any of them are independent; equal ones are equal on every machine. The key is the first
// eight bytes of SHA-256(seed as 8 little-endian bytes, purpose).
func Rand(seed uint64, purpose string, position uint64) *Stream {
	digest := sha256.Sum256(append(binary.LittleEndian.AppendUint64(nil, seed), purpose...))
	return &Stream{
		key:      [2]uint32{binary.LittleEndian.Uint32(digest[0:]), binary.LittleEndian.Uint32(digest[4:])},
		position: position,
	}
}

// Uint32 returns the next 32 random bits.
func (s *Stream) Uint32() uint32 {
	if s.left == 0 {
		counter := [4]uint32{uint32(s.block), uint32(s.block >> 32), uint32(s.position), uint32(s.position >> 32)}
		s.words, s.left = philox(counter, s.key), 4
		s.block++
	}
	s.left--
	return s.words[3-s.left]
}

// Uint64 returns the next 64 random bits, the low half first.
func (s *Stream) Uint64() uint64 {
	low := uint64(s.Uint32())
	return low | uint64(s.Uint32())<<32
}

// Float32 returns a multiple of 2^-24 in [0, 1).
func (s *Stream) Float32() float32 { return float32(float32(s.Uint32()>>8) * 0x1p-24) }

// Float64 returns a multiple of 2^-53 in [0, 1).
func (s *Stream) Float64() float64 { return float64(float64(s.Uint64()>>11) * 0x1p-53) }

// Below returns a number in [0, n), all equally likely (Lemire, "Fast random integer generation in an interval", 2019).
// It panics if n is 0.
func (s *Stream) Below(n uint64) uint64 {
	if n == 0 {
		panic("kernel: no number is below 0")
	}
	hi, lo := bits.Mul64(s.Uint64(), n)
	if lo < n {
		for floor := -n % n; lo < floor; {
			hi, lo = bits.Mul64(s.Uint64(), n)
		}
	}
	return hi
}

// Normal returns a number from the normal distribution with mean 0 and deviation 1 (Box and Muller; the second number
// of each pair is not used, so that every one costs two words).
func (s *Stream) Normal() float32 {
	u := (float64(s.Uint32()) + 0.5) * 0x1p-32
	v := float64(s.Uint32()) * 0x1p-32
	return float32(math.Sqrt(-2*Log64(u)) * Cos64(2*math.Pi*v))
}

// Perm returns 0, …, n-1 in random order (Fisher and Yates, from the end).
func (s *Stream) Perm(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	s.Shuffle(n, func(i, j int) { p[i], p[j] = p[j], p[i] })
	return p
}

// Shuffle puts n things in random order by calls of swap.
func (s *Stream) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, int(s.Below(uint64(i)+1)))
	}
}

// philox mixes one counter in ten rounds.
func philox(c [4]uint32, k [2]uint32) [4]uint32 {
	c0, c1, c2, c3 := mix(c[0], c[1], c[2], c[3], k[0], k[1])
	return [4]uint32{c0, c1, c2, c3}
}

// mix is philox on numbers that stay in registers.
func mix(c0, c1, c2, c3, k0, k1 uint32) (uint32, uint32, uint32, uint32) {
	for range 10 {
		p0, p1 := uint64(c0)*0xd2511f53, uint64(c2)*0xcd9e8d57
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0 += 0x9e3779b9
		k1 += 0xbb67ae85
	}
	return c0, c1, c2, c3
}

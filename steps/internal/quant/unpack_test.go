package quant

import (
	"encoding/hex"
	"math"
	"math/rand/v2"
	"testing"
)

// guarded returns n numbers between guards, and a check of the guards.
func guarded(t *testing.T, n int) ([]float32, func()) {
	const guard = 12345
	all := make([]float32, n+16)
	for i := range all {
		all[i] = guard
	}
	return all[8 : n+8 : n+8], func() {
		t.Helper()
		for i := range 8 {
			if all[i] != guard || all[n+8+i] != guard {
				t.Fatal("written outside")
			}
		}
	}
}

// same compares bits: zeros of either sign differ.
func same(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

// TestUnpackFastEqualsPlain compares the kernels with the plain Go that defines
// them, on runs of every length that they take.
func TestUnpackFastEqualsPlain(t *testing.T) {
	if !unpack8Fast(make([]float32, 8), make([]byte, 8), []float32{1}, 8) {
		t.Skip("no kernels on this machine or in this build")
	}
	random := rand.New(rand.NewPCG(1, 2))
	scales := make([]float32, 5)
	for i := range scales {
		scales[i] = float32(random.NormFloat64())
	}
	codes := make([]byte, 5*4096)
	for i := range codes {
		codes[i] = byte(random.Uint32())
	}
	for _, c := range []*fourBitCode{nf4(), fp4()} {
		for runs := 1; runs <= len(scales); runs++ {
			for n := 16; n <= 288; n += 16 {
				checkUnpack4(t, c, codes, scales[:runs], n)
			}
		}
		checkUnpack4(t, c, codes, scales, 4096)
	}
	for runs := 1; runs <= len(scales); runs++ {
		for n := 8; n <= 96; n += 8 {
			got, intact := guarded(t, runs*n)
			if !unpack8Fast(got, codes[:runs*n], scales[:runs], n) {
				t.Fatalf("%d runs of %d are refused", runs, n)
			}
			intact()
			want := make([]float32, runs*n)
			for i := range runs {
				unpack8Plain(want[i*n:(i+1)*n], codes[i*n:], scales[i])
			}
			if !same(got, want) {
				t.Fatalf("%d runs of %d: %v\nwant %v", runs, n, got, want)
			}
		}
	}
}

func checkUnpack4(t *testing.T, c *fourBitCode, codes []byte, scales []float32, n int) {
	t.Helper()
	got, intact := guarded(t, len(scales)*n)
	if !unpack4Fast(got, codes[:len(scales)*n/2], &c.table, scales, n) {
		t.Fatalf("%d runs of %d are refused", len(scales), n)
	}
	intact()
	want := make([]float32, len(scales)*n)
	for i, scale := range scales {
		unpack4(want[i*n:(i+1)*n], codes[i*n/2:], &c.table, scale, false)
	}
	if !same(got, want) {
		t.Fatalf("%d runs of %d: %v\nwant %v", len(scales), n, got, want)
	}
}

// TestAVX512 says whether the wide kernels are among what these tests compare.
func TestAVX512(t *testing.T) {
	if !wide() {
		t.Skip("this machine or build has no AVX-512: its kernels are not compared")
	}
}

func decodeHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

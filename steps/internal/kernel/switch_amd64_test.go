//go:build !purego

package kernel

import "testing"

// plainly runs f without assembly.
func plainly(f func()) {
	old := hasAVX2
	defer func() { hasAVX2 = old }()
	hasAVX2 = false
	f()
}

// A level is a set of instructions to test.
type level struct {
	name   string
	has    bool
	avx512 bool
}

func levels() []level {
	return []level{{"AVX2", hasAVX2, false}, {"AVX-512", hasAVX512, true}}
}

// with runs f on the level, or skips the test.
func (l level) with(t *testing.T, f func()) {
	if !l.has {
		t.Skipf("this machine has no %s", l.name)
	}
	old := hasAVX512
	defer func() { hasAVX512 = old }()
	hasAVX512 = l.avx512
	f()
}

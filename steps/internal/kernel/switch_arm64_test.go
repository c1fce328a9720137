//go:build !purego

package kernel

import "testing"

// plainly runs f without assembly.
func plainly(f func()) {
	old := hasNEON
	defer func() { hasNEON = old }()
	hasNEON = false
	f()
}

// A level is a set of instructions to test.
type level struct{ name string }

func levels() []level { return []level{{"NEON"}} }

// with runs f on the level.
func (l level) with(t *testing.T, f func()) { f() }

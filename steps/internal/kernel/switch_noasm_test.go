//go:build (!amd64 && !arm64) || purego

package kernel

import "testing"

// plainly runs f without assembly, of which there is none.
func plainly(f func()) { f() }

type level struct{ name string }

func levels() []level { return []level{{"none"}} }

func (l level) with(t *testing.T, f func()) {
	t.Skip("this build has no assembly for elementwise kernels")
}

//go:build !linux

package run

import "github.com/pipe-run/pipe/pipeline"

func confined() bool { return false }

// Confined reports whether steps are kept from writing outside their folders.
func Confined() bool { return confined() }

func confine(string, pipeline.Kind) error { return nil }

// Confinement names the protection of stored inputs that is active here, for
// pipe doctor.
func Confinement() string {
	return "none: the inputs of programs are copied, and inputs are checked after every step"
}

// Package doctor tells what the machine learning half of pipe finds on a
// machine, for pipe doctor.
package doctor

import (
	"strings"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// Kernels names the matrix kernels of this machine, the fastest first. All of
// them give the same bits.
func Kernels() string {
	var names []string
	for _, t := range kernel.Tiles() {
		names = append(names, t.Name)
	}
	return strings.Join(names, ", ")
}

// Package steps lists every step kind built into pipe.
package steps

import "github.com/pipe-run/pipe/pipeline"

// All returns the built-in kinds. A new step adds one line here.
func All() pipeline.Kinds {
	return pipeline.NewKinds()
}

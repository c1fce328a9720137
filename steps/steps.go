// Package steps lists every step kind built into pipe.
package steps

import (
	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/clean"
	"github.com/pipe-run/pipe/steps/convert"
	"github.com/pipe-run/pipe/steps/evaluate"
	"github.com/pipe-run/pipe/steps/exec"
	"github.com/pipe-run/pipe/steps/fetch"
	"github.com/pipe-run/pipe/steps/merge"
	"github.com/pipe-run/pipe/steps/mix"
	"github.com/pipe-run/pipe/steps/quantize"
	selection "github.com/pipe-run/pipe/steps/select"
	"github.com/pipe-run/pipe/steps/tokenize"
	"github.com/pipe-run/pipe/steps/tokenizer"
	"github.com/pipe-run/pipe/steps/train"
)

// All returns the built-in kinds. A new step adds one line here.
func All() pipeline.Kinds {
	return pipeline.NewKinds(
		fetch.Kind,
		convert.Kind,
		clean.Kind,
		mix.Kind,
		quantize.Kind,
		tokenizer.Kind,
		tokenize.Kind,
		train.Kind,
		evaluate.Kind,
		selection.Kind,
		merge.Kind,
		exec.Kind,
	)
}

package evaluate

import (
	"testing"

	"github.com/pipe-run/pipe/steps/internal/tiny"
	"github.com/pipe-run/pipe/steps/steptest"
)

func TestSuite(t *testing.T) {
	model := tiny.Model(t, 5)
	steptest.Run(t, steptest.Case{
		Kind: Kind, Params: defaults, Out: []string{"metrics"},
		In: map[string]string{
			"model": model, "adapter": tiny.Adapter(t, model, 0.1),
			"records": tiny.Records(t, tiny.Chat("what is up", "the sky"), tiny.Chat("left", "right")),
		},
	})
}

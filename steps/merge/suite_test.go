package merge

import (
	"testing"

	"github.com/pipe-run/pipe/steps/internal/tiny"
	"github.com/pipe-run/pipe/steps/steptest"
)

func TestSuite(t *testing.T) {
	model := tiny.Model(t, 5)
	for _, params := range []string{`{"dtype":"f32"}`, `{"dtype":"bf16","base":"original"}`} {
		steptest.Run(t, steptest.Case{
			Kind: Kind, Params: params, Out: []string{"model"},
			In: map[string]string{"model": model, "adapter": tiny.Adapter(t, model, 0.1)},
		})
	}
}

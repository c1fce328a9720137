package quantize

import (
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// TestTransposed quantizes GPT-2, whose files hold linears as [in, out], to
// codes of [out, in], as transformers and bitsandbytes do. Whether files name
// tensors with their prefix does not matter.
func TestTransposed(t *testing.T) {
	for _, name := range []string{"gpt2", "gpt2-bare"} {
		model := filepath.Join("..", "internal", "decoder", "testdata", "families", name)
		out, _, err := do(t, model, 2, nf4)
		if err != nil {
			t.Fatal(err)
		}
		c, err := decoder.ReadConfig(out)
		if err != nil {
			t.Fatal(err)
		}
		was, is := oriented(t, c, model), oriented(t, c, out)
		for _, m := range c.Modules() {
			values, err := was.F32(m.Tensor)
			if err != nil {
				t.Fatal(err)
			}
			shape, err := is.Dir.Shape(m.Tensor)
			if err != nil || !slices.Equal(shape, []int{m.Out, m.In}) {
				t.Errorf("%s has shape %v, %v", m.Tensor, shape, err)
			}
			got, err := is.F32(m.Tensor)
			if err != nil {
				t.Fatal(err)
			}
			if e := measureSlices(values, got); e > 0.15 {
				t.Errorf("%s: error %.3f rms", m.Tensor, e)
			}
		}
		if _, err := decoder.Load(out, 1, decoder.Train); err != nil {
			t.Error(err)
		}
	}
}

// TestTransposedQ8 refuses what transformers could not load.
func TestTransposedQ8(t *testing.T) {
	model := filepath.Join("..", "internal", "decoder", "testdata", "families", "gpt2-nf4")
	_, _, err := do(t, model, 1, Params{Scheme: quant.Q8})
	var field *pipeline.FieldError
	if !errors.As(err, &field) || field.Field != "scheme" || !strings.Contains(err.Error(), "transformer.h.0.attn.c_attn is a Conv1D") {
		t.Errorf("error %v", err)
	}
}

func oriented(t *testing.T, c decoder.Config, dir string) decoder.Files {
	t.Helper()
	w, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	f, err := c.Oriented(w)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// measureSlices is the relative error of got, root mean square.
func measureSlices(want, got []float32) float64 {
	var sum, size float64
	for i, v := range want {
		d := float64(got[i]) - float64(v)
		sum, size = sum+d*d, size+float64(v)*float64(v)
	}
	return math.Sqrt(sum / size)
}

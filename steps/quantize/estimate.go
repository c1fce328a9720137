package quantize

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// maxConfig bounds the config.json that an estimate reads.
const maxConfig = 4 << 20

// resident is what the process takes beside the weights, in bytes.
const resident = 64 << 20

// estimate foretells the memory: the codes and scales of all linears, and the
// largest tensor, as stored and in float32 before and after.
func estimate(_ context.Context, q *pipeline.EstimateRequest) (*pipeline.Estimate, error) {
	model := q.Inputs["model"]
	if model == nil {
		return nil, errors.New("no such input: model")
	}
	f, err := model.Open("config.json")
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	c, err := decoder.ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	var linear, largest int64
	for _, m := range c.Modules() {
		n := int64(m.Out) * int64(m.In)
		linear += n
		largest = max(largest, 12*n)
	}
	embedding := 4 * int64(c.VocabSize) * int64(c.Hidden)
	return &pipeline.Estimate{Parameters: c.Params(), Memory: resident + linear*5/8 + max(largest, embedding)}, nil
}

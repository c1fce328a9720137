package quantize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kin"
)

// maxConfig bounds the config.json that an estimate reads.
const maxConfig = 4 << 20

// resident is what the process takes beside the weights, in bytes.
const resident = 64 << 20

// rate is what a core is taken to reach, in FLOP/s, when it runs the model.
const rate = 50e9

// estimate foretells memory and, for dynamic quantization, tokens and FLOPs, and
// refuses what run would.
func estimate(_ context.Context, q *pipeline.EstimateRequest) (*pipeline.Estimate, error) {
	p, err := pipeline.DecodeParams[Params](q.Params)
	if err != nil {
		return nil, err
	}
	model := q.Inputs["model"]
	if model == nil {
		return nil, errors.New("no such input: model")
	}
	c, err := decoder.ReadConfigFS(model)
	if err != nil {
		return nil, &pipeline.FieldError{Field: "in.model", Err: err}
	}
	stored, err := readStored(model)
	if err != nil {
		return nil, err
	}
	if len(stored.Quantization) > 0 && string(stored.Quantization) != "null" {
		return nil, alreadyQuantized()
	}
	if err := p.check(c.Modules(), q.Inputs["calibration"] != nil); err != nil {
		return nil, err
	}
	if tokens := q.Inputs["calibration"]; tokens != nil {
		if err := calibrates(tokens, kin.Of(model)); err != nil {
			return nil, err
		}
	}
	e := &pipeline.Estimate{Parameters: c.Params(), Memory: resident + p.codes(c) + working(c, stored.elementSize())}
	if p.Dynamic != nil {
		if err := p.checkBudget(c.Modules(), func(decoder.Module) int64 { return stored.elementSize() }); err != nil {
			return nil, err
		}
		return e, p.foretell(c, stored.elementSize(), q, e)
	}
	return e, nil
}

// codes is the memory of codes and scales, which are kept to the end; copies of
// the scales on their way are counted too.
func (p Params) codes(c decoder.Config) (bytes int64) {
	for _, m := range c.Modules() {
		bytes += p.size(m) * 9 / 8
	}
	return bytes
}

// working is the memory of the largest tensor: a linear as stored and in float32
// before and after, or the embeddings as stored, in size bytes each.
func working(c decoder.Config, size int64) (largest int64) {
	for _, m := range c.Modules() {
		largest = max(largest, 12*int64(m.Out)*int64(m.In))
	}
	return max(largest, size*int64(c.VocabSize)*int64(c.Hidden))
}

// foretell adds what running the model on the calibration tokens takes: its
// weights, in size bytes each, and two products for each linear.
func (p Params) foretell(c decoder.Config, size int64, q *pipeline.EstimateRequest, e *pipeline.Estimate) error {
	rows, err := dataset.OpenTokensFS(q.Inputs["calibration"])
	if err != nil {
		return err
	}
	defer rows.Close()
	longest := 0
	for i := 0; i < rows.Len() && e.Tokens < int64(p.Dynamic.Tokens); i++ {
		row, err := rows.Row(i)
		if err != nil {
			return err
		}
		n := min(len(row.InputIDs), p.Dynamic.Tokens-int(e.Tokens))
		e.Tokens += int64(n)
		longest = max(longest, n)
	}
	var linear int64
	for _, m := range c.Modules() {
		linear += int64(m.Out) * int64(m.In)
	}
	e.FLOPs = 4 * float64(linear) * float64(e.Tokens)
	e.Seconds = e.FLOPs / rate / float64(max(1, q.Threads))
	width := 4*c.Hidden + 4*c.Heads*c.HeadDim + 4*c.Intermediate
	e.Memory += size*c.Params() + 4*int64(longest)*int64(width)
	return nil
}

// storedConfig is what config.json says of how weights are stored.
type storedConfig struct {
	Torch        string          `json:"torch_dtype"`
	DType        string          `json:"dtype"`
	Quantization json.RawMessage `json:"quantization_config"`
}

func readStored(model fs.FS) (s storedConfig, err error) {
	f, err := model.Open("config.json")
	if err != nil {
		return s, fmt.Errorf("reading the model: %w", err)
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxConfig)).Decode(&s); err != nil {
		return s, fmt.Errorf("reading the model: config.json: %w", err)
	}
	return s, nil
}

// elementSize is how many bytes a weight takes while the model runs.
func (s storedConfig) elementSize() int64 {
	for _, name := range []string{s.Torch, s.DType} {
		if name == "bfloat16" || name == "float16" {
			return 2
		}
	}
	return 4
}

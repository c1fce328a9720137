package quantize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/quant"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// Params mirrors schemas/quantize.cue.
type Params struct {
	Scheme      string   `json:"scheme"`
	DoubleQuant bool     `json:"doubleQuant"` // of nf4 and fp4
	BlockSize   int      `json:"blockSize"`   // of nf4 and fp4
	Dynamic     *Dynamic `json:"dynamic"`
}

// Dynamic asks for layers to be left as they are.
type Dynamic struct {
	Keep   Keep `json:"keep"`
	Tokens int  `json:"tokens"`
}

// Keep is what the layers that are left may add to the size of the model: bytes,
// or a share of what all of them take when quantized.
type Keep struct {
	Bytes int64
	Ratio float64
}

// UnmarshalJSON reads a number of bytes or {"ratio": share}.
func (k *Keep) UnmarshalJSON(b []byte) error {
	*k = Keep{}
	if json.Unmarshal(b, &k.Bytes) == nil {
		return nil
	}
	var share struct {
		Ratio *float64 `json:"ratio"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&share); err != nil || share.Ratio == nil {
		return errors.New("want a number of bytes or {ratio: share}")
	}
	k.Ratio = *share.Ratio
	return nil
}

// options are what weights of a dtype are quantized with.
func (p Params) options(dtype tensor.DType) quant.Options {
	opt := quant.Options{Scheme: p.Scheme, BlockSize: p.BlockSize, DoubleQuant: p.DoubleQuant, DType: dtype}
	if p.Scheme == quant.Q8 {
		opt.BlockSize = quant.Q8Block
	}
	return opt
}

// check finds what is wrong with the parameters for a model of these linears.
func (p Params) check(modules []decoder.Module, calibration bool) error {
	if p.Scheme != quant.NF4 && p.Scheme != quant.FP4 && p.Scheme != quant.Q8 {
		return &pipeline.FieldError{Field: "scheme", Err: fmt.Errorf("unknown scheme %q", p.Scheme), Hint: "it must be nf4, fp4 or q8_0"}
	}
	for _, m := range modules {
		if p.Scheme == quant.Q8 && m.Transposed {
			return &pipeline.FieldError{
				Field: "scheme", Err: fmt.Errorf("%s is a Conv1D, of which compressed-tensors has no 8-bit form", m.Path),
				Hint: "nf4 and fp4 have one",
			}
		}
		if p.Scheme == quant.Q8 && m.In%quant.Q8Block != 0 {
			return &pipeline.FieldError{
				Field: "scheme", Err: fmt.Errorf("%s has rows of %d weights, which are not whole blocks of %d", m.Path, m.In, quant.Q8Block),
				Hint: "nf4 and fp4 take rows of any length",
			}
		}
	}
	switch {
	case p.Dynamic == nil && calibration:
		return &pipeline.FieldError{Field: "in.calibration", Err: errors.New("only dynamic quantization runs the model"), Hint: "give dynamic: keep: ratio: 0.1"}
	case p.Dynamic == nil:
		return nil
	case !calibration:
		return &pipeline.FieldError{Field: "dynamic", Err: errors.New("there are no tokens to run the model on"), Hint: "give in: calibration: the tokens of a tokenize step"}
	}
	return nil
}

// checkBudget refuses a budget that leaves no layer as it is, or all of them;
// stored is how many bytes a weight of a layer takes now.
func (p Params) checkBudget(modules []decoder.Module, stored func(decoder.Module) int64) error {
	budget := p.budget(modules)
	least, all := modules[0], int64(0)
	for _, m := range modules {
		all += p.extra(m, stored(m))
		if p.extra(m, stored(m)) < p.extra(least, stored(least)) {
			least = m
		}
	}
	switch {
	case budget < p.extra(least, stored(least)):
		return &pipeline.FieldError{
			Field: "dynamic.keep", Err: fmt.Errorf("%d bytes leave room for no layer: %s takes %d more as it is, and none takes less", budget, least.Path, p.extra(least, stored(least))),
		}
	case budget >= all:
		return &pipeline.FieldError{
			Field: "dynamic.keep", Err: fmt.Errorf("%d bytes leave room for every layer, so that nothing would be quantized: all of them take %d more as they are", budget, all),
		}
	}
	return nil
}

// budget is Keep in bytes.
func (p Params) budget(modules []decoder.Module) int64 {
	if p.Dynamic.Keep.Ratio == 0 {
		return p.Dynamic.Keep.Bytes
	}
	var quantized int64
	for _, m := range modules {
		quantized += p.size(m)
	}
	return int64(p.Dynamic.Keep.Ratio * float64(quantized))
}

// size is how many bytes a linear takes when quantized.
func (p Params) size(m decoder.Module) int64 { return int64(p.options("").Size(m.Out * m.In)) }

// extra is how many more it takes with weights of stored bytes.
func (p Params) extra(m decoder.Module, stored int64) int64 {
	return stored*int64(m.Out)*int64(m.In) - p.size(m)
}

package quantize

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
)

// ReportFile lies beside the weights and says what quantizing cost.
const ReportFile = "quantization.json"

// summary is the content of ReportFile.
type summary struct {
	Bits      float64       `json:"bitsPerParameter"` // of the whole model, all tensors of its file counted
	Quantized float64       `json:"quantizedShare"`   // of the parameters
	RMS       float64       `json:"worstRMSError"`
	Max       float64       `json:"worstMaxError"`
	Tensors   []tensorError `json:"tensors"`

	Dynamic *dynamicSummary `json:"dynamic,omitempty"`
}

// report writes ReportFile and tells the run of it.
func (q *quantizer) report(out string) error {
	s := q.summary()
	for i, e := range s.Tensors {
		q.t.Log.Info(fmt.Sprintf("%s: %.3f bits per parameter, error %.4f rms, %.4f max", e.Name, e.Bits, e.RMS, e.Max))
		q.t.Emit(pipeline.Metric{Name: "quantize/rmsError", Value: e.RMS, At: int64(i)})
		q.t.Emit(pipeline.Metric{Name: "quantize/maxError", Value: e.Max, At: int64(i)})
	}
	q.t.Emit(pipeline.Metric{Name: "quantize/bitsPerParameter", Value: s.Bits})
	if d := q.dynamic; d != nil {
		for i, l := range d.Layers {
			q.t.Emit(pipeline.Metric{Name: "quantize/outputError", Value: l.Error, At: int64(i)})
			if l.Kept {
				q.t.Log.Info(fmt.Sprintf("%s: left as it is for %d bytes more, error of its outputs would be %.4f", l.Name, l.Extra, l.Error))
			}
		}
		q.t.Log.Info(fmt.Sprintf("%d of %d bytes spent on layers left as they are", d.Used, d.Budget))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return fmt.Errorf("encoding %s: %w", ReportFile, err)
	}
	return os.WriteFile(filepath.Join(out, ReportFile), b.Bytes(), 0o644)
}

func (q *quantizer) summary() summary {
	s := summary{Tensors: q.errors, Dynamic: q.dynamic}
	var size, kept, quantized float64
	for _, spec := range q.specs {
		n := float64(elements(spec))
		size += n * float64(spec.DType.Size())
		if _, part := q.parts[spec.Name]; !part {
			kept += n
		}
	}
	for _, e := range q.errors {
		n := 1
		for _, d := range e.Shape {
			n *= d
		}
		quantized += float64(n)
		s.RMS, s.Max = max(s.RMS, e.RMS), max(s.Max, e.Max)
	}
	s.Bits = ratio(8*size, kept+quantized)
	s.Quantized = ratio(quantized, kept+quantized)
	return s
}

func elements(s safetensors.Spec) int {
	n := 1
	for _, d := range s.Shape {
		n *= d
	}
	return n
}

package train

import (
	"fmt"
	"strings"
)

func gigabytes(n int64) string { return fmt.Sprintf("%.3g GB", float64(n)/1e9) }

// savings lists the options that would lower the peak of memory from need, and
// to what each alone.
func (f *forecast) savings(need int64) string {
	var list []string
	offer := func(text string, change func(*forecast)) {
		other := *f
		change(&other)
		if other.p.Recompute != "none" {
			other.spec.Keep = 0
		}
		if n := other.memory(); n < need-need/50 {
			list = append(list, fmt.Sprintf("%s (%s)", text, gigabytes(n)))
		}
	}
	if f.p.Recompute == "none" {
		offer(`recompute: "all"`, func(o *forecast) { o.p.Recompute = "all"; o.spec.Keep = 0 })
	}
	if n := f.p.BatchSize; n > 1 {
		offer(fmt.Sprintf("batchSize: 1 with gradientAccumulation: %d", n*f.p.GradientAccumulation), func(o *forecast) {
			o.p.BatchSize, o.p.GradientAccumulation = 1, n*f.p.GradientAccumulation
			o.spec.Tokens, o.spec.Rows = o.spec.Tokens/n, o.spec.Rows/n
		})
	}
	if f.p.Optimizer == "" || f.p.Optimizer == "adamw" {
		offer(`optimizer: "adamw8bit"`, func(o *forecast) { o.p.Optimizer = "adamw8bit" })
	}
	if !f.p.PagedState {
		offer("pagedState: true", func(o *forecast) { o.p.PagedState = true })
	}
	if f.p.LoRA == nil {
		list = append(list, `method: "lora"`)
	} else if f.frozen > f.spec.Params() {
		offer("a quantized model", func(o *forecast) { o.frozen = f.spec.Params() * 6 / 10 })
	}
	if len(list) == 0 {
		return "shorter rows (maxLength of tokenize) or a smaller model"
	}
	return strings.Join(list, ", ")
}

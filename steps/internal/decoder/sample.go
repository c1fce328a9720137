package decoder

import (
	"cmp"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// Sampler returns a choice for Session.Generate that draws an id with the
// probability softmax(logits/temperature) gives it, out of the likeliest ids
// that together reach topP (all when topP is 0 or 1). The i-th draw depends on
// seed and i alone.
func Sampler(seed uint64, temperature, topP float64) func(i int, logits []float32) int32 {
	type candidate struct {
		id int32
		p  float64
	}
	var list []candidate
	return func(i int, logits []float32) int32 {
		peak := float64(slices.Max(logits))
		list = list[:0]
		var sum float64
		for id, v := range logits {
			p := kernel.Exp64((float64(v) - peak) / temperature)
			sum += p
			list = append(list, candidate{int32(id), p})
		}
		if topP > 0 && topP < 1 {
			slices.SortFunc(list, func(a, b candidate) int {
				return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.id, b.id))
			})
			limit, kept := float64(topP*sum), 0.0
			for n := range list {
				if kept += list[n].p; kept >= limit {
					list = list[:n+1]
					break
				}
			}
			sum = kept
		}
		left := float64(kernel.Rand(seed, "sample", uint64(i)).Float64() * sum)
		for _, c := range list {
			if left -= c.p; left < 0 {
				return c.id
			}
		}
		return list[len(list)-1].id
	}
}

package decoder

// FLOPs returns the operations of the matrix products that a training executes,
// forward and backward, for a document of length tokens of which supervised are;
// those of a batch are the sum over its documents. A multiply-add counts two.
func (s Spec) FLOPs(length, supervised int) float64 {
	n, last := float64(length), s.Layers-1
	square := s.squareFLOPs(length)
	var flops float64
	for layer := range s.Layers {
		attention := square[s.window(layer)]
		flops += 2*attention + 5*attention // scores and values; those, their gradients and the scores again
		again := layer < last-s.Keep
		if again {
			flops += 2 * attention
		}
		for p := range numProj {
			if s.hasProj(p) {
				flops += n * s.linearFLOPs(layer, p, again)
			}
		}
	}
	head := 2 * float64(supervised) * float64(s.VocabSize) * float64(s.Hidden)
	flops += 2 * head
	if s.Adapt == nil || s.SavedHead {
		flops += head
	}
	if s.Objective {
		flops += head
	}
	return flops
}

// ForwardFLOPs returns those of the loss alone.
func (s Spec) ForwardFLOPs(length, supervised int) float64 {
	square := s.squareFLOPs(length)
	flops := 2 * float64(supervised) * float64(s.VocabSize) * float64(s.Hidden)
	for layer := range s.Layers {
		flops += 2 * square[s.window(layer)]
		for p := range numProj {
			if s.hasProj(p) {
				w, low, _ := s.weightsOf(layer, p)
				flops += 2 * float64(length) * (w + low)
			}
		}
	}
	return flops
}

// weightsOf counts the weights of a linear and of what adapts it, and says
// whether its product is computed twice, for what dropout leaves and for the rest.
func (s Spec) weightsOf(layer, p int) (w, low float64, twice bool) {
	out, in := s.projShape(p)
	w = float64(out) * float64(in)
	if s.Adapt == nil {
		return w, 0, false
	}
	a, ok := s.Adapt(s.modulePath(layer, p))
	if !ok {
		return w, 0, false
	}
	return w, float64(a.Rank) * float64(in+out), a.Squares != nil && a.Dropout > 0
}

// linearFLOPs counts the products of a linear for one token: forward, once more
// where that is computed again, and backward.
func (s Spec) linearFLOPs(layer, p int, again bool) float64 {
	w, low, twice := s.weightsOf(layer, p)
	out, in := s.projShape(p)
	base := w
	if twice {
		base = 2 * w
	}
	flops := base + low
	switch {
	case !again:
	case p == projDown && !s.Norms[NormMLPOut]: // only x·Aᵀ
		flops += low * float64(in) / float64(in+out)
	default:
		flops += base + low
	}
	flops += low // gradients of A and B
	if low > 0 {
		flops += low * float64(out) / float64(in+out) // that of x·Aᵀ
	}
	if s.Adapt == nil {
		flops += w
	}
	first := s.Adapt == nil || s.SavedEmbed || s.SavedTokens > 0
	if first || layer > 0 || p != projQ && p != projK && p != projV {
		flops += base + low*float64(in)/float64(in+out)
	}
	return 2 * flops
}

// squareFLOPs counts one product of queries and keys, over all heads, by window.
// Tiles of queries are multiplied with every key that any of them sees.
func (s Spec) squareFLOPs(length int) map[int]float64 {
	a := newAttention(s.Config)
	flops := map[int]float64{}
	for layer := range s.Layers {
		r := reach{window: s.window(layer)}
		if _, ok := flops[r.window]; ok {
			continue
		}
		var pairs float64
		for lo := 0; lo < length; lo += a.tokens {
			hi := min(length, lo+a.tokens)
			pairs += float64(hi-lo) * float64(hi-r.from(unit{lo: lo, hi: hi}))
		}
		flops[r.window] = 2 * pairs * float64(s.queryWidth())
	}
	return flops
}

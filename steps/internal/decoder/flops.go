package decoder

// Cost counts the operations of the matrix products that documents take. A
// multiply-add counts two.
type Cost struct {
	token, row float64 // of a token, and of a supervised one more
	squares    []square
	attn       *attention
}

// square is how often the queries of a document meet its keys, by reach.
type square struct {
	reach
	times float64
}

// meet adds times a layer's window.
func (c *Cost) meet(window int, times float64) {
	for i := range c.squares {
		if c.squares[i].window == window {
			c.squares[i].times += times
			return
		}
	}
	c.squares = append(c.squares, square{reach{window: window}, times})
}

// FLOPs returns those of a document of length tokens, of which supervised are;
// those of a batch are the sum over its documents.
func (c Cost) FLOPs(length, supervised int) float64 {
	flops := float64(c.token*float64(length)) + float64(c.row*float64(supervised))
	for _, s := range c.squares {
		flops += float64(s.times * c.attn.square(s.reach, length))
	}
	return flops
}

// square counts one product of queries and keys of a document, over all heads.
// Tiles of queries are multiplied with every key that any of them sees.
func (a *attention) square(r reach, length int) float64 {
	var pairs float64
	for lo := 0; lo < length; lo += a.tokens {
		hi := min(length, lo+a.tokens)
		pairs += float64((hi - lo) * (hi - r.from(unit{lo: lo, hi: hi})))
	}
	return 2 * pairs * float64(a.kvHeads*a.group*a.dim)
}

// UpdateCost is that of a training, forward and backward, as it executes.
func (s Spec) UpdateCost() Cost {
	c := s.cost()
	head := c.row
	for layer := range s.Layers {
		again := layer < s.Layers-1-s.Keep
		times := 2.0 + 5 // scores and values; those, their gradients and the scores again
		if again {
			times += 2
		}
		c.meet(s.window(layer), times)
		for p := range numProj {
			if s.hasProj(p) {
				c.token += s.linearFLOPs(layer, p, again)
			}
		}
	}
	c.row += head
	if s.Adapt == nil || s.SavedHead {
		c.row += head
	}
	if s.Objective {
		c.row += head
	}
	return c
}

// LossCost is that of the loss alone.
func (s Spec) LossCost() Cost {
	c := s.cost()
	for layer := range s.Layers {
		c.meet(s.window(layer), 2)
		for p := range numProj {
			if s.hasProj(p) {
				w, low, _ := s.weightsOf(layer, p)
				c.token += 2 * (w + low)
			}
		}
	}
	return c
}

// cost is that of the head alone.
func (s Spec) cost() Cost {
	return Cost{row: 2 * float64(s.VocabSize) * float64(s.Hidden), attn: newAttention(s.Config)}
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
	ofA, ofB := low*float64(in)/float64(in+out), low*float64(out)/float64(in+out)
	base := w
	if twice {
		base = 2 * w
	}
	flops := base + low
	switch {
	case !again:
	case p == projDown && !s.Norms[NormMLPOut]: // only x·Aᵀ
		flops += ofA
	default:
		flops += base + low
	}
	flops += low + ofB // gradients of A and B, and of x·Aᵀ
	if s.Adapt == nil {
		flops += w
	}
	input := layer > 0 || s.Adapt == nil || s.SavedEmbed || s.SavedTokens > 0
	if input || p != projQ && p != projK && p != projV {
		flops += base + ofA
	}
	return 2 * flops
}

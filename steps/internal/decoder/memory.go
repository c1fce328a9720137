package decoder

import "sort"

// Spec is what decides how much memory a training holds and how much it computes.
type Spec struct {
	Config
	// Tokens, Longest and Rows are the most tokens, the longest document and the
	// most supervised tokens of a microbatch.
	Tokens, Longest, Rows int
	Threads               int
	// Keep is how many layers keep their values (Training.Keep).
	Keep int
	// Adapt says how linears are adapted, as NewBlockOp asks; nil for full training.
	Adapt func(module string) (Adapt, bool)
	// SavedEmbed, SavedHead and SavedTokens are what is trained of the embeddings and
	// of the head beside adapters: whole matrices, or rows of some tokens.
	SavedEmbed, SavedHead bool
	SavedTokens           int
	// Objective says that an Objective makes the loss, which computes logits twice.
	Objective bool
}

// Garbage is the pipeline.Kind.Garbage of the steps that compute with models: they
// hold few buffers, which are large and live long, so that collecting early costs
// little and keeps the peak near what is counted here.
const Garbage = 20

// Sizes in bytes of a float32 and of a stat.
const (
	floatBytes = 4
	statBytes  = 8
)

// Bytes returns what the ops of a Training and the graph that joins them hold:
// buffers of activations, of gradients and of scratch, the gradients of what is
// trained among them. Weights, the optimizer's state and what matrix products
// pack are not.
func (s Spec) Bytes() int64 { return s.opBytes() + s.graphBytes() }

// KeepWithin returns the greatest Keep with which Bytes stays within a budget, or
// 0 where it never does.
func (s Spec) KeepWithin(bytes int64) int {
	return max(0, sort.Search(s.Layers, func(keep int) bool {
		s.Keep = keep
		return s.Bytes() > bytes
	})-1)
}

// opBytes is what the ops hold.
func (s Spec) opBytes() int64 {
	bytes := s.scratchBytes() + s.attentionBytes() + s.headBytes()
	last := s.Layers - 1
	kept := min(s.Keep, last)
	for layer := last - kept; layer < last; layer++ {
		bytes += s.valueBytes() + s.lowBytes(layer)
	}
	shared := []int{last}
	for layer := range last - kept {
		shared = append(shared, layer)
	}
	return bytes + s.valueBytes() + s.lowBytes(shared...)
}

// scratchBytes is what blocks share: see scratch.
func (s Spec) scratchBytes() int64 {
	row := 3*s.Hidden + 2*s.Intermediate + s.queryWidth() + 2*s.keyWidth()
	if s.FusedQKV {
		row += s.queryWidth()
	}
	bytes := int64(floatBytes) * int64(s.Tokens) * int64(row)
	for slot := range numNorms {
		if s.Norms[slot] && s.Norm == RMSPlusOne {
			bytes += floatBytes * int64(s.normWidth(slot))
		}
	}
	tables := 1
	switch {
	case s.LearnedPositions:
		tables = 0
	case s.LocalTheta != 0:
		tables = 2
	}
	bytes += floatBytes * int64(tables*s.HeadDim/2*(2*s.Longest+1))
	bytes += s.sumBytes(s.Tokens)
	if !s.LearnedPositions || s.Norms[NormQ] || s.Norms[NormK] {
		bytes += floatBytes * int64(s.Threads*s.HeadDim)
	}
	return bytes + s.lowWorkBytes()
}

// sumBytes is what the gradients of a norm's weights are summed in, over rows.
func (s Spec) sumBytes(rows int) int64 {
	if s.Adapt != nil {
		return 0
	}
	return 8 * 2 * int64(s.Hidden) * int64((rows+rowsPerPart-1)/rowsPerPart)
}

// valueBytes is what a layer keeps: see values.
func (s Spec) valueBytes() int64 {
	q, kv := s.queryWidth(), s.keyWidth()
	row := q + 2*kv + q + s.Heads + s.Hidden + s.ups()*s.Intermediate
	var stats int
	for slot := range numNorms {
		if !s.Norms[slot] {
			continue
		}
		stats += s.normsOfToken(slot)
		switch slot {
		case NormQ:
			row += q
		case NormK:
			row += kv
		case NormAttnOut, NormMLPOut:
			row += s.Hidden
		}
	}
	return int64(s.Tokens) * int64(floatBytes*row+statBytes*stats)
}

// lowBytes is what the adapted linears of layers that share it keep: see low.
func (s Spec) lowBytes(layers ...int) (bytes int64) {
	if s.Adapt == nil {
		return 0
	}
	for p := range numProj {
		var most int64
		for _, layer := range layers {
			if !s.hasProj(p) {
				continue
			}
			if a, ok := s.Adapt(s.modulePath(layer, p)); ok {
				out, in := s.projShape(p)
				most = max(most, a.bytes(s.Tokens, out, in))
			}
		}
		bytes += most
	}
	return bytes
}

// bytes is what low holds for m rows.
func (a Adapt) bytes(m, out, in int) int64 {
	bytes := floatBytes * 2 * int64(m) * int64(a.Rank)
	if a.Dropout > 0 {
		bytes += 8 * int64(m) * int64(words(in))
	}
	if a.Squares != nil {
		bytes += floatBytes*(int64(m)*int64(out)+int64(out)+int64(a.Rank)*int64(out+a.Rank)) + 8*int64(out)
	}
	return bytes
}

// lowWorkBytes is what adapted linears have in common: see lowWork.
func (s Spec) lowWorkBytes() int64 {
	var rows, outs int
	for layer := 0; layer < s.Layers && s.Adapt != nil; layer++ {
		for p := range numProj {
			if !s.hasProj(p) {
				continue
			}
			a, ok := s.Adapt(s.modulePath(layer, p))
			out, in := s.projShape(p)
			if ok && a.Dropout > 0 {
				rows = max(rows, in)
			}
			if ok && a.Squares != nil {
				outs = max(outs, out)
			}
		}
	}
	return floatBytes * int64(s.Tokens) * int64(rows+outs)
}

// attentionBytes is the scratch of all threads: see tile.
func (s Spec) attentionBytes() int64 {
	a := newAttention(s.Config)
	square := 2
	if s.AttnCap > 0 {
		square++
	}
	var scores int
	for layer := range s.Layers {
		if layer > 0 && s.window(layer) == s.window(layer-1) {
			continue
		}
		r := reach{window: s.window(layer)}
		for lo := 0; lo < s.Longest; lo += a.tokens {
			u := unit{lo: lo, hi: min(s.Longest, lo+a.tokens)}
			scores = max(scores, (u.hi-u.lo)*(u.hi-r.from(u)))
		}
	}
	bytes := floatBytes * int64(s.Threads) * int64(a.group) * int64(3*min(a.tokens, s.Longest)*a.dim+square*scores)
	// As many of the longest documents as there is room for, and one of the rest.
	var spans []Span
	for lo := 0; lo < s.Tokens; lo += s.Longest {
		spans = append(spans, Span{lo, min(s.Tokens, lo+s.Longest)})
	}
	_, room := a.partsOf(reach{}, spans)
	return bytes + floatBytes*int64(room)
}

// headBytes is what the loss holds.
func (s Spec) headBytes() int64 {
	rows := min(s.LossChunk(), s.Rows)
	bytes := int64(rows)*int64(floatBytes*(3*s.Hidden+s.VocabSize)+statBytes) + 8*int64(s.Rows)
	if s.Objective {
		bytes += 8 * int64(s.Rows)
	}
	if s.Norm == RMSPlusOne {
		bytes += floatBytes * int64(s.Hidden)
	}
	if s.Adapt == nil {
		norm := int64(s.Hidden)
		if s.Norm == LayerNorm {
			norm *= 2
		}
		return bytes + s.sumBytes(rows) + floatBytes*(2*norm+s.matrix(s.VocabSize))
	}
	if s.SavedHead {
		bytes += floatBytes * s.matrix(s.VocabSize)
	}
	if s.Tied {
		bytes += floatBytes * s.matrix(s.SavedTokens)
	}
	return bytes
}

// matrix is the number of elements of some rows of embeddings.
func (s Spec) matrix(rows int) int64 { return int64(rows) * int64(s.Hidden) }

// graphBytes is what the graph holds: the inputs of all blocks and of the loss,
// two gradients of activations, and the gradients of what is trained. Where the
// embedding matrix is the head, its gradients by both and their sum.
func (s Spec) graphBytes() int64 {
	bytes := floatBytes * int64(s.Layers+3) * int64(s.Tokens) * int64(s.Hidden)
	if s.Adapt == nil {
		bytes += floatBytes * s.Params()
		if s.Tied {
			bytes += floatBytes * 2 * s.matrix(s.VocabSize)
		}
		return bytes
	}
	if s.SavedEmbed {
		bytes += floatBytes * s.matrix(s.VocabSize)
	}
	if s.SavedHead {
		bytes += floatBytes * s.matrix(s.VocabSize)
	}
	bytes += floatBytes * s.matrix(s.SavedTokens)
	if s.Tied {
		bytes += floatBytes * 2 * s.matrix(s.SavedTokens)
	}
	for _, m := range s.Modules() {
		a, ok := s.Adapt(m.Path)
		if !ok {
			continue
		}
		bytes += floatBytes * int64(a.Rank) * int64(m.In+m.Out)
		if a.Squares != nil {
			bytes += floatBytes * int64(m.Out)
		}
	}
	return bytes
}

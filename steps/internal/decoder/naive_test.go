package decoder

import "math"

// naive is the whole model once more, in float64 and as plainly as possible:
// one token at a time, one document at a time, no buffers shared. It is what the
// fast paths are tested against.
type naive struct {
	c Config
	w map[string][]float64
	// lora holds A and B under "<module>.lora_A.weight"; scale applies to all.
	scale float64
}

// naivePaths are the paths of a layer's linears and norms.
type naivePaths struct {
	proj  [numProj]string
	norms [numNorms]string
}

func (nv naive) paths(layer int) *naivePaths {
	var l naivePaths
	for p := range l.proj {
		l.proj[p] = nv.c.modulePath(layer, p)
	}
	for slot := range l.norms {
		l.norms[slot] = nv.c.normPath(layer, slot)
	}
	return &l
}

func (nv naive) linear(l *naivePaths, p int, x []float64) []float64 {
	out, _ := nv.c.projShape(p)
	module := l.proj[p]
	y := mulVec(nv.w[module+".weight"], x, out)
	for i, b := range nv.w[module+".bias"] {
		y[i] += b
	}
	if a := nv.w[module+".lora_A.weight"]; a != nil {
		z := mulVec(a, x, len(a)/len(x))
		for i, v := range mulVec(nv.w[module+".lora_B.weight"], z, out) {
			y[i] += nv.scale * v
		}
	}
	return y
}

func mulVec(w, x []float64, out int) []float64 {
	y := make([]float64, out)
	for o := range y {
		for i, v := range x {
			y[o] += w[o*len(x)+i] * v
		}
	}
	return y
}

// norm normalises x by the norm at path.
func (nv naive) norm(path string, x []float64) []float64 {
	w, b := nv.w[path+".weight"], nv.w[path+".bias"]
	var mean, square float64
	for _, v := range x {
		mean += v / float64(len(x))
	}
	if nv.c.Norm != LayerNorm {
		mean = 0
	}
	for _, v := range x {
		square += (v - mean) * (v - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (v - mean) / math.Sqrt(square+nv.c.Eps)
		if nv.c.Norm == RMSPlusOne {
			y[i] *= 1 + w[i]
		} else {
			y[i] *= w[i]
		}
		if nv.c.Norm == LayerNorm {
			y[i] += b[i]
		}
	}
	return y
}

// slot applies a block's norm, if there is one, to every piece of x that is as
// wide as its weights.
func (nv naive) slot(l *naivePaths, slot int, x []float64) []float64 {
	if !nv.c.Norms[slot] {
		return x
	}
	var y []float64
	w := nv.c.normWidth(slot)
	for ; len(x) > 0; x = x[w:] {
		y = append(y, nv.norm(l.norms[slot], x[:w])...)
	}
	return y
}

// rotate applies the rotary embedding of the layer's plain theta.
func (nv naive) rotate(layer int, x []float64, pos int) {
	if nv.c.LearnedPositions {
		return
	}
	theta := nv.c.RopeTheta
	if nv.c.LocalTheta != 0 && nv.c.Windows[layer] > 0 {
		theta = nv.c.LocalTheta
	}
	half := nv.c.HeadDim / 2
	for h := 0; h < len(x); h += nv.c.HeadDim {
		for i := range half {
			sin, cos := math.Sincos(float64(pos) / math.Pow(theta, float64(2*i)/float64(nv.c.HeadDim)))
			a, b := x[h+i], x[h+half+i]
			x[h+i], x[h+half+i] = a*cos-b*sin, b*cos+a*sin
		}
	}
}

func (nv naive) act(x float64) float64 {
	switch nv.c.Act {
	case GELUTanh:
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	case GELU:
		return x / 2 * (1 + math.Erf(x/math.Sqrt2))
	}
	return x / (1 + math.Exp(-x))
}

// block applies one layer to the tokens of one document.
func (nv naive) block(layer int, xs [][]float64) [][]float64 {
	c, l := nv.c, nv.paths(layer)
	var ks, vs, out [][]float64
	for t, x := range xs {
		q, k, v := nv.project(l, nv.slot(l, NormAttn, x))
		q, k = nv.slot(l, NormQ, q), nv.slot(l, NormK, k)
		nv.rotate(layer, q, t)
		nv.rotate(layer, k, t)
		ks, vs = append(ks, k), append(vs, v)
		first := 0
		if c.Windows != nil && c.Windows[layer] > 0 {
			first = max(0, t-c.Windows[layer]+1)
		}
		y := plus(x, nv.slot(l, NormAttnOut, nv.linear(l, projO, nv.attend(q, ks[first:], vs[first:]))))
		h := nv.slot(l, NormMLP, y)
		up := nv.linear(l, projUp, h)
		if c.Gated {
			for i, g := range nv.linear(l, projGate, h) {
				up[i] *= nv.act(g)
			}
		} else {
			for i, v := range up {
				up[i] = nv.act(v)
			}
		}
		out = append(out, plus(y, nv.slot(l, NormMLPOut, nv.linear(l, projDown, up))))
	}
	return out
}

func plus(x, y []float64) []float64 {
	z := make([]float64, len(x))
	for i := range x {
		z[i] = x[i] + y[i]
	}
	return z
}

func (nv naive) project(l *naivePaths, h []float64) (q, k, v []float64) {
	q = nv.linear(l, projQ, h)
	if nv.c.FusedQKV {
		a, b := nv.c.Heads*nv.c.HeadDim, nv.c.KVHeads*nv.c.HeadDim
		return q[:a:a], q[a : a+b : a+b], q[a+b:]
	}
	return q, nv.linear(l, projK, h), nv.linear(l, projV, h)
}

func (nv naive) attend(q []float64, ks, vs [][]float64) []float64 {
	d, group := nv.c.HeadDim, nv.c.Heads/nv.c.KVHeads
	scale := nv.c.AttnScale
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(d))
	}
	out := make([]float64, len(q))
	for h := range nv.c.Heads {
		var sum float64
		for j := range ks {
			var s float64
			for i := range d {
				s += q[h*d+i] * ks[j][h/group*d+i]
			}
			e := math.Exp(capped(s*scale, nv.c.AttnCap))
			sum += e
			for i := range d {
				out[h*d+i] += e * vs[j][h/group*d+i]
			}
		}
		for i := range d {
			out[h*d+i] /= sum
		}
	}
	return out
}

func capped(x, limit float64) float64 {
	if limit == 0 {
		return x
	}
	return limit * math.Tanh(x/limit)
}

// loss is the mean negative log-likelihood of the batch over count.
func (nv naive) loss(b *Batch, count float64) float64 {
	var total float64
	for _, v := range nv.nll(b) {
		total += v
	}
	return total / count
}

// nll returns the negative log-likelihood of every target of b.
func (nv naive) nll(b *Batch) (all []float64) {
	row := 0
	for _, s := range b.Spans {
		logits := nv.document(b.IDs[s.Start:s.End])
		for ; row < len(b.Rows) && int(b.Rows[row]) < s.End; row++ {
			l := logits[int(b.Rows[row])-s.Start]
			var sum float64
			for _, v := range l {
				sum += math.Exp(v)
			}
			all = append(all, math.Log(sum)-l[b.Targets[row]])
		}
	}
	return all
}

// document returns the logits after every token.
func (nv naive) document(ids []int32) [][]float64 {
	var xs [][]float64
	h, names := nv.c.Hidden, nv.c.names()
	for t, id := range ids {
		x := append([]float64(nil), nv.w[names.embed][int(id)*h:][:h]...)
		for i := range x {
			if nv.c.EmbedScale != 0 {
				x[i] *= nv.c.EmbedScale
			}
			if nv.c.LearnedPositions {
				x[i] += nv.w[names.positions][t*h+i]
			}
		}
		xs = append(xs, x)
	}
	for i := range nv.c.Layers {
		xs = nv.block(i, xs)
	}
	head := names.head
	if nv.c.Tied {
		head = names.embed
	}
	for i, x := range xs {
		xs[i] = mulVec(nv.w[head], nv.norm(names.norm, x), nv.c.VocabSize)
		for j, v := range xs[i] {
			xs[i][j] = capped(v, nv.c.LogitCap)
		}
	}
	return xs
}

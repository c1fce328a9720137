package decoder

import (
	"fmt"
	"math"
)

// naive is the whole model once more, in float64 and as plainly as possible:
// one token at a time, one document at a time, no buffers shared. It is what the
// fast paths are tested against.
type naive struct {
	c Config
	w map[string][]float64
	// lora holds A and B under "<module>.lora_A.weight"; scale applies to all.
	scale float64
}

func (nv naive) linear(module string, x []float64, out int) []float64 {
	w := nv.w[module+".weight"]
	y := mulVec(w, x, out)
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

func (nv naive) norm(name string, x []float64) []float64 {
	var sum float64
	for _, v := range x {
		sum += v * v
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v / math.Sqrt(sum/float64(len(x))+nv.c.Eps) * nv.w[name][i]
	}
	return y
}

// rotate applies the rotary embedding of config.json's plain theta.
func (nv naive) rotate(x []float64, pos int) {
	half := nv.c.HeadDim / 2
	for h := 0; h < len(x); h += nv.c.HeadDim {
		for i := range half {
			sin, cos := math.Sincos(float64(pos) / math.Pow(nv.c.RopeTheta, float64(2*i)/float64(nv.c.HeadDim)))
			a, b := x[h+i], x[h+half+i]
			x[h+i], x[h+half+i] = a*cos-b*sin, b*cos+a*sin
		}
	}
}

// block applies one layer to the tokens of one document.
func (nv naive) block(layer int, xs [][]float64) [][]float64 {
	c := nv.c
	prefix := fmt.Sprintf(c.names().block, layer)
	var ks, vs, out [][]float64
	for t, x := range xs {
		h := nv.norm(prefix+"input_layernorm.weight", x)
		q := nv.linear(prefix+"self_attn.q_proj", h, c.Heads*c.HeadDim)
		k := nv.linear(prefix+"self_attn.k_proj", h, c.KVHeads*c.HeadDim)
		nv.rotate(q, t)
		nv.rotate(k, t)
		ks, vs = append(ks, k), append(vs, nv.linear(prefix+"self_attn.v_proj", h, c.KVHeads*c.HeadDim))
		y := nv.linear(prefix+"self_attn.o_proj", nv.attend(q, ks, vs), c.Hidden)
		for i := range y {
			y[i] += x[i]
		}
		h2 := nv.norm(prefix+"post_attention_layernorm.weight", y)
		gate := nv.linear(prefix+"mlp.gate_proj", h2, c.Intermediate)
		up := nv.linear(prefix+"mlp.up_proj", h2, c.Intermediate)
		for i, g := range gate {
			up[i] *= g / (1 + math.Exp(-g))
		}
		for i, v := range nv.linear(prefix+"mlp.down_proj", up, c.Hidden) {
			y[i] += v
		}
		out = append(out, y)
	}
	return out
}

func (nv naive) attend(q []float64, ks, vs [][]float64) []float64 {
	d, group := nv.c.HeadDim, nv.c.Heads/nv.c.KVHeads
	out := make([]float64, len(q))
	for h := range nv.c.Heads {
		var sum float64
		for j := range ks {
			var s float64
			for i := range d {
				s += q[h*d+i] * ks[j][h/group*d+i]
			}
			e := math.Exp(s / math.Sqrt(float64(d)))
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

// loss is the mean negative log-likelihood of the batch over count.
func (nv naive) loss(b *Batch, count float64) float64 {
	var total float64
	row := 0
	for _, s := range b.Spans {
		logits := nv.document(b.IDs[s.Start:s.End])
		for ; row < len(b.Rows) && int(b.Rows[row]) < s.End; row++ {
			l := logits[int(b.Rows[row])-s.Start]
			var sum float64
			for _, v := range l {
				sum += math.Exp(v)
			}
			total += math.Log(sum) - l[b.Targets[row]]
		}
	}
	return total / count
}

// document returns the logits after every token.
func (nv naive) document(ids []int32) [][]float64 {
	var xs [][]float64
	h := nv.c.Hidden
	for _, id := range ids {
		xs = append(xs, nv.w[EmbedName][int(id)*h:(int(id)+1)*h])
	}
	for i := range nv.c.Layers {
		xs = nv.block(i, xs)
	}
	head := HeadName
	if nv.c.Tied {
		head = EmbedName
	}
	for i, x := range xs {
		xs[i] = mulVec(nv.w[head], nv.norm(NormName+".weight", x), nv.c.VocabSize)
	}
	return xs
}

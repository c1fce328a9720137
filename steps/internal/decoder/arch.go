package decoder

// NormKind is what a model's norms compute.
type NormKind int

const (
	// RMS is x·w/rms(x).
	RMS NormKind = iota
	// RMSPlusOne is x·(1+w)/rms(x), as in the Gemma models.
	RMSPlusOne
	// LayerNorm is (x−mean)·w/sqrt(var+eps) + b.
	LayerNorm
)

// Activation is the nonlinearity of the MLP.
type Activation int

const (
	// SiLU is x·sigmoid(x).
	SiLU Activation = iota
	// GELUTanh is the tanh approximation of GELU ("gelu_pytorch_tanh", "gelu_new").
	GELUTanh
	// GELU is x·Φ(x) with the exact error function ("gelu").
	GELU
)

// The norms of a block, in the order in which they are computed:
//
//	h = NormAttn(x);  q, k = NormQ(Q(h)), NormK(K(h)) per head, before rotation
//	y = x + NormAttnOut(O(attention));  out = y + NormMLPOut(Down(…NormMLP(y)…))
const (
	NormAttn = iota
	NormQ
	NormK
	NormAttnOut
	NormMLP
	NormMLPOut
	numNorms
)

// affine is a norm's weight and, for LayerNorm, its bias.
type affine struct{ w, b []float32 }

// hasProj says whether a block has a linear of its own for p.
func (c Config) hasProj(p int) bool {
	switch p {
	case projK, projV:
		return !c.FusedQKV
	case projGate:
		return c.Gated
	}
	return true
}

// window is the window of a layer, 0 for none.
func (c Config) window(layer int) int {
	if c.Windows == nil {
		return 0
	}
	return c.Windows[layer]
}

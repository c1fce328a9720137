package gguf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Bounds of a model's dimensions, so that their products cannot overflow.
const (
	maxLayers = 1 << 12
	maxWidth  = 1 << 24
)

// llamaConfig is config.json of a llama model, keys sorted as transformers writes them.
type llamaConfig struct {
	Architectures []string       `json:"architectures"`
	AttentionBias bool           `json:"attention_bias"`
	BOS           *int           `json:"bos_token_id"`
	EOS           any            `json:"eos_token_id"`
	HeadDim       int            `json:"head_dim"`
	Activation    string         `json:"hidden_act"`
	Hidden        int            `json:"hidden_size"`
	Intermediate  int            `json:"intermediate_size"`
	MaxPositions  int            `json:"max_position_embeddings"`
	MLPBias       bool           `json:"mlp_bias"`
	ModelType     string         `json:"model_type"`
	Heads         int            `json:"num_attention_heads"`
	Layers        int            `json:"num_hidden_layers"`
	KVHeads       int            `json:"num_key_value_heads"`
	Pad           *int           `json:"pad_token_id"`
	RMSNormEps    number         `json:"rms_norm_eps"`
	RopeScaling   map[string]any `json:"rope_scaling"`
	RopeTheta     number         `json:"rope_theta"`
	TieEmbeddings bool           `json:"tie_word_embeddings"`
	TorchDType    string         `json:"torch_dtype"`
	UseCache      bool           `json:"use_cache"`
	VocabSize     int            `json:"vocab_size"`
}

// number is a float32 in JSON: the shortest decimal that gives the float32 back,
// always with a point or an exponent so that Python reads a float.
type number float32

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	s := strconv.FormatFloat(float64(n), 'g', -1, 32)
	if f := float64(n); f == math.Trunc(f) && math.Abs(f) < 1e15 {
		s = strconv.FormatFloat(f, 'f', 1, 32)
	}
	return []byte(s), nil
}

// llama reads the configuration of a llama model.
func (f *File) llama() (*llamaConfig, error) {
	arch, _ := f.Text("general.architecture")
	if arch != "llama" {
		return nil, fmt.Errorf("architecture %q cannot be converted (llama can)", arch)
	}
	if n, ok := f.Uint("llama.expert_count"); ok && n > 0 {
		return nil, fmt.Errorf("a mixture of %d experts cannot be converted", n)
	}
	embedding, ok := f.Tensor("token_embd.weight")
	if !ok || len(embedding.Shape) != 2 {
		return nil, errors.New("no matrix \"token_embd.weight\"")
	}
	_, head := f.Tensor("output.weight")
	_, bias := f.Tensor("blk.0.attn_q.bias")
	m := &llamaConfig{
		Architectures: []string{"LlamaForCausalLM"}, ModelType: "llama", Activation: "silu", UseCache: true,
		VocabSize: embedding.Shape[0], TieEmbeddings: !head, AttentionBias: bias,
	}
	if err := f.llamaSizes(m); err != nil {
		return nil, err
	}
	return m, f.rope(m)
}

// llamaSizes reads the dimensions, each from 1 to a bound.
func (f *File) llamaSizes(m *llamaConfig) error {
	for _, field := range []struct {
		key string
		to  *int
		max uint64
	}{
		{"llama.embedding_length", &m.Hidden, maxWidth},
		{"llama.block_count", &m.Layers, maxLayers},
		{"llama.feed_forward_length", &m.Intermediate, maxWidth},
		{"llama.attention.head_count", &m.Heads, maxWidth},
		{"llama.context_length", &m.MaxPositions, math.MaxInt32},
	} {
		n, ok := f.Uint(field.key)
		if !ok || n == 0 || n > field.max {
			return fmt.Errorf("metadata %q is missing or not a whole number from 1 to %d", field.key, field.max)
		}
		*field.to = int(n)
	}
	eps, ok := f.Float("llama.attention.layer_norm_rms_epsilon")
	if !ok || !(eps > 0 && eps < 1) {
		return errors.New("metadata \"llama.attention.layer_norm_rms_epsilon\" is missing or not between 0 and 1")
	}
	m.RMSNormEps = number(eps)
	m.KVHeads = m.Heads
	if n, ok := f.Uint("llama.attention.head_count_kv"); ok {
		m.KVHeads = int(min(n, maxWidth+1))
	}
	if m.KVHeads < 1 || m.Heads%m.KVHeads != 0 {
		return fmt.Errorf("%d heads cannot share %d key-value heads", m.Heads, m.KVHeads)
	}
	return f.headSize(m)
}

// headSize finds the size of a head: explicit, or hidden / heads.
func (f *File) headSize(m *llamaConfig) error {
	m.HeadDim = m.Hidden / m.Heads
	key, explicit := f.Uint("llama.attention.key_length")
	if explicit {
		m.HeadDim = int(min(key, maxWidth+1))
	}
	if value, ok := f.Uint("llama.attention.value_length"); ok && int(min(value, maxWidth+1)) != m.HeadDim {
		return fmt.Errorf("values of %d with keys of %d cannot be converted", value, m.HeadDim)
	}
	if m.HeadDim < 2 || m.HeadDim > maxWidth || m.HeadDim%2 != 0 || !explicit && m.Hidden%m.Heads != 0 {
		return fmt.Errorf("%d heads of size %d do not fit embeddings of %d", m.Heads, m.HeadDim, m.Hidden)
	}
	if n, ok := f.Uint("llama.rope.dimension_count"); ok && n != uint64(m.HeadDim) {
		return fmt.Errorf("rotary embeddings of %d in heads of %d cannot be converted", n, m.HeadDim)
	}
	return nil
}

// rope reads the rotary embedding's base and scaling.
func (f *File) rope(m *llamaConfig) error {
	m.RopeTheta = 10000
	if base, ok := f.Float("llama.rope.freq_base"); ok {
		if !(base > 0 && base <= math.MaxFloat32) {
			return fmt.Errorf("metadata \"llama.rope.freq_base\" is %v", base)
		}
		m.RopeTheta = number(base)
	}
	switch kind, _ := f.Text("llama.rope.scaling.type"); kind {
	case "", "none":
	case "linear":
		factor, ok := f.Float("llama.rope.scaling.factor")
		if !ok || !(factor >= 1 && factor <= 1e6) {
			return fmt.Errorf("metadata \"llama.rope.scaling.factor\" is %v", f.Value("llama.rope.scaling.factor"))
		}
		m.RopeScaling = map[string]any{"rope_type": "linear", "factor": number(factor)}
	default:
		return fmt.Errorf("rope scaling %q cannot be converted", kind)
	}
	factors, ok := f.Tensor("rope_freqs.weight")
	if !ok {
		return nil
	}
	values, err := f.F32(factors)
	if err != nil {
		return err
	}
	return m.llama3(values)
}

// llama3 recognizes the scaling of Llama 3.1 and later in the factors that GGUF
// stores in its place: frequencies are divided by nothing, by factor, or by
// something between, depending on their wavelength. All such models have the
// limits below; only the factor differs.
func (m *llamaConfig) llama3(factors []float32) error {
	const low, high, original = 1.0, 4.0, 8192.0
	if len(factors) != m.HeadDim/2 || m.RopeScaling != nil {
		return fmt.Errorf("\"rope_freqs.weight\" has %d factors for heads of %d", len(factors), m.HeadDim)
	}
	factor := 1.0
	for _, v := range factors {
		factor = math.Max(factor, float64(v))
	}
	for i, v := range factors {
		wavelength := 2 * math.Pi * math.Pow(float64(m.RopeTheta), float64(2*i)/float64(m.HeadDim))
		smooth := min(max((original/wavelength-low)/(high-low), 0), 1)
		want := 1 / (float64((1-smooth)/factor) + smooth)
		if !(math.Abs(float64(v)-want) <= 1e-3*want) {
			return fmt.Errorf("\"rope_freqs.weight\" is not a scaling of Llama 3: factor %d is %v, expected %v", i, v, want)
		}
	}
	if factor > 1 {
		m.RopeScaling = map[string]any{
			"rope_type": "llama3", "factor": number(factor), "low_freq_factor": number(low),
			"high_freq_factor": number(high), "original_max_position_embeddings": int(original),
		}
	}
	return nil
}

// setTokens copies the special tokens from the vocabulary.
func (m *llamaConfig) setTokens(v *vocabulary) {
	m.BOS, m.Pad = v.bos, v.pad
	m.EOS = v.stops()
}

// planned is a tensor to be written: under which name, and for query and key
// projections the number of heads whose rows are to be reordered.
type planned struct {
	name   string
	source Tensor
	heads  int
}

// plan lists the tensors of the Hugging Face layout with their sources. Every
// tensor that the configuration implies must be there in its shape, and there
// must be no other.
func (f *File) plan(m *llamaConfig) ([]planned, error) {
	var list []planned
	used := map[string]bool{"rope_freqs.weight": true}
	add := func(name, source string, heads int, shape ...int) error {
		t, ok := f.Tensor(source)
		if !ok {
			return fmt.Errorf("no tensor %q", source)
		}
		if fmt.Sprint(t.Shape) != fmt.Sprint(shape) {
			return fmt.Errorf("tensor %q has shape %v, not %v", source, t.Shape, shape)
		}
		if !t.Type.Decodes() {
			return fmt.Errorf("tensor %q is %s, which cannot be unpacked", source, t.Type)
		}
		used[source] = true
		list = append(list, planned{name, t, heads})
		return nil
	}
	err := errors.Join(
		add("model.embed_tokens.weight", "token_embd.weight", 0, m.VocabSize, m.Hidden),
		add("model.norm.weight", "output_norm.weight", 0, m.Hidden))
	if !m.TieEmbeddings {
		err = errors.Join(err, add("lm_head.weight", "output.weight", 0, m.VocabSize, m.Hidden))
	}
	queries, keys := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	for i := 0; i < m.Layers && err == nil; i++ {
		to, from := fmt.Sprintf("model.layers.%d.", i), fmt.Sprintf("blk.%d.", i)
		err = errors.Join(
			add(to+"input_layernorm.weight", from+"attn_norm.weight", 0, m.Hidden),
			add(to+"self_attn.q_proj.weight", from+"attn_q.weight", m.Heads, queries, m.Hidden),
			add(to+"self_attn.k_proj.weight", from+"attn_k.weight", m.KVHeads, keys, m.Hidden),
			add(to+"self_attn.v_proj.weight", from+"attn_v.weight", 0, keys, m.Hidden),
			add(to+"self_attn.o_proj.weight", from+"attn_output.weight", 0, m.Hidden, queries),
			add(to+"post_attention_layernorm.weight", from+"ffn_norm.weight", 0, m.Hidden),
			add(to+"mlp.gate_proj.weight", from+"ffn_gate.weight", 0, m.Intermediate, m.Hidden),
			add(to+"mlp.up_proj.weight", from+"ffn_up.weight", 0, m.Intermediate, m.Hidden),
			add(to+"mlp.down_proj.weight", from+"ffn_down.weight", 0, m.Hidden, m.Intermediate))
		if m.AttentionBias {
			err = errors.Join(err,
				add(to+"self_attn.q_proj.bias", from+"attn_q.bias", m.Heads, queries),
				add(to+"self_attn.k_proj.bias", from+"attn_k.bias", m.KVHeads, keys),
				add(to+"self_attn.v_proj.bias", from+"attn_v.bias", 0, keys),
				add(to+"self_attn.o_proj.bias", from+"attn_output.bias", 0, m.Hidden))
		}
	}
	if err != nil {
		return nil, err
	}
	for _, t := range f.tensors {
		if !used[t.Name] {
			return nil, fmt.Errorf("tensor %q has no place in a llama model", t.Name)
		}
	}
	return list, nil
}

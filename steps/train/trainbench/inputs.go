package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// shapes are the configurations of real models.
var shapes = map[string]string{
	"smollm2-135m": `{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_act":"silu","torch_dtype":"float32",
		"vocab_size":49152,"hidden_size":576,"intermediate_size":1536,"num_hidden_layers":30,"num_attention_heads":9,
		"num_key_value_heads":3,"max_position_embeddings":8192,"rms_norm_eps":1e-05,"rope_theta":100000,
		"tie_word_embeddings":true,"bos_token_id":1,"eos_token_id":2}`,
	"llama-3.2-1b": `{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_act":"silu","torch_dtype":"bfloat16",
		"vocab_size":128256,"hidden_size":2048,"intermediate_size":8192,"num_hidden_layers":16,"num_attention_heads":32,
		"num_key_value_heads":8,"head_dim":64,"max_position_embeddings":131072,"rms_norm_eps":1e-05,"rope_theta":500000,
		"rope_scaling":{"rope_type":"llama3","factor":32,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":8192},
		"tie_word_embeddings":true,"bos_token_id":128000,"eos_token_id":128001}`,
	"tiny": `{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_act":"silu","torch_dtype":"float32",
		"vocab_size":512,"hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,"num_attention_heads":4,
		"num_key_value_heads":2,"max_position_embeddings":1024,"rms_norm_eps":1e-05,"rope_theta":10000,
		"tie_word_embeddings":true,"bos_token_id":1,"eos_token_id":2}`,
}

// makeInputs writes a model and rows for it.
func makeInputs(shape, dir string, rows, length int) error {
	config, ok := shapes[shape]
	if !ok {
		return fmt.Errorf("no shape %q", shape)
	}
	model, tokens := filepath.Join(dir, "model"), filepath.Join(dir, "tokens")
	for _, d := range []string{model, tokens} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(model, "config.json"), []byte(config), 0o666); err != nil {
		return err
	}
	c, err := decoder.ReadConfig(model)
	if err != nil {
		return err
	}
	dtype := tensor.F32
	if shape == "llama-3.2-1b" {
		dtype = tensor.BF16
	}
	if err := writeWeights(model, c, dtype); err != nil {
		return err
	}
	if err := writeRows(tokens, c, rows, length); err != nil {
		return err
	}
	one := filepath.Join(dir, "one")
	if err := os.MkdirAll(one, 0o777); err != nil {
		return err
	}
	return writeRows(one, c, 1, 8)
}

// writeWeights writes uniform random weights of the usual deviation, 0.02, and
// norms of ones.
func writeWeights(dir string, c decoder.Config, dtype tensor.DType) error {
	var specs []safetensors.Spec
	for _, t := range c.Tensors() {
		specs = append(specs, safetensors.Spec{Name: t.Name, DType: dtype, Shape: t.Shape})
	}
	w, err := safetensors.Create(filepath.Join(dir, weights.SingleFile), specs, safetensors.PyTorch())
	if err != nil {
		return err
	}
	for i, s := range safetensors.Order(specs) {
		n := 1
		for _, d := range s.Shape {
			n *= d
		}
		x, r := make([]float32, n), kernel.Rand(1, "trainbench", uint64(i))
		for j := range x {
			x[j] = (2*r.Float32() - 1) * 0.0346
			if len(s.Shape) == 1 {
				x[j] = 1
			}
		}
		raw := make([]byte, n*dtype.Size())
		if err := tensor.Encode(raw, dtype, x); err != nil {
			return err
		}
		if err := w.Write(s.Name, raw); err != nil {
			return err
		}
	}
	return w.Close()
}

// writeRows writes rows of one length, without padding.
func writeRows(dir string, c decoder.Config, rows, length int) error {
	w, err := dataset.CreateTokens(dir, dataset.TokenOptions{})
	if err != nil {
		return err
	}
	r := kernel.Rand(2, "trainbench", 0)
	for range rows {
		var row dataset.Row
		for i := range length {
			id := int32(r.Float32() * float32(c.VocabSize))
			label := int64(id)
			if i < length/2 {
				label = dataset.Unsupervised
			}
			row.InputIDs, row.Labels = append(row.InputIDs, id), append(row.Labels, label)
			row.AttentionMask = append(row.AttentionMask, 1)
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	return w.Close()
}

// Package tiny makes small artifacts for tests: a model of random weights with
// a byte-level tokenizer and a chat template, adapters for it, and records.
package tiny

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/decoder"
	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/lora"
	"github.com/pipe-run/pipe/steps/internal/safetensors"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// Template is the chat template of Model.
const Template = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '</s>' }}{% endfor %}" +
	"{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"

// config is the shape of Model: two layers, grouped heads, a tied head.
const config = `{
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
  "vocab_size": 264, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
  "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true,
  "bos_token_id": 0, "eos_token_id": 1, "torch_dtype": "float32"
}
`

// specials are the added tokens, with the ids 0, 1, …; bytes follow them.
func specials() []string {
	return []string{"<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<pad>", "<unk>"}
}

// Model writes a model directory of random float32 weights. Equal seeds give
// equal files.
func Model(tb testing.TB, seed uint64) string {
	tb.Helper()
	dir := tb.TempDir()
	write(tb, dir, "config.json", []byte(config))
	writeJSON(tb, dir, "generation_config.json", map[string]any{"eos_token_id": 1})
	writeJSON(tb, dir, "tokenizer_config.json", map[string]any{
		"bos_token": "<s>", "eos_token": "</s>", "chat_template": Template, "tokenizer_class": "PreTrainedTokenizerFast",
	})
	writeJSON(tb, dir, "tokenizer.json", tokenizer())
	c, err := decoder.ReadConfig(dir)
	if err != nil {
		tb.Fatal(err)
	}
	Weights(tb, dir, c, seed)
	return dir
}

// Weights writes random weights for a configuration to dir/model.safetensors.
func Weights(tb testing.TB, dir string, c decoder.Config, seed uint64) {
	tb.Helper()
	var specs []safetensors.Spec
	for _, t := range c.Tensors() {
		specs = append(specs, safetensors.Spec{Name: t.Name, DType: tensor.F32, Shape: c.FileShape(t)})
	}
	w, err := safetensors.Create(filepath.Join(dir, weights.SingleFile), specs, safetensors.PyTorch())
	if err != nil {
		tb.Fatal(err)
	}
	for i, s := range safetensors.Order(specs) {
		n := 1
		for _, d := range s.Shape {
			n *= d
		}
		x := noise(seed, uint64(i), n, 0.6)
		if len(s.Shape) == 1 {
			for j := range x {
				x[j]++
			}
		}
		raw := make([]byte, 4*n)
		if err := tensor.Encode(raw, tensor.F32, x); err != nil {
			tb.Fatal(err)
		}
		if err := w.Write(s.Name, raw); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
}

// noise returns n numbers in [-spread, spread).
func noise(seed, position uint64, n int, spread float32) []float32 {
	r := kernel.Rand(seed, "tiny", position)
	x := make([]float32, n)
	for i := range x {
		x[i] = float32((2*r.Float32() - 1) * spread)
	}
	return x
}

// tokenizer is a byte-level tokenizer.json without merges.
func tokenizer() map[string]any {
	vocab := map[string]int{}
	var added []map[string]any
	for i, s := range specials() {
		vocab[s] = i
		added = append(added, map[string]any{
			"id": i, "content": s, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
		})
	}
	next := rune(256)
	for b := range 256 {
		piece := rune(b)
		if b < 0x21 || b > 0x7e && b < 0xa1 || b == 0xad { // not printable: shown from U+0100 on
			piece, next = next, next+1
		}
		vocab[string(piece)] = len(specials()) + b
	}
	byteLevel := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	return map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added,
		"normalizer": nil, "pre_tokenizer": byteLevel, "post_processor": nil, "decoder": byteLevel,
		"model": map[string]any{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []string{},
		},
	}
}

// Adapter writes a random adapter of rank 4 for all linears of a model
// directory; spread 0 makes it change nothing.
func Adapter(tb testing.TB, model string, spread float32) string {
	tb.Helper()
	c, err := decoder.ReadConfig(model)
	if err != nil {
		tb.Fatal(err)
	}
	design, err := lora.Spec{Rank: 4, Alpha: 8}.Plan(c)
	if err != nil {
		tb.Fatal(err)
	}
	a := design.New()
	for i, path := range a.Modules() {
		p := a.Pairs[path]
		copy(p.A, noise(11, uint64(i), len(p.A), 0.5))
		copy(p.B, noise(12, uint64(i), len(p.B), spread))
	}
	dir := tb.TempDir()
	if err := a.Write(dir, lora.Card{Text: "Random."}); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// Records writes a records directory.
func Records(tb testing.TB, records ...dataset.Record) string {
	tb.Helper()
	dir := tb.TempDir()
	w, err := dataset.CreateRecords(dir, records[0].Shape)
	if err != nil {
		tb.Fatal(err)
	}
	for i, r := range records {
		r.Origin = dataset.Origin{File: "rows.jsonl", Record: int64(i + 1)}
		if err := w.Write(r); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// Chat is a record of one question and its answer.
func Chat(question, answer string) dataset.Record {
	return dataset.Record{Shape: dataset.Messages, Messages: []dataset.Message{
		{Role: "user", Content: question}, {Role: "assistant", Content: answer},
	}}
}

func writeJSON(tb testing.TB, dir, name string, v any) {
	tb.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		tb.Fatal(err)
	}
	write(tb, dir, name, raw)
}

func write(tb testing.TB, dir, name string, raw []byte) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
		tb.Fatal(err)
	}
}

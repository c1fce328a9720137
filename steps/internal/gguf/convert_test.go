package gguf

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/tensor"
	"github.com/pipe-run/pipe/steps/internal/weights"
)

// convert writes a file and converts it.
func convert(t testing.TB, file []byte) (dir string, info Info, err error) {
	t.Helper()
	src := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(src, file, 0o644); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	info, err = Convert(context.Background(), 2, src, dir)
	return dir, info, err
}

func readJSON(t testing.TB, path string, to any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// sameTensors compares every tensor of two model directories bit for bit.
func sameTensors(t *testing.T, got, want string) {
	t.Helper()
	a, err := weights.Open(got)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := weights.Open(want)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if !reflect.DeepEqual(a.Names(), b.Names()) {
		t.Fatalf("tensors %v, want %v", a.Names(), b.Names())
	}
	for _, name := range b.Names() {
		specA, dataA, errA := a.Stored(name)
		specB, dataB, errB := b.Stored(name)
		if errA != nil || errB != nil || !reflect.DeepEqual(specA, specB) || !bytes.Equal(dataA, dataB) {
			t.Errorf("%s differs: %v %v, %v %v", name, specA, errA, specB, errB)
		}
	}
}

func TestConvertStories(t *testing.T) {
	src := shareddata.Path(t, "models/stories260K/stories260K-f32.gguf")
	want := shareddata.Path(t, "models/stories260K/hf")
	dir := t.TempDir()
	info, err := Convert(context.Background(), 2, src, dir)
	if err != nil {
		t.Fatal(err)
	}
	if info != (Info{Name: "stories260K", License: "mit", Stored: "F32"}) {
		t.Errorf("info %+v", info)
	}
	sameTensors(t, dir, want)

	var gotConfig, wantConfig map[string]any
	readJSON(t, filepath.Join(dir, "config.json"), &gotConfig)
	readJSON(t, filepath.Join(want, "config.json"), &wantConfig)
	for key, value := range wantConfig {
		if !reflect.DeepEqual(gotConfig[key], value) {
			t.Errorf("config.json: %s is %v, want %v", key, gotConfig[key], value)
		}
	}
	var got, wanted map[string]any
	readJSON(t, filepath.Join(dir, "tokenizer.json"), &got)
	readJSON(t, filepath.Join(want, "tokenizer.json"), &wanted)
	for _, key := range []string{"added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"} {
		if !reflect.DeepEqual(got[key], wanted[key]) {
			t.Errorf("tokenizer.json: %s is %v\nwant %v", key, got[key], wanted[key])
		}
	}
	gotModel, wantModel := got["model"].(map[string]any), wanted["model"].(map[string]any)
	if !reflect.DeepEqual(gotModel["vocab"], wantModel["vocab"]) {
		t.Error("tokenizer.json: vocab differs")
	}
	if !reflect.DeepEqual(flatMerges(gotModel["merges"]), flatMerges(wantModel["merges"])) {
		t.Errorf("tokenizer.json: merges differ: %v\nwant %v", gotModel["merges"], wantModel["merges"])
	}
}

// flatMerges reads merges of either form, "a b" or ["a", "b"].
func flatMerges(merges any) []string {
	var list []string
	for _, m := range merges.([]any) {
		if pair, ok := m.([]any); ok {
			m = pair[0].(string) + " " + pair[1].(string)
		}
		list = append(list, m.(string))
	}
	return list
}

func TestConvertTiny(t *testing.T) {
	dir, info, err := convert(t, tinyLlama().bytes())
	if err != nil {
		t.Fatal(err)
	}
	if info != (Info{Name: "tiny", License: "mit", Stored: "F32"}) {
		t.Errorf("info %+v", info)
	}
	d, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	// Rows of a head of four: GGUF interleaves the halves 0 1 | 2 3 as 0 2 1 3.
	q, err := d.F32("model.layers.0.self_attn.q_proj.weight")
	if err != nil {
		t.Fatal(err)
	}
	var rows []float32
	for i := 0; i < len(q); i += 4 {
		rows = append(rows, (q[i]-0.25)/4)
	}
	if !reflect.DeepEqual(rows, []float32{0, 2, 1, 3, 4, 6, 5, 7}) {
		t.Errorf("query rows come from %v", rows)
	}
	v, err := d.F32("model.layers.0.self_attn.v_proj.weight")
	if err != nil || !reflect.DeepEqual(v, count(16)) {
		t.Errorf("values %v, %v", v, err)
	}
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`"head_dim": 4,`, `"rms_norm_eps": 1e-05,`, `"rope_theta": 100000.0,`, `"tie_word_embeddings": true,`,
		`"torch_dtype": "float32",`, `"eos_token_id": 0,`, `"bos_token_id": null,`, `"vocab_size": 5`} {
		if !strings.Contains(string(config), line) {
			t.Errorf("config.json lacks %s:\n%s", line, config)
		}
	}
	template, err := os.ReadFile(filepath.Join(dir, "tokenizer_config.json"))
	if err != nil || !strings.Contains(string(template), `"chat_template": "{% if a < b %}<&>{% endif %}"`) {
		t.Errorf("tokenizer_config.json: %s, %v", template, err)
	}
	var tok tokenizerFile
	readJSON(t, filepath.Join(dir, "generation_config.json"), &map[string]any{})
	text, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil || !strings.Contains(string(text), "\"vocab\": {\n      \"<|end|>\": 0,\n      \"a\": 1,") {
		t.Errorf("tokenizer.json: %s, %v", text, err)
	}
	if err := json.Unmarshal(bytes.Replace(text, []byte(`"vocab"`), []byte(`"x"`), 1), &tok); err != nil {
		t.Fatal(err)
	}
	if added := tok.AddedTokens; len(added) != 2 || !added[0].Special || added[1].Special || added[1].Content != "<tool>" {
		t.Errorf("added tokens %+v", added)
	}
}

func TestConvertIsDeterministic(t *testing.T) {
	file := tinyLlama()
	blocks := make([]byte, 34*2*chunk/32)
	for i := range blocks {
		blocks[i] = byte(i*i) & 63
	}
	file.tensor("w", 8, blocks, 2, chunk)
	src := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(src, file.bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, _ := f.Tensor("w")
	one, err1 := f.repack(1, w, tensor.F16)
	three, err3 := f.repack(3, w, tensor.F16)
	if err1 != nil || err3 != nil || !bytes.Equal(one, three) {
		t.Errorf("three threads unpack other bytes than one: %v, %v", err1, err3)
	}
	first, _, err := convert(t, tinyLlama().bytes())
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := convert(t, tinyLlama().bytes())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(first)
	if err != nil || len(entries) != 6 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		a, errA := os.ReadFile(filepath.Join(first, e.Name()))
		b, errB := os.ReadFile(filepath.Join(second, e.Name()))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs: %v, %v", e.Name(), errA, errB)
		}
	}
}

// TestConvertBlocks shows that block formats become F16, or F32 beyond its range.
func TestConvertBlocks(t *testing.T) {
	for _, test := range []struct {
		scale []byte // a half
		dtype string
		value float32
	}{
		{[]byte{0x00, 0x3c}, "F16", 3},
		{[]byte{0xff, 0x77}, "F32", 3 * 32752},
	} {
		b := new(builder)
		b.set("general.architecture", "llama")
		b.tensor("w", 8, append(append([]byte{}, test.scale...), append([]byte{3}, make([]byte, 31)...)...), 32)
		f, err := open(b.bytes())
		if err != nil {
			t.Fatal(err)
		}
		w, _ := f.Tensor("w")
		dir := t.TempDir()
		if _, err := f.writeWeights(context.Background(), 1, filepath.Join(dir, weightsFile), []planned{{"w", w, 0}}); err != nil {
			t.Fatal(err)
		}
		d, err := weights.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		dtype, _ := d.DType("w")
		values, err := d.F32("w")
		if err != nil || dtype != test.dtype || values[0] != test.value {
			t.Errorf("%x: %s %v, %v", test.scale, dtype, values, err)
		}
	}
}

func TestConvertRefuses(t *testing.T) {
	tiny := tinyLlama().bytes()
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"architecture":    {replaced(tiny, "\x05\x00\x00\x00\x00\x00\x00\x00llama", "\x05\x00\x00\x00\x00\x00\x00\x00gemma"), `architecture "gemma"`},
		"no size":         {replaced(tiny, "llama.block_count", "llama.block_xxxxx"), "llama.block_count"},
		"missing tensor":  {replaced(tiny, "blk.0.ffn_up.weight", "blk.0.ffn_xx.weight"), `no tensor "blk.0.ffn_up.weight"`},
		"extra tensor":    {tinyLlama().floats("blk.1.attn_q.weight", count(1), 1).bytes(), `"blk.1.attn_q.weight" has no place`},
		"wrong shape":     {replaced(tiny, "forward_length\x04\x00\x00\x00\x06", "forward_length\x04\x00\x00\x00\x07"), "shape [6 4], not [7 4]"},
		"experts":         {tinyLlama().set("llama.expert_count", uint32(8)).bytes(), "mixture of 8 experts"},
		"partial rope":    {tinyLlama().set("llama.rope.dimension_count", uint32(2)).bytes(), "rotary embeddings of 2"},
		"yarn":            {tinyLlama().set("llama.rope.scaling.type", "yarn").bytes(), `"yarn"`},
		"pre":             {replaced(tiny, "smollm", "smolxx"), `"smolxx"`},
		"tokenizer model": {replaced(tiny, "gpt2", "rwkv"), `"rwkv"`},
		"merge":           {replaced(tiny, "\x03\x00\x00\x00\x00\x00\x00\x00a b", "\x03\x00\x00\x00\x00\x00\x00\x00a c"), `"c", which is missing`},
		"merge of one":    {replaced(tiny, "\x03\x00\x00\x00\x00\x00\x00\x00a b", "\x03\x00\x00\x00\x00\x00\x00\x00aab"), "not two tokens"},
		"same token":      {replaced(tiny, "\x02\x00\x00\x00\x00\x00\x00\x00ab", "\x02\x00\x00\x00\x00\x00\x00\x00\xc3a"), "UTF-8"},
		"bos":             {tinyLlama().set("tokenizer.ggml.bos_token_id", uint32(5)).bytes(), "bos_token_id"},
		"negative bos":    {tinyLlama().set("tokenizer.ggml.bos_token_id", int32(-1)).bytes(), "bos_token_id"},
		"added bos":       {tinyLlama().set("tokenizer.ggml.add_bos_token", true).bytes(), "BOS"},
		"rope factors":    {tinyLlama().floats("rope_freqs.weight", []float32{1, 3}, 2).bytes(), "rope_freqs"},
	} {
		_, _, err := convert(t, test.file)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
}

func TestConvertCancelled(t *testing.T) {
	src := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(src, tinyLlama().bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Convert(ctx, 1, src, t.TempDir()); err == nil {
		t.Error("a cancelled conversion succeeds")
	}
}

// TestLlama3Scaling builds the factors of Llama 3.2 and recognizes them.
func TestLlama3Scaling(t *testing.T) {
	m := &llamaConfig{HeadDim: 64, RopeTheta: 500000}
	factors := make([]float32, 32)
	for i := range factors {
		wavelength := 2 * math.Pi * math.Pow(500000, float64(i)/32)
		switch {
		case wavelength < 8192/4.0:
			factors[i] = 1
		case wavelength > 8192:
			factors[i] = 32
		default:
			smooth := (8192/wavelength - 1) / 3
			factors[i] = float32(1 / ((1-smooth)/32 + smooth))
		}
	}
	if err := m.llama3(factors); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(m.RopeScaling)
	if err != nil || string(got) != `{"factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":8192,"rope_type":"llama3"}` {
		t.Errorf("%s, %v", got, err)
	}
	factors[20] *= 1.1
	m.RopeScaling = nil
	if err := m.llama3(factors); err == nil {
		t.Error("other factors are accepted")
	}
}

func TestSentencePieceMerges(t *testing.T) {
	v := &vocabulary{tokens: []string{"<unk>", "a", "b", "ab", "aba", "<0x41>", "ba"}, ids: map[string]int{},
		types: []int32{2, 1, 1, 1, 1, 6, 1}, scores: []float32{0, -9, -9, -1, -2, 0, -1}}
	for id, token := range v.tokens {
		v.ids[token] = id
	}
	if got := v.mergesFromScores(); !reflect.DeepEqual(got, []string{"a b", "b a", "a ba", "ab a"}) {
		t.Errorf("merges %q", got)
	}
}

func TestTokenizerBegin(t *testing.T) {
	one := 1
	v := &vocabulary{tokens: []string{"a", "<s>"}, bos: &one, addBOS: true}
	text, err := json.Marshal(v.template())
	const want = `{"pair":[{"SpecialToken":{"id":"\u003cs\u003e","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"\u003cs\u003e","type_id":1}},{"Sequence":{"id":"B","type_id":1}}],` +
		`"single":[{"SpecialToken":{"id":"\u003cs\u003e","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"\u003cs\u003e":{"id":"\u003cs\u003e","ids":[1],"tokens":["\u003cs\u003e"]}},"type":"TemplateProcessing"}`
	if err != nil || string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(tinyLlama().bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := open(b)
		if err != nil {
			return
		}
		m, err := file.llama()
		if err != nil {
			return
		}
		if _, err := file.plan(m); err != nil {
			return
		}
		if v, err := file.vocabulary(m.VocabSize); err == nil {
			v.tokenizer()
		}
	})
}

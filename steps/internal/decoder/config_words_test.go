package decoder

import (
	"testing"
	"testing/fstest"
)

// TestConfigMistakes: what is wrong with a model's configuration is said by file,
// field, what stands there and what is wanted.
func TestConfigMistakes(t *testing.T) {
	good := `"model_type": "llama", "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
		"num_attention_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5`
	for _, c := range []struct{ config, generation, want string }{
		{`{` + good + `, "num_attention_heads": "six"}`, `{}`, `config.json: num_attention_heads is "six", want a whole number`},
		{`{` + good + `, "rms_norm_eps": "1e-5"}`, `{}`, `config.json: rms_norm_eps is "1e-5", want a number`},
		{`{` + good + `, "rope_scaling": {"rope_type": "linear", "factor": "2"}}`, `{}`, `config.json: rope_scaling: factor is "2", want a number`},
		{`{` + good + `, "eos_token_id": "</s>"}`, `{}`, `config.json: eos_token_id: "</s>" is neither an id nor a list of ids`},
		{`[1]`, `{}`, `config.json: the file holds a list, want an object`},
		{`{` + good + `}`, `[]`, `generation_config.json: the file holds a list, want an object`},
		{`{` + good + `}`, `{"eos_token_id": 2,}`, `generation_config.json: not JSON: line 1, column 20: invalid character '}' looking for beginning of object key string`},
	} {
		_, err := ReadConfigFS(fstest.MapFS{
			"config.json":            {Data: []byte(c.config)},
			"generation_config.json": {Data: []byte(c.generation)},
		})
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

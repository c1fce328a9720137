package tokenizer

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/token"
	"github.com/pipe-run/pipe/steps/internal/token/train"
)

// write stores tokenizer.json, tokenizer_config.json, special_tokens_map.json
// and pipe.json.
func (p Params) write(dir string, v *train.Vocabulary) error {
	pieces := make([]string, len(v.Pieces))
	for i, s := range v.Pieces {
		if pieces[i] = token.SpellBytes(s); i < len(p.SpecialTokens) {
			pieces[i] = p.SpecialTokens[i]
		}
	}
	merges := make([][2]string, len(v.Merges))
	for i, m := range v.Merges {
		merges[i] = [2]string{pieces[m[0]], pieces[m[1]]}
	}
	data, err := p.blank().File(pieces, merges)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), data, 0o644); err != nil {
		return err
	}
	names := p.names()
	if err := writeJSON(dir, "special_tokens_map.json", names); err != nil {
		return err
	}
	names["tokenizer_class"] = "PreTrainedTokenizerFast"
	names["clean_up_tokenization_spaces"] = false
	if p.ChatTemplate != "" {
		names["chat_template"] = p.ChatTemplate
	}
	if err := writeJSON(dir, "tokenizer_config.json", names); err != nil {
		return err
	}
	tok, err := token.Load(dir)
	if err != nil {
		return err
	}
	if p.ChatTemplate != "" { // which may write tokens that there are not
		if _, err := chat.Load(dir, tok, chat.Spec{Kind: chat.Model, Date: chat.AnyDate}); err != nil {
			return &pipeline.FieldError{Field: "chatTemplate", Err: err}
		}
	}
	return artifact.Write(dir, artifact.Provenance{Type: pipeline.TypeTokenizer, Tokenizer: tok.Digest()})
}

// names are the special tokens by what they do.
func (p Params) names() map[string]any {
	names := map[string]any{}
	for _, r := range p.roles() {
		if r.token != "" {
			names[r.name+"_token"] = r.token
		}
	}
	return names
}

func writeJSON(dir, name string, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), buf.Bytes(), 0o644)
}

package token

import (
	"encoding/json"
	"errors"
	"fmt"
)

// wrap is what a post-processor puts around the ids of a text.
type wrap struct{ before, after []int32 }

// templatePiece is one element of a TemplateProcessing.
type templatePiece struct {
	SpecialToken *struct {
		ID string `json:"id"`
	}
	Sequence *struct {
		ID string `json:"id"`
	}
}

// templateTokens is what a special token of a template stands for.
type templateTokens struct {
	IDs []int32 `json:"ids"`
}

// maxWrapped bounds how many tokens a template adds.
const maxWrapped = 1 << 10

// readPostProcessor reads what is added to a single text. ByteLevel changes
// offsets only, and ours are never trimmed.
func readPostProcessor(raw json.RawMessage, vocab int) ([]wrap, error) {
	all, err := components("post-processor", raw, 0)
	if err != nil {
		return nil, err
	}
	var out []wrap
	for _, c := range all {
		var w wrap
		switch c.Type {
		case "ByteLevel":
			continue
		case "TemplateProcessing":
			w, err = c.template()
		case "RobertaProcessing", "BertProcessing":
			w, err = c.sentence()
		default:
			return nil, unsupported("post-processor", c)
		}
		if err != nil {
			return nil, fmt.Errorf("post-processor %s: %w", c.Type, err)
		}
		for _, id := range append(append([]int32{}, w.before...), w.after...) {
			if id < 0 || int(id) >= vocab {
				return nil, fmt.Errorf("post-processor %s: id %d is not in the vocab", c.Type, id)
			}
		}
		out = append(out, w)
	}
	return out, nil
}

// template reads the single template of a TemplateProcessing.
func (c component) template() (wrap, error) {
	var w wrap
	seen := false
	for _, p := range c.Single {
		switch {
		case p.Sequence != nil && p.Sequence.ID == "A" && !seen:
			seen = true
		case p.SpecialToken != nil:
			tokens, ok := c.SpecialTokens[p.SpecialToken.ID]
			if !ok {
				return w, fmt.Errorf("special token %q is not defined", p.SpecialToken.ID)
			}
			if seen {
				w.after = append(w.after, tokens.IDs...)
			} else {
				w.before = append(w.before, tokens.IDs...)
			}
		default:
			return w, errors.New("the single template is not one sequence A among special tokens")
		}
		if len(w.before)+len(w.after) > maxWrapped {
			return w, fmt.Errorf("the template adds more than %d tokens", maxWrapped)
		}
	}
	if !seen {
		return w, errors.New("the single template has no sequence A")
	}
	return w, nil
}

// sentence reads cls and sep, each a pair of piece and id.
func (c component) sentence() (wrap, error) {
	var w wrap
	for _, end := range []struct {
		name string
		raw  json.RawMessage
		ids  *[]int32
	}{{"cls", c.Cls, &w.before}, {"sep", c.Sep, &w.after}} {
		var piece string
		var id int32
		if err := json.Unmarshal(end.raw, &[]any{&piece, &id}); err != nil {
			return w, fmt.Errorf("%s is not a piece and its id: %w", end.name, err)
		}
		*end.ids = []int32{id}
	}
	return w, nil
}

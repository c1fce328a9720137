package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// Bounds on special tokens.
const (
	maxSpecial       = 4096
	maxSpecialLength = 256 // bytes
)

// vet refuses what cannot be.
func vet(raw json.RawMessage, inputs []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return err
	}
	if len(inputs) == 0 {
		return &pipeline.FieldError{
			Field: "in", Err: errors.New("there are no records to learn from"), Hint: "say in: records: steps.NAME.out.records",
		}
	}
	return p.check()
}

func (p Params) check() error {
	refuse := func(field, hint, format string, args ...any) error {
		return &pipeline.FieldError{Field: field, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if n := len(p.SpecialTokens); n > maxSpecial {
		return refuse("specialTokens", "", "%d are too many: at most %d", n, maxSpecial)
	}
	for i, s := range p.SpecialTokens {
		raw, spelled := token.SpelledBytes(s)
		switch {
		case s == "" || len(s) > maxSpecialLength || !utf8.ValidString(s):
			return refuse("specialTokens", "", "%.40q: a special token has 1 to %d bytes", s, maxSpecialLength)
		case slices.Contains(p.SpecialTokens[:i], s):
			return refuse("specialTokens", "leave one out", "%q is there twice", s)
		case spelled && len(raw) == 1:
			return refuse("specialTokens", "such as \"<"+s+">\"", "%q is how the vocabulary spells a byte", s)
		}
	}
	if least := 256 + len(p.SpecialTokens); p.VocabSize < least {
		return refuse("vocabSize", fmt.Sprintf("say %d or more", least), "%d pieces are fewer than the 256 bytes and %d special tokens", p.VocabSize, len(p.SpecialTokens))
	}
	for _, r := range p.roles() {
		if r.token != "" && !slices.Contains(p.SpecialTokens, r.token) {
			return refuse("roles."+r.name, "add it to specialTokens", "%q is none of the special tokens", r.token)
		}
	}
	if p.ChatTemplate != "" {
		if err := (chat.Spec{Kind: chat.Jinja, Jinja: p.ChatTemplate}).Check(); err != nil {
			return &pipeline.FieldError{Field: "chatTemplate", Err: err}
		}
	}
	return nil
}

// role is what a special token does.
type role struct{ name, token string }

func (p Params) roles() []role {
	r := p.Roles
	if r == nil {
		return nil
	}
	return []role{{"bos", r.BOS}, {"eos", r.EOS}, {"pad", r.Pad}, {"unk", r.Unk}}
}

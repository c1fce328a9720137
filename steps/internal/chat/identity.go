package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/pipe-run/pipe/steps/internal/token"
)

// Tokenizer is the one the template is used with.
func (t *Template) Tokenizer() *token.Tokenizer { return t.tok }

// Identity is the SHA-256, in hex, of all beside the tokenizer's own digest that
// decides what Encode makes of a record: the template, the tokens that begin and
// end texts, and what is trained on.
func (t *Template) Identity() string {
	bos, hasBOS := t.tok.BOS()
	eos, hasEOS := t.tok.EOS()
	text, err := json.Marshal(struct {
		Kind, Source string
		BOS, EOS     int32
		Has          [2]bool
		AddsBOS      bool
		Stops        []int32
		Ends         bool
		Special      []int32
		Train        Train
		Date         string `json:",omitempty"`
	}{t.kind, t.source, bos, eos, [2]bool{hasBOS, hasEOS}, t.tok.AddsBOS(), t.stops, t.ends, t.tok.Special(), t.train, t.date})
	if err != nil {
		panic(err) // it is made of numbers and strings
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

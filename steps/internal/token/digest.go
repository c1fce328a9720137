package token

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
)

// digest hashes what decides ids: every stage in a canonical spelling, each
// field with its length in front so that none can run into the next.
func digest(t *Tokenizer, file *tokenizerFile) string {
	return hashFields(func(h hash.Hash) { fields(h, t, file) })
}

// hashFields is the SHA-256, in hex, of what write writes.
func hashFields(write func(hash.Hash)) string {
	h := sha256.New()
	write(h)
	return hex.EncodeToString(h.Sum(nil))
}

func fields(h hash.Hash, t *Tokenizer, file *tokenizerFile) {
	field(h, "pipe tokenizer 1")
	for id, piece := range t.pieces {
		if t.known[id] {
			field(h, fmt.Sprintf("%d %s", id, piece))
		}
	}
	for _, pair := range file.Model.merges {
		field(h, pair[0])
		field(h, pair[1])
	}
	for _, s := range file.Model.settings {
		field(h, s)
	}
	for _, a := range file.AddedTokens {
		field(h, fmt.Sprintf("%+v", a))
	}
	for _, raw := range []json.RawMessage{file.Normalizer, file.PreTokenizer, file.Decoder} {
		field(h, canonical(raw))
	}
	field(h, fmt.Sprintf("wrap %v bos %d eos %d stops %v", t.wrapIDs(nil), t.bos, t.eos, t.stops))
	for _, w := range t.post {
		field(h, fmt.Sprintf("%v %v", w.before, w.after))
	}
}

func field(h hash.Hash, s string) {
	fmt.Fprintf(h, "%d:", len(s))
	io.WriteString(h, s)
}

// canonical writes JSON with sorted keys and no space; it was parsed before.
func canonical(raw json.RawMessage) string {
	if isNull(raw) {
		return "null"
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return string(raw)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return string(raw)
	}
	return string(out)
}

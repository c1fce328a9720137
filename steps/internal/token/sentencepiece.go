package token

import (
	"errors"
	"fmt"
	"hash"
	"math"
	"strings"
	"sync"
	"unicode/utf8"
)

// loadSP reads tokenizer.model, a SentencePiece model, of a folder without a
// tokenizer.json. Its control tokens, and tokens that the files beside it add,
// are found where text spells them; what is between is normalized each for
// itself.
func loadSP(dir string, config *side) (*Tokenizer, error) {
	data, err := readFile(dir, "tokenizer.model")
	if err != nil {
		return nil, err
	}
	if looksLikeTiktoken(data) {
		return loadTiktoken("tokenizer.model", data, config)
	}
	switch class := strings.TrimSuffix(config.Class, "Fast"); class {
	case "", "LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "T5Tokenizer", "PreTrainedTokenizer":
	default:
		return nil, fmt.Errorf("tokenizer class %q with a tokenizer.model and no tokenizer.json is not supported: save the model with a fast tokenizer, which writes one", class)
	}
	f, err := readSP(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.model: %w", err)
	}
	t, err := buildSP(f, config)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.model: %w", err)
	}
	return t, nil
}

// buildSP makes the tokenizer of a model.
func buildSP(f *spFile, config *side) (*Tokenizer, error) {
	t := &Tokenizer{special: map[int32]bool{}, written: map[int32]string{}, ids: map[string]int32{}, bos: -1, eos: -1, config: config}
	m := &spModel{ids: map[string]int32{}, all: map[string]int32{}, pieces: f.pieces, worst: math.MaxFloat32, most: math.SmallestNonzeroFloat32}
	m.most = 0x1p-126 // FLT_MIN
	user := map[string]int32{}
	var added []addedToken
	for i, p := range f.pieces {
		id := int32(i)
		t.pieces, t.known, t.ids[p.piece] = append(t.pieces, p.piece), append(t.known, true), id
		m.all[p.piece] = id
		switch p.kind {
		case spNormal:
			m.worst, m.most = min(m.worst, p.score), max(m.most, p.score)
		case spUserDefined:
			user[p.piece] = id
		case spUnknown:
			m.unk = id
		case spControl:
			added = append(added, addedToken{ID: id, Content: p.piece, Special: true})
		}
		if p.kind == spNormal || p.kind == spUserDefined || p.kind == spUnused {
			m.ids[p.piece] = id
		}
	}
	m.worst -= unknownPenalty
	m.user = newPrefixes(user)
	if f.byteFallback {
		for b := range 256 {
			m.bytes = append(m.bytes, m.all[fmt.Sprintf("<0x%02X>", b)])
		}
	}
	switch f.model {
	case spUnigram:
		m.trie, m.cut = newPrefixes(m.ids), (*spModel).unigram
	case spBPE:
		m.cut = (*spModel).bpe
	case spWord:
		m.cut = (*spModel).words
	case spChar:
		m.cut = (*spModel).chars
	}
	t.model = m
	if err := t.spStages(f, m); err != nil {
		return nil, err
	}
	more, err := config.addedTokens()
	if err != nil {
		return nil, err
	}
	if added, err = t.addTokens(added, more); err != nil {
		return nil, err
	}
	t.addMatchers(added)
	if err := t.spSide(f, config); err != nil {
		return nil, err
	}
	t.digest = sync.OnceValue(func() string { return spDigest(t, f, added) })
	return t, nil
}

// spStages sets what comes before and after the model.
func (t *Tokenizer) spStages(f *spFile, m *spModel) error {
	n := &spNormalizer{user: m.user, dummyPrefix: f.dummyPrefix, trimSpaces: f.trimSpaces, suffixSpace: f.suffixSpace, space: " "}
	if f.escape {
		n.space = spSpace
	}
	if len(f.charsmap) > 0 {
		var err error
		if n.charsmap, err = parseCharsmap(f.charsmap); err != nil {
			return err
		}
		if n.charsmap.longest > maxGrowth {
			return fmt.Errorf("the normalizer can make text more than %d times as long", maxGrowth)
		}
	}
	t.normalizer = n
	t.decoders = []decoder{spDecoder{
		unk: f.pieces[m.unk].piece, unkSurface: f.unkSurface, bytes: f.byteFallback,
		dropSpace: f.dummyPrefix || f.trimSpaces, dropSpaces: f.trimSpaces,
	}}
	return nil
}

// addTokens adds tokens that stand beside the model to the tables, and to those
// that text is searched for.
func (t *Tokenizer) addTokens(added, more []addedToken) ([]addedToken, error) {
	have := map[int32]bool{}
	for _, a := range added {
		have[a.ID], t.special[a.ID] = true, a.Special
	}
	for _, a := range more {
		if a.ID < 0 || a.ID >= maxIDs || len(a.Content) > maxPiece || !utf8.ValidString(a.Content) {
			return nil, fmt.Errorf("added token %.40q with id %d: ids go from 0 to %d and pieces are UTF-8 of at most %d bytes", a.Content, a.ID, maxIDs-1, maxPiece)
		}
		for int(a.ID) >= len(t.pieces) {
			t.pieces, t.known = append(t.pieces, ""), append(t.known, false)
		}
		if t.known[a.ID] && t.pieces[a.ID] != a.Content {
			return nil, fmt.Errorf("id %d is given to both %q and the added token %q", a.ID, t.pieces[a.ID], a.Content)
		}
		t.pieces[a.ID], t.known[a.ID], t.ids[a.Content] = a.Content, true, a.ID
		if a.Special {
			t.special[a.ID] = true
		}
		if !have[a.ID] {
			a.Normalized = false // normalizing is the model's own affair
			added = append(added, a)
		}
	}
	return added, nil
}

// spSide settles BOS, EOS and what is added to a text: what the files beside
// the model say, or the class of the tokenizer does by itself.
func (t *Tokenizer) spSide(f *spFile, config *side) error {
	name := func(given tokenName, id int) tokenName {
		if given == "" && len(config.bosIDs)+len(config.eosIDs) == 0 && id >= 0 && id < len(f.pieces) {
			return tokenName(f.pieces[id].piece)
		}
		return given
	}
	config.BOSToken, config.EOSToken = name(config.BOSToken, f.bos), name(config.EOSToken, f.eos)
	if err := t.applySide(config); err != nil {
		return err
	}
	class := strings.TrimSuffix(config.Class, "Fast")
	switch {
	case replacesPost(class) && config.AddBOS == nil && config.AddEOS == nil && t.bos >= 0:
		t.post = []wrap{{before: []int32{t.bos}}}
	case class == "T5Tokenizer" && t.eos < 0:
		return errors.New("T5Tokenizer without eos_token")
	case class == "T5Tokenizer":
		t.post = []wrap{{after: []int32{t.eos}}}
	}
	return nil
}

// spDigest hashes what decides ids.
func spDigest(t *Tokenizer, f *spFile, added []addedToken) string {
	return hashFields(func(h hash.Hash) {
		field(h, "pipe sentencepiece 1")
		for _, p := range f.pieces {
			field(h, fmt.Sprintf("%d %08x %s", p.kind, math.Float32bits(p.score), p.piece))
		}
		field(h, fmt.Sprintf("%d %t %t %t %t %t %q", f.model, f.suffixSpace, f.byteFallback, f.dummyPrefix, f.trimSpaces, f.escape, f.unkSurface))
		field(h, string(f.charsmap))
		for _, a := range added {
			field(h, fmt.Sprintf("%+v", a))
		}
		field(h, fmt.Sprintf("bos %d eos %d stops %v", t.bos, t.eos, t.stops))
		for _, w := range t.post {
			field(h, fmt.Sprintf("%v %v", w.before, w.after))
		}
	})
}

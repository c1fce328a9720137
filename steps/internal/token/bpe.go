package token

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// bpe is byte-pair encoding: a pretoken begins as its characters (or bytes)
// and the adjacent pair of lowest rank, leftmost first, is merged until none
// is left.
type bpe struct {
	vocab  map[string]int32 // pieces, in bytes for byte-level models
	ascii  [utf8.RuneSelf]int32
	bytes  [256]int32 // byte-level: id of each byte; else of <0xHH>; -1: none
	merges pairTable
	tokens int // ids are below

	// What walk needs; trie is nil where pieces have to be merged.
	trie    *trie
	origins []origin  // by id
	pairs   pairTable // the merges that are ever made
	borders borders
	isByte  map[int32]bool // ids of <0xHH>
	whole   wholePieces    // with ignoreMerges: pieces that merges do not yield

	byteLevel    bool // symbols are bytes
	byteFallback bool
	fuseUnk      bool
	ignoreMerges bool
	unk          int32 // -1: characters outside the vocabulary are dropped

	// splitAt, when not empty, is a character before which no merge reaches:
	// text may be cut there without changing any id ("▁" in SentencePiece
	// vocabularies, whose pieces hold it only in front).
	splitAt string
}

// maxRun is the longest pretoken, in symbols, merged by scanning for the lowest
// rank; longer ones use a heap.
const maxRun = 40

// encode appends the ids of one pretoken to s.
func (m *bpe) encode(s *scratch, t text) {
	if m.splitAt == "" {
		m.encodeOne(s, t)
		return
	}
	from, size := 0, len(m.splitAt)
	for i := 0; i < len(t.s); {
		next := strings.Index(t.s[i:], m.splitAt)
		if next < 0 {
			break
		}
		if next > 0 && i+next > from {
			m.encodeOne(s, t.slice(from, i+next))
			from = i + next
		}
		i += next + size
	}
	m.encodeOne(s, t.slice(from, len(t.s)))
}

// encodeOne encodes text that is merged as one.
func (m *bpe) encodeOne(s *scratch, t text) {
	if t.s == "" {
		return
	}
	if s.track {
		m.merge(&s.work, t.s)
		for _, sym := range s.work.syms {
			s.add(sym.id, t.span(sym.lo, sym.hi))
		}
		return
	}
	s.ids = m.word(s, s.ids, t.s, 0, len(t.s))
}

// words appends the ids of the pretokens of s that end at ends, the first of
// which begins at byte i.
func (m *bpe) words(s *scratch, t string, i int, ends []int) {
	ids := slices.Grow(s.ids, 2*len(ends))
	c := &s.cache
	for _, end := range ends {
		n := end - i
		if n <= maxKey && len(t)-i >= 16 { // what word does first, without a call
			mask := &keyMasks[n&15]
			k := key{load64(t, i) & mask.lo, load64(t, i+8)&mask.hi | uint64(n)<<56}
			if e := &c.lines[mix(k.lo, k.hi)>>(c.shift&63)][0]; e.key == k && e.n == 1 {
				ids = append(ids, e.ids[0])
				i = end
				continue
			}
		}
		ids = m.word(s, ids, t, i, end)
		i = end
	}
	s.ids = ids
}

// word appends the ids of the pretoken t[i:end] to dst.
func (m *bpe) word(s *scratch, dst []int32, t string, i, end int) []int32 {
	if end-i > maxKey {
		return m.piece(s, dst, t[i:end])
	}
	k := keyOf(t, i, end-i)
	if e := s.cache.get(k); e != nil {
		if e.n == 1 {
			return append(dst, e.ids[0])
		}
		return s.cache.add(dst, e)
	}
	from := len(dst)
	dst = m.piece(s, dst, t[i:end])
	s.cache.put(k, dst[from:])
	return dst
}

// piece appends the ids of a pretoken to dst.
func (m *bpe) piece(s *scratch, dst []int32, piece string) []int32 {
	if id, ok := m.whole.get(piece); ok {
		return append(dst, id)
	}
	if m.trie != nil {
		if out, ok := m.walk(&s.walker, dst, piece); ok {
			return out
		}
	}
	m.merge(&s.work, piece)
	for _, sym := range s.work.syms {
		dst = append(dst, sym.id)
	}
	return dst
}

// wholePieces is a small map that is seldom asked for what it has.
type wholePieces struct {
	ids  map[string]int32
	ends [1 << 16 / 64]uint64 // bit: the first and the last byte of a piece
}

func (w *wholePieces) end(piece string) (word *uint64, bit uint64) {
	at := int(piece[0])<<8 | int(piece[len(piece)-1])
	return &w.ends[at>>6], 1 << (at & 63)
}

func (w *wholePieces) add(piece string, id int32) {
	if w.ids == nil {
		w.ids = map[string]int32{}
	}
	w.ids[piece] = id
	word, bit := w.end(piece)
	*word |= bit
}

func (w *wholePieces) get(piece string) (id int32, ok bool) {
	if len(w.ids) == 0 {
		return 0, false
	}
	if word, bit := w.end(piece); *word&bit != 0 {
		id, ok = w.ids[piece]
	}
	return id, ok
}

// merge leaves the tokens of piece in w.syms.
func (m *bpe) merge(w *merger, piece string) {
	w.syms = w.syms[:0]
	if m.ignoreMerges {
		if id, ok := m.vocab[piece]; ok {
			w.syms = append(w.syms, symbol{id: id, hi: len(piece)})
			return
		}
	}
	m.fill(w, piece)
	m.merges.merge(w)
}

// fill sets w.syms to the symbols of piece before any merge.
func (m *bpe) fill(w *merger, piece string) {
	w.syms = w.syms[:0]
	if m.byteLevel {
		m.byteSymbols(w, piece)
	} else {
		m.charSymbols(w, piece)
	}
}

func (m *bpe) byteSymbols(w *merger, piece string) {
	for i := range len(piece) {
		if id := m.bytes[piece[i]]; id >= 0 {
			w.syms = append(w.syms, symbol{id: id, lo: i, hi: i + 1})
		} else {
			m.unknown(w, i, i+1)
		}
	}
}

// symbolSize is how many bytes of s are its first character.
func (m *bpe) symbolSize(s string) int {
	if m.byteLevel || s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

func (m *bpe) charSymbols(w *merger, piece string) {
	for i := 0; i < len(piece); {
		n, id := 1, int32(-1)
		if b := piece[i]; b < utf8.RuneSelf {
			id = m.ascii[b]
		} else {
			_, n = utf8.DecodeRuneInString(piece[i:])
			if found, ok := m.vocab[piece[i:i+n]]; ok {
				id = found
			}
		}
		switch {
		case id >= 0:
			w.syms = append(w.syms, symbol{id: id, lo: i, hi: i + n})
		case m.byteFallback && m.hasBytes(piece[i:i+n]):
			for j := i; j < i+n; j++ {
				w.syms = append(w.syms, symbol{id: m.bytes[piece[j]], lo: j, hi: j + 1})
			}
		default:
			m.unknown(w, i, i+n)
		}
		i += n
	}
}

func (m *bpe) hasBytes(s string) bool {
	for i := range len(s) {
		if m.bytes[s[i]] < 0 {
			return false
		}
	}
	return true
}

// unknown adds the unknown token for bytes [lo, hi), or widens the one before.
func (m *bpe) unknown(w *merger, lo, hi int) {
	if m.unk < 0 {
		return
	}
	if last := len(w.syms) - 1; m.fuseUnk && last >= 0 && w.syms[last].id == m.unk && w.syms[last].hi == lo {
		w.syms[last].hi = hi
		return
	}
	w.syms = append(w.syms, symbol{id: m.unk, lo: lo, hi: hi})
}

// newBPE checks and indexes a model. Pieces come from vocab by spelling; merges
// are pairs of spellings in order of rank.
func newBPE(m *bpe, spelled map[string]int32, merges [][2]string, alphabet *byteLevel) error {
	m.vocab = spelled
	if m.byteLevel {
		m.vocab = make(map[string]int32, len(spelled))
		for piece, id := range spelled {
			if raw, ok := alphabet.raw(piece); ok {
				m.vocab[raw] = id
			}
		}
	}
	m.isByte = map[int32]bool{}
	for b := range 256 {
		m.bytes[b] = -1
		name := fmt.Sprintf("<0x%02X>", b)
		if m.byteLevel {
			name = string([]byte{byte(b)})
		}
		if id, ok := m.vocab[name]; ok {
			m.bytes[b], m.isByte[id] = id, !m.byteLevel
		}
	}
	for b := range m.ascii {
		m.ascii[b] = -1
		if id, ok := m.vocab[string(rune(b))]; ok {
			m.ascii[b] = id
		}
	}
	m.merges = newPairTable(len(merges))
	for rank, pair := range merges {
		left, okLeft := spelled[pair[0]]
		right, okRight := spelled[pair[1]]
		whole, okWhole := spelled[pair[0]+pair[1]]
		if !okLeft || !okRight || !okWhole {
			return fmt.Errorf("merge %d (%q + %q): a part or the whole is not in the vocab", rank, pair[0], pair[1])
		}
		m.merges.put(left, right, pairValue{rank: int32(rank), id: whole})
	}
	for _, id := range spelled {
		m.tokens = max(m.tokens, int(id)+1)
	}
	return nil
}

// setSplitAt turns splitting before char on if it changes no id.
func (m *bpe) setSplitAt(char string, merges [][2]string) {
	if _, ok := m.vocab[char]; !ok || m.byteLevel || m.ignoreMerges {
		return
	}
	for _, pair := range merges {
		if strings.Contains(strings.TrimLeft(pair[0]+pair[1], char), char) {
			return
		}
	}
	m.splitAt = char
}

package token

// The tokens of a text can be found without merging. A sequence of tokens is
// what BPE makes of a text exactly when every token is what BPE makes of its own
// bytes, and every two neighbours are what it makes of theirs: the first merge
// across a border in the whole text would be the first across it in the two
// alone, since merges elsewhere change neither side. So one walks through the
// text, takes the longest token that goes with the one before, and turns back
// where there is none. What BPE makes of each prefix of the text is unique, so
// a place that was left is never tried again, and a walk is linear. (GitHub's
// rust-gems bpe has this algorithm for tokens whose ids are their ranks.)
//
// Whether two tokens go together is found by taking both apart, latest merge
// first. That needs merges to build on earlier ones only. Where they do not, as
// for some eighty tokens of Llama 3, the two are merged to see.

// origin is how BPE makes a token.
type origin struct {
	left, right int32 // of the last merge
	rank        int32 // of the last merge; -1: a token that nothing makes
	prefix      int32 // the longest token it begins with, itself aside; -1: none
	size        int32 // in bytes; 0: BPE never yields the token
	odd         bool  // some merge inside builds on a later one
}

// walker is the working memory of walks.
type walker struct {
	left []uint64 // bit i: there is no way on from byte i
	seen []uint64 // pairs looked at, by hash: 1, left, right and whether they go together (1, 22, 22 and 1 bits)
	work merger
}

const (
	seenLog    = 15
	longestWay = 512 // bytes of the longest token in a trie
	oddShare   = 256 // at most one in so many tokens is odd
)

// prepare indexes the vocabulary for walks, if walks are right for it and at
// most so many tokens are odd.
func (m *bpe) prepare(mostOdd int) {
	makers, ok := m.makers()
	if !ok {
		return
	}
	var bySize [longestWay + 1][]trieToken
	for piece, id := range m.vocab {
		switch {
		case piece == "":
		case len(piece) <= longestWay:
			bySize[len(piece)] = append(bySize[len(piece)], trieToken{piece, id})
		case makers[id].size > 0:
			return
		}
	}
	m.origins = make([]origin, m.tokens)
	tokens := make([]trieToken, 0, len(m.vocab)) // those that BPE yields
	odd := 0
	var w merger
	for _, list := range bySize {
		for _, t := range list {
			o, ok := m.originOf(&w, t, makers[t.id])
			if !ok {
				if m.ignoreMerges {
					m.whole.add(t.piece, t.id)
				}
				continue
			}
			if m.origins[t.id] = o; o.odd {
				odd++
			}
			tokens = append(tokens, t)
		}
	}
	if odd > mostOdd {
		return
	}
	// Merges other than the last of a token are never made: wherever their
	// parts met, they would have met in the token alone too.
	m.pairs = newPairTable(len(tokens))
	for _, t := range tokens {
		if o := &m.origins[t.id]; o.rank >= 0 {
			m.pairs.put(o.left, o.right, pairValue{rank: o.rank, id: t.id})
		}
	}
	m.borders = newBorders(m, tokens)
	m.trie = newTrie(tokens, func(id, prefix int32) { m.origins[id].prefix = prefix })
}

// makers returns, by id, the merge that makes a token, with as size how many
// there are. It returns false if merges reach what is not text, which has other
// neighbours to merge with.
func (m *bpe) makers() ([]origin, bool) {
	makers := make([]origin, m.tokens)
	for pair, v := range m.merges.all() {
		makers[v.id] = origin{left: pair[0], right: pair[1], rank: v.rank, size: makers[v.id].size + 1}
		if m.isByte[pair[0]] || m.isByte[pair[1]] || pair[0] == m.unk || pair[1] == m.unk {
			return nil, false
		}
	}
	return makers, true
}

// originOf returns how BPE makes a token, or false if it does not. The origins
// of shorter ones are known. maker is the merge that makes it, if it is the only
// one: then it is made if its parts come about and nothing merges across the
// border between them before.
func (m *bpe) originOf(w *merger, t trieToken, maker origin) (origin, bool) {
	size := int32(len(t.piece))
	if t.id == m.unk {
		return origin{}, false
	}
	if maker.size == 1 {
		l, r := &m.origins[maker.left], &m.origins[maker.right]
		if l.size > 0 && r.size > 0 && l.size+r.size == size && !l.odd && !r.odd && l.rank < maker.rank && r.rank < maker.rank {
			maker.size = size
			return maker, m.merges.apart(m.origins, maker.left, maker.right, maker.rank)
		}
	}
	w.last = origin{rank: -1}
	m.fill(w, t.piece)
	m.merges.merge(w)
	if len(w.syms) != 1 || w.syms[0].id != t.id {
		return origin{}, false
	}
	o := w.last
	if o.size = size; o.rank >= 0 {
		l, r := &m.origins[o.left], &m.origins[o.right]
		o.odd = l.rank >= o.rank || r.rank >= o.rank || l.odd || r.odd
	}
	return o, true
}

// walk appends the tokens of a piece to dst. It returns false, and dst as it
// was, if characters are to be dropped, which makes neighbours of others.
// Then the piece has to be merged.
func (m *bpe) walk(w *walker, dst []int32, piece string) ([]int32, bool) {
	w.reset(len(piece))
	from := len(dst)
	unknownTo := -1 // where unknown characters end
	for pos, first := 0, from; pos < len(piece); {
		next, size := m.trie.longest(piece, pos)
		if next < 0 {
			var n int
			if dst, n = m.outside(dst, piece[pos:], unknownTo == pos); n == 0 {
				return dst[:from], false
			}
			if pos += n; dst[len(dst)-1] == m.unk {
				unknownTo = pos
			}
			first = len(dst)
			continue
		}
		if end := pos + size; w.left[end>>6]>>(end&63)&1 == 0 && (len(dst) == first || !m.borders.crossed(piece, pos)) {
			dst = append(dst, next)
			pos = end
			continue
		}
		for {
			if next, size = m.goesOn(w, dst[first:], piece, pos, next, size); next >= 0 {
				dst = append(dst, next)
				pos += size
				break
			}
			if len(dst) == first {
				return dst[:from], false
			}
			w.left[pos>>6] |= 1 << (pos & 63)
			last := dst[len(dst)-1]
			dst = dst[:len(dst)-1]
			pos -= int(m.origins[last].size)
			if next = m.origins[last].prefix; next >= 0 {
				size = int(m.origins[next].size)
			}
		}
	}
	return dst, true
}

// goesOn returns the longest of tok, which begins at byte pos and has so many
// bytes, and its prefixes that goes with the last of done and ends where a way
// on is still open, and its size; or -1.
func (m *bpe) goesOn(w *walker, done []int32, piece string, pos int, tok int32, size int) (int32, int) {
	alone := len(done) == 0 || !m.borders.crossed(piece, pos)
	for tok >= 0 {
		end := pos + size
		if w.left[end>>6]>>(end&63)&1 == 0 && (alone || m.together(w, done[len(done)-1], tok, piece[:end])) {
			return tok, size
		}
		if tok = m.origins[tok].prefix; tok >= 0 {
			size = int(m.origins[tok].size)
		}
	}
	return -1, 0
}

// outside appends the ids of the character that s begins with, which is not in
// the vocabulary, and returns its size; 0 if it is to be dropped. fuse tells
// that the unknown character before ends here.
func (m *bpe) outside(dst []int32, s string, fuse bool) ([]int32, int) {
	n := m.symbolSize(s)
	switch {
	case !m.byteLevel && m.byteFallback && m.hasBytes(s[:n]):
		for i := range n {
			dst = append(dst, m.bytes[s[i]])
		}
	case m.unk < 0:
		return dst, 0
	case !(fuse && m.fuseUnk):
		dst = append(dst, m.unk)
	}
	return dst, n
}

// together tells whether BPE leaves two tokens, in which text ends, side by side.
func (m *bpe) together(w *walker, a, b int32, text string) bool {
	pair := 1<<63 | uint64(a)<<23 | uint64(b)<<1
	at := &w.seen[mix(pair, 0)>>(64-seenLog)]
	if *at&^1 == pair {
		return *at&1 != 0
	}
	var yes bool
	if m.origins[a].odd || m.origins[b].odd {
		m.fill(&w.work, text[len(text)-int(m.origins[a].size+m.origins[b].size):])
		m.merges.merge(&w.work)
		yes = len(w.work.syms) == 2 && w.work.syms[0].id == a && w.work.syms[1].id == b
	} else {
		yes = m.goTogether(a, b)
	}
	*at = pair
	if yes {
		*at |= 1
	}
	return yes
}

// goTogether is together for tokens that are not odd.
func (m *bpe) goTogether(a, b int32) bool {
	return m.pairs.get(a, b).rank < 0 && m.pairs.apart(m.origins, a, b, 1<<31-1)
}

// apart tells whether no merge of rank below before is made across the border
// of two tokens that are not odd before they are there, other than of the two
// themselves: of the merges inside a and b that are at the border, it takes back
// the latest until none is left, and looks whether the border would have been
// merged across before that one.
func (p *pairTable) apart(origins []origin, a, b, before int32) bool {
	for {
		x, y := &origins[a], &origins[b]
		switch {
		case x.rank < 0 && y.rank < 0:
			return true
		case x.rank > y.rank:
			a, before = x.right, min(before, x.rank)
		default: // of equal ranks the left comes first, the border before b
			b, before = y.left, min(before, y.rank+1)
		}
		if v := p.get(a, b); v.rank >= 0 && v.rank < before {
			return false
		}
	}
}

// borders tells by the bytes around a place whether some merge could cross it.
type borders struct {
	short []uint64 // bit: the last byte of a part and the first of the other
	long  []uint64 // bit: hash of three bytes of each, for merges of two parts that have them
}

const longLog = 20

func newBorders(m *bpe, tokens []trieToken) borders {
	b := borders{short: make([]uint64, 1<<16/64), long: make([]uint64, 1<<longLog/64)}
	for _, t := range tokens {
		piece, o := t.piece, &m.origins[t.id]
		if o.rank < 0 {
			continue
		}
		at := int(m.origins[o.left].size)
		word, bit := b.place(piece, at)
		if at >= 3 && len(piece)-at >= 3 {
			word, bit = b.widePlace(piece, at)
		}
		*word |= bit
	}
	return b
}

// place returns the bit of short for a border at byte i.
func (b *borders) place(s string, i int) (word *uint64, bit uint64) {
	at := int(s[i-1])<<8 | int(s[i])
	return &b.short[at>>6], 1 << (at & 63)
}

// widePlace returns the bit of long for a border at byte i.
func (b *borders) widePlace(s string, i int) (word *uint64, bit uint64) {
	t := s[i-3 : i+3]
	left := uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16
	right := uint64(t[3]) | uint64(t[4])<<8 | uint64(t[5])<<16
	at := mix(left, right<<32) >> (64 - longLog)
	return &b.long[at>>6], 1 << (at & 63)
}

// crossed tells whether a merge could cross byte i of s.
func (b *borders) crossed(s string, i int) bool {
	if word, bit := b.place(s, i); *word&bit != 0 {
		return true
	}
	if i < 3 || len(s)-i < 3 {
		return false
	}
	word, bit := b.widePlace(s, i)
	return *word&bit != 0
}

// reset makes the walker ready for a piece of n bytes.
func (w *walker) reset(n int) {
	if w.seen == nil {
		w.seen = make([]uint64, 1<<seenLog)
	}
	if n = n>>6 + 1; n > cap(w.left) {
		w.left = make([]uint64, n)
	}
	w.left = w.left[:n]
	clear(w.left)
}

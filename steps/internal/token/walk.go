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
// first. That needs merges to build on earlier ones only; vocabularies where
// they do not are merged step by step.

// origin is how BPE makes a token.
type origin struct {
	left, right int32 // of the last merge
	rank        int32 // of the last merge; -1: a token that nothing makes
	prefix      int32 // the longest token it begins with, itself aside; -1: none
	size        int32 // in bytes; 0: BPE never yields the token
}

// walker is the working memory of walks.
type walker struct {
	left []uint64 // bit i: there is no way on from byte i
	seen []uint64 // pairs looked at, by hash: 1, left, right and whether they go together (1, 22, 22 and 1 bits)
}

const (
	seenLog    = 15
	longestWay = 512 // bytes of the longest token in a trie
)

// prepare indexes the vocabulary for walks, if walks are right for it.
func (m *bpe) prepare(tokens int) {
	made := m.madeBy(tokens)
	if made == nil {
		return
	}
	m.origins = make([]origin, tokens)
	var w merger
	for piece, id := range m.vocab {
		if piece == "" || len(piece) > longestWay && made[id] < 0 {
			continue
		}
		if len(piece) > longestWay {
			return
		}
		w.last = origin{rank: -1}
		m.fill(&w, piece)
		m.merges.merge(&w)
		if len(w.syms) == 1 && w.syms[0].id == id && id != m.unk {
			m.origins[id] = w.last
			m.origins[id].size = int32(len(piece))
		} else if m.ignoreMerges {
			m.whole[piece] = id
		}
	}
	m.setTrie()
}

// madeBy returns for each token the highest rank of the merges that make it, or
// -1; nil if a merge comes before one that makes its parts, or joins what is
// not text.
func (m *bpe) madeBy(tokens int) []int32 {
	made := make([]int32, tokens)
	for i := range made {
		made[i] = -1
	}
	for pair, v := range m.merges.all() {
		made[v.id] = max(made[v.id], v.rank)
		if pair[0] == m.unk || pair[1] == m.unk {
			return nil
		}
	}
	for pair, v := range m.merges.all() {
		if made[pair[0]] >= v.rank || made[pair[1]] >= v.rank {
			return nil
		}
		if !m.byteLevel && m.byteFallback && (m.isByte[pair[0]] || m.isByte[pair[1]]) {
			return nil
		}
	}
	return made
}

// setTrie makes the trie of the tokens that BPE yields.
func (m *bpe) setTrie() {
	var tokens []trieToken
	for piece, id := range m.vocab {
		if m.origins[id].size > 0 {
			tokens = append(tokens, trieToken{piece, id})
		}
	}
	m.trie = newTrie(tokens, func(id, prefix int32) { m.origins[id].prefix = prefix })
}

// walk appends the tokens of a piece to dst. It returns false, and dst as it
// was, if characters are to be dropped, which makes neighbours of others.
// Then the piece has to be merged.
func (m *bpe) walk(w *walker, dst []int32, piece string) ([]int32, bool) {
	w.reset(len(piece))
	from := len(dst)
	unknownTo := -1 // where unknown characters end
	for pos, first := 0, from; pos < len(piece); {
		next := m.trie.longest(piece, pos)
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
		for {
			if tok := m.goesOn(w, dst[first:], pos, next); tok >= 0 {
				dst = append(dst, tok)
				pos += int(m.origins[tok].size)
				break
			}
			if len(dst) == first {
				return dst[:from], false
			}
			w.left[pos>>6] |= 1 << (pos & 63)
			last := dst[len(dst)-1]
			dst = dst[:len(dst)-1]
			pos -= int(m.origins[last].size)
			next = m.origins[last].prefix
		}
	}
	return dst, true
}

// goesOn returns the longest of tok and its prefixes that goes with the last of
// done and ends where a way on is still open, or -1.
func (m *bpe) goesOn(w *walker, done []int32, pos int, tok int32) int32 {
	for ; tok >= 0; tok = m.origins[tok].prefix {
		end := pos + int(m.origins[tok].size)
		if w.left[end>>6]>>(end&63)&1 == 0 && (len(done) == 0 || m.together(w, done[len(done)-1], tok)) {
			return tok
		}
	}
	return -1
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

// together tells whether BPE leaves two tokens as they are, side by side.
func (m *bpe) together(w *walker, a, b int32) bool {
	pair := 1<<63 | uint64(a)<<23 | uint64(b)<<1
	at := &w.seen[mix(pair, 0)>>(64-seenLog)]
	if *at&^1 == pair {
		return *at&1 != 0
	}
	yes := m.goTogether(a, b)
	*at = pair
	if yes {
		*at |= 1
	}
	return yes
}

// goTogether is together without memory: of the merges inside a and b that are
// at the border, it takes back the latest until none is left, and looks whether
// the border would have been merged across before that one.
func (m *bpe) goTogether(a, b int32) bool {
	before := int32(1<<31 - 1) // what comes later than this is too late
	for {
		if v := m.merges.get(a, b); v.rank >= 0 && v.rank < before {
			return false
		}
		x, y := &m.origins[a], &m.origins[b]
		switch {
		case x.rank < 0 && y.rank < 0:
			return true
		case x.rank > y.rank:
			a, before = x.right, x.rank
		default: // of equal ranks the left comes first, the border before b
			b, before = y.left, y.rank+1
		}
	}
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

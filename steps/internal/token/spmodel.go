package token

import (
	"container/heap"
	"strings"
	"unicode/utf8"
)

// spModel makes ids of normalized text as a SentencePiece model does.
type spModel struct {
	ids    map[string]int32 // pieces that text can become
	all    map[string]int32 // those and control, unknown and byte tokens
	user   *prefixes        // user-defined symbols
	pieces []spPiece
	cut    func(m *spModel, t text) []symbol
	unk    int32
	bytes  []int32 // ids of <0xHH>, or nil: no byte fallback

	trie        *prefixes // unigram: all of ids
	worst, most float32   // unigram: scores of unknown characters and, at least, the best piece
}

func (m *spModel) encode(s *scratch, t text) {
	if t.s == "" {
		return
	}
	unkTo := -1 // where the unknown tokens before end
	for _, sym := range m.cut(m, t) {
		switch {
		case sym.id == m.unk && m.bytes != nil:
			for i := sym.lo; i < sym.hi; i++ {
				s.add(m.bytes[t.s[i]], t.span(i, i+1))
			}
		case sym.id == m.unk && unkTo == sym.lo:
			if s.track {
				s.spans[len(s.spans)-1].End = t.span(sym.lo, sym.hi).End
			}
			unkTo = sym.hi
		default:
			s.add(sym.id, t.span(sym.lo, sym.hi))
			if sym.id == m.unk {
				unkTo = sym.hi
			}
		}
	}
}

// id returns the id of a piece, or that of the unknown token.
func (m *spModel) id(piece string) int32 {
	if id, ok := m.all[piece]; ok {
		return id
	}
	return m.unk
}

// unit returns the size of the user-defined symbol or the character that s
// begins with, and whether it is the former.
func (m *spModel) unit(s string) (size int, user bool) {
	if n, _ := m.user.longest(s); n > 0 {
		return n, true
	}
	_, n := utf8.DecodeRuneInString(s)
	return n, false
}

// chars cuts text into characters.
func (m *spModel) chars(t text) []symbol {
	var out []symbol
	for at := 0; at < len(t.s); {
		n, _ := m.unit(t.s[at:])
		out = append(out, symbol{id: m.id(t.s[at : at+n]), lo: at, hi: at + n})
		at += n
	}
	return out
}

// words cuts text before every space.
func (m *spModel) words(t text) []symbol {
	var out []symbol
	for at := 0; at < len(t.s); {
		end := len(t.s)
		if next := strings.Index(t.s[at+1:], spSpace); next >= 0 {
			end = at + 1 + next
		}
		out = append(out, symbol{id: m.id(t.s[at:end]), lo: at, hi: end})
		at = end
	}
	return out
}

// spBest is how a prefix of a text is best made.
type spBest struct {
	score float32
	from  int32 // where the last piece begins; -1: no way is known
	id    int32
}

// unigram cuts text into the pieces whose scores have the largest sum
// (unigram_model.cc, EncodeOptimized, in float32 as there).
func (m *spModel) unigram(t text) []symbol {
	path := make([]spBest, len(t.s)+1)
	for i := range path[1:] {
		path[i+1].from = -1
	}
	try := func(from, to int, score float64, id int32) {
		if b := &path[to]; b.from < 0 || score > float64(b.score) {
			*b = spBest{float32(score), int32(from), id}
		}
	}
	for at := 0; at < len(t.s); {
		_, n := utf8.DecodeRuneInString(t.s[at:])
		here, single := path[at].score, false
		m.trie.each(t.s[at:], func(size int, id int32) {
			p := &m.pieces[id]
			if p.kind == spUnused {
				return
			}
			score := float64(p.score)
			if p.kind == spUserDefined {
				score = float64(float32(float32(size)*m.most)) - 0.1
			}
			try(at, at+size, float64(float32(float32(score)+here)), id)
			single = single || size == n
		})
		if !single {
			try(at, at+n, float64(float32(m.worst+here)), m.unk)
		}
		at += n
	}
	var out []symbol
	for end := len(t.s); end > 0; end = int(path[end].from) {
		out = append(out, symbol{id: path[end].id, lo: int(path[end].from), hi: end})
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// spMerges merges the pair of symbols that makes the piece of the highest score,
// of equal ones the leftmost (bpe_model.cc).
type spMerges struct {
	m      *spModel
	s      string
	syms   []symbol // id unused; lo == hi: merged into another
	frozen []bool
	next   []int
	prev   []int
	queue  []spMerge
	halves map[string]int // unused pieces: where they were put together
}

type spMerge struct {
	score       float32
	left, right int
	size        int
}

func (q *spMerges) Len() int { return len(q.queue) }
func (q *spMerges) Less(i, j int) bool {
	a, b := q.queue[i], q.queue[j]
	return a.score > b.score || a.score == b.score && a.left < b.left
}
func (q *spMerges) Swap(i, j int) { q.queue[i], q.queue[j] = q.queue[j], q.queue[i] }
func (q *spMerges) Push(x any)    { q.queue = append(q.queue, x.(spMerge)) }
func (q *spMerges) Pop() any {
	last := q.queue[len(q.queue)-1]
	q.queue = q.queue[:len(q.queue)-1]
	return last
}

// look queues the merge of two symbols, if they make a piece.
func (q *spMerges) look(left, right int) {
	if left < 0 || right >= len(q.syms) || q.frozen[left] || q.frozen[right] {
		return
	}
	piece := q.s[q.syms[left].lo:q.syms[right].hi]
	id, ok := q.m.ids[piece]
	if !ok {
		return
	}
	p := &q.m.pieces[id]
	heap.Push(q, spMerge{p.score, left, right, len(piece)})
	if p.kind == spUnused {
		q.halves[piece] = q.syms[left].hi - q.syms[left].lo
	}
}

// bpe cuts text by merging characters.
func (m *spModel) bpe(t text) []symbol {
	q := &spMerges{m: m, s: t.s, halves: map[string]int{}}
	for at := 0; at < len(t.s); {
		n, frozen := m.unit(t.s[at:])
		i := len(q.syms)
		q.syms, q.frozen = append(q.syms, symbol{lo: at, hi: at + n}), append(q.frozen, frozen)
		q.next, q.prev = append(q.next, i+1), append(q.prev, i-1)
		at += n
	}
	for i := 1; i < len(q.syms); i++ {
		q.look(i-1, i)
	}
	for len(q.queue) > 0 {
		c := heap.Pop(q).(spMerge)
		left, right := &q.syms[c.left], &q.syms[c.right]
		if left.lo == left.hi || right.lo == right.hi || right.hi-left.lo != c.size || left.hi != right.lo {
			continue
		}
		left.hi = right.hi
		right.lo = right.hi
		if q.next[c.left] = q.next[c.right]; q.next[c.left] < len(q.syms) {
			q.prev[q.next[c.left]] = c.left
		}
		q.look(q.prev[c.left], c.left)
		q.look(c.left, q.next[c.left])
	}
	var out []symbol
	for i := 0; i < len(q.syms); i = q.next[i] {
		out = q.use(out, q.syms[i].lo, q.syms[i].hi)
	}
	return out
}

// use appends a piece, or if it is unused those that it was made of.
func (q *spMerges) use(out []symbol, lo, hi int) []symbol {
	piece := q.s[lo:hi]
	id := q.m.id(piece)
	if half, ok := q.halves[piece]; ok && q.m.pieces[id].kind == spUnused {
		return q.use(q.use(out, lo, lo+half), lo+half, hi)
	}
	return append(out, symbol{id: id, lo: lo, hi: hi})
}

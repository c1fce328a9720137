package token

import (
	"container/heap"
	"fmt"
	"unicode/utf8"
)

// affixBPE is byte-pair encoding of characters in full: those that do not begin
// a word may have a prefix and the last a suffix (the "</w>" of GPT and CLIP),
// and only some bytes may have a piece to fall back to. What bpe can do it does
// faster, with equal ids.
type affixBPE struct {
	vocab          map[string]int32
	merges         map[[2]int32]pairValue
	prefix, suffix string
	bytes          map[byte]int32 // ids of <0xHH>; nil: no byte fallback
	fuseUnk        bool
	ignoreMerges   bool
	unk            int32 // -1: none
}

func (m *affixBPE) encode(s *scratch, t text) {
	if t.s == "" {
		return
	}
	if id, ok := m.vocab[t.s]; ok && m.ignoreMerges {
		s.add(id, t.span(0, len(t.s)))
		return
	}
	q := &mergeQueue{syms: m.symbols(t.s), merges: m.merges}
	for _, sym := range q.merged() {
		s.add(sym.id, t.span(sym.lo, sym.hi))
	}
}

// symbols are what a word begins as. An unknown character waits for the next
// known one, so that it comes behind bytes in between, as in the Hugging Face
// library.
func (m *affixBPE) symbols(word string) []symbol {
	var out []symbol
	var waiting *symbol
	flush := func() {
		if waiting != nil {
			out = append(out, *waiting)
			waiting = nil
		}
	}
	for i := 0; i < len(word); {
		_, n := utf8.DecodeRuneInString(word[i:])
		c := word[i : i+n]
		if i > 0 {
			c = m.prefix + c
		}
		if i+n == len(word) {
			c += m.suffix
		}
		sym := symbol{lo: i, hi: i + n}
		i += n
		if id, ok := m.vocab[c]; ok {
			flush()
			sym.id = id
			out = append(out, sym)
			continue
		}
		if ids := m.byteIDs(c); ids != nil {
			for _, id := range ids {
				out = append(out, symbol{id: id, lo: sym.lo, hi: sym.hi})
			}
			continue
		}
		if m.unk < 0 {
			continue
		}
		sym.id = m.unk
		if waiting != nil && m.fuseUnk {
			sym.lo = waiting.lo
			waiting = nil
		}
		flush()
		waiting = &sym
	}
	flush()
	return out
}

// byteIDs returns the ids of the bytes of c, or nil.
func (m *affixBPE) byteIDs(c string) []int32 {
	var ids []int32
	for i := range len(c) {
		id, ok := m.bytes[c[i]]
		if !ok {
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}

// mergeQueue merges symbols: the pair of lowest rank first, of equal ranks the
// leftmost.
type mergeQueue struct {
	syms   []symbol
	next   []int
	prev   []int
	merges map[[2]int32]pairValue
	queue  []waitingMerge
}

// waitingMerge is a merge that was possible when it was queued.
type waitingMerge struct {
	at       int
	pair     [2]int32
	rank, id int32
}

func (q *mergeQueue) Len() int { return len(q.queue) }
func (q *mergeQueue) Less(i, j int) bool {
	a, b := q.queue[i], q.queue[j]
	return a.rank < b.rank || a.rank == b.rank && a.at < b.at
}
func (q *mergeQueue) Swap(i, j int) { q.queue[i], q.queue[j] = q.queue[j], q.queue[i] }
func (q *mergeQueue) Push(x any)    { q.queue = append(q.queue, x.(waitingMerge)) }
func (q *mergeQueue) Pop() any {
	last := q.queue[len(q.queue)-1]
	q.queue = q.queue[:len(q.queue)-1]
	return last
}

// look queues the merge of symbol i with the next one, if there is one.
func (q *mergeQueue) look(i int) {
	if i < 0 || q.next[i] >= len(q.syms) {
		return
	}
	pair := [2]int32{q.syms[i].id, q.syms[q.next[i]].id}
	if v, ok := q.merges[pair]; ok {
		heap.Push(q, waitingMerge{i, pair, v.rank, v.id})
	}
}

// merged returns the symbols when nothing is left to merge.
func (q *mergeQueue) merged() []symbol {
	n := len(q.syms)
	q.next, q.prev = make([]int, n), make([]int, n)
	for i := range q.syms {
		q.next[i], q.prev[i] = i+1, i-1
	}
	for i := range q.syms {
		q.look(i)
	}
	gone := make([]bool, n)
	for len(q.queue) > 0 {
		w := heap.Pop(q).(waitingMerge)
		right := q.next[w.at]
		if gone[w.at] || right >= n || q.syms[w.at].id != w.pair[0] || q.syms[right].id != w.pair[1] {
			continue
		}
		q.syms[w.at].id, q.syms[w.at].hi = w.id, q.syms[right].hi
		gone[right] = true
		if q.next[w.at] = q.next[right]; q.next[w.at] < n {
			q.prev[q.next[w.at]] = w.at
		}
		q.look(q.prev[w.at])
		q.look(w.at)
	}
	out := q.syms[:0]
	for i, sym := range q.syms {
		if !gone[i] {
			out = append(out, sym)
		}
	}
	return out
}

// needsAffix tells whether a model is more than bpe can do.
func (m *modelFile) needsAffix() bool {
	if m.kind() != "BPE" {
		return false
	}
	if optional(m.SubwordPrefix) != "" || optional(m.WordSuffix) != "" {
		return true
	}
	bytes := len(someBytes(m.vocab))
	return m.ByteFallback && bytes > 0 && bytes < 256
}

// optional is the value of an optional string.
func optional(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// someBytes returns the ids of the <0xHH> that are there.
func someBytes(vocab map[string]int32) map[byte]int32 {
	ids := map[byte]int32{}
	for b := range 256 {
		if id, ok := vocab[fmt.Sprintf("<0x%02X>", b)]; ok {
			ids[byte(b)] = id
		}
	}
	return ids
}

func (m *modelFile) buildAffix() (*affixBPE, error) {
	a := &affixBPE{
		vocab: m.vocab, merges: make(map[[2]int32]pairValue, len(m.merges)), prefix: optional(m.SubwordPrefix), suffix: optional(m.WordSuffix),
		fuseUnk: m.FuseUnk, ignoreMerges: m.IgnoreMerges, unk: -1,
	}
	if m.UnkToken != nil {
		unk, err := m.unknown("")
		if err != nil {
			return nil, err
		}
		a.unk = unk
	}
	if m.ByteFallback {
		a.bytes = someBytes(m.vocab)
	}
	for rank, pair := range m.merges {
		whole := pair[0] + pair[1]
		if a.prefix != "" {
			if len(pair[1]) < len(a.prefix) {
				return nil, fmt.Errorf("merge %d (%q + %q): the right part has no prefix %q", rank, pair[0], pair[1], a.prefix)
			}
			whole = pair[0] + pair[1][len(a.prefix):]
		}
		left, okLeft := m.vocab[pair[0]]
		right, okRight := m.vocab[pair[1]]
		id, ok := m.vocab[whole]
		if !okLeft || !okRight || !ok {
			return nil, fmt.Errorf("merge %d (%q + %q): a part or the whole is not in the vocab", rank, pair[0], pair[1])
		}
		a.merges[[2]int32{left, right}] = pairValue{rank: int32(rank), id: id}
	}
	m.settings = []string{fmt.Sprintf("affix %q %q byteFallback %t fuseUnk %t ignoreMerges %t unk %d",
		a.prefix, a.suffix, m.ByteFallback, a.fuseUnk, a.ignoreMerges, a.unk)}
	return a, nil
}

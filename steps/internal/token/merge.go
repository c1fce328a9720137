package token

import (
	"iter"
	"math/bits"
	"math/rand/v2"
)

// symbol is a token in the making: its id and the bytes it covers.
type symbol struct {
	id     int32
	lo, hi int
}

// merger is the working memory of merging one pretoken.
type merger struct {
	syms  []symbol
	ranks []pairValue // mergeRun: of syms[i] with syms[i+1]
	heap  []candidate
	prev  []int
	next  []int
	last  origin // how the last merge was made
}

// pairValue says what a pair becomes; rank -1 is no merge.
type pairValue struct{ rank, id int32 }

// merge merges w.syms.
func (p *pairTable) merge(w *merger) {
	if len(w.syms) <= maxRun {
		p.mergeRun(w)
	} else {
		p.mergeHeap(w)
	}
}

// mergeRun merges w.syms by scanning, best for few symbols.
func (p *pairTable) mergeRun(w *merger) {
	if len(w.syms) < 2 {
		return
	}
	syms, ranks := w.syms, w.ranks[:0]
	for i := range len(syms) - 1 {
		ranks = append(ranks, p.get(syms[i].id, syms[i+1].id))
	}
	for {
		best := -1
		for i, r := range ranks {
			if r.rank >= 0 && (best < 0 || r.rank < ranks[best].rank) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		w.last = origin{left: syms[best].id, right: syms[best+1].id, rank: ranks[best].rank}
		syms[best].id, syms[best].hi = ranks[best].id, syms[best+1].hi
		syms = append(syms[:best+1], syms[best+2:]...)
		ranks = append(ranks[:best], ranks[best+1:]...)
		if best > 0 {
			ranks[best-1] = p.get(syms[best-1].id, syms[best].id)
		}
		if best < len(ranks) {
			ranks[best] = p.get(syms[best].id, syms[best+1].id)
		}
	}
	w.syms, w.ranks = syms, ranks[:0]
}

// candidate is a merge that was possible when it was queued.
type candidate struct {
	rank, id    int32
	at          int // index of the left symbol
	left, right int32
}

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.at < d.at
}

// mergeHeap merges w.syms with a priority queue over a linked list, in
// O(n log n). A candidate whose symbols have changed since is passed over.
func (p *pairTable) mergeHeap(w *merger) {
	n := len(w.syms)
	w.heap, w.prev, w.next = w.heap[:0], w.prev[:0], w.next[:0]
	for i := range n {
		w.prev, w.next = append(w.prev, i-1), append(w.next, i+1)
		p.queue(w, i)
	}
	for len(w.heap) > 0 {
		c := w.pop()
		right := w.next[c.at]
		if w.syms[c.at].id != c.left || right >= n || w.syms[right].id != c.right {
			continue
		}
		w.last = origin{left: c.left, right: c.right, rank: c.rank}
		w.syms[c.at].id, w.syms[c.at].hi = c.id, w.syms[right].hi
		w.syms[right].id = -1 // gone
		w.next[c.at] = w.next[right]
		if after := w.next[c.at]; after < n {
			w.prev[after] = c.at
		}
		if before := w.prev[c.at]; before >= 0 {
			p.queue(w, before)
		}
		p.queue(w, c.at)
	}
	out := w.syms[:0]
	for _, s := range w.syms {
		if s.id >= 0 {
			out = append(out, s)
		}
	}
	w.syms = out
}

// queue adds the merge of symbol i with its right neighbour, if there is one.
func (p *pairTable) queue(w *merger, i int) {
	right := i + 1
	if i < len(w.next) {
		right = w.next[i]
	}
	if right >= len(w.syms) {
		return
	}
	a, b := w.syms[i].id, w.syms[right].id
	if v := p.get(a, b); v.rank >= 0 {
		w.push(candidate{rank: v.rank, id: v.id, at: i, left: a, right: b})
	}
}

func (w *merger) push(c candidate) {
	w.heap = append(w.heap, c)
	i := len(w.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !w.heap[i].before(w.heap[up]) {
			break
		}
		w.heap[i], w.heap[up] = w.heap[up], w.heap[i]
		i = up
	}
}

func (w *merger) pop() candidate {
	top, last := w.heap[0], len(w.heap)-1
	w.heap[0] = w.heap[last]
	w.heap = w.heap[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if w.heap[child].before(w.heap[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		w.heap[i], w.heap[least] = w.heap[least], w.heap[i]
		i = least
	}
}

// pairTable maps pairs of ids to merges: open addressing, half full at most.
type pairTable struct {
	slots []pairSlot
	shift uint
	seed  uint64 // so that no file can be made to collide
}

// pairSlot is one pair; key 0 is none.
type pairSlot struct {
	key   uint64 // left<<32 | right, plus one
	value pairValue
}

func newPairTable(n int) pairTable {
	log := uint(max(4, bits.Len(uint(2*n))))
	return pairTable{slots: make([]pairSlot, 1<<log), shift: 64 - log, seed: rand.Uint64()}
}

// slot returns where the pair is or would be.
func (p *pairTable) slot(a, b int32) (*pairSlot, uint64) {
	key := (uint64(uint32(a))<<32 | uint64(uint32(b))) + 1
	i := mix(key, p.seed) >> p.shift
	for p.slots[i].key != 0 && p.slots[i].key != key {
		i = (i + 1) & uint64(len(p.slots)-1)
	}
	return &p.slots[i], key
}

func (p *pairTable) put(a, b int32, v pairValue) {
	s, key := p.slot(a, b)
	*s = pairSlot{key, v}
}

func (p *pairTable) get(a, b int32) pairValue {
	if s, _ := p.slot(a, b); s.key != 0 {
		return s.value
	}
	return pairValue{rank: -1}
}

// all yields every pair, in no order.
func (p *pairTable) all() iter.Seq2[[2]int32, pairValue] {
	return func(yield func([2]int32, pairValue) bool) {
		for _, s := range p.slots {
			key := s.key - 1
			if s.key != 0 && !yield([2]int32{int32(key >> 32), int32(uint32(key))}, s.value) {
				return
			}
		}
	}
}

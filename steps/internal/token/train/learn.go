// Package train learns the merges of byte-level BPE tokenizers from how often
// pretokens occur. Merges are those of Hugging Face's BpeTrainer, in its order,
// on the same pretokens: the most frequent pair first, and of equally frequent
// ones that of the smallest ids.
package train

import (
	"context"
	"math"
)

// Params say what is learnt.
type Params struct {
	VocabSize      int       // special tokens and the 256 bytes included
	MinFrequency   int64     // pairs that are less frequent are not merged
	MaxTokenLength int       // bytes of the longest piece that may be joined; 0 is any
	Special        []string  // as pieces: the bytes they spell; the first ids are theirs
	Order          [256]byte // the bytes in the order of their ids

	// Learnt, if not nil, is told now and then how many pieces there are.
	Learnt func(pieces int)
}

// Vocabulary is what was learnt.
type Vocabulary struct {
	Pieces []string // by id: the special tokens as given, else bytes
	Merges [][2]int32
}

// Learn learns merges. Words are raw bytes, in an order that decides nothing
// but must be the same for the same bytes of a result.
func Learn(ctx context.Context, words []string, counts []int64, p Params) (*Vocabulary, error) {
	l := &learner{Params: p, counts: counts, pairs: map[pair]*entry{}, ids: map[string]int32{}}
	if l.MaxTokenLength <= 0 {
		l.MaxTokenLength = math.MaxInt
	}
	l.start(words)
	err := l.learn(ctx)
	return &Vocabulary{Pieces: l.pieces, Merges: l.lastMerges()}, err
}

// pair is two ids, the left one in the upper half.
type pair uint64

func pairOf(a, b int32) pair { return pair(uint32(a))<<32 | pair(uint32(b)) }

func (p pair) split() (a, b int32) { return int32(p >> 32), int32(uint32(p)) }

// entry is what is known of a pair.
type entry struct {
	count   int64
	changed []int32 // words it newly came to stand in; ascending, each once
}

type learner struct {
	Params
	counts []int64 // of words
	words  [][]int32
	pieces []string
	ids    map[string]int32
	pairs  map[pair]*entry
	fresh  []pair // those with something in changed
	queue  queue
	merges []pair
}

// start spells every word in bytes and counts the pairs.
func (l *learner) start(words []string) {
	for _, s := range l.Special {
		l.add(s)
	}
	var byteID [256]int32
	for _, b := range l.Order {
		one := string([]byte{b})
		if _, ok := l.ids[one]; !ok {
			l.add(one)
		}
		byteID[b] = l.ids[one]
	}
	total := 0
	for _, w := range words {
		total += len(w)
	}
	flat := make([]int32, 0, total)
	l.words = make([][]int32, len(words))
	for i, w := range words {
		from := len(flat)
		for j := range len(w) {
			flat = append(flat, byteID[w[j]])
		}
		l.words[i] = flat[from:len(flat):len(flat)]
		for j := from + 1; j < len(flat); j++ {
			l.change(pairOf(flat[j-1], flat[j]), int32(i), 1)
		}
	}
	l.enqueue()
}

func (l *learner) add(piece string) int32 {
	id := int32(len(l.pieces))
	l.pieces, l.ids[piece] = append(l.pieces, piece), id
	return id
}

// change counts a pair of a word once more, or once less.
func (l *learner) change(p pair, word int32, by int64) {
	e := l.pairs[p]
	if e == nil {
		e = &entry{}
		l.pairs[p] = e
	}
	e.count += by * l.counts[word]
	if by < 0 {
		return
	}
	switch n := len(e.changed); {
	case n == 0:
		l.fresh = append(l.fresh, p)
		e.changed = append(e.changed, word)
	case e.changed[n-1] != word:
		e.changed = append(e.changed, word)
	}
}

// enqueue queues the pairs that are new somewhere.
func (l *learner) enqueue() {
	for _, p := range l.fresh {
		e := l.pairs[p]
		if e.count > 0 {
			l.queue.push(candidate{count: e.count, pair: p, words: e.changed})
		}
		e.changed = nil
	}
	l.fresh = l.fresh[:0]
}

// learn merges the most frequent pair until there are pieces enough.
func (l *learner) learn(ctx context.Context) error {
	for len(l.ids) < l.VocabSize && len(l.queue.all) > 0 {
		top := l.queue.pop()
		if now := l.pairs[top.pair].count; now != top.count { // lazily: what is in the queue may be out of date
			if now > 0 {
				top.count = now
				l.queue.push(top)
			}
			continue
		}
		if top.count < max(1, l.MinFrequency) {
			break
		}
		if len(l.merges)%64 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if l.Learnt != nil {
				l.Learnt(len(l.pieces))
			}
		}
		a, b := top.pair.split()
		piece := l.pieces[a] + l.pieces[b]
		id, ok := l.ids[piece] // two ways may lead to one piece
		if !ok {
			id = l.add(piece)
		}
		l.merges = append(l.merges, top.pair)
		for _, word := range top.words {
			l.merge(word, a, b, id)
		}
		l.enqueue()
	}
	return nil
}

// merge joins a and b in a word. The count of the pair itself stays: whoever
// joined it everywhere asks no more.
func (l *learner) merge(word, a, b, id int32) {
	w := l.words[word]
	n := 0 // of what is done
	for i := 0; i < len(w); {
		if w[i] != a || i+1 >= len(w) || w[i+1] != b {
			w[n] = w[i]
			n, i = n+1, i+1
			continue
		}
		i += 2
		if n > 0 {
			l.change(pairOf(w[n-1], a), word, -1)
			l.joined(w[n-1], id, word)
		}
		if i < len(w) {
			l.change(pairOf(b, w[i]), word, -1)
			l.joined(id, w[i], word)
		}
		w[n] = id
		n++
	}
	l.words[word] = w[:n]
}

// joined counts a new pair, unless what it would make is too long.
func (l *learner) joined(a, b, word int32) {
	if len(l.pieces[a])+len(l.pieces[b]) <= l.MaxTokenLength {
		l.change(pairOf(a, b), word, 1)
	}
}

// lastMerges returns the merges, of equal ones the last.
func (l *learner) lastMerges() [][2]int32 {
	last := make(map[pair]int, len(l.merges))
	for i, p := range l.merges {
		last[p] = i
	}
	merges := make([][2]int32, 0, len(last))
	for i, p := range l.merges {
		if last[p] == i {
			a, b := p.split()
			merges = append(merges, [2]int32{a, b})
		}
	}
	return merges
}

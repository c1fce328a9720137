package decoder

import (
	"context"
	"fmt"
	"slices"
)

// Session continues one text token by token. It caches the keys and values of
// the tokens before and is for one goroutine at a time.
type Session struct {
	m      *Model
	s      *scratch
	v      values
	blocks []*block
	caches []kv
	hs     headScratch
	x      []float32
	pos    []int32
	logits []float32
	n, cap int
}

// cacheStep is by how many positions the cache grows.
const cacheStep = 256

// NewSession returns an empty session.
func (m *Model) NewSession(threads int) *Session {
	s := &Session{m: m, s: newScratch(m.Config, threads), caches: make([]kv, m.Layers)}
	for i := range m.blocks {
		s.blocks = append(s.blocks, m.block(i))
	}
	return s
}

// Len is the number of tokens read so far.
func (s *Session) Len() int { return s.n }

// Reset forgets everything read so far and keeps the buffers.
func (s *Session) Reset() { s.n = 0 }

// reserve makes room for n positions in the cache.
func (s *Session) reserve(n int) {
	if n <= s.cap {
		return
	}
	room := max(min((n+cacheStep-1)/cacheStep*cacheStep, s.m.MaxPositions), min(2*s.cap, s.m.MaxPositions))
	w := s.m.keyWidth()
	for i := range s.caches {
		old := s.caches[i]
		fresh := kv{k: make([]float32, room*w), v: make([]float32, room*w)}
		copy(fresh.k, old.k[:s.n*w])
		copy(fresh.v, old.v[:s.n*w])
		s.caches[i] = fresh
	}
	s.cap = room
}

// Read appends tokens and returns the logits [VocabSize] after the last one,
// valid until the next call. It fails when the model's positions do not suffice
// or an id is outside the vocabulary.
func (s *Session) Read(ctx context.Context, ids []int32) ([]float32, error) {
	n := len(ids)
	if n == 0 {
		return nil, fmt.Errorf("nothing to read: the prompt has no tokens")
	}
	if s.n+n > s.m.MaxPositions {
		return nil, fmt.Errorf("%d tokens do not fit the model's %d positions", s.n+n, s.m.MaxPositions)
	}
	for _, id := range ids {
		if id < 0 || int(id) >= s.m.VocabSize {
			return nil, fmt.Errorf("id %d is outside the model's vocabulary of %d", id, s.m.VocabSize)
		}
	}
	s.reserve(s.n + n)
	s.s.ropes.grow(s.cap)
	s.pos = s.pos[:0]
	for i := range n {
		s.pos = append(s.pos, int32(s.n+i))
	}
	s.x = sized(s.x, n*s.m.Hidden)
	s.m.embedAt(ids, s.pos, s.x)
	in := input{n, s.pos, []Span{{0, n}}}
	for i, b := range s.blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.caches[i].past = s.n
		b.forward(s.s, &s.v, in, &s.caches[i], s.x, s.x)
	}
	s.n += n
	s.logits = sized(s.logits, s.m.VocabSize)
	s.m.finalHead().logits(s.s.threads, &s.hs, s.x, []int32{int32(n - 1)}, s.logits)
	return s.logits, nil
}

// Limits say when a generation ends.
type Limits struct {
	// MaxNewTokens is how many ids are generated at most.
	MaxNewTokens int
	// Stop ends the generation; a stop id is not part of the result.
	Stop []int32
}

// Generate reads prompt and then generates: choose picks an id from the logits
// [VocabSize], which it may overwrite, for the i-th new token; yield sees every
// id and may end the generation by returning false. It ends by itself at a stop
// id, at MaxNewTokens or when the model's positions are used up.
func (s *Session) Generate(ctx context.Context, prompt []int32, l Limits, choose func(i int, logits []float32) int32, yield func(id int32) bool) error {
	next := prompt
	for i := range l.MaxNewTokens {
		logits, err := s.Read(ctx, next)
		if err != nil {
			return err
		}
		id := choose(i, logits)
		if slices.Contains(l.Stop, id) || !yield(id) || s.n >= s.m.MaxPositions {
			return nil
		}
		next = []int32{id}
	}
	return nil
}

// Greedy chooses the id of the largest logit, the smallest such id.
func Greedy(_ int, logits []float32) int32 {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return int32(best)
}

// Complete generates greedily and returns the new ids.
func (s *Session) Complete(ctx context.Context, prompt []int32, l Limits) ([]int32, error) {
	var ids []int32
	err := s.Generate(ctx, prompt, l, Greedy, func(id int32) bool {
		ids = append(ids, id)
		return true
	})
	return ids, err
}

package token

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// EncodeBatch returns the ids of each text, as Encode does, which it finds on
// so many goroutines at once; 0 is as many as may run. The ids do not depend on
// how many there are.
func (t *Tokenizer) EncodeBatch(texts []string, addSpecial bool, threads int) [][]int32 {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	out := make([][]int32, len(texts))
	var next atomic.Int64
	work := func() {
		s := t.borrow(false)
		defer t.giveBack(s)
		for i := int(next.Add(1) - 1); i < len(texts); i = int(next.Add(1) - 1) {
			s.ids = s.ids[:0]
			t.encode(s, texts[i], addSpecial)
			out[i] = slices.Clone(s.ids)
		}
		s.ids = nil
	}
	var others sync.WaitGroup
	for range min(threads, len(texts)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	return out
}

package tensor

import (
	"sync"
	"sync/atomic"
)

// Parallel calls f(0), …, f(n-1), each once, on up to threads goroutines, and returns when all are done. What f(i)
// does must not depend on which other calls ran before it; then the number of threads changes no bit. A panic in f
// is raised again in the caller.
func Parallel(threads, n int, f func(i int)) {
	if threads > n {
		threads = n
	}
	if threads <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	p := &pool{n: int64(n), f: f}
	p.wg.Add(threads - 1)
	for range threads - 1 {
		go p.help()
	}
	p.work()
	p.wg.Wait()
	if v := p.failed.Load(); v != nil {
		panic(*v)
	}
}

// A pool hands out the numbers below n to whoever asks next.
type pool struct {
	n      int64
	f      func(i int)
	next   atomic.Int64
	wg     sync.WaitGroup
	failed atomic.Pointer[any]
}

func (p *pool) help() {
	defer p.wg.Done()
	p.work()
}

// work calls f until the numbers run out. A panic ends the handing out; the first one is kept for the caller.
func (p *pool) work() {
	defer func() {
		if v := recover(); v != nil {
			p.failed.CompareAndSwap(nil, &v)
			p.next.Store(p.n)
		}
	}()
	for i := p.next.Add(1) - 1; i < p.n; i = p.next.Add(1) - 1 {
		p.f(int(i))
	}
}

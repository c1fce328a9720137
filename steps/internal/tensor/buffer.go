package tensor

import (
	"math/bits"
	"sync"
)

// A buffer is scratch memory with arbitrary content. Buffers are kept by size class for the next user, so that a
// training update in steady state allocates none.
type buffer struct {
	f     []float32
	class int
}

var buffers [48]sync.Pool

// getBuffer returns a buffer of n float32s.
func getBuffer(n int) *buffer {
	class := bits.Len(uint(max(n, 1024) - 1))
	b, ok := buffers[class].Get().(*buffer)
	if !ok {
		b = &buffer{make([]float32, 1<<class), class}
	}
	b.f = b.f[:n]
	return b
}

// free gives the buffer back. Nothing may use its memory afterwards.
func (b *buffer) free() { buffers[b.class].Put(b) }

package dataset

import (
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/apache/arrow/go/v17/arrow/memory"
)

// guard runs f, which calls into the Arrow and Parquet libraries, and turns a
// panic into an error: both panic on many malformed files. It covers the calling
// goroutine only, so f must not let the library start others.
func guard(f func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case limitError:
			err = p
		case runtime.Error:
			err = fmt.Errorf("malformed: %s", strings.TrimPrefix(p.Error(), "runtime error: "))
		default:
			err = fmt.Errorf("malformed: %v", p)
		}
	}()
	return f()
}

// limitError says that decoding wanted more memory than is allowed.
type limitError struct{ limit int64 }

func (e limitError) Error() string {
	return fmt.Sprintf("decoding takes more than %d MiB of memory at once", e.limit>>20)
}

// bounded is an allocator that panics with a limitError when more than limit
// bytes are in use; guard turns that into an error.
type bounded struct {
	next  memory.Allocator
	limit int64

	mu   sync.Mutex // guards used
	used int64
}

func newBounded(limit int64) *bounded {
	return &bounded{next: memory.NewGoAllocator(), limit: limit}
}

func (b *bounded) Allocate(size int) []byte {
	b.reserve(size)
	return b.next.Allocate(size)
}

func (b *bounded) Reallocate(size int, old []byte) []byte {
	b.reserve(size - len(old))
	return b.next.Reallocate(size, old)
}

func (b *bounded) Free(old []byte) {
	b.mu.Lock()
	b.used -= int64(len(old))
	b.mu.Unlock()
	b.next.Free(old)
}

func (b *bounded) reserve(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if size < 0 && b.used+int64(size) < 0 || b.used+int64(size) > b.limit {
		panic(limitError{b.limit})
	}
	b.used += int64(size)
}

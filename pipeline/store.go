package pipeline

import (
	"context"
	"errors"
	"io"
)

// ErrNotFound reports that a store or cache has no such entry. It is a miss,
// never a failure.
var ErrNotFound = errors.New("not found")

// A Store holds blobs by digest. It is safe for concurrent use, by other
// processes too.
type Store interface {
	// Get opens the blob d. A blob that is absent, or whose bytes are known
	// to have changed, is ErrNotFound. The caller closes the reader.
	Get(ctx context.Context, d Digest) (io.ReadCloser, error)

	// Put stores what r holds and returns its digest and size. It is atomic:
	// after an error, or a crash, nothing is stored. Storing the same bytes
	// twice is not an error.
	Put(ctx context.Context, r io.Reader) (Digest, int64, error)

	// Missing returns those of ds that Get would not find.
	Missing(ctx context.Context, ds []Digest) ([]Digest, error)
}

// A Cache maps keys to results. It is safe for concurrent use.
type Cache interface {
	// Lookup returns the result under k, or ErrNotFound when there is none
	// or any blob that it names is gone.
	Lookup(ctx context.Context, k Key) (*Result, error)

	// Record stores r under k, replacing what was there. Every blob that r
	// names must already be in the store.
	Record(ctx context.Context, k Key, r *Result) error
}

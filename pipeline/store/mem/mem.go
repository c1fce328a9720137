// Package mem keeps blobs and results in memory, for tests and for looking at
// trees that need not survive.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"sync"

	"github.com/pipe-run/pipe/pipeline"
)

// A Store is a [pipeline.Store] and a [pipeline.Cache] in memory. It is safe
// for concurrent use.
type Store struct {
	mu      sync.RWMutex // guards what follows
	blobs   map[pipeline.Digest][]byte
	results map[pipeline.Key]*pipeline.Result
}

var (
	_ pipeline.Store = (*Store)(nil)
	_ pipeline.Cache = (*Store)(nil)
)

// New returns an empty store.
func New() *Store {
	return &Store{
		blobs:   map[pipeline.Digest][]byte{},
		results: map[pipeline.Key]*pipeline.Result{},
	}
}

// Get implements [pipeline.Store]. The reader is an [io.ReaderAt] too.
func (s *Store) Get(ctx context.Context, d pipeline.Digest) (io.ReadCloser, error) {
	b, err := s.blob(d)
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", d, err)
	}
	return reader{bytes.NewReader(b)}, nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

func (s *Store) blob(d pipeline.Digest) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.blobs[d]
	if !ok {
		return nil, pipeline.ErrNotFound
	}
	return b, nil
}

// Put implements [pipeline.Store].
func (s *Store) Put(ctx context.Context, r io.Reader) (pipeline.Digest, int64, error) {
	b, err := io.ReadAll(r)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return pipeline.Digest{}, 0, fmt.Errorf("storing blob: %w", err)
	}
	d := pipeline.SumBytes(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[d] = b
	return d, int64(len(b)), nil
}

// Missing implements [pipeline.Store].
func (s *Store) Missing(ctx context.Context, ds []pipeline.Digest) ([]pipeline.Digest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var missing []pipeline.Digest
	for _, d := range ds {
		if _, err := s.blob(d); err != nil {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// Delete removes the blob d, as gc would.
func (s *Store) Delete(d pipeline.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, d)
}

// Lookup implements [pipeline.Cache]. The result belongs to the caller.
func (s *Store) Lookup(ctx context.Context, k pipeline.Key) (*pipeline.Result, error) {
	s.mu.RLock()
	r, ok := s.results[k]
	s.mu.RUnlock()
	err := pipeline.ErrNotFound
	if ok {
		r, err = s.measure(r)
	}
	if err != nil {
		return nil, fmt.Errorf("looking up result %s: %w", k, err)
	}
	return r, nil
}

// Record implements [pipeline.Cache]. The sizes of the outputs are counted,
// not taken from r. Record fails when a blob that r names is not there.
func (s *Store) Record(ctx context.Context, k pipeline.Key, r *pipeline.Result) error {
	r, err := s.measure(r)
	if err != nil {
		return fmt.Errorf("recording result %s: %w", k, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[k] = r
	return nil
}

// measure returns a copy of r with the sizes of its artifacts, if all of its
// blobs are there.
func (s *Store) measure(r *pipeline.Result) (*pipeline.Result, error) {
	c := *r
	c.Outputs = maps.Clone(r.Outputs)
	for name, a := range c.Outputs {
		size, err := s.tree(a.Root, 0)
		if err != nil {
			return nil, err
		}
		a.Size = size
		c.Outputs[name] = a
	}
	if !r.Log.IsZero() {
		if _, err := s.blob(r.Log); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// maxDepth bounds the levels of a tree.
const maxDepth = 100

// tree returns the sum of the sizes of the files below the directory d.
func (s *Store) tree(d pipeline.Digest, depth int) (int64, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("%w: tree of more than %d levels", pipeline.ErrNotFound, maxDepth)
	}
	b, err := s.blob(d)
	if err != nil {
		return 0, err
	}
	dir, err := pipeline.DecodeDirectory(b)
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %v", pipeline.ErrNotFound, d, err)
	}
	total := int64(0)
	for _, f := range dir.Files {
		b, err := s.blob(f.Digest)
		if err != nil {
			return 0, err
		}
		if int64(len(b)) != f.Size || total > math.MaxInt64-f.Size {
			return 0, fmt.Errorf("%w: blob %s has %d bytes, not %d", pipeline.ErrNotFound, f.Digest, len(b), f.Size)
		}
		total += f.Size
	}
	for _, sub := range dir.Dirs {
		n, err := s.tree(sub.Digest, depth+1)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
)

// A cached result, with everything that a hit depends on.
type cached struct {
	result *pipeline.Result
	file   stat // of the result file
	blobs  []sized
}

// Lookup implements [pipeline.Cache]. A hit is a result whose every blob is
// present, with the recorded size and the stat data of the memo; blobs with
// other stat data are hashed. The result belongs to the caller.
func (s *Store) Lookup(ctx context.Context, k pipeline.Key) (*pipeline.Result, error) {
	if r := s.fromSnapshots(k); r != nil {
		return r, nil
	}
	c, err := s.lookup(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("looking up result %s: %w", k, err)
	}
	return cloneResult(c.result), nil
}

func cloneResult(r *pipeline.Result) *pipeline.Result {
	c := *r
	c.Outputs = maps.Clone(r.Outputs)
	return &c
}

// lookup finds the result of k in memory or reads it from its file.
func (s *Store) lookup(ctx context.Context, k pipeline.Key) (*cached, error) {
	path := s.path("ac", k.String())
	st, err := lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, pipeline.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	c := s.results[k]
	s.mu.Unlock()
	if c == nil || c.file != st {
		if c, err = s.load(ctx, k); err != nil {
			return nil, err
		}
	} else if err := s.checkAll(ctx, c.blobs); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.results[k] = c
	s.mu.Unlock()
	return c, nil
}

// load reads the result file of k and checks every blob that it stands for.
func (s *Store) load(ctx context.Context, k pipeline.Key) (*cached, error) {
	f, err := os.Open(s.path("ac", k.String()))
	if errors.Is(err, os.ErrNotExist) {
		return nil, pipeline.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, _, err := fstat(f)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxResult+1))
	if err != nil {
		return nil, err
	}
	stored, err := decodeResult(k, b)
	if err != nil {
		return nil, s.dropResult(k, st.Ino, err.Error())
	}
	c := &cached{result: stored.result, file: st}
	if c.blobs, err = s.measure(ctx, c.result); err != nil {
		return nil, err
	}
	return c, s.checkAll(ctx, c.blobs)
}

// dropResult removes the result file of k if it still has the given inode,
// and returns ErrNotFound.
func (s *Store) dropResult(k pipeline.Key, inode uint64, problem string) error {
	path := s.path("ac", k.String())
	if st, err := lstat(path); err == nil && st.Ino == inode {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("%w: result %s is damaged (%s) and cannot be removed: %v", pipeline.ErrNotFound, k, problem, err)
		}
	}
	s.damaged(Report{"result", k.String(), problem})
	return pipeline.ErrNotFound
}

// measure fills in the sizes of r's artifacts and returns all blobs that r
// stands for: log, directories and files.
func (s *Store) measure(ctx context.Context, r *pipeline.Result) ([]sized, error) {
	w := newWalk(s.directory)
	if err := w.outputs(ctx, r); err != nil {
		return nil, err
	}
	if !r.Log.IsZero() {
		st, err := s.check(r.Log)
		if err != nil {
			return nil, err
		}
		w.add(r.Log, st.Size)
	}
	return w.blobs, w.err
}

// maxDepth bounds the levels of a tree.
const maxDepth = 100

// A walk visits each directory of some trees once.
type walk struct {
	read  func(pipeline.Digest) (*pipeline.Directory, int64, error) // a directory and the size of its encoding
	dirs  map[pipeline.Digest]int64                                 // total size of a directory's files
	seen  map[pipeline.Digest]int64                                 // size of a blob
	blobs []sized
	err   error // two sizes for one digest
}

func newWalk(read func(pipeline.Digest) (*pipeline.Directory, int64, error)) *walk {
	return &walk{read: read, dirs: map[pipeline.Digest]int64{}, seen: map[pipeline.Digest]int64{}}
}

// outputs visits the trees of r's artifacts and fills in their sizes.
func (w *walk) outputs(ctx context.Context, r *pipeline.Result) error {
	for _, name := range slices.Sorted(maps.Keys(r.Outputs)) {
		a := r.Outputs[name]
		size, err := w.tree(ctx, a.Root, 0)
		if err != nil {
			return err
		}
		a.Size = size
		r.Outputs[name] = a
	}
	return nil
}

func (w *walk) add(d pipeline.Digest, size int64) {
	old, ok := w.seen[d]
	if !ok {
		w.seen[d] = size
		w.blobs = append(w.blobs, sized{d, size})
	} else if old != size && w.err == nil {
		w.err = fmt.Errorf("%w: blob %s is listed with %d and with %d bytes", pipeline.ErrNotFound, d, old, size)
	}
}

// tree returns the sum of the sizes of the files below the directory d.
func (w *walk) tree(ctx context.Context, d pipeline.Digest, depth int) (int64, error) {
	if total, ok := w.dirs[d]; ok {
		return total, nil
	}
	if depth > maxDepth {
		return 0, fmt.Errorf("%w: tree of more than %d levels", pipeline.ErrNotFound, maxDepth)
	}
	if ctx.Err() != nil {
		return 0, canceled(ctx)
	}
	dir, size, err := w.read(d)
	if err != nil {
		return 0, err
	}
	w.add(d, size)
	total := int64(0)
	for _, f := range dir.Files {
		w.add(f.Digest, f.Size)
		total = addSizes(total, f.Size)
	}
	for _, sub := range dir.Dirs {
		n, err := w.tree(ctx, sub.Digest, depth+1)
		if err != nil {
			return 0, err
		}
		total = addSizes(total, n)
	}
	w.dirs[d] = total
	return total, nil
}

// addSizes stops at the largest size: a small forged tree can repeat a large
// file beyond all bounds.
func addSizes(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// maxDirectory bounds the bytes of an encoded directory.
const maxDirectory = 64 << 20

// directory reads the directory d and returns the size of its encoding too.
func (s *Store) directory(d pipeline.Digest) (*pipeline.Directory, int64, error) {
	f, err := s.open(d)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	return readDirectory(f, d)
}

// readDirectory reads the encoding of the directory d, which must be all of r.
func readDirectory(r io.Reader, d pipeline.Digest) (*pipeline.Directory, int64, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDirectory+1))
	if err != nil {
		return nil, 0, err
	}
	if len(b) > maxDirectory {
		return nil, 0, fmt.Errorf("%w: directory %s has more than %d bytes", pipeline.ErrNotFound, d, maxDirectory)
	}
	dir, err := pipeline.DecodeDirectory(b)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s: %v", pipeline.ErrNotFound, d, err)
	}
	return dir, int64(len(b)), nil
}

// checkAll returns ErrNotFound unless all blobs are there with their sizes.
func (s *Store) checkAll(ctx context.Context, blobs []sized) error {
	return parallel(ctx, len(blobs), func(i int) error {
		st, err := s.check(blobs[i].digest)
		if err == nil && st.Size != blobs[i].size {
			err = fmt.Errorf("%w: blob %s has %d bytes, not %d", pipeline.ErrNotFound, blobs[i].digest, st.Size, blobs[i].size)
		}
		return err
	})
}

// Record implements [pipeline.Cache]. The sizes of the outputs are counted,
// not taken from r. Record fails when a blob that r names is not there.
func (s *Store) Record(ctx context.Context, k pipeline.Key, r *pipeline.Result) error {
	if err := s.record(ctx, k, cloneResult(r)); err != nil {
		return fmt.Errorf("recording result %s: %w", k, err)
	}
	return nil
}

func (s *Store) record(ctx context.Context, k pipeline.Key, r *pipeline.Result) error {
	blobs, err := s.measure(ctx, r)
	if err != nil {
		return err
	}
	if err := s.checkAll(ctx, blobs); err != nil {
		return err
	}
	sizes := make(map[pipeline.Digest]int64, len(blobs))
	for _, b := range blobs {
		sizes[b.digest] = b.size
	}
	raw, err := encodeResult(k, r, sizes)
	if err != nil {
		return err
	}
	path := s.path("ac", k.String())
	if err := s.makeFanout(path); err != nil {
		return err
	}
	if err := s.writeFile(path, 0o444, raw); err != nil {
		return err
	}
	st, err := lstat(path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.results[k] = &cached{result: r, file: st, blobs: blobs}
	s.mu.Unlock()
	s.noteUse([]pipeline.Key{k})
	return nil
}

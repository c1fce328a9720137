package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pipe-run/pipe/pipeline"
)

// A Source is a second cache that is only read: the cache directory of another
// pipe, or an archive that [Store.Export] wrote. [Store.Pull] takes results
// from it. What it holds is checked when it is read; what is damaged is a miss.
// It is safe for concurrent use.
type Source struct {
	name  string
	store *Store // that it is a source for
	blob  func(pipeline.Digest) string
	raw   func(pipeline.Key) ([]byte, error) // an encoded result
	close func() error

	warn func(message string)

	mu     sync.Mutex                // guards what follows
	right  map[pipeline.Digest]int64 // sizes of blobs that were read and are right
	misses map[pipeline.Key]bool     // results that are of no use
}

// OpenSource opens the cache directory or archive at path as a source for s;
// warn is told, once each, of what is damaged. Nothing is written there. An
// archive is read and checked as a whole, into a folder of s that
// [Source.Close] removes. Errors say what is wrong with path.
func (s *Store) OpenSource(ctx context.Context, path string, warn func(message string)) (*Source, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist", path)
	}
	if err != nil {
		return nil, err
	}
	src := &Source{
		name: path, store: s, warn: warn, close: func() error { return nil },
		right: map[pipeline.Digest]int64{}, misses: map[pipeline.Key]bool{},
	}
	if info.IsDir() {
		return src, src.openDir(path, info)
	}
	return src, src.openArchive(ctx, path)
}

// openDir makes the cache directory dir what src reads.
func (src *Source) openDir(dir string, info os.FileInfo) error {
	if own, err := os.Stat(src.store.dir); err == nil && os.SameFile(own, info) {
		return fmt.Errorf("%s is the cache that this pipe uses itself", dir)
	}
	raw, err := readLimited(filepath.Join(dir, "version"), 64)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not a cache directory of pipe: it has no version file", dir)
	}
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || n < 1 {
		return fmt.Errorf("%s is not a cache directory of pipe: its version file says %.20q", dir, raw)
	}
	if n != version {
		return fmt.Errorf("%s has format %d, this pipe reads format %d: use the pipe that wrote it, or a newer one", dir, n, version)
	}
	other := &Store{dir: dir}
	src.blob = func(d pipeline.Digest) string { return other.path("cas", d.String()) }
	src.raw = func(k pipeline.Key) ([]byte, error) { return readLimited(other.path("ac", k.String()), maxResult) }
	// A shared lock, which needs no writing, keeps gc from deleting there
	// meanwhile. Where it cannot be had, what gc deletes is a miss.
	if hold, err := os.Open(filepath.Join(dir, "locks", "cache")); err == nil {
		if flock(hold, unix.LOCK_SH|unix.LOCK_NB) != nil {
			return hold.Close()
		}
		src.close = hold.Close
	}
	return nil
}

// openArchive reads the archive at path into a folder of the store.
func (src *Source) openArchive(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := src.store.newImporter(ImportOptions{CheckTag: func([]byte) error { return nil }})
	if err != nil {
		return err
	}
	src.close = func() error { return os.RemoveAll(m.dir) }
	src.blob = m.path
	if err = m.stage(ctx, f); err == nil {
		err = m.check(ctx)
	}
	src.raw = func(k pipeline.Key) ([]byte, error) {
		if r, ok := m.results[k]; ok {
			return r.raw, nil
		}
		return nil, os.ErrNotExist
	}
	if err != nil {
		src.Close()
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Name returns the path that src was opened with.
func (src *Source) Name() string { return src.name }

// Close lets go of what was read.
func (src *Source) Close() error { return src.close() }

// Lookup returns the result under k, or [pipeline.ErrNotFound] when there is
// none or a blob of it is neither in src nor in the store. It reads result and
// directories, and looks at the sizes of the rest.
func (src *Source) Lookup(ctx context.Context, k pipeline.Key) (*pipeline.Result, error) {
	_, s, w, err := src.find(ctx, k)
	if err != nil {
		return nil, src.miss(k, err)
	}
	for _, b := range w.blobs {
		if err := src.there(b); err != nil {
			return nil, src.miss(k, err)
		}
	}
	return s.result, nil
}

// find reads the result of k, and lists the blobs that it stands for.
func (src *Source) find(ctx context.Context, k pipeline.Key) ([]byte, *storedResult, *walk, error) {
	src.mu.Lock()
	known := src.misses[k]
	src.mu.Unlock()
	if known {
		return nil, nil, nil, pipeline.ErrNotFound
	}
	raw, err := src.raw(k)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil, pipeline.ErrNotFound
	}
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := decodeResult(k, raw)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("result %s is damaged: %v", k, err)
	}
	w := newWalk(src.directory)
	if err := w.outputs(ctx, s.result); err != nil {
		return nil, nil, nil, err
	}
	if log := s.result.Log; !log.IsZero() {
		w.add(log, s.sizes[log])
	}
	return raw, s, w, w.err
}

// miss turns err into a miss of k, which is said once, unless it is that of a
// context or there is no result.
func (src *Source) miss(k pipeline.Key, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	src.mu.Lock()
	first := !src.misses[k]
	src.misses[k] = true
	src.mu.Unlock()
	if first && err != pipeline.ErrNotFound {
		src.warn(fmt.Sprintf("%s: a result of it is not used: %v", src.name, err))
	}
	return pipeline.ErrNotFound
}

// there demands a blob of a size, in the store or in src.
func (src *Source) there(b sized) error {
	if st, err := src.store.check(b.digest); err == nil && st.Size == b.size {
		return nil
	}
	info, err := os.Lstat(src.blob(b.digest))
	if err != nil {
		return fmt.Errorf("blob %s cannot be read: %w", b.digest, err)
	}
	if !info.Mode().IsRegular() || info.Size() != b.size {
		return fmt.Errorf("blob %s is damaged: it has %d bytes, not %d", b.digest, info.Size(), b.size)
	}
	return nil
}

// directory reads the directory d out of the store or out of src.
func (src *Source) directory(d pipeline.Digest) (*pipeline.Directory, int64, error) {
	if dir, size, err := src.store.directory(d); err == nil {
		return dir, size, nil
	}
	raw, err := readLimited(src.blob(d), maxDirectory)
	if err != nil {
		return nil, 0, fmt.Errorf("blob %s cannot be read: %w", d, err)
	}
	if got := pipeline.SumBytes(raw); got != d {
		return nil, 0, fmt.Errorf("blob %s is damaged: its %d bytes have the SHA-256 %s", d, len(raw), got)
	}
	return readDirectory(bytes.NewReader(raw), d)
}

// open opens a blob out of the store, or out of src, having hashed it there.
func (src *Source) open(d pipeline.Digest) (*os.File, error) {
	if f, err := src.store.open(d); err == nil {
		return f, nil
	}
	f, err := openRegular(src.blob(d))
	if err != nil {
		return nil, fmt.Errorf("%w: blob %s: %v", pipeline.ErrNotFound, d, err)
	}
	if err := src.verify(f, d); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %v", pipeline.ErrNotFound, err)
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// verify hashes the blob d once.
func (src *Source) verify(f *os.File, d pipeline.Digest) error {
	src.mu.Lock()
	_, right := src.right[d]
	src.mu.Unlock()
	if right {
		return nil
	}
	got, size, err := sum(context.Background(), f)
	if err != nil {
		return err
	}
	if got != d {
		return fmt.Errorf("blob %s is damaged: its %d bytes have the SHA-256 %s", d, size, got)
	}
	src.mu.Lock()
	src.right[d] = size
	src.mu.Unlock()
	return nil
}

// FS views the artifact root, which lies in src or in the store.
func (src *Source) FS(root pipeline.Digest) (fs.FS, error) {
	if _, _, err := src.directory(root); err != nil {
		return nil, &fs.PathError{Op: "open", Path: root.String(), Err: err}
	}
	return treeFS{src, root}, nil
}

package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/store/archive"
)

// ImportOptions say what becomes of the tags of an archive.
type ImportOptions struct {
	// CheckTag refuses a tag; an archive with one such is refused as a whole.
	CheckTag func(raw []byte) error
	// KeepTag keeps a tag, after everything else is in the store.
	KeepTag func(raw []byte) error
}

// An ImportResult says what an archive held, and what of that was new.
type ImportResult struct {
	archive.Counts
	New archive.Counts `json:"new"`
}

// Import takes in what [Store.Export] wrote. It reads and checks all of r
// before it keeps any of it: an archive that is cut off, damaged or forged
// leaves nothing behind. Then blobs come first, results after them and tags
// last, so that whoever is killed meanwhile leaves no result without its
// blobs. Results that the store has stay as they are.
//
// Whoever can write the archive says what the results of keys are: as with a
// cache, import only from where you would run programs from.
func (s *Store) Import(ctx context.Context, r io.Reader, o ImportOptions) (*ImportResult, error) {
	m, err := s.newImporter(o)
	if err != nil {
		return nil, fmt.Errorf("importing: %w", err)
	}
	defer os.RemoveAll(m.dir)
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return m.stage(ctx, r) }, m.check, m.keep,
	} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("importing: %w", err)
		}
	}
	return m.result, nil
}

// newImporter makes an importer, whose folder the caller removes.
func (s *Store) newImporter(o ImportOptions) (*importer, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Join(s.dir, "tmp"), "import-")
	if err != nil {
		return nil, s.explain(err)
	}
	return &importer{store: s, options: o, dir: dir, staged: map[pipeline.Digest]int64{}, results: map[pipeline.Key]*arrival{}, result: &ImportResult{}}, nil
}

// An importer is one import.
type importer struct {
	store   *Store
	options ImportOptions
	dir     string                    // of the blobs that the store lacks, by digest
	staged  map[pipeline.Digest]int64 // their sizes
	results map[pipeline.Key]*arrival // those that the store lacks
	tags    [][]byte
	result  *ImportResult
}

// An arrival is a result out of an archive.
type arrival struct {
	raw    []byte
	result *pipeline.Result
}

// stage reads the archive to its end.
func (m *importer) stage(ctx context.Context, r io.Reader) error {
	a, err := archive.NewReader(reader{ctx, r}, runtime.GOMAXPROCS(0))
	if err != nil {
		return err
	}
	defer a.Close()
	for {
		e, err := a.Next()
		if err == io.EOF {
			m.result.Counts = a.Counts()
			return nil
		}
		if err == nil {
			err = m.take(a, e)
		}
		if ctx.Err() != nil {
			return canceled(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// take keeps one record aside.
func (m *importer) take(a *archive.Reader, e archive.Entry) error {
	switch e.Type {
	case archive.Blob:
		if st, err := m.store.check(e.Digest); err == nil && st.Size == e.Size {
			return nil // Next reads and checks it all the same
		} else if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
			return err
		}
		return m.stageBlob(a, e)
	case archive.Result:
		s, err := decodeResult(e.Key, e.Raw)
		if err != nil {
			return fmt.Errorf("%w: result %s: %v", archive.ErrDamaged, e.Key, err)
		}
		m.results[e.Key] = &arrival{e.Raw, s.result}
	case archive.Tag:
		if m.options.CheckTag == nil {
			return fmt.Errorf("%w: it holds a tag", archive.ErrDamaged)
		}
		if err := m.options.CheckTag(e.Raw); err != nil {
			return fmt.Errorf("%w: a tag of it: %v", archive.ErrDamaged, err)
		}
		m.tags = append(m.tags, e.Raw)
	}
	return nil
}

// worthAsking is the size in bytes from which on a blob's place on the disk is
// looked for before it is written.
const worthAsking = 1 << 20

func (m *importer) stageBlob(a *archive.Reader, e archive.Entry) error {
	if e.Size >= worthAsking {
		if free, ok := freeSpace(m.dir); ok && free < e.Size {
			return fmt.Errorf("blob %s has %d bytes, the disk of the cache in %s has %d left: make room, shrink it with `pipe cache gc`, or set PIPE_CACHE to another disk",
				e.Digest, e.Size, m.store.dir, free)
		}
	}
	m.store.hook("stage")
	f, err := os.OpenFile(m.path(e.Digest), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return m.store.explain(err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{a}, make([]byte, min(256<<10, e.Size+1)))
	if err := errors.Join(err, f.Close()); err != nil {
		return m.store.explain(err)
	}
	m.staged[e.Digest] = e.Size
	return nil
}

func (m *importer) path(d pipeline.Digest) string { return filepath.Join(m.dir, d.String()) }

// freeSpace is what can still be written to the disk of dir, in bytes.
func freeSpace(dir string) (int64, bool) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}

// check demands every blob that a result stands for, in the archive or in the
// store, and forgets the results that the store has.
func (m *importer) check(ctx context.Context) error {
	w := newWalk(m.directory)
	for _, k := range sortedKeys(m.results) {
		if ctx.Err() != nil {
			return canceled(ctx)
		}
		if _, err := m.store.Lookup(ctx, k); err == nil {
			delete(m.results, k)
			continue
		}
		r := m.results[k].result
		before := len(w.blobs)
		err := w.outputs(ctx, r)
		if err == nil && w.err != nil {
			err = w.err
		}
		for _, b := range w.blobs[before:] {
			if err == nil {
				err = m.there(b)
			}
		}
		if err == nil && !r.Log.IsZero() {
			_, err = m.size(r.Log)
		}
		if errors.Is(err, pipeline.ErrNotFound) {
			return fmt.Errorf("%w: result %s names what is neither in it nor in the cache: %v", archive.ErrDamaged, k, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// directory reads a directory that was staged or is stored.
func (m *importer) directory(d pipeline.Digest) (*pipeline.Directory, int64, error) {
	if _, ok := m.staged[d]; !ok {
		dir, size, err := m.store.directory(d)
		if errors.Is(err, pipeline.ErrNotFound) {
			err = fmt.Errorf("directory %s: %w", d, err)
		}
		return dir, size, err
	}
	f, err := os.Open(m.path(d))
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	return readDirectory(f, d)
}

// there demands a blob of a size.
func (m *importer) there(b sized) error {
	size, err := m.size(b.digest)
	if err == nil && size != b.size {
		err = fmt.Errorf("%w: blob %s has %d bytes, not %d", pipeline.ErrNotFound, b.digest, size, b.size)
	}
	return err
}

// size is that of a blob that was staged or is stored.
func (m *importer) size(d pipeline.Digest) (int64, error) {
	if size, ok := m.staged[d]; ok {
		return size, nil
	}
	st, err := m.store.check(d)
	if errors.Is(err, pipeline.ErrNotFound) {
		err = fmt.Errorf("blob %s: %w", d, err)
	}
	return st.Size, err
}

// keep moves everything into the store.
func (m *importer) keep(ctx context.Context) error {
	s := m.store
	blobs := sortedDigests(m.staged)
	err := parallel(ctx, len(blobs), func(i int) error { return m.keepBlob(blobs[i]) })
	if err != nil {
		return err
	}
	keys := sortedKeys(m.results)
	for _, k := range keys {
		if ctx.Err() != nil {
			return canceled(ctx)
		}
		path := s.path("ac", k.String())
		if err := s.makeFanout(path); err != nil {
			return err
		}
		if err := s.writeFile(path, 0o444, m.results[k].raw); err != nil {
			return err
		}
		m.result.New.Results++
	}
	s.noteUse(keys)
	for _, tag := range m.tags {
		if err := m.options.KeepTag(tag); err != nil {
			return err
		}
		m.result.New.Tags++
	}
	for _, size := range m.staged {
		m.result.New.Blobs++
		m.result.New.Bytes += size
	}
	return nil
}

func (m *importer) keepBlob(d pipeline.Digest) error {
	f, err := os.Open(m.path(d))
	if err != nil {
		return err
	}
	defer f.Close()
	return m.store.keep(f, d)
}

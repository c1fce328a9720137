// Package disk keeps blobs and results in a directory of this machine. It is
// a [pipeline.Store] and a [pipeline.Cache] that many processes may share.
//
// The layout of a cache directory:
//
//	version        format of this directory, a decimal number
//	cas/ab/abcd…   blobs by SHA-256, mode 0444, never changed once there
//	ac/ab/abcd…    results by key: REAPI v2 ActionResult messages (result.go)
//	memo/          stat data of blobs and outside files, and snapshots (memo.go)
//	work/<key>/    where steps run, and their checkpoints
//	downloads/     what was fetched to name a source
//	graphs/        compiled pipelines
//	tmp/           files being written
//	locks/         files to flock
//	used           when each result was last wanted (usage.go)
//	evicted        what was deleted to make room (tombstone.go)
//
// Only cas and ac matter: every other file may be deleted between runs, at
// the price of hashing, fetching or computing again.
//
// Everything in cas and ac is written as a temporary file, synced and renamed.
// A blob is trusted while its stat data are those seen when it was hashed; see
// memo.go for how links, which change a file's ctime, fit in.
package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/pipe-run/pipe/pipeline"
)

// version is the format of cache directories that this package writes.
const version = 1

// Options are what a caller may want of a store.
type Options struct {
	// Report is told of every damaged file that is found, when it is found.
	// It may be called from several goroutines at once.
	Report func(Report)
}

// A Store is a cache directory. It is safe for concurrent use, by several
// processes too.
type Store struct {
	dir    string
	report func(Report)
	hold   *os.File // shared lock: while it is held no gc runs; nil on read-only media

	memo *memo // stat data of blobs
	sums *sums // stat data of outside files

	mu        sync.Mutex // guards what follows; taken before none other
	results   map[pipeline.Key]*cached
	used      map[pipeline.Key]int64 // seconds since 1970, of this process
	snapshots []*Snapshot
	reports   []Report
	writable  bool            // the folders to write to are known to exist
	fanout    map[string]bool // cas/ab and ac/ab known to exist

	// hook is called before every change of the file system; tests end the
	// process in it.
	hook func(op string)
}

var (
	_ pipeline.Store = (*Store)(nil)
	_ pipeline.Cache = (*Store)(nil)
)

// Open opens the cache directory dir, making it when it is absent. It refuses
// a directory of a newer format. A directory that cannot be written to opens
// too: reading works, and writing says why it does not.
//
// As long as the store is open, [Store.GC] in other processes deletes nothing.
func Open(dir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening cache: %w", err)
	}
	s := &Store{
		dir: dir, report: o.Report,
		results: map[pipeline.Key]*cached{},
		used:    map[pipeline.Key]int64{},
		fanout:  map[string]bool{},
		hook:    func(string) {},
	}
	s.memo = &memo{store: s, known: map[pipeline.Digest]stat{}, inodes: map[inode]pipeline.Digest{}}
	s.sums = &sums{store: s}
	if err := s.checkVersion(); err != nil {
		return nil, err
	}
	if err := s.takeHold(); err != nil {
		return nil, err
	}
	return s, nil
}

// Close gives the cache directory free for gc. It writes no data: what is
// stored is stored.
func (s *Store) Close() error {
	if s.hold == nil {
		return nil
	}
	err := s.hold.Close()
	s.hold = nil
	return err
}

// Dir returns the cache directory.
func (s *Store) Dir() string { return s.dir }

// Downloads returns the directory for what is fetched to name a source,
// making it when it is absent.
func (s *Store) Downloads() (string, error) { return s.folder("downloads") }

// Graphs returns the directory for compiled pipelines, making it when it is
// absent.
func (s *Store) Graphs() (string, error) { return s.folder("graphs") }

// Work returns the directory where the step of k runs, making it when it is
// absent. It is used only under the lock of k.
func (s *Store) Work(k pipeline.Key) (string, error) {
	return s.folder(filepath.Join("work", k.String()))
}

func (s *Store) folder(name string) (string, error) {
	if err := s.prepare(); err != nil {
		return "", err
	}
	dir := filepath.Join(s.dir, name)
	return dir, s.explain(os.MkdirAll(dir, 0o777))
}

// checkVersion compares the format of an existing directory with version.
func (s *Store) checkVersion() error {
	raw, err := os.ReadFile(filepath.Join(s.dir, "version"))
	if errors.Is(err, os.ErrNotExist) {
		return s.create()
	}
	if err != nil {
		return fmt.Errorf("opening cache: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || n < 1 {
		return fmt.Errorf("opening cache: %s is not a cache directory of pipe: its version file says %.20q", s.dir, raw)
	}
	if n > version {
		return fmt.Errorf("opening cache: %s has format %d, this pipe knows formats up to %d: use a newer pipe or another PIPE_CACHE", s.dir, n, version)
	}
	return nil
}

// create makes a new cache directory; its version file comes last.
func (s *Store) create() error {
	if entries, err := os.ReadDir(s.dir); err == nil {
		for _, e := range entries {
			switch e.Name() {
			case "tmp", "cas", "ac", "memo", "locks", "lost+found":
			default:
				if _, err := os.Stat(filepath.Join(s.dir, "version")); err == nil {
					return s.checkVersion() // another process has made it meanwhile
				}
				return fmt.Errorf("opening cache: %s holds %q and no version file: it is no cache directory of pipe", s.dir, e.Name())
			}
		}
	}
	if err := s.prepare(); err != nil {
		return fmt.Errorf("opening cache: %w", err)
	}
	err := s.writeFile(filepath.Join(s.dir, "version"), 0o444, []byte(strconv.Itoa(version)+"\n"))
	if err != nil {
		return fmt.Errorf("opening cache: %w", err)
	}
	return nil
}

// prepare makes the folders that writing needs.
func (s *Store) prepare() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writable {
		return nil
	}
	for _, name := range []string{"tmp", "locks", "memo", "cas", "ac"} {
		if err := os.MkdirAll(filepath.Join(s.dir, name), 0o777); err != nil {
			return s.explain(err)
		}
	}
	s.writable = true
	return nil
}

// writeFile puts b at path, whole or not at all.
func (s *Store) writeFile(path string, mode os.FileMode, b []byte) error {
	if err := s.prepare(); err != nil {
		return err
	}
	f, err := s.temp()
	if err != nil {
		return err
	}
	defer s.discard(f)
	s.hook("write")
	if _, err := f.Write(b); err != nil {
		return s.explain(err)
	}
	return s.place(f, path, mode)
}

// temp makes a file to write to. Its owner calls discard in the end.
func (s *Store) temp() (*os.File, error) {
	s.hook("create")
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "put-")
	return f, s.explain(err)
}

// discard closes f and removes it, unless it has been placed.
func (s *Store) discard(f *os.File) {
	if f.Close() == nil { // place has closed it otherwise
		os.Remove(f.Name())
	}
}

// place syncs f and makes it the file at path.
func (s *Store) place(f *os.File, path string, mode os.FileMode) error {
	s.hook("sync")
	if err := f.Sync(); err != nil {
		return s.explain(err)
	}
	if err := f.Chmod(mode); err != nil {
		return s.explain(err)
	}
	s.hook("rename")
	if err := os.Rename(f.Name(), path); err != nil {
		return s.explain(err)
	}
	f.Close()
	s.hook("sync directory")
	return s.explain(syncDir(filepath.Dir(path)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// path returns where the file called name, 64 hex digits, lies in cas or ac.
func (s *Store) path(kind, name string) string {
	return s.dir + "/" + kind + "/" + name[:2] + "/" + name
}

// makeFanout makes the directory that holds path, cas/ab or ac/ab, once.
func (s *Store) makeFanout(path string) error {
	if err := s.prepare(); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	s.mu.Lock()
	done := s.fanout[dir]
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return s.explain(err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return s.explain(err)
	}
	s.mu.Lock()
	s.fanout[dir] = true
	s.mu.Unlock()
	return nil
}

// canceled returns the error of a done context.
func canceled(ctx context.Context) error { return context.Cause(ctx) }

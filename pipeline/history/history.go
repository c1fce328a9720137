// Package history remembers runs: when, of what, how each step ended, what it
// cost and measured. Nothing depends on it; a lost history loses no result.
//
// Writing has to cost next to nothing, since a run in which every step is a hit
// takes milliseconds. So a run appends its events to a file of its own, and
// SQLite comes in when somebody asks:
//
//	<path>           the database (schema.go)
//	<path>.lock      held while files are imported
//	<path>.spool/    one file per run that is not imported yet (recorder.go);
//	                 the process of the run holds its lock
//	<path>.sets/     lists of cached steps by digest, shared by equal runs
//
// A query first imports the files of runs that ended, however they ended, and
// deletes them; the file of a run that still goes on is imported each time.
package history

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// ErrNotFound reports that no run or step is as asked for.
var ErrNotFound = errors.New("not found")

// A History is the record of many runs. It is safe for concurrent use, by
// several processes too.
type History struct {
	mu     sync.Mutex // guards what follows
	path   string
	db     *sql.DB // opened by the first query
	copied string  // the folder that copyAway made, or empty
}

// Open returns the history whose database is at path. It touches no file; the
// directory of path is made by what first needs it.
func Open(path string) *History { return &History{path: path} }

// Close closes the database, if a query has opened it.
func (h *History) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.copied != "" {
		defer os.RemoveAll(h.copied)
	}
	if h.db == nil {
		return nil
	}
	err := h.db.Close()
	h.db = nil
	return err
}

// idAlphabet has 32 digits in the order of their bytes, none of them like
// another.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID returns a name for a run that starts at t: 8 digits of base 32 for
// hundredths of seconds since 1970, and 4 random ones. Names sort by time.
func NewID(t time.Time) string {
	var id [12]byte
	n := uint64(t.UnixMilli() / 10)
	for i := 7; i >= 0; i-- {
		id[i] = idAlphabet[n%32]
		n /= 32
	}
	rand.Read(id[8:]) // never fails
	for i := 8; i < len(id); i++ {
		id[i] = idAlphabet[id[i]%32]
	}
	return string(id[:])
}

// validID reports whether s may be the name of a run, and so of a file.
func validID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}

// open returns the database with everything imported.
func (h *History) open(ctx context.Context) (*sql.DB, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(h.path), 0o777); err != nil {
		return nil, fmt.Errorf("opening history: %w", err)
	}
	lock, err := os.OpenFile(h.path+".lock", os.O_RDWR|os.O_CREATE, 0o666)
	if isReadOnly(err) && h.copied == "" {
		if err = h.copyAway(); err == nil {
			lock, err = os.OpenFile(h.path+".lock", os.O_RDWR|os.O_CREATE, 0o666)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening history: %w", err)
	}
	defer lock.Close()
	if err := flock(lock, unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("opening history: %w", err)
	}
	if h.db == nil {
		if h.db, err = openDatabase(ctx, h.path); err != nil {
			return nil, fmt.Errorf("opening history %s: %w", h.path, err)
		}
	}
	if err := h.importAll(ctx); err != nil {
		return nil, fmt.Errorf("reading history %s: %w", h.path, err)
	}
	return h.db, nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err != unix.EINTR {
			return err
		}
	}
}

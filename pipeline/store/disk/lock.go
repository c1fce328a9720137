package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pipe-run/pipe/pipeline"
)

// flock applies one kernel lock operation to f. The kernel gives the lock up
// when the process ends, however it ends, so no lock is ever stale. Two open
// files exclude each other within one process as well.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err != unix.EINTR {
			return err
		}
	}
}

// Lock waits until no other process, and no other caller in this one, has the
// lock of k. Who holds it computes k's result; who waited looks it up. unlock
// is called once. An error is that of ctx, or of a cache that cannot be
// written to.
func (s *Store) Lock(ctx context.Context, k pipeline.Key) (unlock func(), err error) {
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("locking %s: %w", k, err)
	}
	path := filepath.Join(s.dir, "locks", k.String())
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		f, err := tryLock(path)
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", k, s.explain(err))
		}
		if f != nil {
			return func() { unlockFile(f) }, nil
		}
		select {
		case <-ctx.Done():
			return nil, canceled(ctx)
		case <-time.After(wait):
		}
	}
}

// tryLock returns the file at path locked, or nil when somebody else has it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		// unlockFile removes lock files: this one may be gone from path.
		mine, _, err1 := fstat(f)
		there, err2 := lstat(path)
		if err1 == nil && err2 == nil && mine.Ino == there.Ino {
			return f, nil
		}
	}
	f.Close()
	if err == nil || errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, err
}

// unlockFile removes the lock file while it is locked, so that locks/ stays
// small, and gives the lock up.
func unlockFile(f *os.File) {
	os.Remove(f.Name())
	f.Close()
}

// takeHold takes the lock that keeps gc away while the store is open.
func (s *Store) takeHold() error {
	f, err := s.holdFile()
	if err != nil || f == nil {
		return err
	}
	if err := flock(f, unix.LOCK_SH); err != nil {
		f.Close()
		return fmt.Errorf("opening cache: locking %s: %w", f.Name(), err)
	}
	s.hold = f
	return nil
}

// holdFile opens locks/cache, or returns nil where that cannot be made:
// nobody can delete anything there either.
func (s *Store) holdFile() (*os.File, error) {
	path := filepath.Join(s.dir, "locks", "cache")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if errors.Is(err, os.ErrNotExist) && s.prepare() == nil { // locks/ was deleted
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	}
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) || errors.Is(err, os.ErrNotExist) {
		f, err = os.Open(path)
		if err != nil {
			return nil, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening cache: %w", err)
	}
	return f, nil
}

// alone runs f while no other process has the cache open, or returns
// [ErrBusy].
func (s *Store) alone(f func() error) error {
	if s.hold == nil {
		return s.explain(&os.PathError{Op: "lock", Path: s.dir, Err: unix.EROFS})
	}
	// flock turns the shared lock into an exclusive one, not atomically: at
	// worst another process comes first and this one is refused.
	if err := flock(s.hold, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		flock(s.hold, unix.LOCK_SH)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrBusy
		}
		return err
	}
	defer flock(s.hold, unix.LOCK_SH)
	return f()
}

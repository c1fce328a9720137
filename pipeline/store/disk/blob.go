package disk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pipe-run/pipe/pipeline"
)

// Put implements [pipeline.Store].
func (s *Store) Put(ctx context.Context, r io.Reader) (pipeline.Digest, int64, error) {
	d, size, err := s.put(ctx, r)
	if err != nil {
		return pipeline.Digest{}, 0, fmt.Errorf("storing blob: %w", err)
	}
	return d, size, nil
}

func (s *Store) put(ctx context.Context, r io.Reader) (d pipeline.Digest, size int64, err error) {
	if err := s.prepare(); err != nil {
		return d, 0, err
	}
	f, err := s.temp()
	if err != nil {
		return d, 0, err
	}
	defer s.discard(f)
	h := sha256.New()
	s.hook("write")
	size, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(h, f)}, struct{ io.Reader }{reader{ctx, r}}, make([]byte, 256<<10))
	if err != nil {
		return d, 0, s.explain(err)
	}
	d = pipeline.Digest(h.Sum(nil))
	return d, size, s.keep(f, d)
}

// reader stops reading when ctx is done.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, canceled(r.ctx)
	}
	return r.r.Read(p)
}

// keep makes f, whose bytes are known to have digest d, the blob d, unless
// that is there already. Either way f is gone afterwards.
func (s *Store) keep(f *os.File, d pipeline.Digest) error {
	if _, err := s.check(d); err == nil {
		return nil
	}
	path := s.path("cas", d.String())
	if err := s.makeFanout(path); err != nil {
		return err
	}
	s.hook("sync")
	if err := f.Sync(); err != nil {
		return s.explain(err)
	}
	if err := f.Chmod(0o444); err != nil {
		return s.explain(err)
	}
	err := s.memo.update(func(note func(pipeline.Digest, stat)) error {
		s.hook("rename")
		if err := os.Rename(f.Name(), path); err != nil {
			return err
		}
		st, _, err := fstat(f)
		if err == nil {
			note(d, st)
		}
		f.Close()
		return err
	})
	if err != nil {
		return s.explain(err)
	}
	s.hook("sync directory")
	return s.explain(syncDir(filepath.Dir(path)))
}

// PutFile makes the file at path a blob, moving it when it is on the cache's
// file system and has no other name, else copying it. After success path is
// gone; the caller writes to it no more. size is in bytes.
func (s *Store) PutFile(ctx context.Context, path string) (d pipeline.Digest, size int64, err error) {
	d, size, err = s.putFile(ctx, path)
	if err != nil {
		return pipeline.Digest{}, 0, fmt.Errorf("storing %s: %w", path, err)
	}
	return d, size, nil
}

func (s *Store) putFile(ctx context.Context, path string) (d pipeline.Digest, size int64, err error) {
	if err := s.prepare(); err != nil {
		return d, 0, err
	}
	f, err := openRegular(path)
	if err != nil {
		return d, 0, err
	}
	defer f.Close()
	before, linked, err := fstat(f)
	if err != nil {
		return d, 0, err
	}
	if linked || !s.sameDevice(before.Dev) {
		return s.putCopy(ctx, f, path, linked)
	}
	d, size, err = sum(ctx, f)
	if err != nil {
		return d, 0, err
	}
	after, linked, err := fstat(f)
	if err != nil {
		return d, 0, err
	}
	if after != before || linked {
		return d, 0, errors.New("it was changed while it was read")
	}
	err = s.keep(f, d)
	if errors.Is(err, syscall.EXDEV) { // two mounts of one device
		return s.putCopy(ctx, f, path, false)
	}
	if err != nil {
		return d, 0, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return d, 0, err
	}
	return d, size, nil
}

// putCopy stores the bytes of f and removes path. A linked path may be a blob
// that a step passed on: removing it changes that blob's ctime.
func (s *Store) putCopy(ctx context.Context, f *os.File, path string, linked bool) (d pipeline.Digest, size int64, err error) {
	if linked {
		d, size, err = sum(ctx, f)
		if err != nil {
			return d, 0, err
		}
		if _, err := s.check(d); err == nil {
			return d, size, s.unlink([]link{{path, d}})
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return d, 0, err
	}
	if d, size, err = s.put(ctx, f); err == nil {
		err = os.Remove(path)
	}
	return d, size, err
}

// Get implements [pipeline.Store]. The reader is an [*os.File].
func (s *Store) Get(ctx context.Context, d pipeline.Digest) (io.ReadCloser, error) {
	f, err := s.open(d)
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", d, err)
	}
	return f, nil
}

// open opens a blob whose bytes are right.
func (s *Store) open(d pipeline.Digest) (*os.File, error) {
	if _, err := s.check(d); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path("cas", d.String()))
	if errors.Is(err, os.ErrNotExist) {
		err = pipeline.ErrNotFound
	}
	return f, err
}

// Missing implements [pipeline.Store].
func (s *Store) Missing(ctx context.Context, ds []pipeline.Digest) ([]pipeline.Digest, error) {
	var missing []pipeline.Digest
	for _, d := range ds {
		if ctx.Err() != nil {
			return nil, canceled(ctx)
		}
		_, err := s.check(d)
		if errors.Is(err, pipeline.ErrNotFound) {
			missing = append(missing, d)
		} else if err != nil {
			return nil, fmt.Errorf("looking for blob %s: %w", d, err)
		}
	}
	return missing, nil
}

// check returns the stat data of the blob d. A blob whose stat data are not
// those of the memo is hashed; a wrong one is dropped and reported. A blob
// that is absent or was dropped is [pipeline.ErrNotFound].
func (s *Store) check(d pipeline.Digest) (stat, error) {
	path := s.path("cas", d.String())
	st, err := lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return st, pipeline.ErrNotFound
	}
	if err != nil {
		return st, err
	}
	if known, ok := s.memo.get(d); ok && known == st {
		return st, nil
	}
	ok := false
	err = s.memo.update(func(func(pipeline.Digest, stat)) error {
		if st, err = lstat(path); err != nil {
			return err
		}
		known, found := s.memo.current(d)
		ok = found && known == st
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return st, pipeline.ErrNotFound
	}
	if err != nil || ok {
		return st, err
	}
	return s.rehash(context.Background(), d)
}

// rehash reads the blob d from disk, and keeps or drops it.
func (s *Store) rehash(ctx context.Context, d pipeline.Digest) (stat, error) {
	path := s.path("cas", d.String())
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return stat{}, pipeline.ErrNotFound
	}
	if err != nil {
		return stat{}, err
	}
	defer f.Close()
	before, _, err := fstat(f)
	if err != nil {
		return stat{}, err
	}
	got, _, err := sum(ctx, f)
	if err != nil {
		return stat{}, err
	}
	after, _, err := fstat(f)
	if err != nil {
		return stat{}, err
	}
	if got != d {
		return stat{}, s.dropBlob(d, before.Ino, fmt.Sprintf("its %d bytes have the SHA-256 %s", before.Size, got))
	}
	// Another process may have linked the blob meanwhile: its bytes are what
	// was hashed as long as size and mtime are the same.
	before.Ctime = after.Ctime
	if before != after {
		return stat{}, s.dropBlob(d, before.Ino, "it is being changed")
	}
	err = s.memo.update(func(note func(pipeline.Digest, stat)) error {
		now, _, err := fstat(f)
		after.Ctime = now.Ctime
		if err == nil && now == after {
			note(d, now)
		}
		return err
	})
	return after, err
}

// dropBlob removes the blob d if it still is the file with the given inode,
// and returns ErrNotFound.
func (s *Store) dropBlob(d pipeline.Digest, inode uint64, problem string) error {
	path := s.path("cas", d.String())
	err := s.memo.update(func(func(pipeline.Digest, stat)) error {
		if st, err := lstat(path); err != nil || st.Ino != inode {
			return nil
		}
		return os.Remove(path)
	})
	s.memo.forget(d)
	if err != nil {
		return fmt.Errorf("%w: blob %s is damaged (%s) and cannot be removed: %v", pipeline.ErrNotFound, d, problem, err)
	}
	s.damaged(Report{"blob", d.String(), problem})
	return pipeline.ErrNotFound
}

// openRegular opens a file that is no link, pipe or device.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sameDevice reports whether dev is the one that blobs lie on.
func (s *Store) sameDevice(dev uint64) bool {
	var st unix.Stat_t
	return unix.Stat(filepath.Join(s.dir, "cas"), &st) == nil && uint64(st.Dev) == dev
}

// sum hashes the rest of f.
func sum(ctx context.Context, f *os.File) (pipeline.Digest, int64, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{reader{ctx, f}}, make([]byte, 256<<10))
	return pipeline.Digest(h.Sum(nil)), n, err
}

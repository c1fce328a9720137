package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/pipeline"
)

// A link is a further name of a blob's file.
type link struct {
	path string
	blob pipeline.Digest
}

// Release removes the directory dir, renewing the memo of the blobs that files
// below it are links to. It returns the paths, relative to dir, of links whose
// bytes were changed; their blobs are dropped from the store and reported. It
// is the way to remove whatever may hold links to blobs, those that a killed
// process left included; a dir that is absent is no error.
func (s *Store) Release(ctx context.Context, dir string) (changed []string, err error) {
	var links []link
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() { // steps may have made directories that cannot be emptied
			if info, err := e.Info(); err == nil && info.Mode()&0o700 != 0o700 {
				return os.Chmod(path, 0o700)
			}
			return nil
		}
		if st, err := lstat(path); err == nil {
			if d, ok := s.memo.blobOf(st); ok {
				links = append(links, link{path, d})
			}
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		changed, err = s.unlinkAll(links)
	}
	if err == nil {
		s.hook("remove directory")
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("removing %s: %w", dir, err)
	}
	for i, path := range changed {
		if rel, err := filepath.Rel(dir, path); err == nil {
			changed[i] = rel
		}
	}
	return changed, nil
}

// unlink removes links whose bytes are right.
func (s *Store) unlink(links []link) error {
	_, err := s.unlinkAll(links)
	return err
}

// unlinkAll removes links and returns the paths of those whose bytes were
// wrong.
func (s *Store) unlinkAll(links []link) (changed []string, err error) {
	if len(links) == 0 {
		return nil, nil
	}
	var doubtful []link
	err = s.memo.update(func(note func(pipeline.Digest, stat)) error {
		for _, l := range links {
			before, err := lstat(l.path)
			if err != nil {
				continue
			}
			known, ok := s.memo.current(l.blob)
			s.hook("unlink")
			if err := os.Remove(l.path); err != nil {
				return err
			}
			after, err := lstat(s.path("cas", l.blob.String()))
			switch {
			case err != nil || after.Ino != before.Ino: // the blob has another file, or none
			case ok && known == before && relinked(before, after):
				note(l.blob, after)
			default:
				doubtful = append(doubtful, l)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	wrong := map[pipeline.Digest]bool{}
	for _, l := range doubtful {
		if _, err := s.check(l.blob); errors.Is(err, pipeline.ErrNotFound) {
			wrong[l.blob] = true
		}
		if wrong[l.blob] {
			changed = append(changed, l.path)
		}
	}
	return changed, nil
}

// blobOf returns the blob whose file has the inode of st, as far as known.
func (m *memo) blobOf(st stat) (pipeline.Digest, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log == 0 {
		m.refresh()
	}
	d, ok := m.inodes[inode{st.Dev, st.Ino}]
	return d, ok
}

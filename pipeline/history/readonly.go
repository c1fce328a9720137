package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// isReadOnly reports whether err says that a folder cannot be written to.
func isReadOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// copyAway makes h read a copy of its files, which Close removes: importing
// writes, and the folder of h cannot be written to. A run that still goes on
// looks killed in the copy.
func (h *History) copyAway() error {
	dir, err := os.MkdirTemp("", "pipe-history-")
	if err != nil {
		return err
	}
	h.copied = dir
	from := filepath.Dir(h.path)
	base := filepath.Base(h.path)
	h.path = filepath.Join(dir, base)
	for _, suffix := range []string{"", "-wal", ".spool", ".sets"} {
		if err := copyTree(filepath.Join(dir, base+suffix), filepath.Join(from, base+suffix)); err != nil {
			return fmt.Errorf("copying history: %w", err)
		}
	}
	return nil
}

// copyTree copies a file or folder that may be absent.
func copyTree(dst, src string) error {
	info, err := os.Stat(src)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		if err := os.CopyFS(dst, os.DirFS(src)); err != nil {
			return err
		}
		return filepath.WalkDir(dst, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, 0o700)
			}
			return err
		})
	}
	b, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	return os.WriteFile(dst, b, 0o600)
}

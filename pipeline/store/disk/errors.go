package disk

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrBusy reports that another process uses the cache.
var ErrBusy = errors.New("the cache is in use by another pipe")

// explain turns the errors of a full disk and of a cache that may not be
// written to into sentences, and leaves others alone.
func (s *Store) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("no space left for the cache in %s: make room, shrink it with `pipe cache gc`, or set PIPE_CACHE to another disk: %w", s.dir, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, os.ErrPermission):
		return fmt.Errorf("the cache in %s cannot be written to: set PIPE_CACHE to a directory of yours: %w", s.dir, err)
	}
	return err
}

// A Report says what was found damaged. The damaged file is gone: what needs
// it is a miss from now on.
type Report struct {
	Kind    string `json:"kind"` // "blob", "result", "memo" or "file"
	Name    string `json:"name"` // digest, key or file name
	Problem string `json:"problem"`
}

func (r Report) String() string {
	return fmt.Sprintf("cache: %s %s is damaged and was dropped: %s", r.Kind, r.Name, r.Problem)
}

// damaged notes r and tells whoever asked to hear of it.
func (s *Store) damaged(r Report) {
	s.mu.Lock()
	s.reports = append(s.reports, r)
	s.mu.Unlock()
	if s.report != nil {
		s.report(r)
	}
}

// Reports returns the damage found since the store was opened.
func (s *Store) Reports() []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Report(nil), s.reports...)
}

package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/pipe-run/pipe/pipeline"
)

// A VerifyResult is what VerifyAll read.
type VerifyResult struct {
	Blobs   int      `json:"blobs"`
	Results int      `json:"results"`
	Bytes   int64    `json:"bytes"`
	Damaged []Report `json:"damaged"` // what was dropped
}

// VerifyAll hashes every blob and reads every result, whatever the memo says.
// What is damaged or incomplete is dropped, so that it becomes a miss, and
// reported. progress may be nil; it is called from several goroutines with the
// number of bytes hashed so far and in all.
func (s *Store) VerifyAll(ctx context.Context, progress func(done, total int64)) (*VerifyResult, error) {
	s.mu.Lock()
	before := len(s.reports)
	s.mu.Unlock()
	r := &VerifyResult{}
	err := s.verifyBlobs(ctx, r, progress)
	if err == nil {
		err = s.verifyResults(ctx, r)
	}
	if err != nil {
		return nil, fmt.Errorf("verifying cache: %w", err)
	}
	r.Damaged = s.Reports()[before:]
	return r, nil
}

func (s *Store) verifyBlobs(ctx context.Context, r *VerifyResult, progress func(done, total int64)) error {
	if err := s.dropStrays("cas"); err != nil {
		return err
	}
	var blobs []sized
	err := s.each("cas", func(name, path string, st stat) error {
		d, err := pipeline.ParseDigest(name)
		if err == nil {
			blobs = append(blobs, sized{d, st.Size})
			r.Bytes += st.Size
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.Blobs = len(blobs)
	var done atomic.Int64
	return parallel(ctx, len(blobs), func(i int) error {
		_, err := s.rehash(ctx, blobs[i].digest)
		if n := done.Add(blobs[i].size); progress != nil {
			progress(n, r.Bytes)
		}
		if errors.Is(err, pipeline.ErrNotFound) {
			return nil // reported
		}
		return err
	})
}

func (s *Store) verifyResults(ctx context.Context, r *VerifyResult) error {
	if err := s.dropStrays("ac"); err != nil {
		return err
	}
	return s.each("ac", func(name, path string, st stat) error {
		k, err := pipeline.ParseKey(name)
		if err != nil {
			return nil
		}
		r.Results++
		_, err = s.load(ctx, k)
		if !errors.Is(err, pipeline.ErrNotFound) {
			return err
		}
		if _, gone := lstat(path); gone == nil { // readable, but not all of its blobs are there
			s.dropResult(k, st.Ino, err.Error())
		}
		return nil
	})
}

// dropStrays removes what is in cas or ac under a name that cannot be right.
func (s *Store) dropStrays(kind string) error {
	root := filepath.Join(s.dir, kind)
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || rel == "." {
			return err
		}
		if e.IsDir() && len(rel) == 2 {
			return nil
		}
		_, bad := pipeline.ParseDigest(e.Name())
		if e.Type().IsRegular() && bad == nil && path == s.path(kind, e.Name()) {
			return nil
		}
		s.damaged(Report{"file", filepath.Join(kind, rel), "nothing of pipe has such a name"})
		if err := os.RemoveAll(path); err != nil {
			return s.explain(err)
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
}

// A Count is a number of files and their bytes.
type Count struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// A Usage says what fills a cache directory.
type Usage struct {
	Blobs     Count `json:"blobs"`
	Results   Count `json:"results"`
	Downloads Count `json:"downloads"`
	Work      Count `json:"work"`  // of running, failed and interrupted steps
	Other     Count `json:"other"` // memos, graphs, history, temporary files
	Total     Count `json:"total"`
}

// DiskUsage counts the files of the cache. A file with several names counts
// under cas only.
func (s *Store) DiskUsage(ctx context.Context) (Usage, error) {
	var u Usage
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return errors.Join(err, canceled(ctx))
		}
		info, err := e.Info()
		if err != nil {
			return nil // gone meanwhile
		}
		rel, _ := filepath.Rel(s.dir, path)
		c := u.of(rel)
		if c != &u.Blobs && sharesFile(info) {
			return nil
		}
		for _, c := range []*Count{c, &u.Total} {
			c.Files++
			c.Bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		return Usage{}, fmt.Errorf("measuring cache: %w", err)
	}
	return u, nil
}

// of returns the count for a path relative to the cache.
func (u *Usage) of(path string) *Count {
	for i := range len(path) {
		if path[i] != filepath.Separator {
			continue
		}
		switch path[:i] {
		case "cas":
			return &u.Blobs
		case "ac":
			return &u.Results
		case "downloads":
			return &u.Downloads
		case "work":
			return &u.Work
		}
		break
	}
	return &u.Other
}

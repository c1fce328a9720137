package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/store/archive"
)

// ExportOptions say what an archive holds.
type ExportOptions struct {
	Keys []pipeline.Key // of results
	Tags [][]byte       // as they are
}

// Export writes the results of keys to w, as package archive says: each with
// every blob that it stands for, and what its key was made from. A result that
// is no hit is [pipeline.ErrNotFound]. Equal contents make equal bytes.
func (s *Store) Export(ctx context.Context, w io.Writer, o ExportOptions) (archive.Counts, error) {
	c, err := s.export(ctx, w, o)
	if err != nil {
		return archive.Counts{}, fmt.Errorf("exporting: %w", err)
	}
	return c, nil
}

func (s *Store) export(ctx context.Context, w io.Writer, o ExportOptions) (c archive.Counts, err error) {
	keys := slices.Clone(o.Keys)
	slices.SortFunc(keys, func(a, b pipeline.Key) int { return bytes.Compare(a[:], b[:]) })
	keys = slices.Compact(keys)
	blobs := map[pipeline.Digest]int64{}
	for _, k := range keys {
		if err := s.collect(ctx, k, blobs); err != nil {
			return c, fmt.Errorf("result %s: %w", k, err)
		}
	}
	a, err := archive.NewWriter(w, runtime.GOMAXPROCS(0))
	if err != nil {
		return c, err
	}
	defer a.Close()
	for _, d := range sortedDigests(blobs) {
		if err := s.exportBlob(ctx, a, d, blobs[d]); err != nil {
			return c, err
		}
	}
	for _, k := range keys {
		raw, err := readLimited(s.path("ac", k.String()), maxResult)
		if err != nil {
			return c, err
		}
		if _, err := decodeResult(k, raw); err != nil {
			return c, fmt.Errorf("result %s: %w", k, err)
		}
		if err := a.Result(k, raw); err != nil {
			return c, err
		}
	}
	tags := slices.Clone(o.Tags)
	slices.SortFunc(tags, bytes.Compare)
	for _, tag := range tags {
		if err := a.Tag(tag); err != nil {
			return c, err
		}
	}
	return a.Finish()
}

// collect adds the blobs behind k.
func (s *Store) collect(ctx context.Context, k pipeline.Key, blobs map[pipeline.Digest]int64) error {
	c, err := s.load(ctx, k)
	if err != nil {
		return err
	}
	for _, b := range c.blobs {
		blobs[b.digest] = b.size
	}
	st, err := s.check(k.Preimage())
	if err == nil {
		blobs[k.Preimage()] = st.Size
	} else if !errors.Is(err, pipeline.ErrNotFound) {
		return err
	}
	return nil
}

func (s *Store) exportBlob(ctx context.Context, a *archive.Writer, d pipeline.Digest, size int64) error {
	if ctx.Err() != nil {
		return canceled(ctx)
	}
	f, err := os.Open(s.path("cas", d.String()))
	if err != nil {
		return err
	}
	defer f.Close()
	return a.Blob(d, size, reader{ctx, f})
}

// readLimited reads a file of at most most bytes.
func readLimited(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return b, err
}

func sortedDigests[V any](m map[pipeline.Digest]V) []pipeline.Digest {
	return slices.SortedFunc(maps.Keys(m), func(a, b pipeline.Digest) int { return bytes.Compare(a[:], b[:]) })
}

// Keys returns the keys of all results, in order. Some may be no hits.
func (s *Store) Keys(ctx context.Context) ([]pipeline.Key, error) {
	all := map[pipeline.Key]bool{}
	err := s.each("ac", func(name, path string, st stat) error {
		if k, err := pipeline.ParseKey(name); err == nil {
			all[k] = true
		}
		return canceled(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("listing results: %w", err)
	}
	return sortedKeys(all), nil
}

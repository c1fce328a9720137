package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/plan"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// cacheFromVariable lists second caches as PATH does, after those of flags.
const cacheFromVariable = "PIPE_CACHE_FROM"

// cacheFromFlag adds --cache-from.
func (src *source) cacheFromFlag(cmd *cobra.Command) {
	src.readsFrom = true
	cmd.Flags().StringArrayVar(&src.from, "cache-from", nil, "take what the cache lacks from `DIR`, another cache, or from an archive of pipe cache export; it is only read (also PIPE_CACHE_FROM, a list like PATH)")
}

// sources are second caches, the first of them asked first. Nil is none.
type sources struct {
	local *disk.Store
	all   []*disk.Source

	mu    sync.Mutex
	names map[pipeline.Key]string          // where results came from
	roots map[pipeline.Digest]*disk.Source // where artifacts lie that are not local
}

// openSources opens the caches that flags and the environment name.
func (s *session) openSources(ctx context.Context, paths []string) (*sources, error) {
	from := &sources{local: s.store, names: map[pipeline.Key]string{}, roots: map[pipeline.Digest]*disk.Source{}}
	open := func(path, by string) error {
		if path == "" {
			return usagef("%s names an empty path", by)
		}
		src, err := s.store.OpenSource(ctx, path, func(message string) { fmt.Fprintln(s.err, "pipe: warning:", message) })
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return usagef("%s: %w", by, err)
		}
		from.all = append(from.all, src)
		return nil
	}
	for _, path := range paths {
		if err := open(path, "--cache-from"); err != nil {
			from.close()
			return nil, err
		}
	}
	for _, path := range filepath.SplitList(os.Getenv(cacheFromVariable)) {
		if path == "" {
			continue
		}
		if err := open(path, cacheFromVariable); err != nil {
			from.close()
			return nil, err
		}
	}
	if len(from.all) == 0 {
		return nil, nil
	}
	return from, nil
}

func (f *sources) close() {
	if f == nil {
		return
	}
	for _, src := range f.all {
		src.Close()
	}
}

// pullInto makes p bring what it finds in a second cache into the first.
func (f *sources) pullInto(p *plan.Planner) {
	if f != nil {
		p.Cache, p.From = f.cache(f.local.Pull), f.name
	}
}

// readBy makes p find what is in a second cache, and leave it there.
func (f *sources) readBy(p *plan.Planner) {
	if f == nil {
		return
	}
	look := func(ctx context.Context, src *disk.Source, k pipeline.Key) (*pipeline.Result, error) {
		r, err := src.Lookup(ctx, k)
		if err == nil {
			f.mu.Lock()
			for _, art := range r.Outputs {
				f.roots[art.Root] = src
			}
			f.mu.Unlock()
		}
		return r, err
	}
	p.Cache, p.From, p.Open = f.cache(look), f.name, f.open
}

// open views an artifact, wherever it lies.
func (f *sources) open(root pipeline.Digest) (fs.FS, error) {
	f.mu.Lock()
	src := f.roots[root]
	f.mu.Unlock()
	if src != nil {
		return src.FS(root)
	}
	return f.local.FS(root)
}

func (f *sources) name(k pipeline.Key) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names[k]
}

// cache is the first cache, with take for what it lacks.
func (f *sources) cache(take func(context.Context, *disk.Source, pipeline.Key) (*pipeline.Result, error)) pipeline.Cache {
	return fallback{f.local, f, take}
}

// A fallback is a cache that asks others for what it lacks.
type fallback struct {
	pipeline.Cache
	from *sources
	take func(context.Context, *disk.Source, pipeline.Key) (*pipeline.Result, error)
}

// Lookup implements [pipeline.Cache].
func (c fallback) Lookup(ctx context.Context, k pipeline.Key) (*pipeline.Result, error) {
	r, err := c.Cache.Lookup(ctx, k)
	if !errors.Is(err, pipeline.ErrNotFound) {
		return r, err
	}
	for _, src := range c.from.all {
		got, otherErr := c.take(ctx, src, k)
		if errors.Is(otherErr, pipeline.ErrNotFound) {
			continue
		}
		if otherErr == nil {
			c.from.mu.Lock()
			c.from.names[k] = src.Name()
			c.from.mu.Unlock()
		}
		return got, otherErr
	}
	return nil, err
}

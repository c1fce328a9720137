package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// GCOptions say what gc may delete.
type GCOptions struct {
	Budget int64 // bytes that the cache may have afterwards
	DryRun bool  // only say what would be deleted

	Keys  []pipeline.Key    // results to keep, whatever the budget: of runs, tags and locks
	Blobs []pipeline.Digest // blobs to keep, with the trees that they are the root of
}

// An Eviction is something that gc deleted, or would delete.
type Eviction struct {
	Kind string    `json:"kind"` // "result", "download", "work", "graph" or "blobs" (those without a result)
	Name string    `json:"name"` // key or file name; empty for blobs
	Size int64     `json:"size"` // bytes freed
	Used time.Time `json:"used"` // when it was last wanted
}

// A GCResult is what gc did. Sizes are in bytes.
type GCResult struct {
	Before  int64      `json:"before"`
	After   int64      `json:"after"`
	Evicted []Eviction `json:"evicted"` // in order
}

// GC deletes blobs that belong to no result, and then what was not wanted for
// the longest time, until the cache is within its budget. Deleted results
// leave tombstones. It is [ErrBusy] while another process has the cache open,
// so that nothing in use is ever deleted; a dry run is possible all the same.
func (s *Store) GC(ctx context.Context, o GCOptions) (*GCResult, error) {
	g := &collector{store: s, options: o, result: &GCResult{Evicted: []Eviction{}}}
	var err error
	if o.DryRun {
		err = g.run(ctx)
	} else {
		err = s.alone(func() error { return g.run(ctx) })
	}
	if err != nil {
		return nil, fmt.Errorf("collecting garbage: %w", err)
	}
	return g.result, nil
}

// A collector is one run of gc.
type collector struct {
	store   *Store
	options GCOptions
	result  *GCResult

	sizes map[pipeline.Digest]int64 // of all blobs
	refs  map[pipeline.Digest]int   // results that stand for a blob
	items []*item
	total int64 // bytes of the cache, as far as not deleted
}

// An item is what can be deleted at once.
type item struct {
	kind  string
	name  string
	key   pipeline.Key      // of results
	blobs []pipeline.Digest // of results
	path  string            // the file or directory that goes
	size  int64             // of path
	used  int64             // nanoseconds since 1970
}

func (g *collector) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		g.listBlobs, g.listResults, g.keepBlobs, g.listFolders, g.sweep, g.evict,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	g.result.After = g.total
	if g.options.DryRun {
		return nil
	}
	g.store.mu.Lock()
	g.store.snapshots = nil // they may have looked at files that are gone
	g.store.mu.Unlock()
	return g.tidy(ctx)
}

func (g *collector) listBlobs(ctx context.Context) error {
	g.sizes = map[pipeline.Digest]int64{}
	g.refs = map[pipeline.Digest]int{}
	return g.store.each("cas", func(name, path string, st stat) error {
		if d, err := pipeline.ParseDigest(name); err == nil {
			g.sizes[d] = st.Size
			g.total += st.Size
		}
		return canceled(ctx)
	})
}

// listResults makes an item of each result. Damaged ones are dropped by
// reading them.
func (g *collector) listResults(ctx context.Context) error {
	s := g.store
	uses := s.lastUses()
	keep := map[pipeline.Key]bool{}
	for _, k := range g.options.Keys {
		keep[k] = true
	}
	return s.each("ac", func(name, path string, st stat) error {
		k, err := pipeline.ParseKey(name)
		if err != nil {
			return nil
		}
		it := &item{kind: "result", name: name, key: k, path: path, size: st.Size, used: max(st.Mtime, uses[k]*1e9)}
		c, err := s.load(ctx, k)
		if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
			return err
		}
		if err == nil {
			for _, b := range c.blobs {
				it.blobs = append(it.blobs, b.digest)
			}
			if _, ok := g.sizes[k.Preimage()]; ok && g.refs[k.Preimage()] == 0 {
				it.blobs = append(it.blobs, k.Preimage())
			}
		} else if _, gone := lstat(path); gone != nil {
			return nil
		}
		for _, d := range it.blobs {
			g.refs[d]++
		}
		g.total += st.Size
		if !keep[k] {
			g.items = append(g.items, it)
		}
		return nil
	})
}

// keepBlobs holds on to the blobs that the caller named, with their trees.
func (g *collector) keepBlobs(ctx context.Context) error {
	for _, d := range g.options.Blobs {
		w := newWalk(g.store.directory)
		w.add(d, 0)
		// What is no tree is a blob of its own; what is incomplete is kept
		// as far as it goes.
		if _, err := w.tree(ctx, d, 0); err != nil && !errors.Is(err, pipeline.ErrNotFound) {
			return err
		}
		for _, b := range w.blobs {
			g.refs[b.digest]++
		}
	}
	return nil
}

// listFolders makes an item of each entry of downloads, work and graphs.
func (g *collector) listFolders(ctx context.Context) error {
	for folder, kind := range map[string]string{"downloads": "download", "work": "work", "graphs": "graph"} {
		entries, err := os.ReadDir(filepath.Join(g.store.dir, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			it := &item{kind: kind, name: e.Name(), path: filepath.Join(g.store.dir, folder, e.Name())}
			it.size, it.used = measureFolder(it.path)
			g.total += it.size
			g.items = append(g.items, it)
		}
	}
	g.result.Before = g.total
	return canceled(ctx)
}

// measureFolder returns the bytes below path, links to blobs not counted, and
// when something there was last changed, in nanoseconds since 1970.
func measureFolder(path string) (size, changed int64) {
	filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		changed = max(changed, info.ModTime().UnixNano())
		if info.Mode().IsRegular() && !sharesFile(info) {
			size += info.Size()
		}
		return nil
	})
	return size, changed
}

// sweep deletes the blobs that belong to nothing.
func (g *collector) sweep(ctx context.Context) error {
	e := Eviction{Kind: "blobs"}
	for d, size := range g.sizes {
		if g.refs[d] == 0 {
			if err := g.remove(d); err != nil {
				return err
			}
			e.Size += size
		}
	}
	if e.Size > 0 {
		g.result.Evicted = append(g.result.Evicted, e)
	}
	return canceled(ctx)
}

// remove deletes one blob.
func (g *collector) remove(d pipeline.Digest) error {
	g.total -= g.sizes[d]
	delete(g.sizes, d)
	if g.options.DryRun {
		return nil
	}
	g.store.hook("remove blob")
	g.store.memo.forget(d)
	err := os.Remove(g.store.path("cas", d.String()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return g.store.explain(err)
}

// evict deletes items, the least recently wanted first. Tombstones come before
// deletions, and results before their blobs.
func (g *collector) evict(ctx context.Context) error {
	slices.SortFunc(g.items, func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.used, b.used), cmp.Compare(a.name, b.name))
	})
	var doomed []*item
	var orphans []pipeline.Digest
	var tombs []Tombstone
	total := g.total
	for _, it := range g.items {
		if total <= g.options.Budget {
			break
		}
		size := it.size
		for _, d := range it.blobs {
			if g.refs[d]--; g.refs[d] == 0 {
				size += g.sizes[d]
				orphans = append(orphans, d)
			}
		}
		total -= size
		doomed = append(doomed, it)
		if it.kind == "result" {
			tombs = append(tombs, Tombstone{it.key, time.Now().UTC().Truncate(time.Second), size})
		}
		g.result.Evicted = append(g.result.Evicted, Eviction{it.kind, it.name, size, time.Unix(0, it.used).UTC()})
	}
	if !g.options.DryRun {
		if err := g.delete(ctx, doomed, tombs); err != nil {
			return err
		}
	}
	for _, it := range doomed {
		g.total -= it.size
	}
	for _, d := range orphans {
		if err := g.remove(d); err != nil {
			return err
		}
	}
	return nil
}

func (g *collector) delete(ctx context.Context, doomed []*item, tombs []Tombstone) error {
	if err := g.store.bury(tombs); err != nil {
		return err
	}
	for _, it := range doomed {
		if ctx.Err() != nil {
			return canceled(ctx)
		}
		g.store.hook("remove " + it.kind)
		if it.kind != "result" {
			if _, err := g.store.Release(ctx, it.path); err != nil {
				return g.store.explain(err)
			}
			continue
		}
		g.store.forgetResult(it.key)
		if err := os.Remove(it.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return g.store.explain(err)
		}
	}
	return nil
}

func (s *Store) forgetResult(k pipeline.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.results, k)
}

// tidy deletes what killed processes left, and snapshots that were not written
// for a month.
func (g *collector) tidy(ctx context.Context) error {
	s := g.store
	tmp := filepath.Join(s.dir, "tmp")
	entries, _ := os.ReadDir(tmp)
	for _, e := range entries {
		if _, err := s.Release(ctx, filepath.Join(tmp, e.Name())); err != nil {
			return s.explain(err)
		}
	}
	locks, _ := os.ReadDir(filepath.Join(s.dir, "locks"))
	for _, e := range locks {
		if e.Name() != "cache" {
			os.Remove(filepath.Join(s.dir, "locks", e.Name()))
		}
	}
	snapshots, _ := filepath.Glob(filepath.Join(s.dir, "memo", "graph-*"))
	for _, path := range snapshots {
		if st, err := lstat(path); err == nil && time.Since(time.Unix(0, st.Mtime)) > 30*24*time.Hour {
			os.Remove(path)
		}
	}
	return nil
}

// each calls f for every regular file below cas or ac.
func (s *Store) each(kind string, f func(name, path string, st stat) error) error {
	root := filepath.Join(s.dir, kind)
	folders, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(root, folder.Name()))
		if err != nil {
			continue // no directory: none of ours
		}
		for _, e := range entries {
			path := filepath.Join(root, folder.Name(), e.Name())
			st, err := lstat(path)
			if err != nil {
				continue
			}
			if err := f(e.Name(), path, st); err != nil {
				return err
			}
		}
	}
	return nil
}

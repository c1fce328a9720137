package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/compile"
	"github.com/pipe-run/pipe/pipeline/plan"
	"github.com/pipe-run/pipe/pipeline/store/disk"
	"github.com/pipe-run/pipe/steps"
)

// A session is an open cache and, for commands that take one, a compiled
// pipeline.
type session struct {
	*app
	store *disk.Store
	from  *sources // second caches; nil unless the command reads them
	kinds pipeline.Kinds
	graph *pipeline.Graph
	past  *past
	pins  *pins
	snap  *disk.Snapshot
}

// cacheDir is where results live: $PIPE_CACHE, else the user's cache folder.
func cacheDir() (string, error) {
	if dir := os.Getenv("PIPE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache: %w; set PIPE_CACHE", err)
	}
	return filepath.Join(dir, "pipe"), nil
}

// open opens the cache.
func (a *app) open() (*session, error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	store, err := disk.Open(dir, disk.Options{Report: func(r disk.Report) {
		fmt.Fprintln(a.err, "pipe:", r)
	}})
	if err != nil {
		return nil, err
	}
	return &session{app: a, store: store, kinds: steps.All(), past: newPast(store, "")}, nil
}

func (s *session) close() {
	s.past.close()
	s.from.close()
	s.store.Close()
}

// source is what names a pipeline on the command line.
type source struct {
	file string
	tags []string

	readsFrom bool     // the command looks into second caches
	from      []string // those that flags name
}

// tagFlag adds -t.
func (src *source) tagFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&src.tags, "tag", "t", nil, "set a parameter of the pipeline: `name=value` for @tag(name)")
}

// openPipeline opens the cache and compiles a pipeline, or remembers having
// compiled it.
func (a *app) openPipeline(ctx context.Context, src source) (*session, error) {
	s, err := a.open()
	if err != nil {
		return nil, err
	}
	if s.graph, err = s.compile(ctx, src); err != nil {
		s.close()
		return nil, err
	}
	abs, err := filepath.Abs(src.file)
	if err != nil {
		s.close()
		return nil, err
	}
	s.past = newPast(s.store, abs)
	s.pins = newPins(a, s.store, abs)
	if err := s.pins.load(); err != nil {
		s.close()
		return nil, err
	}
	if src.readsFrom {
		if s.from, err = s.openSources(ctx, src.from); err != nil {
			s.close()
			return nil, err
		}
	}
	s.openSnapshot()
	return s, nil
}

func (s *session) compile(ctx context.Context, src source) (*pipeline.Graph, error) {
	opts := compile.Options{Tags: src.tags}
	var g *pipeline.Graph
	dir, err := s.store.Graphs()
	if err != nil { // a cache that cannot be written to
		g, err = compile.File(ctx, src.file, opts)
	} else {
		g, err = compile.Cached(ctx, dir, src.file, opts)
	}
	if err != nil {
		return nil, err
	}
	return g, plan.Vet(g, s.kinds)
}

// planner returns a planner over the session.
func (s *session) planner() *plan.Planner {
	return &plan.Planner{
		Kinds: s.kinds, Cache: s.store, Open: s.store.FS, Sum: s.store.Sum,
		Locked: s.pins.locked, Secret: os.LookupEnv, Past: s.past,
		Threads: runtime.GOMAXPROCS(0),
	}
}

// target keeps of the graph only what the named steps need, all of it when
// there are none.
func (s *session) target(names []string) error {
	if len(names) == 0 {
		return nil
	}
	want := map[string]bool{}
	for _, name := range names {
		if s.graph.Node(name) == nil {
			return usageError{s.noStep(name)}
		}
		want[name] = true
	}
	var kept []*pipeline.Node
	for i := len(s.graph.Nodes) - 1; i >= 0; i-- { // downstream first
		n := s.graph.Nodes[i]
		if !want[n.Name] {
			continue
		}
		for _, up := range n.Upstream() {
			want[up] = true
		}
		kept = append(kept, n)
	}
	slices.Reverse(kept)
	g := *s.graph
	g.Nodes = kept
	s.graph = &g
	return nil
}

// noStep says that a step does not exist, and which ones do.
func (s *session) noStep(name string) error {
	var names []string
	for _, n := range s.graph.Nodes {
		names = append(names, n.Name)
	}
	return fmt.Errorf("%s has no step %q%s", s.graph.File, name, suggest(name, names))
}

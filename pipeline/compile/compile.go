package compile

import (
	"context"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline"
)

// Options are what a compilation depends on beside the file.
type Options struct {
	// Tags are the values of -t: "name=value", or "name" for a shorthand.
	Tags []string

	// Env is the environment that CUE's module registry is found by; nil
	// means that of the process.
	Env []string

	// MaxTime and MaxHeap end an evaluation that takes longer, or during which
	// the heap grows by more bytes; 0 means 10 s and 1 GiB. CUE cannot be
	// interrupted: what was ended keeps running in the background, so a caller
	// that gets ErrTooBig should end the process soon.
	MaxTime time.Duration
	MaxHeap uint64
}

// File compiles the pipeline file at path. Mistakes in it are Problems: all
// of them at once, in the order of their places.
func File(ctx context.Context, path string, opts Options) (*pipeline.Graph, error) {
	c, err := compileFile(ctx, path, opts)
	if err != nil {
		return nil, err
	}
	return c.graph, nil
}

func compileFile(ctx context.Context, path string, opts Options) (*compiler, error) {
	lang, err := builtin()
	if err != nil {
		return nil, err
	}
	s, err := read(path)
	if err != nil {
		return nil, err
	}
	c := newCompiler(s, lang)
	return c, watch(ctx, opts, c, func() error { return c.compile(ctx, opts) })
}

// A compiler turns one source into a graph.
type compiler struct {
	*source
	lang  *language
	world *world
	graph *pipeline.Graph

	root        cue.Value            // the file unified with #Pipeline
	places      map[string]*place    // of steps written as literals
	steps       map[string]cue.Value // by name
	names       []string             // of steps, in the order of the file
	nodes       map[string]*pipeline.Node
	bad         map[string]bool // steps with problems
	problems    pipeline.Problems
	said        map[pipeline.Problem]int // how often, but for the step's name
	first       map[pipeline.Problem]*pipeline.Problem
	more        map[*pipeline.Problem]int
	blamed      []token.Pos                // places that problems stand at
	tagged      map[*ast.Field]*tag        // fields that -t gave a value
	stray       bool                       // a step stands outside of steps
	misnamed    map[string]bool            // fields of the pipeline that a misspelt one was meant to be
	uses        []*use                     // of templates, as the file writes them
	use         *use                       // that the step being read comes from
	fromUse     map[string]*instance       // steps of templates
	inner       map[string]*place          // of steps that templates write as literals
	written     map[*use]map[string]*place // the same, by the text of their labels
	stepsErr    []error                    // what CUE says of steps as a whole
	later       []func()                   // complaints that only count when there is no other
	refsChecked bool
}

func newCompiler(s *source, lang *language) *compiler {
	return &compiler{
		source: s, lang: lang, tagged: map[*ast.Field]*tag{},
		said:  map[pipeline.Problem]int{},
		first: map[pipeline.Problem]*pipeline.Problem{},
		more:  map[*pipeline.Problem]int{},
	}
}

func (c *compiler) compile(ctx context.Context, opts Options) error {
	if len(c.file.Decls) == 0 {
		c.add(c.start(), `a pipeline file begins with name: "…" and steps: {…}; pipe init writes one`, "the file is empty")
		return c.done()
	}
	c.refuseValues()
	c.injectTags(opts.Tags)
	c.rewriteNeeds()
	expandTemplates(c.file, c.lang, true)
	c.findUses()
	if len(c.problems) > 0 {
		return c.done()
	}
	var err error
	if c.world, err = c.build(ctx, c.lang, opts); err != nil {
		return err
	}
	if err := c.world.inst.Err; err != nil {
		c.report(err)
		return c.done()
	}
	c.root = c.world.root
	c.readSteps()
	c.graph = &pipeline.Graph{Name: c.readName(), File: c.source.name}
	c.checkUses()
	if len(c.problems) == 0 {
		each(c.stepsErr, c.report)
	}
	for _, name := range c.names {
		if c.bad[name] {
			continue // of a template that is used wrongly
		}
		c.use = c.useOf(name)
		if n := c.node(name, c.steps[name]); n != nil {
			c.nodes[name] = n
		}
	}
	c.use = nil
	if err := c.root.Err(); err != nil && len(c.problems) == 0 {
		c.report(err) // such as a comprehension over what has no value
	}
	c.checkWires()
	if len(c.problems) == 0 {
		c.order()
	}
	return c.done()
}

package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	controlstructures "github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// Templates come with models and are hostile: these bound what one may cost.
const (
	maxSource = 1 << 20          // bytes of a template
	maxOutput = 16 << 20         // bytes it renders
	maxRange  = 100_000          // elements of range()
	maxTime   = 20 * time.Second // for one rendering
)

// engine is a compiled Jinja template, set up as transformers sets up its own:
// trim_blocks, lstrip_blocks, loop controls, raise_exception, a tojson that
// keeps characters. What is random, reads files or tells the time is absent.
//
// It is not all of Jinja: calls that mix *arguments with others, dict(), the filters
// format, xmlattr and others of web pages, and includes are refused. strftime_now is
// defined where a date is given, and tells that.
type engine struct {
	template *exec.Template
}

// compile parses a template. An error of its syntax begins with a line of it.
func compile(source string) (*engine, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("the template is larger than %d KiB", maxSource>>10)
	}
	offered := environment()
	var failed blame
	if err := failed.watch(offered.ControlStructures); err != nil {
		return nil, err
	}
	template, err := parse(rewrite(source), offered)
	if err != nil {
		return nil, syntax(source, err, failed)
	}
	return &engine{template: template}, nil
}

// parse hands a template that rewrite respelled to the engine.
func parse(rewritten string, offered *exec.Environment) (template *exec.Template, err error) {
	defer recovered(&err)
	cfg := config.New()
	cfg.KeepTrailingNewline = true // rewrite has settled white space
	return exec.NewTemplate(rootName, cfg, loader(rewritten), offered)
}

// render executes the template within the bounds.
func (e *engine) render(ctx context.Context, vars map[string]any) (string, []mark, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	out := &output{ctx: ctx}
	vars["range"] = out.numbers
	done := make(chan error, 1)
	// A template that loops without writing cannot be stopped from within: it
	// is left behind, and the step that asked ends with an error.
	go func() {
		done <- e.execute(out, vars)
	}()
	select {
	case err := <-done:
		switch {
		case err == nil:
			return out.text.String(), out.marks, nil
		case ctx.Err() != nil: // what the template says is only that it was stopped
			return "", nil, stopped(ctx)
		}
		return "", nil, errors.New(shorten(err, ""))
	case <-ctx.Done():
		return "", nil, stopped(ctx)
	}
}

// stopped says why a rendering with ctx ended before the template did.
func stopped(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the template did not finish within %s", maxTime)
	}
	return ctx.Err()
}

// RenderWith renders a template with the variables of a JSON object, as Jinja set
// up as transformers does would.
func RenderWith(ctx context.Context, source, variables string) (string, error) {
	e, err := compile(source)
	if err != nil {
		return "", err
	}
	v, err := readJSON(variables)
	if err != nil {
		return "", err
	}
	vars := map[string]any{}
	if dict, ok := v.(*exec.Dict); ok {
		for _, pair := range dict.Pairs {
			vars[pair.Key.String()] = pair.Value
		}
	}
	text, _, err := e.render(ctx, vars)
	return text, err
}

func (e *engine) execute(out io.Writer, vars map[string]any) (err error) {
	defer recovered(&err)
	return e.template.Execute(out, exec.NewContext(vars))
}

// recovered turns a panic of the template engine into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the template engine failed: %v", p)
	}
}

// output collects what a template writes, up to maxOutput.
type output struct {
	ctx   context.Context
	text  strings.Builder
	marks []mark // what {% generation %} encloses, in order
}

// mark is a range of bytes of a rendering.
type mark struct{ start, end int }

func (o *output) Write(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	if o.text.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("the template renders more than %d MiB", maxOutput>>20)
	}
	return o.text.Write(p)
}

// rootName is the only template a loader knows.
const rootName = "template"

// loader gives the template its own source and nothing else.
type loader string

func (l loader) Read(path string) (io.Reader, error) {
	if path != rootName {
		return nil, fmt.Errorf("a template cannot read %q", path)
	}
	return strings.NewReader(string(l)), nil
}

func (l loader) Resolve(path string) (string, error) { return path, nil }

// Inherit is called for includes, which find nothing.
func (l loader) Inherit(string) (loaders.Loader, error) { return l, nil }

// environment offers the functions, filters, tests and statements of Jinja that
// are a function of their arguments alone.
func environment() *exec.Environment {
	filters := exec.NewFilterSet(ownFilters())
	for _, name := range filterNames() {
		if f, ok := builtins.Filters.Get(name); ok {
			_ = filters.Register(name, listFilter(f)) // fails only for a name given twice
		}
	}
	statements := exec.NewControlStructureSet(map[string]parser.ControlStructureParser{"generation": parseGeneration})
	for _, name := range statementNames() {
		if s, ok := controlstructures.All.Get(name); ok {
			_ = statements.Register(name, s)
		}
	}
	globals := operators()
	globals["raise_exception"] = raise
	for _, name := range strings.Fields("namespace cycler joiner") {
		if f, ok := builtins.GlobalFunctions.Get(name); ok {
			globals[name] = f
		}
	}
	return &exec.Environment{
		Context: exec.NewContext(globals), Filters: filters, Tests: tests(),
		ControlStructures: statements, Methods: methods(),
	}
}

// statementNames are the statements of gonja that are kept; generation is our own.
func statementNames() []string {
	return strings.Fields("for if macro raw set with do break continue call filter")
}

// filterNames are the filters of gonja that are kept: not random, not HTML.
func filterNames() []string {
	return strings.Fields(`abs attr batch capitalize center count first float groupby
		indent int join last length list lower map max min reject rejectattr replace round safe
		select selectattr slice sort title trim truncate unique upper wordcount`)
}

// raisedMark stands before the message of raise_exception in what the engine
// makes of it.
const raisedMark = "raised by the template: "

// raise is raise_exception(message).
func raise(_ *exec.Evaluator, params *exec.VarArgs) *exec.Value {
	message := "raise_exception"
	if len(params.Args) > 0 {
		message = params.Args[0].String()
	}
	return exec.AsValue(errors.New(raisedMark + message))
}

// numbers is range([start,] stop [, step]) as a list. It fails once the
// rendering is to stop, which ends nested loops that write nothing.
func (o *output) numbers(_ *exec.Evaluator, params *exec.VarArgs) *exec.Value {
	if err := o.ctx.Err(); err != nil {
		return exec.AsValue(err)
	}
	start, stop, step := 0, 0, 1
	for _, a := range params.Args {
		if !a.IsInteger() {
			return exec.AsValue(errors.New("range: an argument is not an integer"))
		}
	}
	switch a := params.Args; len(a) {
	case 1:
		stop = a[0].Integer()
	case 2:
		start, stop = a[0].Integer(), a[1].Integer()
	case 3:
		start, stop, step = a[0].Integer(), a[1].Integer(), a[2].Integer()
	default:
		return exec.AsValue(errors.New("range takes one to three integers"))
	}
	if step == 0 {
		return exec.AsValue(errors.New("range: the step is 0"))
	}
	out := list{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(out) == maxRange {
			return exec.AsValue(fmt.Errorf("range: more than %d elements", maxRange))
		}
		out = append(out, i)
	}
	return exec.AsValue(out)
}

// generation is {% generation %}…{% endgeneration %}, which marks what a model
// writes itself.
type generation struct{ body *nodes.Wrapper }

func (g *generation) Position() *tokens.Token { return g.body.Position() }
func (g *generation) String() string          { return "generation" }

func (g *generation) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	out, ok := r.Output.(*output)
	if !ok {
		return errors.New("{% generation %} within a macro or a set block cannot be placed in the text")
	}
	start := out.text.Len()
	err := r.ExecuteIfWrapper(g.body)
	out.marks = append(out.marks, mark{start, out.text.Len()})
	return err
}

func parseGeneration(p *parser.Parser, _ *parser.Parser) (nodes.ControlStructure, error) {
	body, _, err := p.WrapUntil("endgeneration")
	if err != nil {
		return nil, err
	}
	return &generation{body}, nil
}

// shorten returns what an error of the engine says without the text of the
// template, which it repeats, and without naming each statement around.
func shorten(err error, source string) string {
	s := err.Error()
	if at := strings.LastIndex(s, raisedMark); at >= 0 {
		s = s[at:]
	}
	if source != "" {
		s = strings.ReplaceAll(s, source, rootName)
	}
	if strings.Contains(s, dateFunction) && !strings.Contains(s, dateFunction+": ") && !strings.Contains(s, dateFunction+" takes") {
		return errNoDate.Error()
	}
	s = structure().ReplaceAllString(s, "line $1: ")
	s = place().ReplaceAllString(s, "(line $1, near ")
	const most = 400
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// place is where the engine's parser stopped; its column is that of the respelled line.
var place = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\(Line: (\d+) Col: \d+, near `)
})

// structure is how the engine names each statement it is in.
var structure = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`Unable to execute controlStructure at line (\d+): [^:]*: `)
})

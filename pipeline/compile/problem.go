package compile

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/modules"
)

// stepWord is how messages name a step.
var stepWord = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`step "?[a-zA-Z0-9_-]+"?`)
})

// add notes a mistake. The same words at the same place, as a comprehension
// repeats them for many steps, count once.
func (c *compiler) add(pos token.Pos, hint, format string, args ...any) {
	p := &pipeline.Problem{Pos: c.pos(pos), Message: fmt.Sprintf(format, args...), Hint: hint}
	same := *p
	same.Message = stepWord().ReplaceAllString(same.Message, "step *")
	same.Hint = ""
	if c.said[same]++; c.said[same] == 1 {
		c.problems = append(c.problems, p)
		c.first[same] = p
	} else if *c.first[same] != *p {
		c.more[c.first[same]]++
	}
	if pos.IsValid() {
		c.blamed = append(c.blamed, pos)
	}
}

// done returns the problems, sorted by place.
func (c *compiler) done() error {
	if len(c.problems) == 0 {
		return nil
	}
	for p, n := range c.more {
		p.Message += fmt.Sprintf(" (and %d more like it)", n)
	}
	c.more = nil
	slices.SortStableFunc(c.problems, func(a, b *pipeline.Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Message, b.Message))
	})
	return c.problems
}

// pos translates a place: files are named as the user would name them.
func (s *source) pos(p token.Pos) pipeline.Pos {
	if !p.IsValid() || p.Filename() == "" {
		return pipeline.Pos{File: s.name}
	}
	return pipeline.Pos{File: s.display(p.Filename()), Line: p.Line(), Col: p.Column()}
}

// pos is source.pos; a place in a template comes behind the user's line that
// the step being read goes back to.
func (c *compiler) pos(p token.Pos) pipeline.Pos {
	if !p.IsValid() || p.Filename() == "" || p.Filename() == c.abs || p.Filename() == c.source.name || !isUser(p) || c.world == nil {
		return c.source.pos(p)
	}
	if p.Filename() == "json" && c.use != nil { // made by expander.forced
		return c.source.pos(c.use.pos)
	}
	in, isModule := c.world.modules.Locate(p.Filename())
	var at token.Pos
	switch u := c.useAt(p); {
	case u != nil:
		at = u.at(c.params[p])
	case isModule:
		at = c.importPos(in)
	default:
		return c.source.pos(p)
	}
	pos := c.source.pos(at)
	name := in.String()
	if !isModule {
		name = c.display(p.Filename())
	}
	pos.Template = fmt.Sprintf("%s:%d:%d", name, p.Line(), p.Column())
	return pos
}

// start is the beginning of the pipeline file.
func (s *source) start() token.Pos {
	return token.NewFile(s.abs, -1, len(s.src)+1).Pos(0, token.NoRelPos)
}

// display names a file as seen from where the user named the pipeline file.
func (s *source) display(name string) string {
	if name == s.abs {
		return s.name
	}
	if !filepath.IsAbs(name) || filepath.IsAbs(s.name) {
		return name
	}
	rel, err := filepath.Rel(s.dir, name)
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(s.name), rel)
}

// isUser reports whether p is a place in a file that a user wrote.
func isUser(p token.Pos) bool {
	return p.IsValid() && p.Filename() != "" && !strings.HasPrefix(p.Filename(), schemaDir) &&
		!modules.Builtin(p.Filename())
}

func promote(err error) errors.Error { return errors.Promote(err, "") }

// syntaxProblems translates what the parser said.
func (s *source) syntaxProblems(err error) error {
	c := newCompiler(s, nil)
	c.report(err)
	return c.done()
}

func (s *source) problems(err error) error { return s.syntaxProblems(err) }

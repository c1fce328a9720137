package compile

import (
	"strconv"

	"cuelang.org/go/cue"

	"github.com/pipe-run/pipe/pipeline"
)

func (c *compiler) diagnose(step, path string, v cue.Value, f *field) {
	c.report(v.Validate(cue.Concrete(true)))
}
func (c *compiler) diagnoseStep(name string, v cue.Value, kind *shape) {}
func (c *compiler) fallback(name string, v cue.Value) {
	if err := v.Validate(cue.Concrete(true)); err != nil {
		c.report(err)
	} else {
		c.add(c.stepPos(name, v), "", "step %q is wrong", name)
	}
}
func (c *compiler) badKind(name string, v, kv cue.Value) {
	c.add(c.stepPos(name, v), "", "step %q has no kind", name)
}
func (c *compiler) unknownKind(name, kind string, kv cue.Value) {
	c.add(c.valuePos(kv), suggest(kind, c.lang.kindNames()), "unknown kind %q of step %q", kind, name)
}
func suggest(s string, from []string) string { return "" }
func (c *compiler) tooBig(why string) error {
	return pipeline.Problems{{Pos: pipeline.Pos{File: c.source.name}, Message: "evaluating the file " + why}}
}

var _ = strconv.Itoa

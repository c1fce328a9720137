package view

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// GitHub keeps no more annotations of a level from one step of a workflow.
const maxAnnotations = 10

// maxGroup bounds the log of a failed step that is repeated, in bytes.
const maxGroup = 1 << 20

// A GitHub is the part of a run that GitHub Actions shows: errors and
// warnings as annotations at the user's line, and the logs of failed steps as
// groups that unfold.
type GitHub struct {
	out   *Shield
	place func(pipeline.Pos) (pipeline.Pos, bool)

	logs     tails
	at       map[string]pipeline.Pos // where the steps are written
	warnings int
	warned   map[string]bool
}

// NewGitHub returns a view that prints workflow commands through out. place
// says where a place is in the repository that GitHub shows, if it is there.
func NewGitHub(out *Shield, place func(pipeline.Pos) (pipeline.Pos, bool)) *GitHub {
	return &GitHub{out: out, place: place, logs: tails{}, at: map[string]pipeline.Pos{}, warned: map[string]bool{}}
}

// Graph says where the steps of the run are written.
func (v *GitHub) Graph(g *pipeline.Graph) {
	for _, n := range g.Nodes {
		v.at[n.Name] = n.Pos
	}
}

func (v *GitHub) Close() {}

func (v *GitHub) Event(e pipeline.Event) {
	v.logs.event(e, maxGroup)
	switch f := e.Fact.(type) {
	case pipeline.Log:
		if f.Level == "warn" {
			v.warn(e.Step, f.Message)
		}
	case pipeline.StepEnd:
		if tail := v.logs.take(e.Step); tail != nil && f.Status == pipeline.Failed {
			v.group(e.Step, tail)
		}
	case pipeline.Trouble:
		title := "pipeline"
		if e.Step != "" {
			title = "step " + e.Step
		}
		v.Problem(title, &f.Problem)
	}
}

// Problem annotates a mistake.
func (v *GitHub) Problem(title string, p *pipeline.Problem) {
	v.annotate("error", title, *p)
}

// warn annotates a warning of a step, each once.
func (v *GitHub) warn(step, message string) {
	if v.warned[step+"\n"+message] || v.warnings == maxAnnotations {
		return
	}
	v.warned[step+"\n"+message] = true
	v.warnings++
	v.annotate("warning", "step "+step, pipeline.Problem{Pos: v.at[step], Message: message})
}

// annotate prints one workflow command. A place that GitHub cannot show is
// told in the message.
func (v *GitHub) annotate(level, title string, p pipeline.Problem) {
	var params []string
	if pos, ok := v.place(p.Pos); ok {
		params = append(params, "file="+escapeProperty(pos.File))
		if pos.Line > 0 {
			params = append(params, fmt.Sprintf("line=%d", pos.Line))
		}
		if pos.Col > 0 {
			params = append(params, fmt.Sprintf("col=%d", pos.Col))
		}
		p.Pos = pipeline.Pos{}
	}
	params = append(params, "title="+escapeProperty(title))
	v.out.Command(fmt.Appendf(nil, "::%s %s::%s\n", level, strings.Join(params, ","), escapeData(p.Error())))
}

// group prints the log of a step, folded. Its lines are not commands, whatever
// they say.
func (v *GitHub) group(step string, tail *logTail) {
	var b bytes.Buffer
	lines := NewShield(&b, false)
	title := fmt.Sprintf("the log of step %s", step)
	if tail.dropped > 0 {
		title += fmt.Sprintf(", without its first %d lines", tail.dropped)
	}
	fmt.Fprintf(&b, "::group::%s\n", escapeData(title))
	for _, line := range tail.lines {
		fmt.Fprintln(lines, line)
	}
	b.WriteString("::endgroup::\n")
	v.out.Command(b.Bytes())
}

// escapeData writes a text so that a workflow command can end in it.
func escapeData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// escapeProperty writes a text so that a parameter of a workflow command can
// have it as its value.
func escapeProperty(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

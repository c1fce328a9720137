package view

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/pipe-run/pipe/pipeline"
)

const (
	maxCell    = 300 // runes of a text in a table
	maxShown   = 8   // metrics of a step
	maxProblem = 64 << 10
)

// Markdown returns the report as a page for the summary of a job, of at most
// limit bytes: problems, gates and steps, in this order. What does not fit is
// counted.
func (r *Report) Markdown(limit int) []byte {
	p := &page{limit: limit}
	p.add("### " + markdown(r.headline()) + "\n")
	p.problems(r)
	p.table("| gate | value | wanted | |\n|---|--:|--:|---|\n", r.gateRows(), "gate")
	rows, hits := r.stepRows()
	p.table("| step | kind | status | time | measured | why |\n|---|---|---|--:|---|---|\n", rows, "step")
	if hits > 0 {
		p.add(fmt.Sprintf("\n%d cached steps are not listed.\n", hits))
	}
	p.add("\n")
	return p.Bytes()
}

// headline says in a line how the run ended.
func (r *Report) headline() string {
	switch {
	case r.end == nil:
		return r.name + ": the run has not ended"
	case len(r.problems) > 0 && len(r.end.Steps) == 0:
		return fmt.Sprintf("%s: nothing ran: %s", r.name, counted(len(r.problems), "problem"))
	}
	return Summary(r.name, *r.end)
}

// A page is Markdown that stays below a size.
type page struct {
	bytes.Buffer
	limit int
}

// add appends a text if there is room for it.
func (p *page) add(s string) bool {
	if p.Len()+len(s) > p.limit {
		return false
	}
	p.WriteString(s)
	return true
}

// counting is room for the line that counts what is left out, in bytes.
const counting = 100

// table appends rows, as many as there is room for.
func (p *page) table(head string, rows []string, what string) {
	if len(rows) == 0 || !p.add("\n"+head) {
		return
	}
	p.limit -= counting
	n := 0
	for n < len(rows) && p.add(rows[n]) {
		n++
	}
	p.limit += counting
	if left := len(rows) - n; left > 0 {
		p.add(fmt.Sprintf("\nThere is no room for %s more.\n", counted(left, what)))
	}
}

// problems appends what went wrong, with its places. Several of the same kind
// are as many lines of one block.
func (p *page) problems(r *Report) {
	all := slices.Clone(r.problems)
	for _, name := range r.order {
		all = append(all, r.steps[name].problems...)
	}
	if len(all) == 0 {
		return
	}
	text := strings.TrimSpace(problemsText(all))
	if max := min(maxProblem, p.limit/4); len(text) > max {
		text = strings.ToValidUTF8(text[:max], "") + "\n…"
	}
	p.add("\n<pre>\n" + html.Replace(printable(text)) + "\n</pre>\n")
}

// gateRows are the conditions, those that fail first.
func (r *Report) gateRows() []string {
	var failed, held []string
	for _, name := range r.order {
		for _, g := range r.steps[name].gates {
			row := gateRow(name, g)
			if g.Passed {
				held = append(held, row)
			} else {
				failed = append(failed, row)
			}
		}
	}
	return append(failed, held...)
}

func gateRow(step string, g pipeline.Gate) string {
	value, verdict := "–", "**fails**"
	if g.Value != nil {
		value = fmt.Sprintf("%.6g", *g.Value)
	}
	if g.Passed {
		verdict = "holds"
	}
	return fmt.Sprintf("| %s %s | %s | %s | %s |\n", code(step), cell(g.Metric), value, cell(fmt.Sprintf("%s %.6g", g.Op, g.Bound)), verdict)
}

// stepRows are the steps, those that are no hits first; of many steps, hits
// are only counted.
func (r *Report) stepRows() (rows []string, uncounted int) {
	var hits []string
	for _, name := range r.order {
		if s := r.steps[name]; s.end.Status == pipeline.Cached {
			hits = append(hits, stepRow(s))
		} else {
			rows = append(rows, stepRow(s))
		}
	}
	if len(r.order) > many {
		return rows, len(hits)
	}
	return append(rows, hits...), 0
}

func stepRow(s *stepReport) string {
	kind, status, took, why := "", string(s.end.Status), "–", s.why
	if s.node != nil {
		kind = s.node.Kind
	}
	switch s.end.Status {
	case pipeline.Ran:
		took = Duration(s.end.Seconds)
	case pipeline.Failed:
		status, why = "**failed**", firstLine(s.message())
		if s.end.Seconds > 0 {
			took = Duration(s.end.Seconds)
		}
	case pipeline.Skipped, pipeline.Interrupted:
		why = s.end.Reason
	case "":
		status, why = "–", "the run did not come to it"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", code(s.name), cell(kind), status, took, cell(s.text()), cell(why))
}

// text lists what a step measured last.
func (s *stepReport) text() string {
	var parts []string
	names := s.numbers()
	for _, name := range names[:min(len(names), maxShown)] {
		parts = append(parts, fmt.Sprintf("%s %.5g", name, s.metrics[name]))
	}
	if more := len(names) - maxShown; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

// html writes a text so that a browser shows it.
var html = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// code shows the name of a step, which has no back quotes.
func code(name string) string { return "`" + name + "`" }

// cell writes a text for a table: on one line, and not too long.
func cell(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxCell {
		s = string(runes[:maxCell]) + "…"
	}
	return markdown(s)
}

// markdown writes a text so that Markdown shows it as it is.
func markdown(s string) string { return plainly.Replace(printable(s)) }

// plainly escapes the signs that mean something in Markdown or to GitHub.
var plainly = strings.NewReplacer(
	"\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "{", "\\{", "}", "\\}", "[", "\\[", "]", "\\]", "(", "\\(", ")", "\\)",
	"#", "\\#", "+", "\\+", "-", "\\-", "!", "\\!", "|", "\\|", "~", "\\~",
	"<", "&#60;", ">", "&#62;", "&", "&#38;", "$", "&#36;", "@", "&#64;", ":", "&#58;",
)

// printable drops what no page can hold.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\n' && c != '\t' && unicode.IsControl(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "�"))
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

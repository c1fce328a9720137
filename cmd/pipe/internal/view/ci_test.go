package view

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// isCommand reports whether GitHub's runner takes a line for a command, as its
// parser does: "::" after white space, or "##[" anywhere.
func isCommand(line string) bool {
	return strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[")
}

func runnerLines(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == '\n' || c == '\r' })
}

// evil is what a step may print.
var evil = []string{
	"::error::x", "\t::stop-commands::t", "\u00a0::set-output name=a::b", "##[add-mask]x", "say ##[error]y", "a\r::debug::z",
	"###[group]", "\u3000\u2003::x::", ":::a", " : ::b", "# #[x] ##\n[y]", "::",
}

// Nothing that is printed through a shield is a command, however it is cut
// into pieces, and what is harmless stays as it is.
func TestShield(t *testing.T) {
	text := strings.Join(evil, "\n") + "\n"
	for size := 1; size < 9; size++ {
		var out bytes.Buffer
		s := NewShield(&out, false)
		for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if n, err := s.Write(rest[:min(size, len(rest))]); n != min(size, len(rest)) || err != nil {
				t.Fatal(n, err)
			}
		}
		for _, line := range runnerLines(out.String()) {
			if isCommand(line) {
				t.Errorf("in pieces of %d: %q is a command", size, line)
			}
		}
		if got := strings.ReplaceAll(out.String(), " ", ""); got != strings.ReplaceAll(text, " ", "") {
			t.Errorf("more than spaces differs: %q", got)
		}
	}
	var out bytes.Buffer
	harmless := "a::b ::c\n# ## [x]\n\n: a\n"
	fmt.Fprint(NewShield(&out, false), harmless)
	if out.String() != harmless {
		t.Errorf("%q", out.String())
	}
}

func FuzzShield(f *testing.F) {
	for _, s := range evil {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var out bytes.Buffer
		fmt.Fprint(NewShield(&out, false), s)
		for _, line := range runnerLines(out.String()) {
			if isCommand(line) {
				t.Errorf("%q is a command", line)
			}
		}
	})
}

// JSON means the same behind a shield.
func TestShieldJSON(t *testing.T) {
	for _, text := range evil {
		b, err := json.Marshal(map[string]string{"message": text})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		NewShield(&out, true).Write(append(b, '\n'))
		var back map[string]string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["message"] != text || isCommand(out.String()) {
			t.Errorf("%q became %q, %v", text, out.String(), err)
		}
	}
}

func anywhere(p pipeline.Pos) (pipeline.Pos, bool) { return p, p.File != "" }

// Errors, warnings and logs in GitHub Actions.
func TestGitHub(t *testing.T) {
	var out bytes.Buffer
	v := NewGitHub(NewShield(&out, false), anywhere)
	v.Graph(&pipeline.Graph{Nodes: []*pipeline.Node{{Name: "a", Pos: pipeline.Pos{File: "a,b:c.cue", Line: 3, Col: 2}}}})
	say := func(f pipeline.Fact) { v.Event(pipeline.Event{Step: "a", Fact: f}) }
	say(pipeline.StepStart{Kind: "exec"})
	say(pipeline.Log{Level: "info", Message: "::error::injected"})
	say(pipeline.Log{Level: "warn", Message: "100% odd"})
	say(pipeline.Log{Level: "warn", Message: "100% odd"})
	say(pipeline.Trouble{Problem: pipeline.Problem{Pos: pipeline.Pos{File: "p.cue", Line: 7, Col: 9}, Message: "x\n::warning::y", Hint: "mend it"}})
	say(pipeline.StepEnd{Status: pipeline.Failed})
	v.Event(pipeline.Event{Fact: pipeline.Trouble{Problem: pipeline.Problem{Message: "nowhere"}}})
	want := `::warning file=a%2Cb%3Ac.cue,line=3,col=2,title=step a::100%25 odd
::error file=p.cue,line=7,col=9,title=step a::x%0A::warning::y%0A	mend it
::group::the log of step a
: :error::injected
warn: 100% odd
warn: 100% odd
::endgroup::
::error title=pipeline::nowhere
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// Of warnings there are as many as GitHub keeps, and a log is bounded.
func TestGitHubBounds(t *testing.T) {
	var out bytes.Buffer
	v := NewGitHub(NewShield(&out, false), anywhere)
	for i := range 100 {
		v.Event(pipeline.Event{Step: "a", Fact: pipeline.Log{Level: "warn", Message: fmt.Sprint(i)}})
	}
	if n := strings.Count(out.String(), "::warning"); n != maxAnnotations {
		t.Errorf("%d warnings", n)
	}
	line := strings.Repeat("x", 1<<10)
	for range 3 << 10 {
		v.Event(pipeline.Event{Step: "a", Fact: pipeline.Log{Level: "info", Message: line}})
	}
	out.Reset()
	v.Event(pipeline.Event{Step: "a", Fact: pipeline.StepEnd{Status: pipeline.Failed}})
	if out.Len() > maxGroup+200 || out.Len() < maxGroup/2 || !strings.Contains(out.String(), "without its first") {
		t.Errorf("%d bytes: %.100s", out.Len(), out.String())
	}
}

// sample is the report of a run in which everything happens.
func sample() *Report {
	r := NewReport("p.cue", time.Unix(0, 0))
	node := func(name, kind string, out map[string]string) *pipeline.Node {
		return &pipeline.Node{Name: name, Kind: kind, Outputs: out, Pos: pipeline.Pos{File: "p.cue", Line: 1, Col: 1}}
	}
	r.Metrics = func(*pipeline.Result) (map[string]float64, error) { return map[string]float64{"loss": 2.5}, nil }
	r.Graph(&pipeline.Graph{Name: "bot | <b>", Nodes: []*pipeline.Node{
		node("raw", "fetch", nil), node("lora", "train", nil), node("eval", "evaluate", map[string]string{"metrics": pipeline.TypeMetrics}),
		node("bad", "exec", nil), node("after", "exec", nil), node("slow", "exec", nil), node("late", "exec", nil),
	}})
	for _, e := range []pipeline.Event{
		{Fact: pipeline.RunStart{ID: "r1", Name: "bot", File: "p.cue", Steps: 7}},
		{Step: "raw", Fact: pipeline.StepEnd{Status: pipeline.Cached, Key: "k1"}},
		{Step: "lora", Fact: pipeline.StepStart{Kind: "train", Reason: "rank changed from 8 to `16`|"}},
		{Step: "lora", Fact: pipeline.Metric{Name: "train/loss", Value: 0.75, At: 10}},
		{Step: "lora", Fact: pipeline.StepEnd{Status: pipeline.Ran, Key: "k2", Usage: pipeline.Usage{Seconds: 61.25}}},
		{Step: "eval", Fact: pipeline.Gate{Metric: "loss", Op: "<", Bound: 2, Value: new(2.5), Pos: pipeline.Pos{File: "p.cue", Line: 9, Col: 3}}},
		{Step: "eval", Fact: pipeline.Trouble{Problem: pipeline.Problem{Pos: pipeline.Pos{File: "p.cue", Line: 9, Col: 3}, Message: "step eval: gate: loss is 2.5, wanted < 2"}}},
		{Step: "eval", Fact: pipeline.StepEnd{Status: pipeline.Failed, Outputs: map[string]pipeline.Digest{"metrics": {1}}}},
		{Step: "bad", Fact: pipeline.StepStart{Kind: "exec", Reason: "never run"}},
		{Step: "bad", Fact: pipeline.Log{Level: "info", Message: "</pre> ]]> \x00 &amp; \xff"}},
		{Step: "bad", Fact: pipeline.Trouble{Problem: pipeline.Problem{Message: "step bad: exit code 7\n</pre>&"}}},
		{Step: "bad", Fact: pipeline.StepEnd{Status: pipeline.Failed, Reason: "exit code 7"}},
		{Step: "after", Fact: pipeline.StepEnd{Status: pipeline.Skipped, Reason: "bad failed"}},
		{Step: "slow", Fact: pipeline.StepStart{Kind: "exec", Reason: "never run"}},
		{Step: "slow", Fact: pipeline.StepEnd{Status: pipeline.Interrupted, Reason: "interrupted"}},
		{Step: "late", Fact: pipeline.StepEnd{Status: pipeline.Interrupted, Reason: "not started"}},
		{Fact: pipeline.RunEnd{ID: "r1", Ran: 1, Cached: 1, Failed: 2, Skipped: 1, Interrupted: 2, Seconds: 62, Steps: map[string]pipeline.StepSummary{"raw": {}}}},
	} {
		r.Event(e)
	}
	return r
}

func TestJUnit(t *testing.T) {
	var f junitFile
	b := sample().JUnit()
	if err := xml.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	s := f.Suite
	if s.Tests != 7 || s.Failures != 1 || s.Errors != 2 || s.Skipped != 2 || s.Time != "62.000" || f.Tests != 7 {
		t.Errorf("counts: %+v", s)
	}
	c := s.Cases
	if c[0].Name != "raw" || c[0].Out != "cached: k1\n" || c[1].Time != "61.250" {
		t.Errorf("%+v", c[:2])
	}
	if c[2].Failure == nil || c[2].Failure.Message != "loss is 2.5, wanted < 2" || !strings.HasPrefix(c[2].Failure.Text, "p.cue:9:3: ") {
		t.Errorf("gate: %+v", c[2])
	}
	if c[3].Error == nil || c[3].Error.Message != "step bad: exit code 7" || !strings.Contains(c[3].Out, "</pre> ]]> � &amp; �") {
		t.Errorf("failure: %+v", c[3])
	}
	if c[4].Skipped == nil || c[5].Error == nil || c[6].Skipped == nil {
		t.Errorf("%+v", c[4:])
	}
}

// A file of a run that has not ended says so, and one that could not begin
// says why.
func TestJUnitOfNothing(t *testing.T) {
	r := NewReport("p.cue", time.Unix(0, 0))
	if got := string(r.JUnit()); !strings.Contains(got, `errors="1"`) || !strings.Contains(got, `type="killed"`) {
		t.Error(got)
	}
	r.Event(pipeline.Event{Fact: pipeline.Trouble{Problem: pipeline.Problem{Pos: pipeline.Pos{File: "p.cue", Line: 2, Col: 1}, Message: "wrong"}}})
	r.Event(pipeline.Event{Fact: pipeline.RunEnd{}})
	if got := string(r.JUnit()); !strings.Contains(got, `tests="1"`) || !strings.Contains(got, `message="wrong">p.cue:2:1: wrong`) {
		t.Error(got)
	}
}

func TestMarkdown(t *testing.T) {
	got := string(sample().Markdown(1 << 20))
	for _, want := range []string{
		"### bot \\| &#60;b&#62;&#58; 1 ran, 1 cached, 2 failed, 1 skipped, 2 interrupted in 1m2s\n",
		"<pre>\np.cue:9:3: step eval: gate: loss is 2.5, wanted &lt; 2\nstep bad: exit code 7\n&lt;/pre&gt;&amp;\n</pre>\n",
		"| `eval` loss | 2.5 | &#60; 2 | **fails** |\n",
		"| `lora` | train | ran | 1m1s | train/loss 0.75 | rank changed from 8 to \\`16\\`\\| |\n",
		"| `eval` | evaluate | **failed** | – | loss 2.5 | step eval&#58; gate&#58; loss is 2.5, wanted &#60; 2 |\n",
		"| `raw` | fetch | cached | – |  |  |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}

// A summary keeps its limit, and counts what it leaves out.
func TestMarkdownLimit(t *testing.T) {
	r := NewReport("p.cue", time.Unix(0, 0))
	for i := range 5_000 {
		r.Event(pipeline.Event{Step: fmt.Sprint("s", i), Fact: pipeline.StepEnd{Status: pipeline.Skipped, Reason: strings.Repeat("<", 200)}})
		r.Event(pipeline.Event{Step: fmt.Sprint("s", i), Fact: pipeline.Trouble{Problem: pipeline.Problem{Message: strings.Repeat("&", 100)}}})
	}
	r.Event(pipeline.Event{Fact: pipeline.RunEnd{Skipped: 5_000}})
	for _, limit := range []int{0, 1, 100, 1000, 10_000, 1 << 20} {
		b := r.Markdown(limit)
		if len(b) > limit {
			t.Errorf("%d bytes, limit %d", len(b), limit)
		}
		if limit >= 10_000 && (!bytes.Contains(b, []byte("There is no room for")) || len(b) < limit/2) {
			t.Errorf("limit %d: %d bytes", limit, len(b))
		}
	}
}

package view

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// The elements of a JUnit file, as far as the schema of Jenkins (junit-10.xsd
// of its xUnit plugin) knows them.
type (
	junitFile struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Name     string     `xml:"name,attr"`
		Time     string     `xml:"time,attr"` // seconds
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Suite    junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		Classname string        `xml:"classname,attr"`
		Time      string        `xml:"time,attr"`
		Skipped   *junitVerdict `xml:"skipped"`
		Error     *junitVerdict `xml:"error"`
		Failure   *junitVerdict `xml:"failure"`
		Out       string        `xml:"system-out,omitempty"`
	}
	junitVerdict struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit returns the report as a JUnit file: a test case for each step. A gate
// that fails is a failure, a step that does is an error. What no step can say
// is an error of a case named after the file, and so is a run that has not
// ended.
func (r *Report) JUnit() []byte {
	suite := junitSuite{Name: r.name, Time: seconds(0), Timestamp: r.start.UTC().Format("2006-01-02T15:04:05")}
	if r.end != nil {
		suite.Time = seconds(r.end.Seconds)
	}
	suite.Properties = []junitProperty{{"pipe.file", r.File}}
	if r.id != "" {
		suite.Properties = append(suite.Properties, junitProperty{"pipe.run", r.id})
	}
	if c := r.caseOfRun(); c != nil {
		suite.Cases = append(suite.Cases, *c)
	}
	if r.end != nil {
		for _, name := range r.order {
			suite.Cases = append(suite.Cases, r.caseOf(r.steps[name]))
		}
	}
	for _, c := range suite.Cases {
		suite.count(c)
	}
	b, err := xml.MarshalIndent(junitFile{
		Name: suite.Name, Time: suite.Time, Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Suite: suite,
	}, "", "\t")
	if err != nil {
		panic(err) // all of it is text and numbers
	}
	return append([]byte(xml.Header), append(b, '\n')...)
}

func (s *junitSuite) count(c junitCase) {
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
}

// caseOfRun is the case of what went wrong before, or without, any step.
func (r *Report) caseOfRun() *junitCase {
	c := &junitCase{Name: r.File, Classname: r.name, Time: seconds(0)}
	switch {
	case len(r.problems) > 0:
		c.Error = &junitVerdict{"pipeline", firstLine(r.problems[0].Message), problemsText(r.problems)}
	case r.end == nil:
		c.Error = &junitVerdict{Type: "killed", Message: "pipe run was killed before it could end"}
	case r.end.Interrupted > 0 && len(r.steps) == 0:
		c.Error = &junitVerdict{Type: "interrupted", Message: "interrupted before any step"}
	default:
		return nil
	}
	return c
}

func (r *Report) caseOf(s *stepReport) junitCase {
	c := junitCase{Name: s.name, Classname: r.name, Time: seconds(s.end.Seconds)}
	switch s.end.Status {
	case pipeline.Failed:
		if failed := s.failed(); len(failed) > 0 {
			c.Failure = &junitVerdict{"gate", gatesText(failed), problemsText(s.problems)}
		} else {
			c.Error = &junitVerdict{"step", firstLine(s.message()), problemsText(s.problems)}
		}
	case pipeline.Interrupted:
		if s.why == "" {
			c.Skipped = &junitVerdict{Type: "interrupted", Message: "the run was interrupted before it began"}
		} else {
			c.Error = &junitVerdict{Type: "interrupted", Message: "interrupted; the next run continues it"}
		}
	case pipeline.Skipped:
		c.Skipped = &junitVerdict{Type: "skipped", Message: s.end.Reason}
	case "":
		c.Skipped = &junitVerdict{Type: "skipped", Message: "the run did not come to it"}
	}
	c.Out = s.out()
	return c
}

// message is what a step failed of.
func (s *stepReport) message() string {
	if len(s.problems) > 0 {
		return s.problems[0].Message
	}
	return s.end.Reason
}

// out is what else there is to say of a step.
func (s *stepReport) out() string {
	var b strings.Builder
	if s.end.Status == pipeline.Cached {
		fmt.Fprintf(&b, "cached: %s\n", s.end.Key)
	}
	if s.why != "" {
		fmt.Fprintf(&b, "ran: %s\n", s.why)
	}
	for _, g := range s.gates {
		fmt.Fprintf(&b, "gate: %s\n", gateText(g))
	}
	for _, name := range s.numbers() {
		fmt.Fprintf(&b, "%s: %g\n", name, s.metrics[name])
	}
	if s.log != nil {
		b.WriteString("log:\n")
		if s.log.dropped > 0 {
			fmt.Fprintf(&b, "(%d lines before these)\n", s.log.dropped)
		}
		for _, line := range s.log.lines {
			fmt.Fprintln(&b, line)
		}
	}
	return b.String()
}

// gateText says how a condition turned out.
func gateText(g pipeline.Gate) string {
	if g.Passed {
		return g.String() + ": holds"
	}
	return g.String() + ": fails"
}

func gatesText(gates []pipeline.Gate) string {
	var all []string
	for _, g := range gates {
		all = append(all, g.String())
	}
	return strings.Join(all, "; ")
}

func problemsText(problems []*pipeline.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		Problem(&b, p)
	}
	return b.String()
}

// firstLine is what a message says before it repeats a log.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "; the last lines of its log:")
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }

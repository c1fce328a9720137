// Command testsummary reads the output of `go test -json` and prints what go
// test would: a line per package and the output of what failed; besides, every
// skipped test with its reason, and counts. It ends with 1 when a test failed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// An event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
}

func main() {
	s := &summary{output: map[string]*strings.Builder{}, count: map[string]int{}, out: os.Stdout}
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(2)
	}
	if !s.print() {
		os.Exit(1)
	}
}

// A summary is what is known so far.
type summary struct {
	out    io.Writer
	output map[string]*strings.Builder // package and test → what it printed
	count  map[string]int              // action → tests
	skips  []string
	failed bool
}

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(s.out, lines.Text())
			continue
		}
		s.event(e)
	}
	return lines.Err()
}

func (s *summary) event(e event) {
	name := e.Package + " " + e.Test
	b := s.output[name]
	if b == nil {
		b = &strings.Builder{}
		s.output[name] = b
	}
	switch e.Action {
	case "output", "build-output":
		b.WriteString(e.Output)
		return
	case "pass", "fail", "skip":
	case "build-fail":
		s.failed = true
		fmt.Fprint(s.out, b)
	default:
		return
	}
	switch {
	case e.Test == "":
		s.closePackage(e, b.String())
	case e.Action == "fail":
		fmt.Fprintf(s.out, "%s", b)
	case e.Action == "skip":
		s.skips = append(s.skips, fmt.Sprintf("%s: %s", name, reason(b.String())))
	}
	if e.Test != "" {
		s.count[e.Action]++
	}
	delete(s.output, name)
}

// closePackage prints the line that go test prints for a package.
func (s *summary) closePackage(e event, output string) {
	if e.Action == "fail" {
		s.failed = true
	}
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "FAIL") || e.Action == "fail" {
			fmt.Fprint(s.out, line)
		}
	}
}

// print writes the skips and the counts, and reports whether all is well. No
// test at all is not.
func (s *summary) print() bool {
	for _, skip := range s.skips {
		fmt.Fprintln(s.out, "SKIP", skip)
	}
	ok := !s.failed && s.count["fail"] == 0 && s.count["pass"] > 0
	verdict := "PASS"
	if !ok {
		verdict = "FAIL"
	}
	fmt.Fprintf(s.out, "%s: %d tests passed, %d failed, %d skipped\n", verdict, s.count["pass"], s.count["fail"], s.count["skip"])
	return ok
}

// reason finds what t.Skip said: the line before "--- SKIP".
func reason(output string) string {
	last := ""
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if line != "" {
			last = line
		}
	}
	return last
}

// Command testsummary turns the output of `go test -json` into a page for
// people: failures with their output, every skip with its reason, and counts.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// An event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: testsummary FILE")
		os.Exit(2)
	}
	failed, err := summarize(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

func summarize(file string) (failed bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	output := map[string]*strings.Builder{}
	count := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // a build failure
			continue
		}
		name := e.Package + " " + e.Test
		if output[name] == nil {
			output[name] = &strings.Builder{}
		}
		switch e.Action {
		case "output", "build-output":
			output[name].WriteString(e.Output)
		case "pass", "fail", "skip":
			if e.Test != "" {
				count[e.Action]++
			}
			if e.Action == "fail" {
				failed = true
				fmt.Printf("FAIL %s\n%s\n", name, output[name])
			}
			if e.Action == "skip" && e.Test != "" {
				fmt.Printf("SKIP %s: %s\n", name, reason(output[name].String()))
			}
			if e.Test == "" && e.Action == "pass" {
				fmt.Printf("ok   %s\n", e.Package)
			}
			delete(output, name)
		}
	}
	verdict := "PASS"
	if failed {
		verdict = "FAIL"
	}
	fmt.Printf("%s: %d tests passed, %d failed, %d skipped\n", verdict, count["pass"], count["fail"], count["skip"])
	return failed, lines.Err()
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

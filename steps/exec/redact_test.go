package exec

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

// TestRedact: a secret never comes through, however the text is cut.
func TestRedact(t *testing.T) {
	env := map[string]string{"A": "abcab", "B": "abcabd", "C": "xy"}
	p := Params{Secrets: map[string]Secret{"A": {"A"}, "B": {"B"}, "C": {"C"}}}
	task := &pipeline.Task{Secret: func(n string) (string, bool) { v, ok := env[n]; return v, ok }}
	for in, want := range map[string]string{
		"":                       "",
		"ab":                     "ab",
		"abcab":                  "***",
		"abcabd":                 "***",
		"abcabcab":               "***cab",
		"say abcabd, abc, xy.":   "say ***, abc, xy.",
		"abcababcababcabdabcabc": "************c",
	} {
		for size := 1; size <= len(in)+1; size++ {
			var out bytes.Buffer
			r := redact(p, task, &out)
			for rest := in; rest != ""; {
				n := min(size, len(rest))
				if _, err := r.Write([]byte(rest[:n])); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != want {
				t.Errorf("%q in pieces of %d: %q, want %q", in, size, got, want)
			}
			if strings.Contains(out.String(), env["A"]) {
				t.Errorf("%q in pieces of %d: the secret came through", in, size)
			}
		}
	}
}

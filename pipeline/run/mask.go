package run

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// minSecret is the length, in bytes, from which on the lines of a secret are
// hidden: less stands by chance in what any program prints.
const minSecret = 4

// A mask hides the values of secrets in what a step says.
type mask struct{ *strings.Replacer }

// newMask hides the secrets of n, each line of those that have several.
func newMask(n *pipeline.Node, secret func(name string) (string, bool)) mask {
	var lines []string
	for _, name := range n.Secrets {
		v, _ := secret(name)
		for line := range strings.Lines(v) {
			if line = strings.TrimSpace(line); len(line) >= minSecret {
				lines = append(lines, line)
			}
		}
	}
	// The longest first, so that nothing is left of one that begins another.
	slices.SortFunc(lines, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, line := range lines {
		pairs = append(pairs, line, "***")
	}
	return mask{strings.NewReplacer(pairs...)}
}

// fact hides secrets in the words of f.
func (m mask) fact(f pipeline.Fact) pipeline.Fact {
	switch f := f.(type) {
	case pipeline.Log:
		f.Message = m.Replace(f.Message)
		return f
	case pipeline.Retry:
		f.Message = m.Replace(f.Message)
		return f
	}
	return f
}

// report hides secrets in the words of r.
func (m mask) report(r *childReport) {
	r.Error, r.Hint = m.Replace(r.Error), m.Replace(r.Hint)
}

package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/inspect"
)

// shownRows is how many rows pipe preview shows by default.
const shownRows = 3

func (a *app) previewCommand() *cobra.Command {
	var src source
	var asJSON bool
	var page string
	c := inspect.Choice{}
	cmd := &cobra.Command{
		Use: "preview FILE STEP[.OUT]", Short: "Show rows of a dataset, or of tokens by what is supervised", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.file = args[0]
			switch {
			case c.Count < 0:
				return usagef("-n must be at least 0, got %d", c.Count)
			case asJSON && page != "":
				return usagef("--json and --html: say one of them")
			case c.First < 1:
				return usagef("--row counts from 1, got %d", c.First)
			case cmd.Flags().Changed("row") && !cmd.Flags().Changed("rows"):
				c.Count = 1
			}
			p, err := a.preview(cmd.Context(), src, args[1], c)
			if err != nil {
				return err
			}
			if p.Total < c.First && c.First > 1 && !p.Partial {
				return usagef("--row %d: there are %d", c.First, p.Total)
			}
			if page != "" {
				return writePage(a.out, page, args[1], p)
			}
			if asJSON {
				return a.printJSON(p)
			}
			printPreview(a.out, p, a.ink())
			return nil
		},
	}
	src.tagFlag(cmd)
	jsonFlag(cmd, &asJSON)
	f := cmd.Flags()
	f.IntVarP(&c.Count, "rows", "n", shownRows, "how many rows")
	f.Int64Var(&c.First, "row", 1, "the first row to show; alone, only that one")
	f.StringVar(&page, "html", "", "write the rows as a page to this file instead")
	return cmd
}

// preview looks at the cached output of a step. Tokens that are not cached are
// made of the first records alone, if those and the model are there.
func (a *app) preview(ctx context.Context, src source, name string, c inspect.Choice) (*inspect.Preview, error) {
	s, err := a.openPipeline(ctx, src)
	if err != nil {
		return nil, err
	}
	defer s.close()
	step, _, _ := strings.Cut(name, ".")
	art, err := s.artifact(ctx, name)
	if err != nil {
		if n := s.graph.Node(step); n != nil && n.Kind == "tokenize" {
			return s.foretaste(ctx, n, c, err)
		}
		return nil, err
	}
	if art.Type != pipeline.TypeRecords && art.Type != pipeline.TypeTokens {
		return nil, usagef("%s holds %s, and only records and tokens have rows; pipe inspect %s says what it holds", name, art.Type, art.Root)
	}
	dir, done, err := s.folder(ctx, art.Root)
	if err != nil {
		return nil, err
	}
	defer done()
	if art.Type == pipeline.TypeRecords {
		return inspect.Rows(dir, "", c)
	}
	model, done, err := s.inputFolder(ctx, step, "model")
	if err != nil {
		return nil, err
	}
	defer done()
	p, err := inspect.Rows(dir, model, c)
	if err != nil {
		return nil, err
	}
	records, done, err := s.inputFolder(ctx, step, "records")
	if err != nil || records == "" { // they may have left the cache
		return p, nil
	}
	defer done()
	p.Lengths.Records, err = inspect.Records(records)
	return p, err
}

// inputFolder is the artifact that feeds an input of a step, in a folder; "" for
// a step without that input.
func (s *session) inputFolder(ctx context.Context, step, input string) (dir string, done func(), err error) {
	whole := s.graph // of which looking keeps what the input needs
	art, ok, err := s.feeder(ctx, step, input)
	s.graph = whole
	if err != nil || !ok {
		return "", func() {}, err
	}
	return s.folder(ctx, art.Root)
}

// An ink marks text: with 256 colours on a terminal, with brackets elsewhere.
type ink struct {
	faint, off string
	plain      [2]string // unsupervised tokens, by turns
	marked     [2]string // supervised tokens
	partly     [2]string // those with a weight of their own
	special    string    // over one of these
	brackets   bool
}

func (a *app) ink() ink {
	if a.terminal() != nil && os.Getenv("NO_COLOR") == "" {
		return ink{
			faint: "\x1b[2m", off: "\x1b[0m", special: "\x1b[1;38;5;213m",
			plain:  [2]string{"\x1b[38;5;250;48;5;235m", "\x1b[38;5;250;48;5;238m"},
			marked: [2]string{"\x1b[38;5;231;48;5;22m", "\x1b[38;5;231;48;5;28m"},
			partly: [2]string{"\x1b[38;5;231;48;5;58m", "\x1b[38;5;231;48;5;94m"},
		}
	}
	return ink{brackets: true}
}

func printPreview(w io.Writer, p *inspect.Preview, i ink) {
	for n, r := range p.Records {
		fmt.Fprintf(w, "%s── record %d: %s, record %d%s\n", i.faint, n+1, clean(r.File), r.Number, i.off)
		printRecord(w, r)
	}
	for _, r := range p.Rows {
		fmt.Fprintf(w, "%s── row %d: %s, %d supervised%s%s\n", i.faint, r.Number, count(r.Tokens, "token"), r.Supervised, documents(r), i.off)
		i.row(w, r)
	}
	if p.Type == "records" {
		if p.Layout != "" {
			fmt.Fprintf(w, "read as %s\n", clean(p.Layout))
		}
		fmt.Fprintf(w, "%s of shape %s\n", count(int(p.Total), "record"), p.Shape)
		return
	}
	for _, note := range p.Notes {
		fmt.Fprintln(w, clean(note))
	}
	if p.Partial {
		fmt.Fprintln(w, "the step has not run: these rows were made of the records shown alone, unpacked")
	}
	printLengths(w, p.Lengths, i)
}

// clean makes text of a dataset safe to print: a terminal obeys no escape in
// it.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}

func printRecord(w io.Writer, r inspect.Record) {
	for _, part := range []struct {
		name  string
		turns []inspect.Turn
	}{{"", r.Messages}, {"chosen ", r.Chosen}, {"rejected ", r.Rejected}} {
		for _, m := range part.turns {
			weight := ""
			if m.Weight != nil {
				weight = fmt.Sprintf(" (weight %v)", *m.Weight)
			}
			fmt.Fprintf(w, "%s%s%s: %s\n", part.name, m.Role, weight, clean(m.Content))
			if m.Reasoning != "" {
				fmt.Fprintf(w, "  reasoning %s\n", clean(m.Reasoning))
			}
			if m.ToolCalls != "" {
				fmt.Fprintf(w, "  calls %s\n", clean(m.ToolCalls))
			}
		}
	}
	for _, f := range []struct{ name, text string }{{"prompt", r.Prompt}, {"completion", r.Completion}} {
		if f.text != "" {
			fmt.Fprintf(w, "%s: %s\n", f.name, clean(f.text))
		}
	}
	if r.Text != "" {
		fmt.Fprintln(w, clean(r.Text))
	}
	for _, seg := range r.Segments {
		name := "masked"
		if seg.Train {
			name = "trained on"
		}
		fmt.Fprintf(w, "%s: %s\n", name, clean(seg.Text))
	}
	if r.Desirable != nil {
		fmt.Fprintf(w, "desirable: %t\n", *r.Desirable)
	}
}

func documents(r inspect.Row) string {
	if r.Documents < 2 {
		return ""
	}
	return ", " + count(r.Documents, "document")
}

// row shows the tokens of a row, each apart from the next: supervised ones between
// « and », others between [ and ], or by colours. A document of a packed row begins
// on a line of its own.
func (i ink) row(w io.Writer, r inspect.Row) {
	turn := 0
	for _, p := range r.Pieces {
		if p.Starts {
			fmt.Fprintln(w)
		}
		for _, t := range p.Tokens {
			io.WriteString(w, i.token(p, t, turn%2))
			turn++
		}
	}
	fmt.Fprintln(w)
}

func (i ink) token(p inspect.Piece, text string, turn int) string {
	text = visible(clean(text))
	if i.brackets {
		on, off := "[", "]"
		if p.Supervised {
			on, off = "«", "»"
		}
		if p.Weight != nil {
			off = fmt.Sprintf("»×%.3g", *p.Weight)
		}
		return lines(text, func(s string) string { return on + s + off })
	}
	colour := i.plain[turn]
	switch {
	case p.Weight != nil:
		colour = i.partly[turn]
	case p.Supervised:
		colour = i.marked[turn]
	}
	if p.Special {
		colour += i.special
	}
	return lines(text, func(s string) string { return colour + s + i.off })
}

// visible writes white space so that it is seen: ␣ for a space at an end of a
// token or beside another, ⇥ for a tab, ↵ before each line break.
func visible(s string) string {
	s = strings.NewReplacer("\t", "⇥", "\n", "↵\n").Replace(s)
	if trimmed := strings.TrimRight(s, " "); trimmed != s {
		s = trimmed + strings.Repeat("␣", len(s)-len(trimmed))
	}
	return strings.ReplaceAll(s, "  ", "␣␣")
}

// lines marks a text, leaving its last line breaks outside, where the next line
// begins plain.
func lines(s string, mark func(string) string) string {
	end := len(strings.TrimRight(s, "\n"))
	return mark(s[:end]) + s[end:]
}

// barWidth is the longest bar of a histogram, in characters.
const barWidth = 40

func printLengths(w io.Writer, l *inspect.Lengths, i ink) {
	for _, line := range summary(l) {
		fmt.Fprintln(w, line)
	}
	most := int64(1)
	for _, c := range l.Histogram {
		most = max(most, c.Rows)
	}
	for _, c := range l.Histogram {
		fmt.Fprintf(w, "  ≤ %-7d %8d %s\n", c.AtMost, c.Rows, strings.Repeat("█", int((c.Rows*barWidth+most-1)/most)))
	}
}

// summary says what rows of tokens hold, a line each.
func summary(l *inspect.Lengths) []string {
	share := 0.0
	if l.Tokens > 0 {
		share = 100 * float64(l.Supervised) / float64(l.Tokens)
	}
	all := []string{fmt.Sprintf("%s, %s, %.1f %% supervised; %d to %d tokens a row",
		count(int(l.Rows), "row"), count(int(l.Tokens), "token"), share, l.Shortest, l.Longest)}
	made := count(int(l.Documents), "document")
	if l.Records > 0 {
		made += fmt.Sprintf(" of %s", count(int(l.Records), "record"))
	}
	all = append(all, fmt.Sprintf("%s; %d BOS, %d EOS", made, l.BOS, l.EOS))
	for _, n := range []struct {
		n    int64
		text string
	}{
		{l.Unended, "documents end within an answer: truncated, so without a stop token"},
		{l.DoubledBOS, "BOS stand right after another"},
		{l.Weighted, "supervised tokens have a weight of their own"},
	} {
		if n.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", n.n, n.text))
		}
	}
	return all
}

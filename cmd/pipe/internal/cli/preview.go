package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/inspect"
)

// shownRows is how many rows pipe preview shows by default.
const shownRows = 3

func (a *app) previewCommand() *cobra.Command {
	var src source
	var asJSON bool
	var rows int
	cmd := &cobra.Command{
		Use: "preview FILE STEP[.OUT]", Short: "Show rows of a dataset, or of tokens by what is supervised", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.file = args[0]
			if rows < 0 {
				return usagef("-n must be at least 0, got %d", rows)
			}
			p, err := a.preview(cmd.Context(), src, args[1], rows)
			if err != nil {
				return err
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
	cmd.Flags().IntVarP(&rows, "rows", "n", shownRows, "how many rows")
	return cmd
}

func (a *app) preview(ctx context.Context, src source, name string, rows int) (*inspect.Preview, error) {
	s, err := a.openPipeline(ctx, src)
	if err != nil {
		return nil, err
	}
	defer s.close()
	art, err := s.artifact(ctx, name)
	if err != nil {
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
	model := ""
	if art.Type == pipeline.TypeTokens {
		step, _, _ := strings.Cut(name, ".")
		base, ok, err := s.feeder(ctx, step, "model")
		if err != nil {
			return nil, err
		}
		if ok {
			var done func()
			if model, done, err = s.folder(ctx, base.Root); err != nil {
				return nil, err
			}
			defer done()
		}
	}
	return inspect.Rows(dir, model, rows)
}

// An ink marks text: with colours on a terminal, with signs elsewhere.
type ink struct {
	on, off           string // around what is supervised
	special, specialX string // around special tokens
	faint, faintX     string
}

func (a *app) ink() ink {
	if f, ok := a.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" {
		return ink{"\x1b[32m", "\x1b[0m", "\x1b[35m", "\x1b[0m", "\x1b[2m", "\x1b[0m"}
	}
	return ink{on: "«", off: "»"}
}

func printPreview(w io.Writer, p *inspect.Preview, i ink) {
	for n, r := range p.Records {
		fmt.Fprintf(w, "%s── record %d: %s, record %d%s\n", i.faint, n+1, clean(r.File), r.Number, i.faintX)
		printRecord(w, r)
	}
	for n, r := range p.Rows {
		fmt.Fprintf(w, "%s── row %d: %s, %d supervised%s%s\n", i.faint, n+1, count(r.Tokens, "token"), r.Supervised, documents(r), i.faintX)
		for _, piece := range r.Pieces {
			io.WriteString(w, i.mark(piece))
		}
		fmt.Fprintln(w)
	}
	if p.Type == "records" {
		fmt.Fprintf(w, "%s of shape %s\n", count(int(p.Total), "record"), p.Shape)
		return
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
			fmt.Fprintf(w, "%s%s: %s\n", part.name, m.Role, clean(m.Content))
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
}

func documents(r inspect.Row) string {
	if r.Documents < 2 {
		return ""
	}
	return ", " + count(r.Documents, "document")
}

// mark shows a piece: supervised text and special tokens stand out, and a
// document of a packed row begins on a line of its own.
func (i ink) mark(p inspect.Piece) string {
	text := clean(p.Text)
	if p.Special {
		text = i.special + text + i.specialX
	}
	if p.Supervised {
		text = i.on + text + i.off
	}
	if p.Starts {
		text = "\n" + text
	}
	return text
}

// barWidth is the longest bar of a histogram, in characters.
const barWidth = 40

func printLengths(w io.Writer, l *inspect.Lengths, i ink) {
	share := 0.0
	if l.Tokens > 0 {
		share = 100 * float64(l.Supervised) / float64(l.Tokens)
	}
	fmt.Fprintf(w, "%s, %s, %.1f %% supervised (%smarked so%s); %d to %d tokens a row\n",
		count(int(l.Rows), "row"), count(int(l.Tokens), "token"), share, i.on, i.off, l.Shortest, l.Longest)
	most := int64(1)
	for _, c := range l.Histogram {
		most = max(most, c.Rows)
	}
	for _, c := range l.Histogram {
		fmt.Fprintf(w, "  ≤ %-7d %8d %s\n", c.AtMost, c.Rows, strings.Repeat("█", int((c.Rows*barWidth+most-1)/most)))
	}
}

package inspect

import (
	"encoding/json"
	"errors"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// A Preview shows some rows of records or tokens, and counts all.
type Preview struct {
	Type    string   `json:"type"` // "records" or "tokens"
	Shape   string   `json:"shape,omitempty"`
	Layout  string   `json:"layout,omitempty"` // what the rows were read as and why, where convert told it
	Records []Record `json:"records,omitempty"`
	Rows    []Row    `json:"rows,omitempty"`
	Total   int64    `json:"total"`
	Lengths *Lengths `json:"lengths,omitempty"` // of tokens

	// Partial says that the tokens were made just now of the first records
	// alone, since the step has not run; Notes is what it said of them.
	Partial bool     `json:"partial,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// A Choice is which rows to show: Count of them from row First on, from 1.
type Choice struct {
	First int64
	Count int
}

func (c Choice) takes(row int64) bool { return row >= c.First && row < c.First+int64(c.Count) }

// A Record is one record, with the fields of its shape.
type Record struct {
	Messages   []Turn          `json:"messages,omitempty"`
	Chosen     []Turn          `json:"chosen,omitempty"`
	Rejected   []Turn          `json:"rejected,omitempty"`
	Tools      json.RawMessage `json:"tools,omitempty"`
	Prompt     string          `json:"prompt,omitempty"`
	Completion string          `json:"completion,omitempty"`
	Text       string          `json:"text,omitempty"`
	Segments   []Segment       `json:"segments,omitempty"`
	Desirable  *bool           `json:"desirable,omitempty"`
	File       string          `json:"file"`
	Number     int64           `json:"record"` // in its file, from 1
}

// A Segment is a span of text that is trained on or not.
type Segment struct {
	Text  string `json:"text"`
	Train bool   `json:"train"`
}

// A Turn is one message.
type Turn struct {
	Role      string   `json:"role"`
	Name      string   `json:"name,omitempty"`
	Reasoning string   `json:"reasoning,omitempty"`
	Content   string   `json:"content"`
	ToolCalls string   `json:"toolCalls,omitempty"`
	Weight    *float64 `json:"weight,omitempty"`
}

// A Row is one row of tokens.
type Row struct {
	Number     int64   `json:"row"` // from 1
	Tokens     int     `json:"tokens"`
	Supervised int     `json:"supervised"`
	Documents  int     `json:"documents"`
	Pieces     []Piece `json:"pieces"`
}

// A Piece is a run of tokens that are all supervised or all not, with the same
// weight. A special token is a piece of its own, as is each document's beginning.
type Piece struct {
	Text       string   `json:"text"`
	Supervised bool     `json:"supervised"`
	Weight     *float32 `json:"weight,omitempty"` // in the loss; where it is not 1
	Special    bool     `json:"special,omitempty"`
	Starts     bool     `json:"starts,omitempty"` // a document, in a packed row
	IDs        []int32  `json:"ids"`
	Tokens     []string `json:"tokens"` // the text of each; a character of several tokens is the last one's
}

// Lengths count rows of tokens.
type Lengths struct {
	Rows       int64   `json:"rows"`
	Tokens     int64   `json:"tokens"`
	Supervised int64   `json:"supervised"`
	Documents  int64   `json:"documents"`
	Unended    int64   `json:"unended"`           // documents that end supervised, in no special token: truncated answers
	BOS        int64   `json:"bos"`               // tokens; 0 without a tokenizer, as are the next two
	EOS        int64   `json:"eos"`               // of any stop token of the model
	DoubledBOS int64   `json:"doubledBOS"`        // BOS right after another
	Weighted   int64   `json:"weighted"`          // supervised tokens whose weight is not 1
	Records    int64   `json:"records,omitempty"` // that the tokens were made of; 0: not known
	Shortest   int     `json:"shortest"`
	Longest    int     `json:"longest"`
	Histogram  []Count `json:"histogram"`
}

// A Count is how many rows have at most so many tokens, and more than the
// Count before.
type Count struct {
	AtMost int   `json:"atMost"`
	Rows   int64 `json:"rows"`
}

func (l *Lengths) add(r dataset.Row, tok *token.Tokenizer) {
	n := len(r.InputIDs)
	if l.Rows == 0 || n < l.Shortest {
		l.Shortest = n
	}
	l.Longest = max(l.Longest, n)
	l.Rows++
	l.Tokens += int64(n)
	for i, label := range r.Labels {
		if label != dataset.Unsupervised {
			l.Supervised++
			if i < len(r.LossWeights) && r.LossWeights[i] != 1 {
				l.Weighted++
			}
		}
	}
	l.ends(r, tok)
	i := bits.Len(uint(max(n-1, 0)))
	for len(l.Histogram) <= i {
		l.Histogram = append(l.Histogram, Count{AtMost: 1 << len(l.Histogram)})
	}
	l.Histogram[i].Rows++
}

// ends counts the documents of a row and the tokens that begin and end them.
func (l *Lengths) ends(r dataset.Row, tok *token.Tokenizer) {
	for i, id := range r.InputIDs {
		last := i+1 == len(r.InputIDs) || i+1 < len(r.PositionIDs) && r.PositionIDs[i+1] == 0
		if tok != nil {
			if b, ok := tok.BOS(); ok && id == b {
				l.BOS++
				if i > 0 && r.InputIDs[i-1] == b {
					l.DoubledBOS++
				}
			}
			if slices.Contains(tok.StopIDs(), id) {
				l.EOS++
			}
		}
		if !last {
			continue
		}
		l.Documents++
		if tok != nil && r.Labels[i] != dataset.Unsupervised && !tok.IsSpecial(id) {
			l.Unended++
		}
	}
}

// trim takes off the empty counts before the first row.
func (l *Lengths) trim() {
	for len(l.Histogram) > 0 && l.Histogram[0].Rows == 0 {
		l.Histogram = l.Histogram[1:]
	}
	if l.Histogram == nil {
		l.Histogram = []Count{}
	}
}

// Rows previews rows of the records or tokens in dir. model is the folder of
// the model whose tokenizer made the tokens; without one ids stand for text.
func Rows(dir, model string, c Choice) (*Preview, error) {
	if _, err := os.Stat(filepath.Join(dir, "dataset_info.json")); err == nil {
		return previewTokens(dir, model, c)
	}
	return previewRecords(dir, c)
}

// Head writes the records of dir that c chooses to the folder out, as records.
func Head(dir, out string, c Choice) error {
	r, err := dataset.OpenRecords(dir)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := dataset.CreateRecords(out, r.Shape())
	if err != nil {
		return err
	}
	n := int64(0)
	for rec, err := range r.All() {
		if n++; err != nil || n >= c.First+int64(c.Count) {
			return errors.Join(err, w.Close())
		}
		if c.takes(n) {
			if err := w.Write(rec); err != nil {
				return errors.Join(err, w.Close())
			}
		}
	}
	return w.Close()
}

// Records counts the records in dir.
func Records(dir string) (n int64, err error) {
	r, err := dataset.OpenRecords(dir)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for _, err := range r.All() {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

func previewRecords(dir string, c Choice) (*Preview, error) {
	r, err := dataset.OpenRecords(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p := &Preview{Type: "records", Shape: string(r.Shape()), Layout: r.Layout()}
	for rec, err := range r.All() {
		if err != nil {
			return nil, err
		}
		if p.Total++; c.takes(p.Total) {
			p.Records = append(p.Records, record(rec))
		}
	}
	return p, nil
}

func record(r dataset.Record) Record {
	out := Record{
		Prompt: r.Prompt, Completion: r.Completion, Text: r.Text, File: r.Origin.File, Number: r.Origin.Record,
	}
	if r.Tools != "" {
		out.Tools = json.RawMessage(r.Tools)
	}
	for _, s := range r.Segments {
		out.Segments = append(out.Segments, Segment(s))
	}
	if r.Shape == dataset.Judged {
		out.Desirable = &r.Desirable
	}
	out.Messages, out.Chosen, out.Rejected = turns(r.Messages), turns(r.Chosen), turns(r.Rejected)
	return out
}

func turns(messages []dataset.Message) []Turn {
	var all []Turn
	for _, m := range messages {
		all = append(all, Turn{m.Role, m.Name, m.Reasoning, m.Content, m.ToolCalls, m.Weight})
	}
	return all
}

func previewTokens(dir, model string, c Choice) (*Preview, error) {
	t, err := dataset.OpenTokens(dir)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	var tok *token.Tokenizer
	if model != "" {
		if tok, err = token.Load(model); err != nil {
			return nil, err
		}
	}
	p := &Preview{Type: "tokens", Lengths: &Lengths{}}
	for r, err := range t.All() {
		if err != nil {
			return nil, err
		}
		p.Lengths.add(r, tok)
		if p.Total++; c.takes(p.Total) {
			p.Rows = append(p.Rows, row(r, tok))
			p.Rows[len(p.Rows)-1].Number = p.Total
		}
	}
	p.Lengths.trim()
	return p, nil
}

// row cuts a row into pieces.
func row(r dataset.Row, tok *token.Tokenizer) Row {
	out := Row{Tokens: len(r.InputIDs), Documents: 1}
	spell := newSpeller(tok)
	for i, id := range r.InputIDs {
		next := Piece{
			Supervised: i < len(r.Labels) && r.Labels[i] != dataset.Unsupervised,
			Special:    tok != nil && tok.IsSpecial(id),
			Starts:     i > 0 && i < len(r.PositionIDs) && r.PositionIDs[i] == 0,
		}
		if next.Supervised {
			out.Supervised++
			if i < len(r.LossWeights) && r.LossWeights[i] != 1 {
				next.Weight = &r.LossWeights[i]
			}
		}
		if next.Starts {
			out.Documents++
		}
		n := len(out.Pieces)
		if n == 0 || next.Starts || next.Special || !out.Pieces[n-1].joins(next) {
			if next.Starts || next.Special {
				spell.flush(&out)
			}
			out.Pieces = append(out.Pieces, next)
			n++
		}
		p := &out.Pieces[n-1]
		p.IDs = append(p.IDs, id)
		p.Tokens = append(p.Tokens, spell.next(id, next.Special))
	}
	spell.flush(&out)
	for i := range out.Pieces {
		sep := ""
		if tok == nil {
			sep = " "
		}
		out.Pieces[i].Text = strings.Join(out.Pieces[i].Tokens, sep)
	}
	return out
}

// joins says whether a token continues the piece.
func (p Piece) joins(next Piece) bool {
	same := p.Weight == nil && next.Weight == nil || p.Weight != nil && next.Weight != nil && *p.Weight == *next.Weight
	return !p.Special && same && p.Supervised == next.Supervised
}

// A speller tells the text of each token of a row in turn. Special tokens are
// shown as the tokenizer spells them; without a tokenizer ids stand for text.
type speller struct {
	tok    *token.Tokenizer
	stream *token.Stream
}

func newSpeller(tok *token.Tokenizer) *speller {
	s := &speller{tok: tok}
	if tok != nil {
		s.stream = tok.Stream(false)
	}
	return s
}

func (s *speller) next(id int32, special bool) string {
	switch {
	case s.tok == nil:
		return strconv.Itoa(int(id))
	case special:
		piece, _ := s.tok.Piece(id)
		return piece
	}
	return s.stream.Next(id)
}

// flush gives what a cut character left to the last token of out, and begins
// a text anew.
func (s *speller) flush(out *Row) {
	if s.stream == nil {
		return
	}
	if rest := s.stream.Flush(); rest != "" && len(out.Pieces) > 0 {
		tokens := out.Pieces[len(out.Pieces)-1].Tokens
		tokens[len(tokens)-1] += rest
	}
	s.stream = s.tok.Stream(false)
}

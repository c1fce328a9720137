package inspect

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// A Preview shows the first rows of records or tokens, and counts all.
type Preview struct {
	Type    string   `json:"type"` // "records" or "tokens"
	Shape   string   `json:"shape,omitempty"`
	Records []Record `json:"records,omitempty"`
	Rows    []Row    `json:"rows,omitempty"`
	Total   int64    `json:"total"`
	Lengths *Lengths `json:"lengths,omitempty"` // of tokens
}

// A Record is one record, with the fields of its shape.
type Record struct {
	Messages   []Turn          `json:"messages,omitempty"`
	Chosen     []Turn          `json:"chosen,omitempty"`
	Rejected   []Turn          `json:"rejected,omitempty"`
	Tools      json.RawMessage `json:"tools,omitempty"`
	Prompt     string          `json:"prompt,omitempty"`
	Completion string          `json:"completion,omitempty"`
	Text       string          `json:"text,omitempty"`
	File       string          `json:"file"`
	Number     int64           `json:"record"` // in its file, from 1
}

// A Turn is one message.
type Turn struct {
	Role      string   `json:"role"`
	Name      string   `json:"name,omitempty"`
	Content   string   `json:"content"`
	ToolCalls string   `json:"toolCalls,omitempty"`
	Weight    *float64 `json:"weight,omitempty"`
}

// A Row is one row of tokens.
type Row struct {
	Tokens     int     `json:"tokens"`
	Supervised int     `json:"supervised"`
	Documents  int     `json:"documents"`
	Pieces     []Piece `json:"pieces"`
}

// A Piece is a run of tokens that are all supervised or all not. A special
// token is a piece of its own, as is each document's beginning.
type Piece struct {
	Text       string `json:"text"`
	Supervised bool   `json:"supervised"`
	Special    bool   `json:"special,omitempty"`
	Starts     bool   `json:"starts,omitempty"` // a document, in a packed row
}

// Lengths count rows of tokens.
type Lengths struct {
	Rows       int64   `json:"rows"`
	Tokens     int64   `json:"tokens"`
	Supervised int64   `json:"supervised"`
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

func (l *Lengths) add(r dataset.Row) {
	n := len(r.InputIDs)
	if l.Rows == 0 || n < l.Shortest {
		l.Shortest = n
	}
	l.Longest = max(l.Longest, n)
	l.Rows++
	l.Tokens += int64(n)
	for _, label := range r.Labels {
		if label != dataset.Unsupervised {
			l.Supervised++
		}
	}
	i := bits.Len(uint(max(n-1, 0)))
	for len(l.Histogram) <= i {
		l.Histogram = append(l.Histogram, Count{AtMost: 1 << len(l.Histogram)})
	}
	l.Histogram[i].Rows++
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

// Rows previews n rows of the records or tokens in dir. model is the folder of
// the model whose tokenizer made the tokens; without one ids stand for text.
func Rows(dir, model string, n int) (*Preview, error) {
	if _, err := os.Stat(filepath.Join(dir, "dataset_info.json")); err == nil {
		return previewTokens(dir, model, n)
	}
	return previewRecords(dir, n)
}

func previewRecords(dir string, n int) (*Preview, error) {
	r, err := dataset.OpenRecords(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p := &Preview{Type: "records", Shape: string(r.Shape())}
	for rec, err := range r.All() {
		if err != nil {
			return nil, err
		}
		if p.Total++; p.Total <= int64(n) {
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
	out.Messages, out.Chosen, out.Rejected = turns(r.Messages), turns(r.Chosen), turns(r.Rejected)
	return out
}

func turns(messages []dataset.Message) []Turn {
	var all []Turn
	for _, m := range messages {
		all = append(all, Turn{m.Role, m.Name, m.Content, m.ToolCalls, m.Weight})
	}
	return all
}

func previewTokens(dir, model string, n int) (*Preview, error) {
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
		p.Lengths.add(r)
		if p.Total++; p.Total <= int64(n) {
			p.Rows = append(p.Rows, row(r, tok))
		}
	}
	p.Lengths.trim()
	return p, nil
}

// row cuts a row into pieces.
func row(r dataset.Row, tok *token.Tokenizer) Row {
	out := Row{Tokens: len(r.InputIDs), Documents: 1}
	var ids []int32
	var now Piece
	flush := func() {
		if len(ids) > 0 {
			now.Text = text(tok, ids, now.Special)
			out.Pieces = append(out.Pieces, now)
		}
		ids = nil
	}
	for i, id := range r.InputIDs {
		next := Piece{
			Supervised: i < len(r.Labels) && r.Labels[i] != dataset.Unsupervised,
			Special:    tok != nil && tok.IsSpecial(id),
			Starts:     i > 0 && i < len(r.PositionIDs) && r.PositionIDs[i] == 0,
		}
		if next.Supervised {
			out.Supervised++
		}
		if next.Starts {
			out.Documents++
		}
		if next.Starts || next.Special || now.Special || next.Supervised != now.Supervised {
			flush()
			now = next
		}
		ids = append(ids, id)
	}
	flush()
	return out
}

// text decodes ids; special tokens are shown as the tokenizer spells them.
func text(tok *token.Tokenizer, ids []int32, special bool) string {
	if tok == nil {
		s := fmt.Sprint(ids)
		return s[1 : len(s)-1]
	}
	if special {
		s := ""
		for _, id := range ids {
			piece, _ := tok.Piece(id)
			s += piece
		}
		return s
	}
	return tok.Decode(ids, false)
}

package inspect

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// rowsFile reads a file of rows to its end: how many there are, and which
// columns with which kinds of values.
func rowsFile(ctx context.Context, path string, p *Page) error {
	container, err := dataset.Entry{Path: path, Name: filepath.Base(path)}.Detect()
	if err != nil {
		return nil // a file of no known format
	}
	rows, err := dataset.Open(path, filepath.Base(path), dataset.Options{Container: container})
	if err != nil {
		return err
	}
	defer rows.Close()
	c := columns{kinds: map[string]map[string]bool{}}
	for ctx.Err() == nil {
		raw, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var bad *dataset.RowError
		if errors.As(err, &bad) && !bad.Final {
			c.bad++
			continue
		}
		if err != nil {
			return err
		}
		c.add(raw.Value)
	}
	p.Type = "rows"
	p.fact("container", string(container))
	p.fact("rows", c.rows)
	if c.bad > 0 {
		p.fact("unreadableRows", c.bad)
	}
	p.fact("columns", c.table())
	return ctx.Err()
}

// columns collects what rows have.
type columns struct {
	rows, bad int64
	kinds     map[string]map[string]bool // column → kinds of values
}

// maxColumns bounds how many columns are told apart.
const maxColumns = 10_000

func (c *columns) add(v dataset.Value) {
	c.rows++
	if v.Kind != dataset.Object {
		c.note("", v.Kind)
		return
	}
	for _, f := range v.Fields {
		c.note(f.Name, f.Value.Kind)
	}
}

func (c *columns) note(name string, k dataset.Kind) {
	if c.kinds[name] == nil {
		if len(c.kinds) == maxColumns {
			return
		}
		c.kinds[name] = map[string]bool{}
	}
	c.kinds[name][k.String()] = true
}

// table says of each column what its values are.
func (c *columns) table() map[string]string {
	t := map[string]string{}
	for name, kinds := range c.kinds {
		t[name] = strings.Join(sorted(kinds), " or ")
	}
	return t
}

func records(_ context.Context, dir string, p *Page) error {
	p.Type = "records"
	r, err := dataset.OpenRecords(dir)
	if err != nil {
		return err
	}
	defer r.Close()
	var n int64
	files := map[string]int64{}
	for rec, err := range r.All() {
		if err != nil {
			return err
		}
		n++
		files[rec.Origin.File]++
	}
	p.fact("shape", string(r.Shape()))
	if layout := r.Layout(); layout != "" {
		p.fact("read as", layout)
	}
	p.fact("records", n)
	p.fact("origins", files)
	return nil
}

func tokens(_ context.Context, dir string, p *Page) error {
	p.Type = "tokens"
	t, err := dataset.OpenTokens(dir)
	if err != nil {
		return err
	}
	defer t.Close()
	var s Lengths
	for row, err := range t.All() {
		if err != nil {
			return err
		}
		s.add(row, nil)
	}
	p.fact("packed", t.Packed())
	p.fact("rows", s.Rows)
	p.fact("tokens", s.Tokens)
	p.fact("supervised", s.Supervised)
	p.fact("shortest", s.Shortest)
	p.fact("longest", s.Longest)
	return nil
}

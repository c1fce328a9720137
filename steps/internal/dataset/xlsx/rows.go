package xlsx

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is what a cell holds.
type Kind uint8

const (
	Empty Kind = iota
	Text       // and what a formula says that is wrong, such as #N/A
	Number
	Date // or time: Text is ISO 8601
	Bool
)

// Cell is one cell of a row.
type Cell struct {
	Kind Kind
	Text string // of a Bool, "true" or "false"
}

// Rows reads the rows of one sheet in order.
type Rows struct {
	book  *Book
	doc   *document
	cells []Cell
	last  int64 // number of the row last returned
}

// Rows opens a sheet by name; "" is the only one.
func (b *Book) Rows(name string) (*Rows, error) {
	names := b.Sheets()
	i := slices.Index(names, name)
	switch {
	case name == "" && len(b.sheets) > 1:
		return nil, fmt.Errorf("the workbook has several sheets (%s); say which with sheet", strings.Join(names, ", "))
	case name == "":
		i = 0
	case i < 0:
		return nil, fmt.Errorf("the workbook has no sheet %q (it has %s)", name, strings.Join(names, ", "))
	}
	doc, err := b.part(b.sheets[i].part)
	if err != nil {
		return nil, fmt.Errorf("the workbook: %w", err)
	}
	if doc == nil {
		return nil, fmt.Errorf("sheet %q of the workbook is not there", b.sheets[i].name)
	}
	return &Rows{book: b, doc: doc}, nil
}

// Close releases the sheet.
func (r *Rows) Close() error { return r.doc.Close() }

// Next returns the cells of the next row that has any, from the left, and its
// number in the sheet, counted from 1; io.EOF after the last. The cells are
// valid until the call after.
func (r *Rows) Next() ([]Cell, int64, error) {
	for {
		token, err := r.doc.next()
		if err != nil {
			return nil, 0, err
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "row" {
			continue
		}
		number := r.last + 1
		if n, err := strconv.ParseInt(attribute(start, "r"), 10, 64); err == nil && n > r.last {
			number = n
		}
		r.last = number
		if err := r.row(); err != nil {
			return nil, number, fmt.Errorf("row %d of the sheet: %w", number, err)
		}
		if slices.ContainsFunc(r.cells, func(c Cell) bool { return c.Kind != Empty }) {
			return r.cells, number, nil
		}
	}
}

// row reads the cells of the row that was just begun.
func (r *Rows) row() error {
	r.cells = r.cells[:0]
	size := 0
	for {
		token, err := r.doc.next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.EndElement:
			if t.Name.Local == "row" {
				return nil
			}
		case xml.StartElement:
			if t.Name.Local != "c" {
				continue
			}
			at := len(r.cells)
			if ref := attribute(t, "r"); ref != "" {
				if at, err = column(ref); err != nil {
					return err
				}
			}
			if at >= maxColumns || at < len(r.cells) {
				return fmt.Errorf("a cell %.20q out of order, or beyond column %d", attribute(t, "r"), maxColumns)
			}
			for len(r.cells) < at {
				r.cells = append(r.cells, Cell{})
			}
			cell, err := r.cell(attribute(t, "t"), attribute(t, "s"))
			if err != nil {
				return fmt.Errorf("cell %.20q: %w", attribute(t, "r"), err)
			}
			if size += len(cell.Text); size > 8*MaxText {
				return fmt.Errorf("the row takes more than %d bytes", 8*MaxText)
			}
			r.cells = append(r.cells, cell)
		}
	}
}

// column returns the number of a reference's column: 0 of A1, 27 of AB7.
func column(ref string) (int, error) {
	n := 0
	for i := 0; i < len(ref); i++ {
		c := ref[i]
		if c < 'A' || c > 'Z' {
			break
		}
		if n = 26*n + int(c-'A') + 1; n > maxColumns {
			break
		}
	}
	if n == 0 || n > maxColumns {
		return 0, fmt.Errorf("a cell %.20q, which is no place in a sheet", ref)
	}
	return n - 1, nil
}

// cell reads the cell that was just begun, of a type (attribute t) and style.
func (r *Rows) cell(kind, style string) (Cell, error) {
	if kind == "inlineStr" {
		text, err := r.doc.text("c")
		return textCell(text), err
	}
	value, err := r.value()
	if err != nil || value == "" && kind != "str" {
		return Cell{}, err
	}
	switch kind {
	case "s":
		i, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || i < 0 || i >= len(r.book.strings) {
			return Cell{}, fmt.Errorf("string %.20q of %d", value, len(r.book.strings))
		}
		return textCell(r.book.strings[i]), nil
	case "str":
		return textCell(unescape(value)), nil
	case "e":
		return textCell(value), nil
	case "b":
		return Cell{Bool, strconv.FormatBool(strings.TrimSpace(value) == "1" || value == "true")}, nil
	case "d":
		return Cell{Date, value}, nil
	}
	return r.number(strings.TrimSpace(value), style)
}

func textCell(s string) Cell {
	if s == "" {
		return Cell{}
	}
	if !utf8.ValidString(s) { // the XML decoder has checked
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return Cell{Text, s}
}

// value returns what stands in the v of a cell.
func (r *Rows) value() (string, error) {
	var b strings.Builder
	inside := false
	for {
		token, err := r.doc.next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.StartElement:
			inside = t.Name.Local == "v"
		case xml.EndElement:
			inside = false
			if t.Name.Local == "c" {
				return b.String(), nil
			}
		case xml.CharData:
			if inside {
				if b.Len()+len(t) > MaxText {
					return "", fmt.Errorf("it takes more than %d bytes", MaxText)
				}
				b.Write(t)
			}
		}
	}
}

// number makes a number, or a date if its style shows one.
func (r *Rows) number(value, style string) (Cell, error) {
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || f-f != 0 {
		return Cell{}, fmt.Errorf("%.40q is no number", value)
	}
	if s, err := strconv.Atoi(style); err == nil && s >= 0 && s < len(r.book.styles) && r.book.styles[s] {
		if text, ok := r.book.since.date(f); ok {
			return Cell{Date, text}, nil
		}
	}
	return Cell{Number, strconv.FormatFloat(f, 'g', -1, 64)}, nil
}

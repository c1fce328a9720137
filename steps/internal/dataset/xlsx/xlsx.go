// Package xlsx reads the sheets of Office Open XML workbooks (ECMA-376, part 1,
// chapter 18) row by row, without their formulas and looks: only a cell's text,
// number, date or truth. Memory is that of the shared strings and one row.
package xlsx

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/dataset/pack"
)

// Limits of what is read.
const (
	MaxStrings = 256 << 20 // bytes of all shared strings
	MaxText    = 8 << 20   // bytes of one element or one piece of text
	maxSheets  = 4096
	maxColumns = 16384 // as in Excel
	maxStyles  = 1 << 16
)

// Workbook is the member that makes a zip archive a workbook.
const Workbook = "xl/workbook.xml"

// A Book is an open workbook.
type Book struct {
	archive *zip.Reader
	left    int64 // bytes that may still be unpacked
	sheets  []sheet
	strings []string
	styles  []bool // by number of style: whether it shows a date
	since   date1904
}

type sheet struct{ name, id, part string }

// date1904 says that days are counted from 1904, as old programs for the Mac do.
type date1904 bool

// Open reads everything of a workbook but its sheets.
func Open(file io.ReaderAt, size int64) (*Book, error) {
	archive, err := zip.NewReader(file, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("the workbook: %w", err)
	}
	b := &Book{archive: archive, left: pack.Limit(size)}
	for _, read := range []func() error{b.readWorkbook, b.readRelations, b.readStrings, b.readStyles} {
		if err := read(); err != nil {
			return nil, fmt.Errorf("the workbook: %w", err)
		}
	}
	if len(b.sheets) == 0 {
		return nil, errors.New("the workbook has no sheets")
	}
	return b, nil
}

// Sheets returns the names of the sheets, in the workbook's order.
func (b *Book) Sheets() []string {
	var names []string
	for _, s := range b.sheets {
		names = append(names, s.name)
	}
	return names
}

// part opens a member of the archive as XML; nil when there is none of the name.
func (b *Book) part(name string) (*document, error) {
	for _, f := range b.archive.File {
		if f.Name != name {
			continue
		}
		if f.Flags&1 != 0 {
			return nil, fmt.Errorf("%s is encrypted", name)
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return newDocument(r, name, &b.left), nil
	}
	return nil, nil
}

// each calls use with the start of every element of a part of the workbook;
// a part that is not there has none.
func (b *Book) each(name string, use func(*document, xml.StartElement) error) error {
	d, err := b.part(name)
	if d == nil || err != nil {
		return err
	}
	defer d.Close()
	for {
		token, err := d.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if start, ok := token.(xml.StartElement); ok {
			if err := use(d, start); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
}

func (b *Book) readWorkbook() error {
	return b.each(Workbook, func(_ *document, e xml.StartElement) error {
		switch e.Name.Local {
		case "workbookPr":
			v := attribute(e, "date1904")
			b.since = v == "1" || v == "true"
		case "sheet":
			if len(b.sheets) == maxSheets {
				return fmt.Errorf("more than %d sheets", maxSheets)
			}
			b.sheets = append(b.sheets, sheet{name: attribute(e, "name"), id: attribute(e, "id")})
		}
		return nil
	})
}

// readRelations finds the parts that the sheets are in.
func (b *Book) readRelations() error {
	return b.each("xl/_rels/workbook.xml.rels", func(_ *document, e xml.StartElement) error {
		for i := range b.sheets {
			if e.Name.Local == "Relationship" && b.sheets[i].id == attribute(e, "Id") {
				target := attribute(e, "Target")
				if !strings.HasPrefix(target, "/") {
					target = path.Join("xl", target)
				}
				b.sheets[i].part = strings.TrimPrefix(target, "/")
			}
		}
		return nil
	})
}

func (b *Book) readStrings() error {
	total := 0
	return b.each("xl/sharedStrings.xml", func(d *document, e xml.StartElement) error {
		if e.Name.Local != "si" {
			return nil
		}
		text, err := d.text("si")
		if err != nil {
			return err
		}
		if total += len(text) + 16; total > MaxStrings {
			return fmt.Errorf("its strings take more than %d bytes", MaxStrings)
		}
		b.strings = append(b.strings, text)
		return nil
	})
}

// readStyles finds which styles of cells show dates.
func (b *Book) readStyles() error {
	dates := map[string]bool{}
	cells := false
	return b.each("xl/styles.xml", func(d *document, e xml.StartElement) error {
		switch e.Name.Local {
		case "numFmt":
			dates[attribute(e, "numFmtId")] = showsDate(attribute(e, "formatCode"))
		case "cellXfs":
			cells = true
		case "cellStyles", "dxfs":
			cells = false
		case "xf":
			if !cells {
				return nil
			}
			if len(b.styles) == maxStyles {
				return fmt.Errorf("more than %d styles", maxStyles)
			}
			id := attribute(e, "numFmtId")
			custom, ok := dates[id]
			b.styles = append(b.styles, custom || !ok && builtinDate(id))
		}
		return nil
	})
}

// attribute returns the value of an attribute, whatever its name space.
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// document is a part of a workbook, with the bytes between its tokens bounded.
type document struct {
	part    io.ReadCloser
	name    string
	decoder *xml.Decoder
	left    *int64 // of the workbook
	token   int64  // bytes read since the last token
}

func newDocument(r io.ReadCloser, name string, left *int64) *document {
	d := &document{part: r, name: name, left: left}
	d.decoder = xml.NewDecoder(d)
	d.decoder.Strict = true
	return d
}

func (d *document) Close() error { return d.part.Close() }

// Read is for the decoder.
func (d *document) Read(p []byte) (int, error) {
	n, err := d.part.Read(p[:min(len(p), 4096)])
	d.token += int64(n)
	*d.left -= int64(n)
	switch {
	case *d.left < 0:
		return 0, errors.New("it unpacks to far more than it takes; save the sheet as CSV if that is meant")
	case d.token > MaxText:
		return 0, fmt.Errorf("a piece of it takes more than %d bytes", MaxText)
	}
	return n, err
}

// next returns the next token, valid until the call after.
func (d *document) next() (xml.Token, error) {
	d.token = 0
	token, err := d.decoder.RawToken()
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	return token, err
}

// text returns the text of the runs within the element that was just begun,
// without phonetic hints.
func (d *document) text(element string) (string, error) {
	var b strings.Builder
	inText, hint := false, 0
	for {
		token, err := d.next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "t":
				inText = hint == 0
			case "rPh":
				hint++
			}
		case xml.EndElement:
			switch t.Name.Local {
			case "t":
				inText = false
			case "rPh":
				hint--
			case element:
				return unescape(b.String()), nil
			}
		case xml.CharData:
			if inText {
				if b.Len()+len(t) > MaxText {
					return "", fmt.Errorf("a cell takes more than %d bytes", MaxText)
				}
				b.Write(t)
			}
		}
	}
}

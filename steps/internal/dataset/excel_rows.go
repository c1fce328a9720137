package dataset

import (
	"errors"
	"fmt"
	"io"

	"github.com/pipe-run/pipe/steps/internal/dataset/xlsx"
)

// workbookMember is what makes a zip archive a workbook.
const workbookMember = xlsx.Workbook

// excelRows reads the rows of a sheet: text, dates and errors are strings, an
// empty cell is null.
type excelRows struct {
	file    source
	name    string
	rows    *xlsx.Rows
	columns []string
	record  int64
	err     error // final
}

// openExcel reads a sheet whose columns its first row names, or options.
func openExcel(file source, size int64, name string, options Options) (Rows, error) {
	book, err := xlsx.Open(file, size)
	if err != nil {
		return nil, err
	}
	rows, err := book.Rows(options.Sheet)
	if err != nil {
		return nil, err
	}
	e := &excelRows{file: file, name: name, rows: rows, columns: options.Fields}
	if err := e.begin(int64(options.Skip)); err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	return e, nil
}

// begin passes over rows and reads the header.
func (e *excelRows) begin(skip int64) error {
	if skip == 0 && e.columns != nil {
		return nil
	}
	for {
		cells, number, err := e.rows.Next()
		if err == io.EOF {
			return errors.New("the sheet has no row that names the columns")
		}
		if err != nil {
			return err
		}
		if number <= skip && e.columns == nil {
			continue
		}
		if e.columns == nil {
			return e.header(cells)
		}
		if number >= skip {
			return nil
		}
	}
}

func (e *excelRows) header(cells []xlsx.Cell) error {
	if len(cells) > maxColumns {
		return fmt.Errorf("the header names %d columns; at most %d are read", len(cells), maxColumns)
	}
	seen := map[string]bool{}
	for i, cell := range cells {
		if cell.Kind == xlsx.Empty {
			return fmt.Errorf("column %d of the sheet has no name", i+1)
		}
		if seen[cell.Text] {
			return fmt.Errorf("the header names column %s twice", snippet(cell.Text))
		}
		seen[cell.Text] = true
		e.columns = append(e.columns, cell.Text)
	}
	return nil
}

func (e *excelRows) Close() error { return errors.Join(e.rows.Close(), e.file.Close()) }

// Next returns the next row with a cell that is not empty; Line is its number in
// the sheet.
func (e *excelRows) Next() (Raw, error) {
	if e.err != nil {
		return Raw{}, e.err
	}
	cells, number, err := e.rows.Next()
	if err != nil {
		if err != io.EOF {
			err = final(e.name, e.record+1, number, err)
		}
		e.err = err
		return Raw{}, err
	}
	e.record++
	if len(cells) > len(e.columns) {
		for _, cell := range cells[len(e.columns):] {
			if cell.Kind != xlsx.Empty {
				what := fmt.Sprintf("%d cells where the header names %d: %s", len(cells), len(e.columns), snippet(cell.Text))
				return Raw{}, &RowError{File: e.name, Record: e.record, Line: number, What: what}
			}
		}
	}
	row := Value{Kind: Object, Fields: make([]Field, len(e.columns))}
	for i, column := range e.columns {
		row.Fields[i].Name = column
		if i < len(cells) {
			row.Fields[i].Value = excelValue(cells[i])
		}
	}
	return Raw{Value: row, Record: e.record, Line: number}, nil
}

func excelValue(c xlsx.Cell) Value {
	switch c.Kind {
	case xlsx.Empty:
		return Value{}
	case xlsx.Number:
		return Value{Kind: Number, Text: c.Text}
	case xlsx.Bool:
		return Value{Kind: Bool, Bool: c.Text == "true"}
	}
	return stringValue(c.Text)
}

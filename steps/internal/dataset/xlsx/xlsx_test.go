package xlsx

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// book packs parts of a workbook.
func book(t testing.TB, parts map[string]string) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range []string{"xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/sharedStrings.xml", "xl/styles.xml", "xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml"} {
		text, ok := parts[name]
		if !ok {
			continue
		}
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, text)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func parts(sheet string) map[string]string {
	return map[string]string{
		"xl/workbook.xml":            `<?xml version="1.0"?><workbook xmlns:r="x"><workbookPr/><sheets><sheet name="Data" sheetId="1" r:id="rId7"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="rId7" Target="worksheets/sheet1.xml"/></Relationships>`,
		"xl/sharedStrings.xml":       `<sst><si><t>plain</t></si><si><r><t xml:space="preserve">rich </t></r><r><t>text</t></r><rPh><t>hint</t></rPh></si><si><t>a_x000D_b &amp; 漢</t></si></sst>`,
		"xl/styles.xml": `<styleSheet><numFmts><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd"/><numFmt numFmtId="165" formatCode="0.00&quot;d&quot;"/></numFmts>` +
			`<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="22"/><xf numFmtId="165"/></cellXfs></styleSheet>`,
		"xl/worksheets/sheet1.xml": sheet,
	}
}

func all(data []byte, name string) (rows []string, err error) {
	b, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	r, err := b.Rows(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for range 1000 {
		cells, n, err := r.Next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		line := fmt.Sprint(n)
		for _, c := range cells {
			line += fmt.Sprintf("|%d%s", c.Kind, c.Text)
		}
		rows = append(rows, line)
	}
	return rows, nil
}

const cells = `<worksheet><sheetData><row r="2"><c r="A2" t="s"><v>0</v></c><c r="C2" t="s"><v>1</v></c><c t="s"><v>2</v></c></row><row r="3"/>` +
	`<row r="5"><c r="A5"><v>1.50</v></c><c r="B5" s="1"><v>45000</v></c><c r="C5" s="2"><v>45000.75</v></c><c r="D5" s="3"><v>7</v></c>` +
	`<c r="E5" t="b"><v>1</v></c><c r="F5" t="inlineStr"><is><t>in line</t></is></c><c r="G5" t="str"><f>A1&amp;"x"</f><v>made</v></c><c r="H5" t="e"><v>#N/A</v></c></row></sheetData></worksheet>`

func TestRows(t *testing.T) {
	got, err := all(book(t, parts(cells)), "")
	want := []string{"2|1plain|0|1rich text|1a\rb & 漢", "5|21.5|32023-03-15|32023-03-15T18:00:00|27|4true|1in line|1made|1#N/A"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v\nwant %q", got, err, want)
	}
	if got, err = all(book(t, parts(cells)), "Data"); err != nil || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDates(t *testing.T) {
	for days, want := range map[float64]string{1: "1900-01-01", 59: "1900-02-28", 61: "1900-03-01", 0.5: "12:00:00", 36526: "2000-01-01", 36526.5: "2000-01-01T12:00:00"} {
		if got, ok := date1904(false).date(days); got != want || !ok {
			t.Errorf("day %v is %s, want %s", days, got, want)
		}
	}
	if got, _ := date1904(true).date(0); got != "1904-01-01" {
		t.Error(got)
	}
	for format, want := range map[string]bool{"General": false, "0.00": false, `"day" 0`: false, "[Red]0": false, "[h]:mm": true, "d/m/yy": true, "0;d": false, `\d0`: false} {
		if showsDate(format) != want {
			t.Errorf("%s: %v", format, !want)
		}
	}
}

func TestRefusals(t *testing.T) {
	two := parts(cells)
	two["xl/workbook.xml"] = `<workbook><sheets><sheet name="A" id="rId7"/><sheet name="B" id="rId8"/></sheets></workbook>`
	none := parts(cells)
	delete(none, "xl/worksheets/sheet1.xml")
	for _, c := range []struct {
		parts map[string]string
		sheet string
		want  string
	}{
		{two, "", "several sheets (A, B)"},
		{parts(cells), "Other", `no sheet "Other" (it has Data)`},
		{none, "", "is not there"},
		{parts(`<worksheet><row r="1"><c t="s"><v>3</v></c></row>`), "", `string "3" of 3`},
		{parts(`<worksheet><row r="1"><c r="ZZZZ1"><v>3</v></c></row>`), "", "no place in a sheet"},
		{parts(`<worksheet><row r="1"><c r="B1"><v>3</v></c><c r="A1"><v>3</v></c></row>`), "", "out of order"},
		{parts(`<worksheet><row r="1"><c r="B1"><v>x</v></c></row>`), "", "no number"},
		{parts(`<worksheet><row r="1"><c r="B1"><v>1</v>`), "", "EOF"},
		{parts(`<worksheet><row r="1"><c t="str"><v>` + strings.Repeat("x", MaxText+1) + `</v></c></row></worksheet>`), "", "more than 8388608 bytes"},
	} {
		if got, err := all(book(t, c.parts), c.sheet); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %v, want %q", got, err, c.want)
		}
	}
}

func FuzzSheet(f *testing.F) {
	f.Add(cells)
	f.Add(`<worksheet><row r="1"><c t="inlineStr"><is><t>x</t></is></c></row></worksheet>`)
	f.Fuzz(func(t *testing.T, sheet string) {
		all(book(t, parts(sheet)), "")
	})
}

func FuzzBook(f *testing.F) {
	f.Add(book(f, parts(cells)))
	f.Fuzz(func(t *testing.T, data []byte) {
		all(data, "")
	})
}

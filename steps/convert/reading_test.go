package convert

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/steptest"
)

// zipped packs pairs of name and text.
func zipped(t *testing.T, members ...string) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(members); i += 2 {
		f, err := w.Create(members[i])
		if err == nil {
			_, err = io.WriteString(f, members[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// workbook has two sheets of one column and one row.
func workbook(t *testing.T) string {
	sheet := func(text string) string {
		return `<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>text</t></is></c></row>` +
			`<row r="2"><c r="A2" t="inlineStr"><is><t>` + text + `</t></is></c></row></sheetData></worksheet>`
	}
	return zipped(t,
		"xl/workbook.xml", `<workbook><sheets><sheet name="A" id="r1"/><sheet name="B" id="r2"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="r1" Target="worksheets/a.xml"/><Relationship Id="r2" Target="/xl/worksheets/b.xml"/></Relationships>`,
		"xl/worksheets/a.xml", sheet("one"), "xl/worksheets/b.xml", sheet("two"))
}

func TestReading(t *testing.T) {
	many := map[string]string{
		"a.zip":          zipped(t, "train/1.jsonl", `{"text":"z1"}`, "train/2.csv", "text\nz2\n", "README.md", "no data"),
		"train-1.jsonl":  `{"text":"t1"}`,
		"x/train-2.csv":  "text\nt2\n",
		"x/y/test.jsonl": `{"text":"t3"}`,
	}
	for _, c := range []struct {
		files  map[string]string
		params string
		want   []string
	}{
		{many, `{"onError":"fail"}`, []string{"z1", "z2", "t1", "t2", "t3"}},
		{many, `{"files":["train-*"]}`, []string{"t1"}},
		{many, `{"files":["**/train-*","x/y/*"]}`, []string{"t1", "t2", "t3"}},
		{many, `{"files":["a.zip/**/*.csv"]}`, []string{"z2"}},
		{map[string]string{"a.xlsx": workbook(t)}, `{"sheet":"B"}`, []string{"two"}},
		{map[string]string{"a.csv": "x\n1\nb\n"}, `{"header":false,"fields":["text"],"skip":2}`, []string{"b"}},
		{map[string]string{"a.csv": "n;text\n1;b, c\n"}, `{"delimiter":";"}`, []string{"b, c"}},
		{map[string]string{"a.csv": "text\nd\xe9j\xe0 vu\n"}, `{"encoding":"latin-1"}`, []string{"déjà vu"}},
	} {
		res, err := convert(t, c.files, strings.Replace(c.params, "{", `{"format":"text",`, 1))
		if err != nil {
			t.Errorf("%s: %v", c.params, err)
			continue
		}
		if got := texts(steptest.Records(t, res.out["records"])); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.params, got, c.want)
		}
	}
}

func TestReadingRefusals(t *testing.T) {
	one := map[string]string{"a.jsonl": `{"text":"x"}`}
	for _, c := range []struct {
		files               map[string]string
		params, field, want string
	}{
		{one, `"files":["*.csv"]`, "files[0]", `"*.csv" matches none of the input's 1 files, such as a.jsonl`},
		{one, `"files":["a*","["]`, "files[1]", "is no pattern"},
		{one, `"sheet":"A"`, "sheet", "no file is a workbook: a.jsonl is jsonl"},
		{one, `"delimiter":";"`, "delimiter", "no file is CSV"},
		{one, `"skip":1`, "skip", "no file is CSV or a workbook"},
		{map[string]string{"a.csv": "text\n1\n"}, `"fields":["a"]`, "fields", "the header names the columns"},
		{map[string]string{"a.csv": "text\n1\n"}, `"header":false`, "header", "without a header, fields must name the columns"},
		{map[string]string{"a.csv": "text\n1\n"}, `"header":false,"fields":["a","a"]`, "fields", `"a" is there twice`},
		{map[string]string{"a.parquet": "PAR1"}, `"encoding":"gbk"`, "encoding", "no file is text: a.parquet is parquet"},
		{map[string]string{"a.xlsx": workbook(t)}, `"skip":1`, "", "several sheets (A, B)"},
	} {
		_, err := convert(t, c.files, `{"format":"text",`+c.params+`}`)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.params, err, c.want)
		}
		var field *pipeline.FieldError
		if errors.As(err, &field); c.field != "" && (field == nil || field.Field != c.field) {
			t.Errorf("%s: at %+v, want %s", c.params, field, c.field)
		}
	}
}

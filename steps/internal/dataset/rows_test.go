package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// show lists rows as JSON, one a line, and the errors between them.
func show(t *testing.T, text string, options Options) []string {
	t.Helper()
	var got []string
	r, err := newRows(fileOf([]byte(text)), int64(len(text)), "f", options)
	if err != nil {
		return []string{err.Error()}
	}
	for range 1000 {
		row, err := r.Next()
		var bad *RowError
		switch {
		case err == nil:
			line := fmt.Sprint(row.Record)
			if row.Line > 0 {
				line += fmt.Sprint(":", row.Line)
			}
			got = append(got, line+" "+row.Value.JSON())
		case errors.As(err, &bad):
			got = append(got, err.Error())
			if bad.Final {
				if _, again := r.Next(); again != err {
					t.Errorf("after a final error: %v", again)
				}
				return got
			}
		default: // io.EOF
			if _, again := r.Next(); again != err {
				t.Errorf("after %v: %v", err, again)
			}
			return got
		}
	}
	t.Fatal("the rows do not end")
	return nil
}

type rowsCase struct {
	text string
	want []string
}

func checkRows(t *testing.T, options Options, cases []rowsCase) {
	t.Helper()
	for _, c := range cases {
		if got := show(t, c.text, options); !slices.Equal(got, c.want) {
			t.Errorf("%q:\n got %s\nwant %s", c.text, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

func TestJSONLRows(t *testing.T) {
	checkRows(t, Options{Container: JSONL}, []rowsCase{
		{"", nil},
		{"\n \r\n\t\r", nil},
		{"{\"a\":1}", []string{`1:1 {"a":1}`}},
		{"\ufeff{\"a\":1}\r\n\r\n2\r[3]\n", []string{`1:1 {"a":1}`, `2:3 2`, `3:4 [3]`}},
		{"{\"a\":\"x\u2028y\\u2028\"}\n", []string{"1:1 {\"a\":\"x\u2028y\u2028\"}"}},
		{"{\"a\":1,\"b\":2,\"a\":3}", []string{`1:1 {"a":3,"b":2}`}},
		{"1\nx\n3\n", []string{"1:1 1", "f: record 2 (line 2): 'x' where a value was wanted at byte 2: near \"x\"", "3:3 3"}},
		{"\"a\xffb\"\n1", []string{"f: record 1 (line 1): invalid UTF-8 (byte 0xff) at byte 2" + unsureHint, "2:2 1"}},
		{"\"\\ud83d\\ude00 \\u0000\"", []string{`1:1 "😀 \u0000"`}},
		{"\"\\ude00\"", []string{`f: record 1 (line 1): \ude00 is half of a surrogate pair and stands for no character at byte 1: near "\"\\ude00\""`}},
		{"\"\\ud83dx\"", []string{`f: record 1 (line 1): \ud83d is half of a surrogate pair and stands for no character at byte 1: near "\"\\ud83dx\""`}},
		{"\xff\xfe1\x00", []string{"1:1 1"}},
		{"\xff\xfe1\x00\x00\xdc", []string{"f: record 1: byte 0x00 at byte 4 is not utf-16le"}},
	})
}

func TestJSONRows(t *testing.T) {
	checkRows(t, Options{Container: JSON, Columns: []string{"text", "messages"}}, []rowsCase{
		{"", []string{"f: the file is empty"}},
		{"[]", nil},
		{" [ {\"a\":1} , [2,\"]\"] , 3 ] ", []string{`1 {"a":1}`, `2 [2,"]"]`, "3 3"}},
		{"\ufeff[1]", []string{"1 1"}},
		{"{\"a\":1}\n{\"a\":2}{\"a\":3}", []string{`1 {"a":1}`, `2 {"a":2}`, `3 {"a":3}`}},
		{"{\"n\":1,\"data\":[{\"text\":\"x\"},{\"text\":\"y\"}],\"z\":{}}", []string{`1 {"text":"x"}`, `2 {"text":"y"}`}},
		{"{\"messages\":[{\"role\":\"user\"}]}", []string{`1 {"messages":[{"role":"user"}]}`}},
		{"{\"a\":[{\"x\":1}]} {\"a\":[]}", []string{`1 {"a":[{"x":1}]}`, `2 {"a":[]}`}},
		{"{\"a\":[1],\"b\":[]}", []string{`1 {"a":[1],"b":[]}`}},
		{"[1,2", []string{"1 1", "2 2", "f: record 3: the file ends within the list of rows, at byte 4"}},
		{"[1,]", []string{"1 1", "f: record 2: a comma before the end of the list at byte 3"}},
		{"[{\"a\":1", []string{"f: record 1: the file ends within a value, at byte 7"}},
		{"[1}", []string{"1 1", "f: record 2: '}' where ',' or ']' was wanted at byte 2"}},
		{"[tru, 2]", []string{"f: record 1: 't' where a value was wanted at byte 1: near \"tru\"", "2 2"}},
		{"[1] 2", []string{"1 1", "f: record 2: '2' after the end of the list at byte 4"}},
		{"{} 2", []string{"1 {}", "f: record 2: '2' where another object or the end was wanted at byte 3"}},
	})
}

func TestRowsAreBounded(t *testing.T) {
	long := strings.Repeat("x", 100)
	deep := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	for _, c := range []struct {
		options Options
		text    string
		want    string
	}{
		{Options{Container: JSONL}, `"` + long + `"`, "f: record 1 (line 1): the line is longer than 50 bytes"},
		{Options{Container: JSON}, `["` + long + `"]`, "f: record 1: the row takes more than 50 bytes"},
		{Options{Container: CSV}, "a\n" + long, "f: record 1 (line 2): the record takes more than 50 bytes"},
		{Options{Container: PlainText}, long, "longer than 50 bytes"},
		{Options{Container: PlainText}, strings.Repeat("xx\n", 50), "f: record 1 (line 1): longer than 50 bytes; split the text"},
		{Options{Container: PlainText, Unit: Paragraph}, strings.Repeat("xx\n", 50), "longer than 50 bytes; split the text"},
	} {
		c.options.maxRow = 50
		if got := show(t, c.text, c.options); len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%v: %q, want %q", c.options, got, c.want)
		}
	}
	if got := show(t, deep, Options{Container: JSONL}); len(got) != 1 || !strings.Contains(got[0], "nested more than 256 deep") {
		t.Errorf("%q", got)
	}
}

func TestCSVRows(t *testing.T) {
	checkRows(t, Options{Container: CSV}, []rowsCase{
		{"", []string{"f: the file is empty; its first line must name the columns"}},
		{"a,b\n", nil},
		{"\ufeffa,b\r\n1,2\r3,4\n\n5,\"6\"", []string{`1:2 {"a":"1","b":"2"}`, `2:3 {"a":"3","b":"4"}`, `3:5 {"a":"5","b":"6"}`}},
		{"a,b\n\"x,\"\"y\"\"\r\nz\",5\" disk\n,\n", []string{`1:2 {"a":"x,\"y\"\r\nz","b":"5\" disk"}`, `2:4 {"a":"","b":""}`}},
		{"a\n\"\"\nx", []string{`1:2 {"a":""}`, `2:3 {"a":"x"}`}},
		{"a,b\n1\n1,2,3\n4,5\n", []string{
			`f: record 1 (line 2): 1 fields where the header names 2: "1"`,
			`f: record 2 (line 3): 3 fields where the header names 2: "1,2,3"`, `3:4 {"a":"4","b":"5"}`}},
		{"a\n\"x\"y\nz\n", []string{`f: record 1 (line 2): 'y' after the closing quote of a field`, `2:3 {"a":"z"}`}},
		{"a\n\"x\"\"\n", []string{`f: record 1 (line 2): a quoted field that starts here never ends: "\"x\"\"\n"`}},
		{"a,a\n", []string{`f: the header names column "a" twice`}},
		{"a\n\xffx\ny\n", []string{"f: record 1 (line 2): invalid UTF-8 (byte 0xff) at byte 2" + unsureHint, `2:3 {"a":"y"}`}},
		{"a\xff\n", []string{"f: the header: invalid UTF-8 (byte 0xff) at byte 1" + unsureHint}},
	})
	checkRows(t, Options{Container: TSV}, []rowsCase{
		{"a\tb,c\n1\t\"2\t3\"\n", []string{`1:2 {"a":"1","b,c":"2\t3"}`}},
	})
}

func TestTextRows(t *testing.T) {
	text := "\ufeff one\r\n\n\ntwo\nthree\n \nfour"
	for unit, want := range map[Unit][]string{
		File:      {`1:1 " one\r\n\n\ntwo\nthree\n \nfour"`},
		Paragraph: {`1:1 " one"`, `2:4 "two\nthree"`, `3:7 "four"`},
		Line:      {`1:1 " one"`, `2:4 "two"`, `3:5 "three"`, `4:7 "four"`},
	} {
		if got := show(t, text, Options{Container: PlainText, Unit: unit}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", unit, got, want)
		}
	}
	if got := show(t, "a\n\xe4\nb", Options{Container: PlainText, Unit: Line}); len(got) != 3 || got[1] != "f: record 2 (line 2): invalid UTF-8 (byte 0xe4) at byte 2"+unsureHint {
		t.Errorf("%q", got)
	}
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name, head string
		want       Container
		err        string
	}{
		{"a/b.JSONL", "", JSONL, ""},
		{"x.bin", "PAR1....", Parquet, ""},
		{"x", "ARROW1\x00\x00", Arrow, ""},
		{"x.csv", "a,b", CSV, ""},
		{"x", "PK\x03\x04", Excel, ""},
		{"x", "text", "", "its container cannot be told from the name"},
	} {
		got, err := Detect(c.name, []byte(c.head))
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("Detect(%q, %q) = %q, %v", c.name, c.head, got, err)
		}
	}
}

func TestMissingFileIsNamedWithoutItsPath(t *testing.T) {
	_, err := Open(t.TempDir()+"/none.csv", "none.csv", Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "none.csv: ") || strings.Contains(err.Error(), "/") {
		t.Errorf("%v", err)
	}
}

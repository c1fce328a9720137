package dataset

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// maxFuzzRows bounds how many rows a fuzzed file is read for.
const maxFuzzRows = 2000

func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-0.5e3,"\ud83d\ude00\n",true,null],"a":{}}`, `"\ud800"`, `[`, "\"\xff\"", `01`, `{"a":1,}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := ParseJSON(data)
		if err != nil {
			return
		}
		if !json.Valid(data) || !utf8.Valid(data) {
			t.Fatalf("accepted %q", data)
		}
		text := value.JSON()
		again, err := ParseJSON([]byte(text))
		if err != nil || again.JSON() != text {
			t.Fatalf("%q was written as %s, which reads as %s, %v", data, text, again.JSON(), err)
		}
	})
}

// fuzzRows reads data as a container: no panic, no endless reading, and every
// text valid.
func fuzzRows(t *testing.T, data []byte, options Options) {
	options.maxRow = 1 << 16
	rows, _ := readLimited(data, options, maxFuzzRows)
	for _, row := range rows {
		if text := row.Value.JSON(); !json.Valid([]byte(text)) || !utf8.ValidString(text) {
			t.Fatalf("a row that is no JSON: %q", text)
		}
	}
}

func FuzzJSONRows(f *testing.F) {
	for _, seed := range []string{`[{"a":1},2]`, `{"a":1}{"a":2}`, `{"x":0,"data":[{"a":1}]}`, "{\"a\":1}\r\n\n[2]", "\ufeff[]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzRows(t, data, Options{Container: JSON})
		fuzzRows(t, data, Options{Container: JSONL})
	})
}

func FuzzCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "a\n\"x\"\"y\r\n\"\r\n", "\ufeffa\tb\n\n1", "a\n\"x\"y\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzRows(t, data, Options{Container: CSV})
		fuzzRows(t, data, Options{Container: TSV})
		fuzzRows(t, data, Options{Container: PlainText, Unit: Paragraph})
	})
}

func FuzzArrow(f *testing.F) {
	for _, shape := range []Shape{Messages, Text} {
		dir := f.TempDir()
		w, err := CreateRecords(dir, shape)
		if err != nil {
			f.Fatal(err)
		}
		for _, r := range someRecords(shape, 2) {
			if err := w.Write(r); err != nil {
				f.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, recordsFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzRows(t, data, Options{Container: Arrow})
		if r, err := newRecordReader(fileOf(data), int64(len(data))); err == nil {
			for range r.All() {
			}
		}
		var tokens Tokens
		if tokens.add(fileOf(data), int64(len(data))) == nil {
			for range tokens.All() {
			}
		}
	})
}

func FuzzParquet(f *testing.F) {
	f.Add(smallParquet())
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzRows(t, data, Options{Container: Parquet})
	})
}

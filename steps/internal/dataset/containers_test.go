package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/pipe-run/pipe/internal/shareddata"
)

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstded(t *testing.T, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// zipped packs pairs of name and text.
func zipped(t *testing.T, members ...string) []byte {
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
	return out.Bytes()
}

// saved writes a file and returns its path.
func saved(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPackedFiles(t *testing.T) {
	lines := "{\"a\":\"1\"}\n{\"a\":\"ü\"}\n"
	table := "a\n1\nü\n"
	want := []string{`{"a":"1"}`, `{"a":"ü"}`}
	for name, data := range map[string][]byte{
		"a.jsonl.gz":  gzipped(t, []byte(lines)),
		"a.JSONL.ZST": zstded(t, []byte(lines)),
		"a.csv.gz":    gzipped(t, []byte(table)),
		"a.csv":       gzipped(t, []byte(table)), // told by its bytes
		"a.zip":       zipped(t, "x/a.csv", table),
		"b.zip":       zipped(t, "a.jsonl.zst", string(zstded(t, []byte(lines)))),
		"c.json.gz":   gzipped(t, []byte(`{"n":2,"rows":[{"a":"1"},{"a":"ü"}]}`)),
	} {
		path := saved(t, name, data)
		entries, err := Entries(path, name)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%s: %v, %v", name, entries, err)
		}
		container, err := entries[0].Detect()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		rows, err := entries[0].Open(Options{Container: container})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for {
			raw, err := rows.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, raw.Value.JSON())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPackedParquet is unpacked into a folder that is empty again afterwards.
func TestPackedParquet(t *testing.T) {
	for name, data := range map[string][]byte{"a.parquet.gz": gzipped(t, smallParquet()), "a.zip": zipped(t, "a.parquet", string(smallParquet()))} {
		tmp := t.TempDir()
		rows, err := readOn(saved(t, name, data), Options{Tmp: tmp})
		if err != nil || len(rows) != 3 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("%s left %v, %v", name, left, err)
		}
	}
	tmp := t.TempDir()
	if _, err := readOn(saved(t, "a.parquet.gz", gzipped(t, []byte("PAR1 and nothing more"))), Options{Tmp: tmp}); err == nil {
		t.Error("what is no Parquet was read")
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("a refused file left %v, %v", left, err)
	}
}

func TestArchives(t *testing.T) {
	path := saved(t, "d.zip", zipped(t, "b/two.csv", "a\n2\n", "one.jsonl", `{"a":"1"}`, ".hidden", "x"))
	entries, err := Entries(path, "d.zip")
	if err != nil || len(entries) != 2 || entries[0].Name != "d.zip/b/two.csv" || entries[1].Name != "d.zip/one.jsonl" {
		t.Fatalf("%+v, %v", entries, err)
	}
	if _, err := Open(path, "d.zip", Options{}); err == nil || !strings.Contains(err.Error(), "a zip archive of 2 files") {
		t.Error(err)
	}
	for _, c := range []struct {
		data []byte
		want string
	}{
		{zipped(t, "inner.zip", string(zipped(t, "a.csv", "a\n"))), "an archive within an archive"},
		{gzipped(t, zipped(t, "a.csv", "a\n")), "an archive within an archive"},
		{gzipped(t, gzipped(t, gzipped(t, gzipped(t, []byte("a\n1\n"))))), "packed more than 2 times"},
		{[]byte("PK\x03\x04 and nothing more"), "zip"},
		{[]byte("\xfd7zXZ\x00\x00"), "an xz file, which cannot be read"},
	} {
		if _, err := readOn(saved(t, "x.csv", c.data), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

const chinese = "问题,回答\n这个产品怎么退货?,您好,请在订单页面点击退货。\n你们什么时候发货?,我们会在三天之内发货。\n"

func TestEncodings(t *testing.T) {
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(strings.ReplaceAll(chinese, "您好,", "您好"))
	if err != nil {
		t.Fatal(err)
	}
	path := saved(t, "a.csv", []byte(gbk))
	rows, err := Open(path, "a.csv", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e := rows.(interface{ Encoding() string }).Encoding(); e != "gb18030" {
		t.Errorf("told as %s", e)
	}
	raw, err := rows.Next()
	if want := `{"问题":"这个产品怎么退货?","回答":"您好请在订单页面点击退货。"}`; err != nil || raw.Value.JSON() != want {
		t.Errorf("%s, %v", raw.Value.JSON(), err)
	}
	rows.Close()

	// Another encoding begins in the middle.
	mixed := gbk + "\xff\xff,x\n"
	_, err = readOn(saved(t, "a.csv", []byte(mixed)), Options{Encoding: "gbk"})
	want := fmt.Sprintf("a.csv: record 3: byte 0xff at byte %d is not gb18030", len(gbk))
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}

	sjis, err := japanese.ShiftJIS.NewEncoder().String("{\"text\":\"表\"}\n")
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := readOn(saved(t, "a.jsonl", []byte(sjis)), Options{Encoding: "shift_jis"}); err != nil || rows[0].Value.JSON() != `{"text":"表"}` {
		t.Errorf("%v, %v", rows, err)
	}
	if _, err := readOn(saved(t, "a.txt", []byte("\xef\xbb\xbfx")), Options{Encoding: "big5"}); err == nil || !strings.Contains(err.Error(), "byte order mark of UTF-8") {
		t.Error(err)
	}
	for unit, want := range map[Unit]int{File: 1, Line: 2, Paragraph: 1} {
		rows, err := readOn(saved(t, "a.txt", []byte("\xff\xfea\x00\n\x00b\x00")), Options{Unit: unit})
		if err != nil || len(rows) != want || !strings.HasPrefix(rows[0].Value.Text, "a") {
			t.Errorf("UTF-16 by %s: %v, %v", unit, rows, err)
		}
	}
}

// TestTortureUTF8 reads each case as a text, a table and JSON: what is UTF-8
// comes back as it was, everything else is an error that names its byte.
func TestTortureUTF8(t *testing.T) {
	b, err := os.ReadFile(shareddata.Path(t, "torture/text/utf8_cases_made_here.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Hex string
		Valid     bool `json:"valid_utf8"`
	}
	if err := json.Unmarshal(b, &cases); err != nil || len(cases) < 40 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		raw, err := hex.DecodeString(c.Hex)
		if err != nil {
			t.Fatal(err)
		}
		if c.Name == "utf16le_bom" || c.Name == "mid_cut_json" {
			continue // not UTF-8 in other ways; below
		}
		for name, text := range map[string]string{"a.txt": string(raw), "a.csv": "t\n" + string(raw) + "\n", "a.jsonl": `{"t":"` + string(raw) + `"}`, "a.json": `["` + string(raw) + `"]`} {
			rows, err := readAll(saved(t, name, []byte(text)), Options{})
			switch {
			case c.Name == "ok_nul" && strings.HasPrefix(name, "a.json"): // JSON wants it escaped
				if err == nil || !strings.Contains(err.Error(), "control character 0x00") {
					t.Errorf("%s as %s: %v and %v", c.Name, name, rows, err)
				}
			case !c.Valid && (err == nil || !strings.Contains(err.Error(), "invalid UTF-8") || !strings.Contains(err.Error(), unsureHint)):
				t.Errorf("%s as %s: %v and %v", c.Name, name, rows, err)
			case c.Valid && name != "a.txt" && (err != nil || len(rows) != 1 || !strings.Contains(rows[0].Value.JSON(), strings.ReplaceAll(string(raw), "\x00", `\u0000`))):
				t.Errorf("%s as %s: %v and %v", c.Name, name, rows, err)
			}
		}
	}
	if rows, err := readAll(saved(t, "a.txt", []byte("\xff\xfeh\x00i\x00")), Options{}); err != nil || rows[0].Value.Text != "hi" {
		t.Errorf("%v, %v", rows, err)
	}
	if _, err := readAll(saved(t, "a.jsonl", []byte("{\"text\":\"abc\xe4\xbb\"}")), Options{}); err == nil || !strings.Contains(err.Error(), "invalid UTF-8 (byte 0xe4) at byte 12") {
		t.Error(err)
	}
}

// TestTortureNaughtyStrings survive every text container.
func TestTortureNaughtyStrings(t *testing.T) {
	b, err := os.ReadFile(shareddata.Path(t, "torture/text/blns.json"))
	if err != nil {
		t.Fatal(err)
	}
	var naughty []string
	if err := json.Unmarshal(b, &naughty); err != nil || len(naughty) < 400 {
		t.Fatal(len(naughty), err)
	}
	var table, lines bytes.Buffer
	w := csv.NewWriter(&table)
	w.Write([]string{"n", "s"})
	e := json.NewEncoder(&lines)
	for i, s := range naughty {
		w.Write([]string{fmt.Sprint(i), s})
		if err := e.Encode(map[string]string{"n": fmt.Sprint(i), "s": s}); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush()
	for name, data := range map[string][]byte{"a.csv": table.Bytes(), "a.jsonl": lines.Bytes(), "a.json": b} {
		rows, err := readAll(saved(t, name, data), Options{})
		if err != nil || len(rows) != len(naughty) {
			t.Fatalf("%s: %d rows, %v", name, len(rows), err)
		}
		for i, row := range rows {
			got := row.Value
			if got.Kind == Object {
				got, _ = row.Value.Get("s")
			}
			if got.Text != naughty[i] {
				t.Errorf("%s, row %d: %q, want %q", name, i, got.Text, naughty[i])
			}
		}
	}
}

// TestTortureHeaders: the first line of the UCI files says how many rows and
// columns there are, and names classes.
func TestTortureHeaders(t *testing.T) {
	for name, c := range map[string]struct{ rows, columns int }{"iris.csv": {150, 5}, "wine_data.csv": {178, 14}} {
		path := shareddata.Path(t, "datasets/uci/"+name)
		if _, err := readAll(path, Options{}); err == nil || !strings.Contains(err.Error(), "the first line is no header") || !strings.Contains(err.Error(), "skip: 1") {
			t.Errorf("%s: %v", name, err)
		}
		var fields []string
		for i := range c.columns {
			fields = append(fields, fmt.Sprintf("c%d", i))
		}
		rows, err := readAll(path, Options{Fields: fields, Skip: 1})
		if err != nil || len(rows) != c.rows || rows[0].Line != 2 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
	}
	for _, name := range []string{"arrow-csv/aggregate_test_100.csv", "arrow-csv/aggregate_test_100.csv.gz", "vega/airports.csv", "vega/github.csv", "vega/unemployment.tsv"} {
		if _, err := readAll(shareddata.Path(t, "datasets/"+name), Options{}); err != nil {
			t.Error(err)
		}
	}
}

func TestTables(t *testing.T) {
	for _, c := range []struct {
		text    string
		options Options
		want    []string
	}{
		{"a;b\n1;2,5\n3;4\n", Options{}, []string{`1:2 {"a":"1","b":"2,5"}`, `2:3 {"a":"3","b":"4"}`}},
		{"a|b\n1|2\n", Options{}, []string{`1:2 {"a":"1","b":"2"}`}},
		{"a\tb\n1\t2\n", Options{}, []string{`1:2 {"a":"1","b":"2"}`}},
		{"a;b\n1;2;3\n", Options{}, []string{`1:2 {"a;b":"1;2;3"}`}}, // not the same everywhere
		{"a,b;c\n1,2;3\n", Options{}, []string{`1:2 {"a":"1","b;c":"2;3"}`}},
		{"text\nhello; you\nbye\n", Options{}, []string{`1:2 {"text":"hello; you"}`, `2:3 {"text":"bye"}`}},
		{"a;b\n1;2\n", Options{Delimiter: ","}, []string{`1:2 {"a;b":"1;2"}`}},
		{"1,2\n3,4\n", Options{Fields: []string{"x", "y"}}, []string{`1:1 {"x":"1","y":"2"}`, `2:2 {"x":"3","y":"4"}`}},
		{"made by\r\n\r\na,b\r\n3,4\r\n", Options{Skip: 2}, []string{`1:4 {"a":"3","b":"4"}`}},
		{"made by\rx\r3,4\r", Options{Skip: 2, Fields: []string{"x", "y"}}, []string{`1:3 {"x":"3","y":"4"}`}},
		{"x\n", Options{Skip: 2}, []string{"f: skip is 2, and the file has fewer lines"}},
		{"year,2019,2020\nx,1,2\n", Options{}, []string{`1:2 {"year":"x","2019":"1","2020":"2"}`}},
		{"1,2\n3,4\n", Options{}, []string{`f: the first line is no header: "1,2" is all numbers, as the line after; give header: false and fields`}},
		{"\ufeff\"a\"\n1\n", Options{}, []string{`1:2 {"a":"1"}`}},
	} {
		c.options.Container = CSV
		if got := show(t, c.text, c.options); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// manyRows is a table of some blocks, with quoted line ends, quotes where none
// belong, bad rows and characters of several bytes.
func manyRows() (table string, lines string) {
	var c, l strings.Builder
	c.WriteString("n,text\n")
	for i := range 20_000 {
		text := strings.Repeat("wörd ", i%40)
		switch i % 50 {
		case 7:
			fmt.Fprintf(&c, "%d,\"%s\r\n\"\"more\"\", %d\"\n", i, text, i)
		case 9:
			fmt.Fprintf(&c, "%d,5\" disk %s\n", i, text)
		case 11:
			fmt.Fprintf(&c, "%d\n", i)
		case 13:
			fmt.Fprintf(&c, "%d,\"%s\"x\n\n", i, text)
		default:
			fmt.Fprintf(&c, "%d,%s\r", i, text)
		}
		switch i % 70 {
		case 3:
			l.WriteString("{]\n\r\n")
		default:
			fmt.Fprintf(&l, "{\"n\":%d,\"text\":\"%s\\n\\\"\",\"list\":[{\"a\":[]},null]}\n", i, text)
		}
	}
	return c.String(), l.String()
}

// TestThreadsMakeNoDifference: rows, bad rows and their places are the same on
// any number of threads, and those of one block that holds the whole file.
func TestThreadsMakeNoDifference(t *testing.T) {
	table, lines := manyRows()
	list := "[" + strings.Join(strings.FieldsFunc(lines, func(r rune) bool { return r == '\n' || r == '\r' }), ",") + "]"
	list = strings.ReplaceAll(list, "{],", "")
	for _, c := range []struct {
		container Container
		text      string
	}{{CSV, table}, {JSONL, lines}, {JSON, list}, {JSON, strings.ReplaceAll(lines, "{]\n", "")}, {PlainText, lines}} {
		var want []string
		for _, threads := range []int{0, 1, 2, 7} {
			got := showAll(t, c.text, Options{Container: c.container, Threads: threads, Unit: Line})
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %d threads change %d rows into %d", c.container, threads, len(want), len(got))
			}
		}
		if len(want) < 19_000 {
			t.Errorf("%s: only %d rows", c.container, len(want))
		}
	}
}

// showAll is show for many rows.
func showAll(t *testing.T, text string, options Options) (got []string) {
	t.Helper()
	r, err := newRows(fileOf([]byte(text)), int64(len(text)), "f", options)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		row, err := r.Next()
		if err == io.EOF {
			return got
		}
		var bad *RowError
		if errors.As(err, &bad) {
			got = append(got, err.Error())
			if bad.Final {
				return got
			}
			continue
		}
		got = append(got, fmt.Sprint(row.Record, ":", row.Line, row.Value.JSON()))
	}
}

// TestCSVEqualsTheStandardLibrary on tables that both accept.
func TestCSVEqualsTheStandardLibrary(t *testing.T) {
	var text strings.Builder
	w := csv.NewWriter(&text)
	var want [][]string
	for i := range 5000 {
		row := []string{fmt.Sprint("n", i), strings.Repeat("a,\"b\n", i%30), "", "x" + strings.Repeat("é", i%7)}
		want = append(want, row)
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush()
	rows, err := readLimited([]byte(text.String()), Options{Container: CSV, Fields: []string{"a", "b", "c", "d"}, Threads: 3}, len(want)+1)
	if err != nil || len(rows) != len(want) {
		t.Fatal(len(rows), err)
	}
	for i, row := range rows {
		var got []string
		for _, f := range row.Value.Fields {
			got = append(got, f.Value.Text)
		}
		if !reflect.DeepEqual(got, want[i]) {
			t.Fatalf("row %d: %q, want %q", i, got, want[i])
		}
	}
}

// endless is a file that repeats a line.
type endless struct{ line string }

func (e endless) ReadAt(p []byte, at int64) (int, error) {
	n := 0
	for n < len(p) {
		k := copy(p[n:], e.line[(at+int64(n))%int64(len(e.line)):])
		n += k
	}
	return n, nil
}

func (e endless) Close() error { return nil }

// TestMemoryIsConstant reads much through little memory.
func TestMemoryIsConstant(t *testing.T) {
	size := int64(256 << 20)
	if testing.Short() {
		size = 48 << 20
	}
	for container, line := range map[Container]string{
		JSONL: `{"instruction":"` + strings.Repeat("word ", 40) + `","output":"x"}` + "\n",
		CSV:   "1," + strings.Repeat("word ", 40) + "\n",
	} {
		size := size / int64(len(line)) * int64(len(line))
		options := Options{Container: container, Threads: 2}
		if container == CSV {
			options.Fields = []string{"a", "b"}
		}
		rows, err := newRows(endless{line}, size, "f", options)
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		peak, n := uint64(0), int64(0)
		for ; ; n++ {
			_, err := rows.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n%20_000 == 0 {
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if n != size/int64(len(line)) {
			t.Errorf("%s: %d rows of %d", container, n, size/int64(len(line)))
		}
		if grown := int64(peak) - int64(before.HeapAlloc); grown > 40<<20 {
			t.Errorf("%s: reading %d MB took %d MB", container, size>>20, grown>>20)
		}
	}
}

// TestTortureBomb: a Parquet file of two kilobytes that says it holds two
// gigabytes of text.
func TestTortureBomb(t *testing.T) {
	path := shareddata.Path(t, "torture/parquet/parquet-testing/large_string_map.brotli.parquet")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readOn(path, Options{Threads: 2})
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "large_string_map") {
		t.Error(err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 2*decodeLimit {
		t.Errorf("it took %d MB", took>>20)
	}
}

// TestStoppedReadersEnd: closing early ends what reads ahead.
func TestStoppedReadersEnd(t *testing.T) {
	table, _ := manyRows()
	before := runtime.NumGoroutine()
	for _, data := range []string{table, string(smallParquet())} {
		rows, err := newRows(fileOf([]byte(data)), int64(len(data)), "f", Options{Container: map[bool]Container{true: CSV, false: Parquet}[data == table], Threads: 4})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := rows.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

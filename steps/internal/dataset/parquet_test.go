package dataset

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/internal/shareddata"
)

// refusedParquet are the files of parquet-testing that are refused, and why.
var refusedParquet = map[string]string{
	"datapage_v1-corrupt-checksum":           "does not match its checksum",
	"rle-dict-uncompressed-corrupt-checksum": "does not match its checksum",
	"large_string_map.brotli":                "more than 512 MiB", // a page of 2 GiB in 4 kB
}

// parquetRowCounts are the rows of the readable files, as their writers said.
var parquetRowCounts = map[string]int{
	"alltypes_plain": 8, "alltypes_plain.snappy": 2, "alltypes_dictionary": 2, "alltypes_tiny_pages": 7300,
	"datapage_v2.snappy": 5, "delta_binary_packed": 200, "delta_byte_array": 1000, "hadoop_lz4_compressed_larger": 10000,
	"lz4_raw_compressed_larger": 10000, "nulls.snappy": 8, "list_columns": 3, "nested_maps.snappy": 6, "overflow_i16_page_cnt": 40000,
}

func TestTortureParquet(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shareddata.Path(t, "torture/parquet/parquet-testing"), "*.parquet*"))
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		rows, err := readAll(file, Options{Container: Parquet})
		switch name, encrypted := strings.CutSuffix(name, ".parquet.encrypted"); {
		case strings.HasSuffix(name, ".json"): // a key, which a glob takes for data
			if err == nil {
				t.Errorf("%s was read", name)
			}
			continue
		case encrypted:
			if err == nil || !strings.Contains(err.Error(), "encrypted") {
				t.Errorf("%s: %v, want an error about encryption", name, err)
			}
			continue
		}
		name = strings.TrimSuffix(name, ".parquet")
		if why, refused := refusedParquet[name]; refused {
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %v, want an error with %q", name, err, why)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want, ok := parquetRowCounts[name]; ok && len(rows) != want {
			t.Errorf("%s: %d rows, want %d", name, len(rows), want)
		}
	}
}

// TestTortureParquetBad reads files that once broke a reader. Two of them are
// valid, or valid to their damaged page; none may hang or panic.
func TestTortureParquetBad(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shareddata.Path(t, "torture/parquet/parquet-testing-bad"), "*.parquet"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		rows, err := readAll(file, Options{Container: Parquet})
		if valid := strings.HasSuffix(file, "ARROW-GH-43605.parquet"); valid != (err == nil) {
			t.Errorf("%s: %d rows, %v", filepath.Base(file), len(rows), err)
		}
	}
}

func TestTortureParquetValues(t *testing.T) {
	dir := shareddata.Path(t, "torture/parquet/parquet-testing")
	for _, name := range []string{"delta_byte_array", "delta_binary_packed", "delta_encoding_required_column", "delta_encoding_optional_column"} {
		got, err := readAll(filepath.Join(dir, name+".parquet"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := readAll(filepath.Join(dir, name+"_expect.csv"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d rows, want %d", name, len(got), len(want))
		}
		for i := range got {
			for k, f := range got[i].Value.Fields {
				// The expectations name some columns otherwise, and write null as nothing.
				if w := want[i].Value.Fields[k].Value.Text; f.Value.Text != w {
					t.Fatalf("%s: row %d, %s = %s, want %s", name, i, f.Name, f.Value.JSON(), w)
				}
			}
		}
	}
}

func TestParquetEqualsItsTwin(t *testing.T) {
	dir := shareddata.Path(t, "datasets/parquet")
	got, err := readAll(filepath.Join(dir, "blogs.parquet"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := readAll(filepath.Join(dir, "blogs.json"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range got {
		var g, w any
		if json.Unmarshal([]byte(got[i].Value.JSON()), &g) != nil || json.Unmarshal([]byte(want[i].Value.JSON()), &w) != nil {
			t.Fatal("a row is not JSON")
		}
		if !reflect.DeepEqual(dropNulls(g), dropNulls(w)) {
			t.Fatalf("row %d = %s, want %s", i, got[i].Value.JSON(), want[i].Value.JSON())
		}
	}
}

// dropNulls leaves out fields that are null, as the twin does.
func dropNulls(v any) any {
	if object, ok := v.(map[string]any); ok {
		for name, item := range object {
			if item = dropNulls(item); item == nil {
				delete(object, name)
			}
		}
	}
	return v
}

// TestDamagedParquet flips bytes of small files of every encoding: reading must
// end soon, with an error or with rows, and never panic.
func TestDamagedParquet(t *testing.T) {
	dir := shareddata.Path(t, "torture/parquet/parquet-testing")
	names := []string{"rle_boolean_encoding", "nested_lists.snappy", "nested_maps.snappy", "delta_length_byte_array", "old_list_structure", "lz4_raw_compressed", "datapage_v2.snappy"}
	if testing.Short() {
		names = names[:2]
	}
	for _, name := range names {
		whole, err := os.ReadFile(filepath.Join(dir, name+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(whole); i += 1 + len(whole)/150 {
			for _, flip := range []byte{0xff, 0x01, 0x40} {
				damaged := bytes.Clone(whole)
				damaged[i] ^= flip
				start := time.Now()
				readLimited(damaged, Options{Container: Parquet}, 100_000)
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("%s with byte %d ^ %02x took %v", name, i, flip, took)
				}
			}
		}
	}
}

// readLimited reads at most n rows, whatever comes of it.
func readLimited(data []byte, options Options, n int) (rows []Raw, err error) {
	r, err := newRows(fileOf(data), int64(len(data)), "data", options)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for range n {
		row, err := r.Next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func TestLZ4Block(t *testing.T) {
	for _, test := range []struct {
		block []byte
		want  string
		ok    bool
	}{
		{[]byte("\x50hello"), "hello", true},
		{[]byte("\x11a\x01\x00\x10b"), "aaaaaab", true}, // a match that overlaps itself
		{[]byte("\x1fa\x01\x00\x00\x10b"), "a" + strings.Repeat("a", 19) + "b", true},
		{[]byte("\x11a\x02\x00\x10b"), "", false}, // before the start
		{[]byte("\x11a\x00\x00\x10b"), "", false},
		{[]byte("\x50hell"), "", false},
		{[]byte("\xf0"), "", false},
		{[]byte{}, "", false},
	} {
		out := make([]byte, len(test.want))
		n, err := decodeLZ4(out, test.block)
		if (err == nil) != test.ok || test.ok && string(out[:n]) != test.want {
			t.Errorf("decodeLZ4(%q) = %q, %v, want %q", test.block, out[:n], err, test.want)
		}
		if n, err := decodeLZ4(out[:len(out)/2], test.block); err == nil {
			t.Errorf("decodeLZ4(%q) into %d bytes gave %d", test.block, len(out)/2, n)
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, test := range []struct {
		bytes []byte
		scale int
		want  string
	}{
		{[]byte{0x01, 0x00}, 2, "2.56"}, {[]byte{0xff}, 2, "-0.01"}, {[]byte{0xff, 0x00}, 0, "-256"}, {nil, 1, "0.0"},
	} {
		if got := decimal(bigEndian(test.bytes), test.scale); got != test.want {
			t.Errorf("decimal(%x, %d) = %s, want %s", test.bytes, test.scale, got, test.want)
		}
	}
}

func TestParquetOfTheArrowLibrary(t *testing.T) {
	rows, err := readLimited(smallParquet(), Options{Container: Parquet}, 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"text":"a","n":1,"messages":[{"role":"user","content":null},{"role":"user","content":null}]}`,
		`{"text":null,"n":-2,"messages":[]}`,
		`{"text":"ü","n":1152921504606846976,"messages":[{"role":"user","content":null}]}`,
	}
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
	for i, row := range rows {
		if got := row.Value.JSON(); got != want[i] || row.Record != int64(i+1) {
			t.Errorf("record %d = %s, want %s", row.Record, got, want[i])
		}
	}
}

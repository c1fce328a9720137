package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
)

// promptColumns reads any table: whether it has those columns is not the point.
const promptColumns = `{"format":"prompt-completion","columns":{"prompt":"a","completion":"b"}}`

// copied is a folder with one file of some bytes.
func copied(t *testing.T, name string, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// refused checks that a file ends the step with an error that names it, for
// another reason than a column that is not there.
func refused(t *testing.T, name string, data []byte, params string) {
	t.Helper()
	_, err := convertDir(t, copied(t, name, data), params)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			if strings.Contains(line, name) && !strings.Contains(line, "is missing (the ") {
				return
			}
		}
	}
	t.Errorf("%s: %v; want an error that names the file", name, err)
}

func TestTortureParquet(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shareddata.Path(t, "torture/parquet/parquet-testing-bad"), "*.parquet"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		params := promptColumns
		switch filepath.Base(file) {
		case "ARROW-GH-43605.parquet": // valid
			continue
		case "ARROW-GH-47662.parquet": // valid up to its damaged page
			params = `{"format":"text","columns":{"text":"flba_field"}}`
		}
		refused(t, filepath.Base(file), data, params)
	}
}

// TestTortureCut converts Parquet and Arrow files that end too early, at any place.
func TestTortureCut(t *testing.T) {
	for _, file := range []string{
		"torture/parquet/parquet-testing/alltypes_plain.parquet",
		"torture/arrow-ipc/stream-integration-cpp-21.0.0/generated_nested.arrow_file",
		"torture/arrow-ipc/stream-integration-2.0.0-compression/generated_zstd.arrow_file",
	} {
		data, err := os.ReadFile(shareddata.Path(t, file))
		if err != nil {
			t.Fatal(err)
		}
		container := "parquet"
		if strings.Contains(file, "arrow") {
			container = "arrow"
		}
		for i := range 20 {
			refused(t, filepath.Base(file), data[:len(data)*i/20], strings.Replace(promptColumns, "{", `{"container":"`+container+`",`, 1))
		}
	}
}

// TestTortureCutStream: a stream that ends too early is no row to skip.
func TestTortureCutStream(t *testing.T) {
	data, err := os.ReadFile(shareddata.Path(t, "torture/arrow-ipc/stream-integration-2.0.0-compression/generated_lz4.stream"))
	if err != nil {
		t.Fatal(err)
	}
	params := `{"format":"text","columns":{"text":"strs"},"container":"arrow","onError":"skip"}`
	if _, err := convertDir(t, copied(t, "whole.stream", data), params); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		refused(t, "cut.stream", data[:len(data)*i/20], params)
	}
}

// TestTortureJSON converts what JSONTestSuite says no parser may accept.
func TestTortureJSON(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shareddata.Path(t, "torture/json/JSONTestSuite/test_parsing"), "n_*.json"))
	if err != nil || len(files) < 180 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, filepath.Base(file), data, promptColumns)
	}
}

// TestInvalidUTF8 is said with file and record, and never mended in silence.
func TestInvalidUTF8(t *testing.T) {
	for name, c := range map[string]struct{ data, where, params string }{
		"a.jsonl": {"{\"text\":\"fine\"}\n{\"text\":\"ba\xffd\"}\n", "record 2", `{"format":"text"}`},
		"a.json":  {"[{\"text\":\"fine\"},{\"text\":\"\xed\xa0\x80\"}]", "a.json", `{"format":"text"}`},
		"a.csv":   {"text\nfine\nba\xc3\n", "record 2", `{"format":"text"}`},
		"a.tsv":   {"text\tn\nfine\t1\nba\xc0\xaf\t2\n", "record 2", `{"format":"text"}`},
		"a.txt":   {"fine\n\nba\xf8d\n", "a.txt", `{"format":"text","text":{"split":"paragraph"}}`},
	} {
		_, err := convertDir(t, copied(t, name, []byte(c.data)), c.params)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), c.where) || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("%s: %v; want an error about UTF-8 in %s", name, err, c.where)
		}
	}
}

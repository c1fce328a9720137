package dataset

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
)

// readAll reads every row of a file; the error is the first one met. It also
// checks that the number of threads makes no difference.
func readAll(path string, options Options) (rows []Raw, err error) {
	rows, err = readOn(path, options)
	options.Threads = 4
	again, err2 := readOn(path, options)
	if !reflect.DeepEqual(rows, again) || fmt.Sprint(err) != fmt.Sprint(err2) {
		return rows, fmt.Errorf("on one thread %d rows and %v, on four %d and %v", len(rows), err, len(again), err2)
	}
	return rows, err
}

func readOn(path string, options Options) (rows []Raw, err error) {
	r, err := Open(path, filepath.Base(path), options)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		row, err := r.Next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
}

func TestTortureJSONTestSuite(t *testing.T) {
	dir := shareddata.Path(t, "torture/json/JSONTestSuite/test_parsing")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) < 300 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		value, err := ParseJSON(data)
		_, rowsErr := readAll(file, Options{Container: JSON})
		switch name[0] {
		case 'y':
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if rowsErr != nil {
				t.Errorf("%s read as rows: %v", name, rowsErr)
			}
		case 'n':
			if err == nil {
				t.Errorf("%s was accepted", name)
			}
			if rowsErr == nil {
				t.Errorf("%s was accepted as rows", name)
			}
		}
		if err != nil {
			continue
		}
		again, err := ParseJSON([]byte(value.JSON()))
		if err != nil || again.JSON() != value.JSON() {
			t.Errorf("%s: re-encoded as %s, which reads as %s, %v", name, value.JSON(), again.JSON(), err)
		}
	}
}

func TestTortureCSVSpectrum(t *testing.T) {
	dir := shareddata.Path(t, "torture/csv/csv-spectrum")
	files, err := filepath.Glob(filepath.Join(dir, "csvs", "*.csv"))
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".csv")
		rows, err := readAll(file, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "json", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if name == "location_coordinates" { // its JSON is of other data
			if len(rows) != 1 || len(rows[0].Value.Fields) != 4 {
				t.Errorf("%s: %v", name, rows)
			}
			continue
		}
		var want []map[string]string
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		if len(rows) != len(want) {
			t.Errorf("%s: %d rows, want %d", name, len(rows), len(want))
			continue
		}
		for i, row := range rows {
			if len(row.Value.Fields) != len(want[i]) {
				t.Errorf("%s: row %d = %s, want %v", name, i, row.Value.JSON(), want[i])
			}
			for _, f := range row.Value.Fields {
				if f.Value.Text != want[i][f.Name] {
					t.Errorf("%s: row %d, %s = %q, want %q", name, i, f.Name, f.Value.Text, want[i][f.Name])
				}
			}
		}
	}
}

// unreadArrow are the integration files that are refused, and why: arrow-go v17
// knows no decimals of 32 and 64 bits, and a row cannot have a field twice.
var unreadArrow = map[string]string{
	"generated_decimal32":            "bitwidth",
	"generated_decimal64":            "bitwidth",
	"generated_duplicate_fieldnames": "two columns are named",
}

func TestTortureArrowIPC(t *testing.T) {
	dir := shareddata.Path(t, "torture/arrow-ipc")
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.*"))
	if err != nil || len(files) < 90 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".gz") {
			continue
		}
		name := filepath.Base(file)
		rows, err := readAll(file, Options{Container: Arrow})
		if why, refused := unreadArrow[strings.TrimSuffix(name, filepath.Ext(name))]; refused {
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %v, want an error with %q", name, err, why)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := arrowRowCount(t, strings.TrimSuffix(strings.TrimSuffix(file, ".stream"), ".arrow_file")+".json.gz"); len(rows) != want {
			t.Errorf("%s: %d rows, want %d", name, len(rows), want)
		}
	}
}

// arrowRowCount reads the number of rows out of an integration file's JSON twin.
func arrowRowCount(t *testing.T, path string) int {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	gz, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var twin struct{ Batches []struct{ Count int } }
	if err := json.NewDecoder(gz).Decode(&twin); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, b := range twin.Batches {
		n += b.Count
	}
	return n
}

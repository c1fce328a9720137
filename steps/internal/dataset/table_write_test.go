package dataset

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWriteTable(t *testing.T) {
	dir := t.TempDir()
	var names []string
	var numbers []int64
	var values []float64
	var flags []bool
	for i := range batchRows + 2 {
		names = append(names, fmt.Sprint("row ", i))
		numbers, values, flags = append(numbers, int64(i)), append(values, float64(i)/4), append(flags, i%3 == 0)
	}
	columns := []Column{{"name", names}, {"number", numbers}, {"value", values}, {"flag", flags}}
	for _, file := range []string{"a.arrow", "b.arrow"} {
		if err := WriteTable(filepath.Join(dir, file), columns); err != nil {
			t.Fatal(err)
		}
	}
	a, errA := os.ReadFile(filepath.Join(dir, "a.arrow"))
	b, errB := os.ReadFile(filepath.Join(dir, "b.arrow"))
	if errA != nil || errB != nil || !slices.Equal(a, b) {
		t.Error("equal tables are not equal bytes")
	}
	source, err := openBatches(filepath.Join(dir, "a.arrow"), readLimit)
	if err != nil {
		t.Fatal(err)
	}
	defer source.close()
	rows := int64(0)
	for {
		batch, err := source.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if batch.NumCols() != 4 {
			t.Fatalf("%d columns", batch.NumCols())
		}
		rows += batch.NumRows()
	}
	if rows != batchRows+2 {
		t.Errorf("%d rows, want %d", rows, batchRows+2)
	}
}

func TestWriteTableRefuses(t *testing.T) {
	for name, columns := range map[string][]Column{
		"lengths": {{"a", []int64{1}}, {"b", []string{}}},
		"type":    {{"a", []int32{1}}},
		"utf8":    {{"a", []string{"\xff"}}},
	} {
		path := filepath.Join(t.TempDir(), "t.arrow")
		if err := WriteTable(path, columns); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was left", name)
		}
	}
}

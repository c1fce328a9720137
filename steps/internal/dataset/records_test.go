package dataset

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

func weight(w float64) *float64 { return &w }

// someRecords returns n records of a shape, with optional fields set and unset.
func someRecords(shape Shape, n int) []Record {
	records := make([]Record, n)
	for i := range records {
		r := Record{Shape: shape, Origin: Origin{File: "a/b.jsonl", Record: int64(i + 1)}}
		switch shape {
		case Messages:
			r.Messages = []Message{
				{Role: "user", Content: fmt.Sprintf("question %d: 你好 \u2028", i)},
				{Role: "assistant", Content: strings.Repeat("x", i%7), Name: "bot", ToolCalls: "[]", Weight: weight(float64(i) / 8)},
			}
			if i%3 == 0 {
				r.Tools = `[{"type":"function"}]`
			}
			if i%5 == 4 {
				r.Messages = r.Messages[:0]
			}
		case PromptCompletion:
			r.Prompt, r.Completion = fmt.Sprint("p", i), strings.Repeat("c", i%5)
		case Text:
			r.Text = fmt.Sprint("text ", i, "\r\n\x00")
		case Judged:
			r.Messages = []Message{{Role: "user", Content: "q"}, {Role: "assistant", Content: fmt.Sprint(i), Reasoning: strings.Repeat("r", i%3)}, {Role: "tool", ToolCallID: "c1"}}
			r.Desirable = i%2 == 0
		case Segments:
			r.Segments = []Segment{{Text: "<s>"}, {Text: fmt.Sprint(i), Train: i%2 == 0}}
		}
		records[i] = r
	}
	return records
}

func writeRecords(t *testing.T, shape Shape, records []Record) string {
	t.Helper()
	dir := t.TempDir()
	w, err := CreateRecords(dir, shape)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func readRecords(t *testing.T, dir string) []Record {
	t.Helper()
	r, err := OpenRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var records []Record
	for record, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last record: %v, want io.EOF", err)
	}
	return records
}

func TestRecordsComeBack(t *testing.T) {
	for _, shape := range []Shape{Messages, PromptCompletion, Text, Judged, Segments} {
		for _, n := range []int{0, 1, batchRows, 2*batchRows + 17} {
			want := someRecords(shape, n)
			got := readRecords(t, writeRecords(t, shape, want))
			if len(got) != n {
				t.Fatalf("%s: %d records came back of %d", shape, len(got), n)
			}
			for i := range got {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Fatalf("%s: record %d = %+v, want %+v", shape, i, got[i], want[i])
				}
			}
		}
	}
}

func TestRecordsHaveEqualBytes(t *testing.T) {
	want := map[Shape]string{
		Messages:         "9d0d63cbf6e0ee236394ae9e854c8b093c62071b323bf85a8da12e095961b7ce",
		PromptCompletion: "2bc4befe6a75a60fdacc97e6b4c8efbd6a6604c5a8615347552db917860c6bd3",
		Text:             "97bc0e4a63a77dfe6fe66fbfb8b62398684c2bb6e107c831338f6fe70a0c843f",
	}
	for shape := range want {
		var files [2][]byte
		for i := range files {
			dir := writeRecords(t, shape, someRecords(shape, 2345))
			data, err := os.ReadFile(filepath.Join(dir, recordsFile))
			if err != nil {
				t.Fatal(err)
			}
			files[i] = data
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Errorf("%s: two writes of the same records differ", shape)
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(files[0])); sum != want[shape] {
			t.Errorf("%s: SHA-256 %s, want %s (raise the version of every kind that writes records)", shape, sum, want[shape])
		}
	}
}

// openBatches opens an Arrow file without saying what it holds.
func openBatches(path string, limit int64) (*batches, error) {
	file, size, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return newBatches(file, size, limit)
}

func TestLargeRecordsEndABatchEarly(t *testing.T) {
	text := strings.Repeat("z", batchBytes/2)
	records := make([]Record, 5)
	for i := range records {
		records[i] = Record{Shape: Text, Text: text, Origin: Origin{"f", int64(i + 1)}}
	}
	dir := writeRecords(t, Text, records)
	source, err := openBatches(filepath.Join(dir, recordsFile), readLimit)
	if err != nil {
		t.Fatal(err)
	}
	defer source.close()
	n := 0
	for ; ; n++ {
		batch, err := source.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if batch.NumRows() > 2 {
			t.Errorf("a batch holds %d records of %d bytes", batch.NumRows(), len(text))
		}
	}
	if n < 3 {
		t.Errorf("%d batches", n)
	}
}

func TestRecordWriterRefuses(t *testing.T) {
	w, err := CreateRecords(t.TempDir(), Text)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for want, r := range map[string]Record{
		"does not fit": {Shape: Messages},
		"UTF-8":        {Shape: Text, Text: "a\xff"},
	} {
		if err := w.Write(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Write(%+v) = %v, want %q", r, err, want)
		}
	}
}

// inMemory is a file that is not on disk.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

func fileOf(b []byte) inMemory { return inMemory{bytes.NewReader(b)} }

// TestDamagedRecords cuts and flips every part of a small artifact: reading must
// end, with an error or with records, and never panic.
func TestDamagedRecords(t *testing.T) {
	dir := writeRecords(t, Messages, someRecords(Messages, 3))
	whole, err := os.ReadFile(filepath.Join(dir, recordsFile))
	if err != nil {
		t.Fatal(err)
	}
	read := func(data []byte) error {
		r, err := newRecordReader(fileOf(data), int64(len(data)))
		if err != nil {
			return err
		}
		defer r.Close()
		for _, err := range r.All() {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for n := range whole {
		if err := read(whole[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were read without an error", n, len(whole))
		}
	}
	for i := range whole {
		flips := []byte{0xff, 0x01, 0x80}
		if testing.Short() {
			flips = flips[:1]
		}
		for _, flip := range flips {
			damaged := bytes.Clone(whole)
			damaged[i] ^= flip
			_ = read(damaged) // any verdict, but no panic
		}
	}
}

func TestHashIsContentOnly(t *testing.T) {
	a := Record{Shape: PromptCompletion, Prompt: "ab", Completion: "c", Origin: Origin{"x", 1}}
	b := a
	b.Origin = Origin{"y", 9}
	if a.Hash() != b.Hash() {
		t.Error("the origin entered the hash")
	}
	b.Prompt, b.Completion = "a", "bc"
	if a.Hash() == b.Hash() {
		t.Error("text moved between fields kept the hash")
	}
}

// TestFirstRecordsAreRead: records as written before messages had reasoning.
func TestFirstRecordsAreRead(t *testing.T) {
	schema, err := firstSchema(Messages)
	if err != nil {
		t.Fatal(err)
	}
	builder := array.NewRecordBuilder(memory.NewGoAllocator(), schema)
	list := builder.Field(0).(*array.ListBuilder)
	list.Append(true)
	message := list.ValueBuilder().(*array.StructBuilder)
	message.Append(true)
	message.FieldBuilder(0).(*array.StringBuilder).Append("user")
	message.FieldBuilder(1).(*array.StringBuilder).Append("hi")
	message.FieldBuilder(2).AppendNull()
	message.FieldBuilder(3).AppendNull()
	message.FieldBuilder(4).AppendNull()
	builder.Field(1).AppendNull()
	origin := builder.Field(2).(*array.StructBuilder)
	origin.Append(true)
	origin.FieldBuilder(0).(*array.StringBuilder).Append("f")
	origin.FieldBuilder(1).(*array.Int64Builder).Append(1)
	var file bytes.Buffer
	w := ipc.NewWriter(&file, ipc.WithSchema(schema))
	if err := errors.Join(w.Write(builder.NewRecord()), w.Close()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, recordsFile), file.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	want := Record{Shape: Messages, Messages: []Message{{Role: "user", Content: "hi"}}, Origin: Origin{File: "f", Record: 1}}
	if got := readRecords(t, dir); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

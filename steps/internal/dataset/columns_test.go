package dataset

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// builtRecords is the artifact of records as Arrow's own builders make it, batch
// after batch.
func builtRecords(t *testing.T, shape Shape, records []Record) []byte {
	t.Helper()
	schema, err := recordsSchema(shape, "")
	if err != nil {
		t.Fatal(err)
	}
	builder := array.NewRecordBuilder(memory.NewGoAllocator(), schema)
	defer builder.Release()
	var out bytes.Buffer
	buffer := bufio.NewWriter(&out)
	stream := ipc.NewWriter(buffer, ipc.WithSchema(schema))
	rows, size := 0, 0
	flush := func() {
		var lengths []int
		eachBuilder(builder.Fields(), func(b array.Builder) { lengths = append(lengths, b.Len()) })
		batch := builder.NewRecord()
		defer batch.Release()
		eachBuilder(builder.Fields(), func(b array.Builder) { b.Reserve(lengths[0]); lengths = lengths[1:] })
		if err := stream.Write(batch); err != nil {
			t.Fatal(err)
		}
		rows, size = 0, 0
	}
	for _, r := range records {
		if rows > 0 && (rows == batchRows || size+r.size() > batchBytes) {
			flush()
		}
		build(builder, r)
		rows++
		size += r.size()
	}
	if rows > 0 {
		flush()
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	if err := buffer.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func eachBuilder(builders []array.Builder, use func(array.Builder)) {
	for _, b := range builders {
		use(b)
		switch b := b.(type) {
		case *array.ListBuilder:
			eachBuilder([]array.Builder{b.ValueBuilder()}, use)
		case *array.StructBuilder:
			for i := range b.NumField() {
				eachBuilder([]array.Builder{b.FieldBuilder(i)}, use)
			}
		}
	}
}

func build(builder *array.RecordBuilder, r Record) {
	fields := builder.Fields()
	next := func() array.Builder { b := fields[0]; fields = fields[1:]; return b }
	text := func(b array.Builder, s string, optional bool) {
		if optional && s == "" {
			b.AppendNull()
			return
		}
		b.(*array.StringBuilder).Append(s)
	}
	items := func(n int) *array.StructBuilder {
		list := next().(*array.ListBuilder)
		list.Append(true)
		item := list.ValueBuilder().(*array.StructBuilder)
		for range n {
			item.Append(true)
		}
		return item
	}
	messages := func(all []Message) {
		item := items(len(all))
		for _, m := range all {
			for i, s := range []string{m.Role, m.Content, m.Name, m.ToolCalls, "", m.Reasoning, m.ToolCallID} {
				switch {
				case i != 4:
					text(item.FieldBuilder(i), s, i > 1)
				case m.Weight == nil:
					item.FieldBuilder(i).AppendNull()
				default:
					item.FieldBuilder(i).(*array.Float64Builder).Append(*m.Weight)
				}
			}
		}
	}
	switch r.Shape {
	case Messages, Judged:
		messages(r.Messages)
		text(next(), r.Tools, true)
		if r.Shape == Judged {
			next().(*array.BooleanBuilder).Append(r.Desirable)
		}
	case Preference:
		messages(r.Messages)
		messages(r.Chosen)
		messages(r.Rejected)
		text(next(), r.Tools, true)
	case PromptCompletion:
		text(next(), r.Prompt, false)
		text(next(), r.Completion, false)
	case Text:
		text(next(), r.Text, false)
	case Segments:
		item := items(len(r.Segments))
		for _, s := range r.Segments {
			text(item.FieldBuilder(0), s.Text, false)
			item.FieldBuilder(1).(*array.BooleanBuilder).Append(s.Train)
		}
	}
	origin := next().(*array.StructBuilder)
	origin.Append(true)
	text(origin.FieldBuilder(0), r.Origin.File, false)
	origin.FieldBuilder(1).(*array.Int64Builder).Append(r.Origin.Record)
}

// randomRecord has each optional field with some probability.
func randomRecord(random *rand.Rand, shape Shape, rare int) Record {
	text := func(one int) string {
		if random.Intn(one) > 0 {
			return ""
		}
		return strings.Repeat("ö", random.Intn(9)) + fmt.Sprint(random.Intn(100))
	}
	messages := func() (all []Message) {
		for range random.Intn(4) {
			m := Message{Role: "user", Content: text(1), Name: text(rare), ToolCalls: text(rare), Reasoning: text(rare), ToolCallID: text(rare)}
			if random.Intn(rare) == 0 {
				m.Weight = weight(random.Float64())
			}
			all = append(all, m)
		}
		return all
	}
	r := Record{Shape: shape, Origin: Origin{File: text(2), Record: random.Int63()}}
	switch shape {
	case Messages, Judged:
		r.Messages, r.Tools, r.Desirable = messages(), text(rare), shape == Judged && random.Intn(2) == 0
	case Preference:
		r.Messages, r.Chosen, r.Rejected, r.Tools = messages(), messages(), messages(), text(rare)
	case PromptCompletion:
		r.Prompt, r.Completion = text(2), text(1)
	case Text:
		r.Text = text(2)
	case Segments:
		for range random.Intn(4) {
			r.Segments = append(r.Segments, Segment{text(2), random.Intn(2) == 0})
		}
	}
	return r
}

var allShapes = []Shape{Messages, PromptCompletion, Text, Preference, Judged, Segments}

// TestRecordsAreBuilt compares the artifact with that of Arrow's builders, written
// record by record and in runs of columns.
func TestRecordsAreBuilt(t *testing.T) {
	random := rand.New(rand.NewSource(6))
	counts := []int{0, 1, 2, 7, 8, 9, 31, 32, 33, 64, 100, 511, 513, 1000, 1001, 2047, 2500}
	for _, shape := range allShapes {
		for i, count := range counts {
			rare := []int{1, 3, 30, 2000, 1 << 30}[i%5]
			records := make([]Record, count)
			for i := range records {
				records[i] = randomRecord(random, shape, rare)
			}
			want := builtRecords(t, shape, records)
			if got := artifactOf(t, shape, RunOf(records...)); !bytes.Equal(got, want) {
				t.Errorf("%d records of %s, each by itself: other bytes than Arrow's", count, shape)
			}
			if got := artifactOf(t, shape, runsOf(t, random, shape, records)...); !bytes.Equal(got, want) {
				t.Errorf("%d records of %s, in columns: other bytes than Arrow's", count, shape)
			}
		}
	}
}

// TestLargeRecordsAreBuilt fills batches by their bytes.
func TestLargeRecordsAreBuilt(t *testing.T) {
	random := rand.New(rand.NewSource(7))
	var records []Record
	for i, n := range []int{3, 15, 1, 20, 17, 0, 0, 7, 8, 1} {
		records = append(records, Record{Shape: Text, Text: strings.Repeat("x", n<<20+i), Origin: Origin{"f", int64(i)}})
	}
	want := builtRecords(t, Text, records)
	if !bytes.Equal(artifactOf(t, Text, RunOf(records...)), want) || !bytes.Equal(artifactOf(t, Text, runsOf(t, random, Text, records)...), want) {
		t.Error("other bytes than Arrow's")
	}
}

func artifactOf(t *testing.T, shape Shape, runs ...Run) []byte {
	t.Helper()
	dir := t.TempDir()
	w, err := CreateRecords(dir, shape)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		if err := w.WriteRun(run); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, recordsFile))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// runsOf puts records into columns of random lengths, and cuts these into runs.
// Each record must come out as it was.
func runsOf(t *testing.T, random *rand.Rand, shape Shape, records []Record) (runs []Run) {
	t.Helper()
	for len(records) > 0 {
		n := 1 + random.Intn(min(len(records), 700))
		c := &columns{shape: shape}
		for i, r := range records[:n] {
			r.Origin.Record -= 5
			c.add(r)
			again := c.record(i)
			again.Origin.Record += 5
			if fmt.Sprintf("%+v", again.size()) != fmt.Sprintf("%+v", records[i].size()) || !sameRecord(again, records[i]) {
				t.Fatalf("%+v became %+v", records[i], again)
			}
		}
		for from := 0; from < n; {
			to := from + 1 + random.Intn(n-from)
			runs = append(runs, Run{columns: c, from: 0, to: n, shift: 5}.Part(from, to))
			from = to
		}
		records = records[n:]
	}
	return runs
}

// sameRecord compares records; lists without items are equal.
func sameRecord(a, b Record) bool {
	for _, r := range []*Record{&a, &b} {
		for _, list := range []*[]Message{&r.Messages, &r.Chosen, &r.Rejected} {
			if len(*list) == 0 {
				*list = nil
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

// TestWriteRunRefuses wants columns of the writer's shape, and records that can be
// read back.
func TestWriteRunRefuses(t *testing.T) {
	w, err := CreateRecords(t.TempDir(), Text)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c := &columns{shape: PromptCompletion}
	c.add(Record{Shape: PromptCompletion})
	err = w.WriteRun(Run{columns: c, to: 1})
	if err == nil || !strings.Contains(err.Error(), `writing record 1: a record of shape "prompt-completion" does not fit`) {
		t.Error(err)
	}
}

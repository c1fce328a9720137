package dataset

import (
	"bytes"
	"math/rand"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// smallArrow writes a stream with views, a dictionary and lists of strings.
func smallArrow(t *testing.T) []byte {
	t.Helper()
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "view", Type: arrow.BinaryTypes.StringView, Nullable: true},
		{Name: "kind", Type: dictionary, Nullable: true},
		{Name: "list", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.NewGoAllocator(), schema)
	defer b.Release()
	list := b.Field(2).(*array.ListBuilder)
	for i := range 5 {
		b.Field(0).(*array.StringViewBuilder).Append(strings.Repeat("x", 9*i))
		if err := b.Field(1).(*array.BinaryDictionaryBuilder).AppendString("ab"[i%2 : i%2+1]); err != nil {
			t.Fatal(err)
		}
		list.Append(i != 3)
		list.ValueBuilder().(*array.StringBuilder).Append("item")
	}
	batch := b.NewRecord()
	defer batch.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestMutatedFiles changes a few bytes at random places: reading must end, and
// neither panic nor exhaust the memory.
func TestMutatedFiles(t *testing.T) {
	stream := smallArrow(t)
	if rows, err := readLimited(stream, Options{Container: Arrow}, 10); err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	random := rand.New(rand.NewSource(1))
	for _, file := range []struct {
		data      []byte
		container Container
	}{{stream, Arrow}, {smallParquet(), Parquet}} {
		for range rounds {
			data := bytes.Clone(file.data)
			for range 1 + random.Intn(3) {
				data[random.Intn(len(data))] = [4]byte{0, 1, 0xff, byte(random.Intn(256))}[random.Intn(4)]
			}
			fuzzRows(t, data, Options{Container: file.container})
		}
	}
}

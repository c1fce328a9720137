package tokenize

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// Packing is the parameter "packing": false, true, or an object that says how.
type Packing struct {
	On    bool
	Split bool // documents go on in the next row
}

// UnmarshalJSON reads a boolean or an object.
func (p *Packing) UnmarshalJSON(b []byte) error {
	*p = Packing{}
	if json.Unmarshal(b, &p.On) == nil {
		return nil
	}
	var given struct {
		Split bool `json:"split"`
	}
	if err := json.Unmarshal(b, &given); err != nil {
		return errors.New("packing: want true, false or {split: …}")
	}
	*p = Packing{On: true, Split: given.Split}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (p Packing) MarshalJSON() ([]byte, error) {
	if p.Split {
		return []byte(`{"split":true}`), nil
	}
	return json.Marshal(p.On)
}

// maxDocuments bounds how many documents are packed: numbers of them are int32.
const maxDocuments = math.MaxInt32 - 1

// A spool is a file of the documents to be packed, one after the other, as pieces
// have them. In memory are 12 bytes for each.
type spool struct {
	file    *os.File
	out     *bufio.Writer
	lengths []int32 // tokens of each document; 0 for one that is in no row
	ends    []int64 // ends[i]: where document i ends in the file, and i+1 begins
	size    int64
}

func newSpool(dir string) (*spool, error) {
	f, err := os.Create(filepath.Join(dir, "packing"))
	if err != nil {
		return nil, err
	}
	return &spool{file: f, out: bufio.NewWriterSize(f, 1<<20)}, nil
}

func (s *spool) add(r *result) error {
	if len(s.lengths) > maxDocuments-len(r.lengths) {
		return fmt.Errorf("more than %d documents cannot be packed", maxDocuments)
	}
	s.lengths = append(s.lengths, r.lengths...)
	for _, n := range r.sizes {
		s.size += int64(n)
		s.ends = append(s.ends, s.size)
	}
	_, err := s.out.Write(r.spool)
	return err
}

func (s *spool) close() {
	s.file.Close()
	os.Remove(s.file.Name())
}

// document reads document i into d.
func (s *spool) document(i int32, d *chat.Encoded) error {
	start := int64(0)
	if i > 0 {
		start = s.ends[i-1]
	}
	b := make([]byte, s.ends[i]-start)
	if _, err := s.file.ReadAt(b, start); err != nil {
		return err
	}
	p := pieceReader{rest: b}
	return p.document(d)
}

// rowsAtOnce is how many rows a thread makes at a time.
const rowsAtOnce = 64

// pack writes the documents of the spool, several in a row. Positions start again
// at 0 with each, which is how readers tell them apart.
func (e *encoder) pack(ctx context.Context, w *dataset.TokenWriter) error {
	if err := e.spool.out.Flush(); err != nil {
		return err
	}
	documents, starts := place(e.spool.lengths, e.MaxLength)
	total := len(starts) - 1
	var firsts []int
	for i := 0; i < total; i += rowsAtOnce {
		firsts = append(firsts, i)
	}
	write := writeAll(w)
	return inOrder(ctx, e.ahead(), over(firsts), func(_ context.Context, first int) ([]dataset.Row, error) {
		e.slots <- struct{}{}
		defer func() { <-e.slots }()
		var rows []dataset.Row
		for i := first; i < min(first+rowsAtOnce, total); i++ {
			row, err := e.packed(documents[starts[i]:starts[i+1]])
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		return rows, nil
	}, func(rows []dataset.Row) error {
		defer e.progress(w, total)
		return write(rows)
	})
}

// packed makes one row of documents of the spool.
func (e *encoder) packed(numbers []int32) (dataset.Row, error) {
	list := make([]chat.Encoded, len(numbers))
	for k, i := range numbers {
		if err := e.spool.document(i, &list[k]); err != nil {
			return dataset.Row{}, fmt.Errorf("reading back document %d: %w", i, err)
		}
	}
	return e.row(list), nil
}

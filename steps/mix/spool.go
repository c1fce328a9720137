package mix

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// spool keeps the records of all inputs on disk, to be read in any order. In
// memory are 48 bytes a record.
type spool struct {
	file   *os.File
	buffer *bufio.Writer
	at     int64
	inputs [][]place
}

// place is a record in a spool.
type place struct {
	content [sha256.Size]byte
	at      int64
	length  int64
}

func newSpool(tmp string) (*spool, error) {
	file, err := os.Create(filepath.Join(tmp, "records.spool"))
	if err != nil {
		return nil, fmt.Errorf("keeping records: %w", err)
	}
	return &spool{file: file, buffer: bufio.NewWriterSize(file, 1<<20)}, nil
}

func (s *spool) close() { s.file.Close() }

// read adds an input and returns the shape of its records.
func (s *spool) read(ctx context.Context, name, dir string) (dataset.Shape, error) {
	r, err := dataset.OpenRecords(dir)
	if err != nil {
		return "", err
	}
	defer r.Close()
	var places []place
	for record, err := range r.All() {
		if err != nil {
			return "", err
		}
		if len(places)%1000 == 0 && ctx.Err() != nil {
			return "", ctx.Err()
		}
		if len(places) == math.MaxInt32 {
			return "", fmt.Errorf("more than %d records are not supported", len(places))
		}
		content := record.Hash()
		record.Origin.File = name + "/" + record.Origin.File
		data, err := json.Marshal(record)
		if err != nil {
			return "", fmt.Errorf("keeping records: %w", err)
		}
		if _, err := s.buffer.Write(data); err != nil {
			return "", fmt.Errorf("keeping records: %w", err)
		}
		places = append(places, place{content: content, at: s.at, length: int64(len(data))})
		s.at += int64(len(data))
	}
	s.inputs = append(s.inputs, places)
	return r.Shape(), nil
}

func (s *spool) flush() error {
	if err := s.buffer.Flush(); err != nil {
		return fmt.Errorf("keeping records: %w", err)
	}
	return nil
}

// sizes are how many records the inputs have.
func (s *spool) sizes() []int64 {
	sizes := make([]int64, len(s.inputs))
	for i, places := range s.inputs {
		sizes[i] = int64(len(places))
	}
	return sizes
}

func (s *spool) record(p place) (r dataset.Record, err error) {
	data := make([]byte, p.length)
	if _, err := s.file.ReadAt(data, p.at); err != nil {
		return r, fmt.Errorf("reading records back: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("reading records back: %w", err)
	}
	return r, nil
}

package convert

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// spool keeps records on disk, so that they can be written in another order
// without holding them in memory.
type spool struct {
	file   *os.File
	buffer *bufio.Writer
	at     int64
	places []place
}

// place is a record in a spool, with the key that orders it.
type place struct {
	key    [sha256.Size]byte
	at     int64
	length int64
}

// shuffled writes the records of in to parts in the order of a hash of seed and
// content. Equal records keep their order.
func shuffled(ctx context.Context, in *input, parts *parts, tmp string) error {
	file, err := os.Create(filepath.Join(tmp, "records.spool"))
	if err != nil {
		return fmt.Errorf("shuffling: %w", err)
	}
	defer file.Close()
	s := &spool{file: file, buffer: bufio.NewWriterSize(file, 1<<20)}
	seed := uint64(in.p.Shuffle.Seed)
	add := func(run dataset.Run) (int, error) {
		for i := range run.Len() {
			if err := s.add(seed, run.Record(i)); err != nil {
				return i + 1, err
			}
		}
		return run.Len(), nil
	}
	if err := in.each(ctx, add); err != nil {
		return err
	}
	if err := s.buffer.Flush(); err != nil {
		return fmt.Errorf("shuffling: %w", err)
	}
	slices.SortStableFunc(s.places, func(a, b place) int { return bytes.Compare(a.key[:], b.key[:]) })
	for i, p := range s.places {
		if i%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		record, err := s.record(p)
		if err != nil {
			return err
		}
		if _, err := parts.write(dataset.RunOf(record)); err == errEnough {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (s *spool) add(seed uint64, r dataset.Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("shuffling: %w", err)
	}
	if _, err := s.buffer.Write(data); err != nil {
		return fmt.Errorf("shuffling: %w", err)
	}
	content := r.Hash()
	preimage := binary.LittleEndian.AppendUint64([]byte("pipe shuffle\x00"), seed)
	s.places = append(s.places, place{
		key:    sha256.Sum256(append(preimage, content[:]...)),
		at:     s.at,
		length: int64(len(data)),
	})
	s.at += int64(len(data))
	return nil
}

func (s *spool) record(p place) (r dataset.Record, err error) {
	data := make([]byte, p.length)
	if _, err := s.file.ReadAt(data, p.at); err != nil {
		return r, fmt.Errorf("shuffling: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("shuffling: %w", err)
	}
	return r, nil
}

package tokenize

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/chat"
)

// someDocuments are a record of one document, one with weights and losses, and a pair.
func someDocuments() [][]chat.Encoded {
	const none = chat.Unsupervised
	return [][]chat.Encoded{
		{{IDs: []int32{1, 300, 2_000_000_000}, Labels: []int64{none, 300, 2_000_000_000}, Supervised: 2}},
		{{IDs: []int32{5, 6, 7, 8, 9, 1}, Labels: []int64{none, 6, none, none, 9, 1}, Supervised: 3,
			Weights: []float32{0, 1, 0, 0, 0.25, 0.25}, Lost: []string{"tool", "tools"}}},
		{{IDs: []int32{1, 2}, Labels: []int64{none, 2}, Supervised: 1}, {IDs: []int32{1, 3}, Labels: []int64{none, 3}, Supervised: 1}},
	}
}

func sealed(records [][]chat.Encoded) []byte {
	var body []byte
	for _, r := range records {
		body = appendRecord(body, r)
	}
	return seal(len(records), body)
}

// readAll reads every record of a piece.
func readAll(b []byte) (all [][]chat.Encoded, err error) {
	p, err := openPiece(b)
	if err != nil {
		return nil, err
	}
	for {
		documents, err := p.next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		var own []chat.Encoded
		for _, d := range documents {
			d.IDs, d.Labels = append([]int32{}, d.IDs...), append([]int64{}, d.Labels...)
			d.Weights = append([]float32(nil), d.Weights...)
			own = append(own, d)
		}
		all = append(all, own)
	}
}

func TestPieceComesBack(t *testing.T) {
	want := someDocuments()
	got, err := readAll(sealed(want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// TestDamagedPiece: no cut or changed byte goes unseen.
func TestDamagedPiece(t *testing.T) {
	whole := sealed(someDocuments())
	for i := range whole {
		if _, err := readAll(whole[:i]); !errors.Is(err, errPiece) {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
		b := bytes.Clone(whole)
		b[i] ^= 0x41
		if _, err := readAll(b); !errors.Is(err, errPiece) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}

// FuzzPiece: whatever is under a right digest is refused, or read within its
// bounds and written again as it reads.
func FuzzPiece(f *testing.F) {
	whole := sealed(someDocuments())
	f.Add(whole[len(pieceMagic) : len(whole)-sha256.Size])
	f.Add([]byte{1, 1, 1, 5, 0, 0, 1, 2, 'x'}) // a name that is cut short
	f.Add([]byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, body []byte) {
		b := append([]byte(pieceMagic), body...)
		sum := sha256.Sum256(b)
		records, err := readAll(append(b, sum[:]...))
		if err != nil {
			if !errors.Is(err, errPiece) {
				t.Fatal(err)
			}
			return
		}
		again, err := readAll(sealed(records))
		if err != nil || len(again) != len(records) || len(records) > 0 && !bytes.Equal(sealed(again), sealed(records)) {
			t.Fatalf("%v became %v, %v", records, again, err)
		}
	})
}

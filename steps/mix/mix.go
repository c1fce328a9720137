// Package mix implements the mix step: one set of records is made of several,
// in given shares and in an order that depends on seed and content.
//
// Every record of the output names its input in its origin: input/file.
package mix

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// Kind is the mix step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("mix", 1, run)
	k.Vet, k.Shapes = vet, shapes
	return k
}

// shapes refuses records of several shapes.
func shapes(_ json.RawMessage, inputs map[string]string) (string, error) {
	names := slices.Sorted(maps.Keys(inputs))
	for _, name := range names {
		if inputs[name] != inputs[names[0]] {
			return "", unlike(name, names[0], inputs[name], inputs[names[0]])
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	return inputs[names[0]], nil
}

// unlike says that the records of an input have another shape than those of the
// first.
func unlike(name, first, is, shape string) error {
	return &pipeline.FieldError{
		Field: "in." + name, Err: fmt.Errorf("its records are of shape %s, those of %s of shape %s", is, first, shape),
		Hint: "convert both to one shape",
	}
}

// Params mirrors schemas/mix.cue.
type Params struct {
	Weights map[string]float64 `json:"weights"` // nil is none
	Counts  map[string]int64   `json:"counts"`  // nil is none
	Total   int64              `json:"total"`   // 0 is as many as there are
	Repeat  bool               `json:"repeat"`
	Seed    int64              `json:"seed"`
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	names := slices.Sorted(maps.Keys(t.In))
	if err := p.check(names); err != nil {
		return err
	}
	s, err := newSpool(t.Tmp)
	if err != nil {
		return err
	}
	defer s.close()
	var shape dataset.Shape
	for i, name := range names {
		is, err := s.read(ctx, name, t.In[name])
		if err != nil {
			return fmt.Errorf("input %s: %w", name, err)
		}
		if i > 0 && is != shape {
			return unlike(name, names[0], string(is), string(shape))
		}
		shape = is
	}
	if err := s.flush(); err != nil {
		return err
	}
	counts, err := p.share(names, s.sizes())
	if err != nil {
		return err
	}
	if err := write(ctx, s, choose(p.Seed, names, s, counts), t, shape); err != nil {
		return err
	}
	for i, name := range names {
		size := s.sizes()[i]
		t.Log.Info(fmt.Sprintf("%s: %d records of %d", name, counts[i], size))
		t.Emit(pipeline.Metric{Name: "mix/" + name, Value: float64(counts[i])})
	}
	return nil
}

// A pick is a record of the output.
type pick struct {
	key   [16]byte
	input int32
	at    int32 // of the input's records
}

func (a pick) compare(b pick) int {
	return cmp.Or(slices.Compare(a.key[:], b.key[:]), cmp.Compare(a.input, b.input), cmp.Compare(a.at, b.at))
}

// choose takes so many records of every input, all of them as often as that takes
// and then those with the lowest keys, and brings them into the order of their keys.
func choose(seed int64, names []string, s *spool, counts []int64) []pick {
	var all []pick
	for i, places := range s.inputs {
		if len(places) == 0 {
			continue
		}
		for round, left := uint64(0), counts[i]; left > 0; round++ {
			picks := make([]pick, len(places))
			for at, place := range places {
				picks[at] = pick{key: keyOf(seed, round, names[i], place.content), input: int32(i), at: int32(at)}
			}
			if left < int64(len(picks)) {
				slices.SortFunc(picks, pick.compare)
				picks = picks[:left]
			}
			all = append(all, picks...)
			left -= int64(len(picks))
		}
	}
	slices.SortFunc(all, pick.compare)
	return all
}

func keyOf(seed int64, round uint64, name string, content [sha256.Size]byte) [16]byte {
	preimage := binary.LittleEndian.AppendUint64([]byte("pipe mix\x00"), uint64(seed))
	preimage = binary.LittleEndian.AppendUint64(preimage, round)
	preimage = append(append(preimage, content[:]...), name...)
	sum := sha256.Sum256(preimage)
	return [16]byte(sum[:16])
}

// write reads the picked records back, in order.
func write(ctx context.Context, s *spool, picks []pick, t *pipeline.Task, shape dataset.Shape) error {
	if len(picks) == 0 {
		return errors.New("there are no records")
	}
	w, err := dataset.CreateRecords(t.Out["records"], shape)
	if err != nil {
		return err
	}
	for i, p := range picks {
		if i%1000 == 0 {
			if ctx.Err() != nil {
				break
			}
			t.Emit(pipeline.Progress{Done: int64(i), Total: int64(len(picks)), Unit: "records"})
		}
		var r dataset.Record
		if r, err = s.record(s.inputs[p.input][p.at]); err == nil {
			err = w.Write(r)
		}
		if err != nil {
			break
		}
	}
	return errors.Join(ctx.Err(), err, w.Close())
}

package decoder

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// smallModel is a random model.
func smallModel(t *testing.T, seed uint64) *Model {
	t.Helper()
	c := small(true)
	m, err := FromTensors(c, randomStore(c, seed).get)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// randomIDs returns n ids of the small vocabulary.
func randomIDs(n int) []int32 {
	r := rand.New(rand.NewPCG(9, 9))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(r.IntN(19))
	}
	return ids
}

// TestCacheIsTheScorer reads a text token by token, in pieces and at once; the
// logits must be those of scoring it whole, to the bit. It is long enough for
// the cache to grow.
func TestCacheIsTheScorer(t *testing.T) {
	ctx := context.Background()
	m := smallModel(t, 6)
	ids := randomIDs(cacheStep + 70)
	b, err := NewBatch(m.Config, ids, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := []int32{0, 1, 63, 64, 65, 200, int32(len(ids) - 1)}
	want, err := m.NewScorer(2).Logits(ctx, b, rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []int{1, 65, len(ids)} {
		s := m.NewSession(1)
		for lo := 0; lo < len(ids); lo += piece {
			hi := min(len(ids), lo+piece)
			got, err := s.Read(ctx, ids[lo:hi])
			if err != nil {
				t.Fatal(err)
			}
			if i := slices.Index(rows, int32(hi-1)); i >= 0 && !slices.Equal(got, want[i*m.VocabSize:(i+1)*m.VocabSize]) {
				t.Errorf("pieces of %d: logits after token %d differ from scoring the whole text", piece, hi-1)
			}
		}
	}
}

// TestLogitsAreTheNaive compares with the plain float64 model.
func TestLogitsAreTheNaive(t *testing.T) {
	c := small(false)
	s := randomStore(c, 7)
	m, err := FromTensors(c, s.get)
	if err != nil {
		t.Fatal(err)
	}
	ids := randomIDs(30)
	got, err := m.NewSession(2).Read(context.Background(), ids)
	if err != nil {
		t.Fatal(err)
	}
	want := naive{c, s.double(), 0}.document(ids)[29]
	for i, v := range got {
		if math.Abs(float64(v)-want[i]) > 1e-4 {
			t.Errorf("logit %d is %v, want %v", i, v, want[i])
		}
	}
}

func TestGenerateEnds(t *testing.T) {
	ctx := context.Background()
	m := smallModel(t, 8)
	all, err := m.NewSession(1).Complete(ctx, []int32{1, 5}, Limits{MaxNewTokens: 12})
	if err != nil || len(all) != 12 {
		t.Fatalf("%d ids, %v", len(all), err)
	}
	stop := all[5]
	first := slices.Index(all, stop)
	got, err := m.NewSession(1).Complete(ctx, []int32{1, 5}, Limits{MaxNewTokens: 12, Stop: []int32{stop}})
	if err != nil || !slices.Equal(got, all[:first]) {
		t.Errorf("with stop %d: %v, %v; want %v", stop, got, err, all[:first])
	}
	// All positions: the last one is read, and what follows it is the last id.
	long := randomIDs(m.MaxPositions - 3)
	got, err = m.NewSession(2).Complete(ctx, long, Limits{MaxNewTokens: 100})
	if err != nil || len(got) != 4 {
		t.Errorf("%d ids after %d of %d positions, %v", len(got), len(long), m.MaxPositions, err)
	}
	s := m.NewSession(1)
	if _, err := s.Complete(ctx, []int32{1, 5, 7}, Limits{MaxNewTokens: 3}); err != nil {
		t.Fatal(err)
	}
	s.Reset()
	again, err := s.Complete(ctx, []int32{1, 5}, Limits{MaxNewTokens: 12})
	if err != nil || !slices.Equal(again, all) {
		t.Errorf("after a reset: %v, %v; want %v", again, err, all)
	}
}

func TestReadRefuses(t *testing.T) {
	m := smallModel(t, 8)
	for want, ids := range map[string][]int32{
		"no tokens":              {},
		"outside the model's":    {19},
		"id -1":                  {-1},
		"the model's 512 positi": make([]int32, 513),
	} {
		if _, err := m.NewSession(1).Read(context.Background(), ids); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.NewSession(1).Read(ctx, []int32{1}); err != context.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestSampler(t *testing.T) {
	logits := []float32{0, float32(math.Log(2)), float32(math.Log(5)), -100}
	counts := make([]int, 4)
	choose := Sampler(3, 1, 0)
	for i := range 8000 {
		counts[choose(i, slices.Clone(logits))]++
	}
	for id, want := range []float64{1000, 2000, 5000, 0} {
		if math.Abs(float64(counts[id])-want) > 4*math.Sqrt(want) {
			t.Errorf("id %d was drawn %d times, want about %v", id, counts[id], want)
		}
	}
	narrow := Sampler(3, 1, 0.8) // the two likeliest make 7/8
	for i := range 1000 {
		if id := narrow(i, slices.Clone(logits)); id != 1 && id != 2 {
			t.Fatalf("draw %d gave id %d, outside the likeliest", i, id)
		}
	}
	first, second := Sampler(3, 1, 0), Sampler(3, 1, 0)
	if first(5, slices.Clone(logits)) != second(5, slices.Clone(logits)) {
		t.Error("equal seeds draw differently")
	}
}

// TestBits holds some results to the bit, so that a change of the arithmetic
// cannot go unnoticed: it would demand a higher version of the kinds that
// compute with it.
func TestBits(t *testing.T) {
	m := smallModel(t, 42)
	var ids []int32
	err := m.NewSession(1).Generate(context.Background(), randomIDs(8), Limits{MaxNewTokens: 16}, Sampler(1, 2, 0.9), func(id int32) bool {
		ids = append(ids, id)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBatch(m.Config, randomIDs(20), nil, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 0})
	if err != nil {
		t.Fatal(err)
	}
	nll, err := m.NewScorer(1).NLL(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, v := range nll {
		sum += v
	}
	got := fmt.Sprintf("%v %x", ids, math.Float64bits(sum))
	if want := "[7 7 10 15 17 0 15 14 13 6 16 6 13 3 4 13] 405449ff0659a235"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

package train

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func randomLengths(n int) []int {
	r := rand.New(rand.NewPCG(7, 8))
	lengths := make([]int, n)
	for i := range lengths {
		lengths[i] = 1 + r.IntN(60)
	}
	return lengths
}

// epochs returns the microbatches of the first epochs, by update.
func epochs(lengths []int, p Params, n int) (updates [][][]int) {
	o := newOrder(lengths, &p)
	for u := range n * o.updates {
		var micro [][]int
		for _, m := range o.update(u) {
			micro = append(micro, slices.Clone(m))
		}
		updates = append(updates, micro)
	}
	return updates
}

// TestEveryOrderHasEveryRowOnce, whatever is asked for, and from a seed alone.
func TestEveryOrderHasEveryRowOnce(t *testing.T) {
	lengths := randomLengths(107)
	for name, p := range map[string]Params{
		"grouped": {LengthGrouped: true},
		"longest": {LongestFirst: true},
		"tokens":  {MaxTokensPerBatch: 90},
		"all":     {LengthGrouped: true, LongestFirst: true, MaxTokensPerBatch: 90},
	} {
		p.BatchSize, p.GradientAccumulation, p.Seed = 3, 2, 5
		got := epochs(lengths, p, 2)
		perEpoch := len(got) / 2
		for e := range 2 {
			var rows []int
			for _, update := range got[e*perEpoch : (e+1)*perEpoch] {
				n := len(slices.Concat(update...))
				if n > 6 || n == 0 {
					t.Errorf("%s: an update of %d rows", name, n)
				}
				rows = append(rows, slices.Concat(update...)...)
			}
			slices.Sort(rows)
			if len(rows) != 107 || len(slices.Compact(rows)) != 107 {
				t.Errorf("%s: epoch %d has rows %v", name, e, rows)
			}
		}
		again := epochs(lengths, p, 2)
		p.Seed++
		other := epochs(lengths, p, 2)
		for u := range got {
			if !slices.EqualFunc(got[u], again[u], slices.Equal) {
				t.Fatalf("%s: update %d is not a function of the seed", name, u)
			}
		}
		if slices.EqualFunc(got[1], other[1], slices.Equal) {
			t.Errorf("%s: another seed gives the same order", name)
		}
	}
}

// TestLengthGroupedSortsPieces: 107 rows are 18 updates of 6, pieces of 4 updates.
func TestLengthGroupedSortsPieces(t *testing.T) {
	lengths := randomLengths(107)
	got := epochs(lengths, Params{BatchSize: 6, GradientAccumulation: 1, Seed: 5, LengthGrouped: true}, 1)
	for piece := range slices.Chunk(got, 4) {
		var sizes []int
		for _, update := range piece {
			for _, row := range update[0] {
				sizes = append(sizes, lengths[row])
			}
		}
		if !slices.IsSortedFunc(sizes, func(a, b int) int { return cmp.Compare(b, a) }) {
			t.Errorf("lengths %v", sizes)
		}
	}
}

// TestLongestFirst: the first microbatch is one of those with the most tokens,
// and only in the first epoch.
func TestLongestFirst(t *testing.T) {
	lengths := randomLengths(107)
	p := Params{BatchSize: 3, GradientAccumulation: 2, Seed: 5}
	plain := epochs(lengths, p, 2)
	p.LongestFirst = true
	got := epochs(lengths, p, 2)
	size := func(micro []int) (n int) {
		for _, row := range micro {
			n += lengths[row]
		}
		return n
	}
	most := 0
	for _, update := range plain[:18] {
		for _, micro := range update {
			most = max(most, size(micro))
		}
	}
	if first := size(got[0][0]); first != most {
		t.Errorf("the first microbatch has %d tokens, the longest %d", first, most)
	}
	for u := 18; u < 36; u++ {
		if !slices.EqualFunc(got[u], plain[u], slices.Equal) {
			t.Errorf("the second epoch changed too")
		}
	}
}

// TestMaxTokensPerBatch: no microbatch has more, but for rows that are longer
// alone, and none could have had one row more.
func TestMaxTokensPerBatch(t *testing.T) {
	lengths := randomLengths(107)
	p := Params{BatchSize: 8, GradientAccumulation: 2, Seed: 5, MaxTokensPerBatch: 50}
	rows := rowSet{length: lengths}
	limit := rows.capacity(&p)
	if want := max(50, slices.Max(lengths)); limit != want {
		t.Errorf("capacity %d, want %d", limit, want)
	}
	for u, update := range epochs(lengths, p, 1) {
		for i, micro := range update {
			n := 0
			for _, row := range micro {
				n += lengths[row]
			}
			if n > 50 && len(micro) > 1 || n > limit {
				t.Errorf("update %d: a microbatch of %d tokens", u, n)
			}
			if i+1 < len(update) && n+lengths[update[i+1][0]] <= 50 {
				t.Errorf("update %d: a microbatch of %d tokens, and one more row would fit", u, n)
			}
		}
	}
}

// TestCutByTokensIsBatching: cutting an update by tokens changes its loss only
// by rounding.
func TestCutByTokensIsBatching(t *testing.T) {
	for name, p := range map[string]Params{"adapter": loraParams(), "model": fullParams()} {
		in := inputs(t)
		p.MaxUpdates = 6
		want := lines(t, newJob(t, in, name).must(t, p)[logFile])
		p.MaxTokensPerBatch = 30
		got := lines(t, newJob(t, in, name).must(t, p)[logFile])
		for i := range got {
			if math.Abs(got[i].Loss-want[i].Loss) > 1e-6*want[i].Loss || got[i].SupervisedTokens != want[i].SupervisedTokens {
				t.Errorf("%s: update %d has loss %.9g, uncut %.9g", name, i+1, got[i].Loss, want[i].Loss)
			}
		}
	}
}

package tokenize

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// placePlainly is best-fit decreasing as it is defined.
func placePlainly(lengths []int32, capacity int) [][]int32 {
	type row struct{ room, filled int }
	var rows []row
	members := map[int][]int32{}
	order := make([]int32, 0, len(lengths))
	for i, n := range lengths {
		if n > 0 {
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return int(lengths[b] - lengths[a]) })
	for clock, i := range order {
		n, best := int(lengths[i]), -1
		for k, r := range rows {
			if r.room >= n && (best < 0 || r.room < rows[best].room || r.room == rows[best].room && r.filled > rows[best].filled) {
				best = k
			}
		}
		if best < 0 {
			best = len(rows)
			rows = append(rows, row{room: capacity})
		}
		rows[best].room -= n
		rows[best].filled = clock
		members[best] = append(members[best], i)
	}
	var all [][]int32
	for _, m := range members {
		slices.Sort(m)
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b []int32) int { return int(a[0] - b[0]) })
	return all
}

// TestPlace compares the packing with its plain definition, for capacities of one,
// two and three levels of sets.
func TestPlace(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, capacity := range []int{2, 63, 64, 100, 4096, 5000, 300_000} {
		for _, n := range []int{0, 1, 2, 50, 700} {
			lengths := make([]int32, n)
			for i := range lengths {
				lengths[i] = int32(random.IntN(capacity + 1))
				if i%3 == 0 {
					lengths[i] = int32(random.IntN(capacity/8 + 1))
				}
			}
			documents, starts := place(lengths, capacity)
			var got [][]int32
			for i := range len(starts) - 1 {
				got = append(got, documents[starts[i]:starts[i+1]])
			}
			if want := placePlainly(lengths, capacity); !slices.EqualFunc(got, want, slices.Equal) {
				t.Fatalf("%d documents, capacity %d: %v, want %v", n, capacity, got, want)
			}
		}
	}
}

// TestPlaceFull: of many documents of usual lengths next to nothing is wasted.
func TestPlaceFull(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	lengths := make([]int32, 20_000)
	total := 0
	for i := range lengths {
		lengths[i] = int32(min(2048, 20+int(random.ExpFloat64()*300)))
		total += int(lengths[i])
	}
	_, starts := place(lengths, 2048)
	if full := float64(total) / float64(2048*(len(starts)-1)); full < 0.999 {
		t.Errorf("rows are %.4f full", full)
	}
}

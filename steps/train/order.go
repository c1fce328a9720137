package train

import (
	"cmp"
	"slices"

	"github.com/pipe-run/pipe/steps/internal/kernel"
)

// An order says which rows an update sees: those of an epoch in a random order
// of its own, cut into updates and those into microbatches.
type order struct {
	p       *Params
	length  []int // of each row, in tokens
	updates int   // per epoch
	epoch   int   // whose order is in places
	places  []int
}

func newOrder(lengths []int, p *Params) *order {
	updates, _ := p.updates(len(lengths))
	return &order{p: p, length: lengths, updates: updates, epoch: -1}
}

// update returns the microbatches of update i, counted from 0, as places of rows.
func (o *order) update(i int) [][]int {
	if epoch := i / o.updates; epoch != o.epoch {
		o.epoch = epoch
		o.places = kernel.Rand(o.p.Seed, "train/order", uint64(epoch)).Perm(len(o.length))
		if o.p.LengthGrouped {
			o.group()
		}
		if o.p.LongestFirst && epoch == 0 {
			o.lead()
		}
	}
	return o.p.cut(o.length, o.at(i%o.updates))
}

// at returns the places of the rows of an update of the present epoch.
func (o *order) at(i int) []int {
	lo := i * o.p.rowsPerUpdate()
	return o.places[lo:min(len(o.places), lo+o.p.rowsPerUpdate())]
}

// maxGroup is how many updates are sorted together, as in transformers' sampler.
const maxGroup = 50

// group sorts pieces of the random order by length, the longest first; of equal
// lengths the order stays. A piece has 50 updates, or a quarter of an epoch if
// that is less, but one at least.
func (o *order) group() {
	updates := min(max(1, len(o.places)/(4*o.p.rowsPerUpdate())), maxGroup)
	for piece := range slices.Chunk(o.places, updates*o.p.rowsPerUpdate()) {
		slices.SortStableFunc(piece, func(a, b int) int { return cmp.Compare(o.length[b], o.length[a]) })
	}
}

// lead moves the rows of the microbatch with the most tokens to the front, the
// first of them if there are several.
func (o *order) lead() {
	var longest []int
	most := -1
	for i := range o.updates {
		for _, micro := range o.p.cut(o.length, o.at(i)) {
			if n := o.tokens(micro); n > most {
				longest, most = micro, n
			}
		}
	}
	places := slices.Clone(longest)
	for _, p := range o.places {
		if !slices.Contains(longest, p) {
			places = append(places, p)
		}
	}
	o.places = places
}

// tokens returns how many tokens rows have together.
func (o *order) tokens(places []int) (n int) {
	for _, p := range places {
		n += o.length[p]
	}
	return n
}

// cut splits the rows of an update into microbatches of batchSize rows, or of
// as many rows as have maxTokensPerBatch tokens, but one at least.
func (p *Params) cut(length, places []int) (micro [][]int) {
	if p.MaxTokensPerBatch == 0 {
		return slices.Collect(slices.Chunk(places, p.BatchSize))
	}
	begin, tokens := 0, 0
	for i, place := range places {
		if i > begin && tokens+length[place] > p.MaxTokensPerBatch {
			micro, begin, tokens = append(micro, places[begin:i]), i, 0
		}
		tokens += length[place]
	}
	return append(micro, places[begin:])
}

// accumulates says that an update may have several microbatches.
func (p *Params) accumulates() bool { return p.GradientAccumulation > 1 || p.MaxTokensPerBatch > 0 }

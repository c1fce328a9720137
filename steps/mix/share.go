package mix

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// vet refuses shares of inputs that there are not.
func vet(raw json.RawMessage, inputs []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return err
	}
	return p.check(slices.Sorted(slices.Values(inputs)))
}

func (p Params) check(names []string) error {
	switch {
	case len(names) == 0:
		return &pipeline.FieldError{Field: "in", Err: errors.New("there is nothing to mix"), Hint: "name the records, such as in: {chat: steps.chat.out.train, code: steps.code.out.train}"}
	case p.Weights != nil && p.Counts != nil:
		return &pipeline.FieldError{Field: "counts", Err: errors.New("there are weights too"), Hint: "say one of them"}
	case p.Total > 0 && p.Weights == nil:
		return &pipeline.FieldError{Field: "total", Err: errors.New("it needs weights to divide it by")}
	case p.Repeat && p.Weights == nil && p.Counts == nil:
		return &pipeline.FieldError{Field: "repeat", Err: errors.New("without weights or counts every record is taken once")}
	}
	if p.Weights != nil {
		return checkNames("weights", slices.Sorted(maps.Keys(p.Weights)), names)
	}
	if p.Counts != nil {
		return checkNames("counts", slices.Sorted(maps.Keys(p.Counts)), names)
	}
	return nil
}

// checkNames wants a number for every input and no other.
func checkNames(field string, given, inputs []string) error {
	for _, name := range given {
		if !slices.Contains(inputs, name) {
			return &pipeline.FieldError{Field: field + "." + name, Err: errors.New("there is no such input"), Hint: "the inputs are " + strings.Join(inputs, ", ")}
		}
	}
	for _, name := range inputs {
		if !slices.Contains(given, name) {
			return &pipeline.FieldError{Field: field, Err: fmt.Errorf("nothing is said of input %s", name)}
		}
	}
	return nil
}

// share returns how many records of each input are taken, given how many it has.
func (p Params) share(names []string, sizes []int64) ([]int64, error) {
	counts, field := slices.Clone(sizes), ""
	switch {
	case p.Counts != nil:
		field = "counts"
		for i, name := range names {
			counts[i] = p.Counts[name]
		}
	case p.Weights != nil:
		field = "weights"
		weights := make([]float64, len(names))
		for i, name := range names {
			weights[i] = p.Weights[name]
		}
		total := p.Total
		if total == 0 {
			total = natural(weights, sizes, p.Repeat)
		}
		counts = apportion(weights, total)
		if p.Total == 0 && !p.Repeat {
			for i := range counts {
				counts[i] = min(counts[i], sizes[i])
			}
		}
	}
	for i, name := range names {
		switch {
		case sizes[i] == 0:
			return nil, &pipeline.FieldError{Field: "in." + name, Err: errors.New("it has no records")}
		case counts[i] > sizes[i] && !p.Repeat:
			return nil, &pipeline.FieldError{
				Field: field + "." + name, Err: fmt.Errorf("%d records are wanted of input %s, which has %d", counts[i], name, sizes[i]),
				Hint: "repeat: true takes them again",
			}
		case counts[i] > maxPicks:
			return nil, &pipeline.FieldError{Field: field + "." + name, Err: fmt.Errorf("%d records are too many; at most %d are supported", counts[i], int64(maxPicks))}
		}
	}
	return counts, nil
}

// maxPicks bounds the output, and so what must be held of it in memory.
const maxPicks = 1_000_000_000

// natural is how many records there are in all when every input has its share:
// until the first input ends, or with repeat until the last one does.
func natural(weights []float64, sizes []int64, repeat bool) int64 {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	least, most := math.Inf(1), 0.0
	for i, w := range weights {
		total := float64(float64(sizes[i]) * (sum / w))
		least, most = min(least, total), max(most, total)
	}
	const rounding = 1e-6 // more than the error of the division, less than a record
	if repeat {
		return int64(min(math.Ceil(most-rounding), maxPicks+1))
	}
	return int64(min(math.Floor(least+rounding), maxPicks+1))
}

// apportion divides a total by weights, the largest remainders rounded up, of
// equal ones the first.
func apportion(weights []float64, total int64) []int64 {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	counts, order, rest := make([]int64, len(weights)), make([]int, len(weights)), make([]float64, len(weights))
	left := total
	for i, w := range weights {
		quota := float64(float64(total) * (w / sum))
		counts[i], order[i] = int64(quota), i
		rest[i] = quota - float64(counts[i])
		left -= counts[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rest[b], rest[a]) })
	for i := 0; left > 0; i, left = (i+1)%len(order), left-1 {
		counts[order[i]]++
	}
	return counts
}

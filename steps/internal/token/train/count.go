package train

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds on what is counted.
const (
	// MaxWord is the longest pretoken that is counted, in bytes.
	MaxWord = 1 << 12

	maxWords = 1 << 25 // different ones
	maxBytes = 1 << 30 // of different ones
)

// Counter counts pretokens. It is for one goroutine.
type Counter struct {
	counts map[string]*int64
	bytes  int
	long   int64
}

// NewCounter returns one that has counted nothing.
func NewCounter() *Counter { return &Counter{counts: map[string]*int64{}} }

// Add counts a pretoken n times; longer ones than MaxWord are left out.
func (c *Counter) Add(word string, n int64) {
	if len(word) > MaxWord {
		c.long += n
		return
	}
	if at := c.counts[word]; at != nil {
		*at += n
		return
	}
	c.counts[strings.Clone(word)] = &n
	c.bytes += len(word)
}

// Long is how many were left out.
func (c *Counter) Long() int64 { return c.long }

// Check fails when there are too many different ones for memory.
func (c *Counter) Check() error {
	if len(c.counts) > maxWords || c.bytes > maxBytes {
		return fmt.Errorf("the texts have more than %d different pretokens, or %d MiB of them: train on a part of the records", maxWords, maxBytes>>20)
	}
	return nil
}

// Merge adds what another counted.
func (c *Counter) Merge(other *Counter) {
	c.long += other.long
	for word, n := range other.counts {
		c.Add(word, *n)
	}
}

// Words returns the pretokens, sorted, with their counts.
func (c *Counter) Words() (words []string, counts []int64) {
	words = slices.Sorted(maps.Keys(c.counts))
	counts = make([]int64, len(words))
	for i, w := range words {
		counts[i] = *c.counts[w]
	}
	return words, counts
}

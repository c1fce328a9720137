package clean

// Tests are the grams of texts that must not be trained on: test sets and
// benchmarks. Filled first, it may then be asked concurrently. A gram takes some
// 20 bytes.
type Tests struct {
	ngram int
	grams map[uint64]uint16 // gram → the first test that has it
}

// NewTests compares grams of ngram words.
func NewTests(ngram int) *Tests { return &Tests{ngram: ngram, grams: map[uint64]uint16{}} }

// Len returns how many grams there are.
func (t *Tests) Len() int { return len(t.grams) }

// Add adds the grams of a text of the test with that number.
func (t *Tests) Add(test uint16, text string) {
	Grams(text, t.ngram, func(h uint64) {
		if _, ok := t.grams[h]; !ok {
			t.grams[h] = test
		}
	})
}

// An Overlap says how much of a text stands in tests.
type Overlap struct {
	Grams  int    // in the text
	Shared int    // of them in tests
	Test   uint16 // that the first shared one is of
}

// Share is the share of the text's grams that tests have, 0 to 1.
func (o Overlap) Share() float64 {
	if o.Shared == 0 {
		return 0
	}
	return float64(o.Shared) / float64(o.Grams)
}

// Overlap compares a text with the tests.
func (t *Tests) Overlap(text string) (o Overlap) {
	Grams(text, t.ngram, func(h uint64) {
		o.Grams++
		if test, ok := t.grams[h]; ok {
			if o.Shared == 0 {
				o.Test = test
			}
			o.Shared++
		}
	})
	return o
}

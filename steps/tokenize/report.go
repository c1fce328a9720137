package tokenize

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/chat"
)

// maxBad is how many unfit records an error names.
const maxBad = 20

// counts is what the step says about its rows.
type counts struct {
	records    int64
	tokens     int64
	supervised int64
	long       int64 // longer than allowed
	empty      int64 // nothing supervised was left after truncation
	longest    int
	bos, stops int64            // tokens that begin and end texts
	bare       int64            // documents without the BOS that the tokenizer adds to plain text
	unended    int64            // documents whose last token, after truncation, is no stop token
	lost       map[string]int64 // records by what the template did not write
	lengths    [32]int64        // lengths[i]: records of more than 2^(i−1), at most 2^i tokens
}

func (c *counts) length(n int) {
	c.longest = max(c.longest, n)
	c.lengths[min(bits.Len(uint(max(n-1, 0))), len(c.lengths)-1)]++
}

// add adds the counts of other records.
func (c *counts) add(o *counts) {
	for _, sum := range []struct {
		to   *int64
		more int64
	}{
		{&c.records, o.records}, {&c.tokens, o.tokens}, {&c.supervised, o.supervised}, {&c.long, o.long}, {&c.empty, o.empty},
		{&c.bos, o.bos}, {&c.stops, o.stops}, {&c.bare, o.bare}, {&c.unended, o.unended},
	} {
		*sum.to += sum.more
	}
	c.longest = max(c.longest, o.longest)
	for i, n := range o.lengths {
		c.lengths[i] += n
	}
	for what, n := range o.lost {
		c.lose(what, n)
	}
}

func (c *counts) lose(what string, n int64) {
	if c.lost == nil {
		c.lost = map[string]int64{}
	}
	c.lost[what] += n
}

// tally counts what one document holds.
func (c *counts) tally(t *chat.Template, d chat.Encoded) {
	c.tokens += int64(len(d.IDs))
	c.supervised += int64(d.Supervised)
	n := t.Count(d.IDs)
	c.bos += int64(n.BOS)
	c.stops += int64(n.Stops)
	if n.BOS == 0 {
		c.bare++
	}
	if t.Count(d.IDs[len(d.IDs)-1:]).Stops == 0 {
		c.unended++
	}
	for _, what := range d.Lost {
		c.lose(what, 1)
	}
}

// warn says what the user should know of the template.
func (e *encoder) warn() {
	c := &e.count
	for _, what := range slices.Sorted(maps.Keys(c.lost)) {
		e.task.Log.Warn(fmt.Sprintf("the %s template leaves out %s", e.template.Kind(), lostName(what)), "records", c.lost[what])
	}
	if bos := e.template.WantsBOS(); bos != "" && c.bare > 0 {
		e.task.Log.Warn(fmt.Sprintf("rows do not begin with %s, which this tokenizer adds to plain text: the %s template does not write it", bos, e.template.Kind()), "records", c.bare)
	}
}

// lostName says what a chat.Encoded lost.
func lostName(what string) string {
	switch what {
	case "tools":
		return "the tools on offer"
	case "tool calls", "reasoning":
		return "the assistant's " + what
	}
	return "the text of " + what + " messages"
}

// histogram says how many records have how many tokens.
func (c *counts) histogram() string {
	var parts []string
	for i, n := range c.lengths {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d of at most %d", n, 1<<i))
		}
	}
	return strings.Join(parts, ", ")
}

// judge fails for records that cannot be trained on, and for what the user has to
// decide.
func (e *encoder) judge() error {
	c := &e.count
	if len(e.bad) > maxBad {
		e.bad = append(e.bad[:maxBad], errors.New("and more"))
	}
	if len(e.bad) > 0 {
		return fmt.Errorf("records that cannot be trained on:\n%w", errors.Join(e.bad...))
	}
	if c.records == 0 {
		return errors.New("there are no records")
	}
	if c.long > 0 {
		if err := e.overLength(); err != nil {
			return err
		}
	}
	if c.tokens == 0 {
		return &pipeline.FieldError{Field: "maxLength", Err: fmt.Errorf("no record is left: all are longer than %d tokens", e.limit)}
	}
	return nil
}

// report logs the counts.
func (e *encoder) report() {
	c := &e.count
	figures := []any{"records", c.records, "encodedAnew", e.anew, "rows", e.rows, "tokens", c.tokens,
		"supervised", c.supervised, "bos", c.bos, "stops", c.stops, "longest", c.longest, "lengths", c.histogram()}
	metrics := map[string]float64{
		"tokenize/rows": float64(e.rows), "tokenize/tokens": float64(c.tokens),
		"tokenize/supervised": float64(c.supervised) / float64(c.tokens),
	}
	if e.Packing.On {
		full := float64(c.tokens) / (float64(e.rows) * float64(e.MaxLength))
		metrics["tokenize/full"] = full
		figures = append(figures, "full", fmt.Sprintf("%.2f %%", 100*full))
	}
	e.task.Log.Info("tokenized", figures...)
	e.warn()
	for name, v := range metrics {
		e.task.Emit(pipeline.Metric{Name: name, Value: v})
	}
}

func (e *encoder) overLength() error {
	c := &e.count
	bound := fmt.Sprintf("maxLength %d", e.MaxLength)
	if e.limit < e.MaxLength {
		bound = fmt.Sprintf("the %d positions of the model", e.limit)
	}
	switch e.OverLength {
	case "drop":
		e.task.Log.Warn("dropped records that are too long", "records", c.long, "bound", bound)
	case "truncate":
		e.task.Log.Warn("cut records that are too long; their answers end without a stop token", "records", c.long, "bound", bound, "withoutStop", c.unended, "nothingLeft", c.empty)
	default:
		return &pipeline.FieldError{
			Field: "maxLength",
			Err: fmt.Errorf("%d of %d records are longer than %s; the longest has %d tokens (records by length: %s)",
				c.long, c.records, bound, c.longest, c.histogram()),
			Hint: `raise maxLength, or say overLength: "drop" or "truncate"`,
		}
	}
	return nil
}

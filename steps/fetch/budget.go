package fetch

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/pipe-run/pipe/pipeline"
)

// A budget is how many bytes may still come. It is safe for concurrent use.
type budget struct {
	left atomic.Int64
	max  string // as the user wrote it
}

func newBudget(max string) (*budget, error) {
	n, err := parseSize(max)
	if err != nil {
		return nil, &pipeline.FieldError{Field: "maxSize", Err: err}
	}
	b := &budget{max: max}
	b.left.Store(n)
	return b, nil
}

// take takes n bytes; n may be what a server announces.
func (b *budget) take(n int64) error {
	if n < 0 || b.left.Add(-n) < 0 {
		return b.exceeded()
	}
	return nil
}

func (b *budget) exceeded() error {
	return &pipeline.FieldError{
		Field: "maxSize", Err: fmt.Errorf("more than %s would come", b.max),
		Hint: "raise maxSize if that many bytes are meant to come",
	}
}

// reader returns r, ending with an error when the budget is used up.
func (b *budget) reader(r io.Reader) io.Reader { return &budgetReader{r, b} }

type budgetReader struct {
	r io.Reader
	b *budget
}

func (r *budgetReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if lack := r.b.take(int64(n)); lack != nil {
		return 0, lack
	}
	return n, err
}

var units = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// parseSize reads a size such as "1.5GB".
func parseSize(s string) (int64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || f < 0 || f*u.bytes >= math.MaxInt64/2 {
			break
		}
		return int64(f * u.bytes), nil
	}
	return 0, errors.New("want a size such as 500MB or 2GiB")
}

package fetch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

const (
	maxDelay      = time.Minute     // between attempts
	maxRetryAfter = 5 * time.Minute // that a server may ask for
)

// A transient error may go away.
type transient struct {
	err     error
	after   time.Duration // to wait at least
	further bool          // much came before it: the attempts count anew
}

func (t *transient) Error() string { return t.err.Error() }
func (t *transient) Unwrap() error { return t.err }

// try calls f until it succeeds, fails with an error that is not transient,
// or has failed c.retries times more. Delays double, with jitter.
func (c *client) try(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var t *transient
		if !errors.As(err, &t) {
			return err
		}
		if t.further {
			attempt = 1
		}
		if attempt > c.retries {
			if c.retries > 0 {
				return fmt.Errorf("%w (after %d attempts)", t.err, attempt)
			}
			return t.err
		}
		delay := max(c.delay(attempt), t.after)
		c.emit(pipeline.Retry{Attempt: attempt, Message: t.Error(), Delay: delay.Seconds()})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay):
		}
	}
}

// delay is between half and all of first·2^(attempt-1).
func (c *client) delay(attempt int) time.Duration {
	d := min(c.first<<min(attempt-1, 10), maxDelay)
	return d/2 + rand.N(d/2+1)
}

// retryAfter reads the header Retry-After: seconds or a date.
func retryAfter(v string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

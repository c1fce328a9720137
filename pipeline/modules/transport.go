package modules

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// patience is how long a registry may send nothing.
const patience = 30 * time.Second

// A stalledError is a registry that stopped answering.
type stalledError struct {
	after time.Duration
	began bool // it had begun to send
}

func (e *stalledError) Error() string {
	if e.began {
		return fmt.Sprintf("stopped sending for %v", e.after)
	}
	return fmt.Sprintf("did not answer within %v", e.after)
}

// A transport gives up on servers that send nothing for a while, however long
// the whole takes.
type transport struct {
	next     http.RoundTripper
	patience time.Duration
}

// newTransport works by PIPE_REGISTRY_TIMEOUT, a duration such as 90s.
func newTransport(env []string) (*transport, error) {
	wait := patience
	if s := getenv(env, "PIPE_REGISTRY_TIMEOUT"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return nil, &Error{
				Message: fmt.Sprintf("PIPE_REGISTRY_TIMEOUT is %q, which is no time to wait", s),
				Hint:    "write it like 90s or 5m",
			}
		}
		wait = d
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: min(wait, 10*time.Second), KeepAlive: 30 * time.Second}).DialContext
	return &transport{t, wait}, nil
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	stop := func(began bool) func() {
		return func() { cancel(&stalledError{t.patience, began}) }
	}
	wait := t.patience
	if req.ContentLength > 0 { // what is sent at 1 MiB a second counts as well
		wait += time.Duration(req.ContentLength>>20) * time.Second
	}
	timer := time.AfterFunc(wait, stop(false))
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		err = causeOf(ctx, err)
		cancel(nil)
		return nil, err
	}
	body := &patientBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, patience: t.patience}
	body.timer = time.AfterFunc(t.patience, stop(true))
	resp.Body = body
	return resp, nil
}

// causeOf returns the stall that ended ctx rather than what came of it.
func causeOf(ctx context.Context, err error) error {
	if s, ok := context.Cause(ctx).(*stalledError); ok {
		return s
	}
	return err
}

// patientBody winds its timer up with every byte that arrives.
type patientBody struct {
	io.ReadCloser
	ctx      context.Context
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	patience time.Duration
}

func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.timer.Reset(b.patience)
	}
	if err != nil && err != io.EOF {
		err = causeOf(b.ctx, err)
	}
	return n, err
}

func (b *patientBody) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

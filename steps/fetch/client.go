package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

const (
	maxRedirects = 10
	maxJSON      = 32 << 20 // bytes of one answer
	stall        = 60 * time.Second
)

// A client speaks HTTP, patiently: see try.
type client struct {
	http    *http.Client
	retries int
	first   time.Duration // delay before the first retry
	emit    func(pipeline.Fact)
}

// newClient uses the proxies and certificates of the environment.
func newClient(retries int, emit func(pipeline.Fact)) *client {
	dial := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	return &client{
		http: &http.Client{
			CheckRedirect: checkRedirect,
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, DialContext: dial.DialContext, ForceAttemptHTTP2: true,
				TLSHandshakeTimeout: 30 * time.Second, ResponseHeaderTimeout: stall, IdleConnTimeout: stall,
				MaxIdleConnsPerHost: hubParallel, DisableCompression: true, MaxResponseHeaderBytes: 1 << 20,
			},
		},
		retries: retries, first: time.Second / 2, emit: emit,
	}
}

// close gives idle connections back.
func (c *client) close() { c.http.CloseIdleConnections() }

// checkRedirect follows no redirect from https to http, and keeps the token
// from every host but the one it was meant for; subdomains are other hosts.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return permanent{fmt.Errorf("more than %d redirects", maxRedirects)}
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return permanent{fmt.Errorf("it redirects from https to %s on %s, where anyone may change the bytes", req.URL.Scheme, req.URL.Host)}
	}
	if req.URL.Host != via[0].URL.Host {
		req.Header.Del("Authorization")
	}
	req.Header.Del("Referer")
	return nil
}

// A permanent error is the same at every attempt.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// A statusError is an answer that is no success.
type statusError struct {
	url     string // without what may be secret
	code    int
	reason  string // X-Error-Code of the hub, or ""
	message string
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("%s answers %d %s", e.url, e.code, http.StatusText(e.code))
	if e.message != "" {
		s += ": " + e.message
	}
	return s
}

// get makes one attempt at a GET and returns the answer if its status is 2xx
// or one of accept. The caller closes the body.
func (c *client) get(ctx context.Context, rawURL string, header http.Header, accept ...int) (*http.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("malformed URL %s", display(rawURL))
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "pipe")
	resp, err := c.http.Do(req)
	if err != nil {
		cancel()
		return nil, networkError(rawURL, err)
	}
	resp.Body = watch(resp.Body, cancel)
	for _, code := range accept {
		if resp.StatusCode == code {
			return resp, nil
		}
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, statusOf(rawURL, resp)
}

// networkError says what went wrong without the URL that a redirect led to,
// which may be signed.
func networkError(rawURL string, err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	wrapped := fmt.Errorf("%s: %w", display(rawURL), err)
	var dns *net.DNSError
	var forever permanent
	switch {
	case errors.As(err, &forever), errors.As(err, &dns) && dns.IsNotFound, strings.Contains(err.Error(), "x509:"),
		strings.Contains(err.Error(), "unsupported protocol scheme"):
		return wrapped
	}
	return &transient{err: wrapped}
}

// statusOf turns an answer into an error, transient if asking again may help.
func statusOf(rawURL string, resp *http.Response) error {
	redirected := resp.Request.URL.Host != hostOf(rawURL)
	err := &statusError{
		url: display(rawURL), code: resp.StatusCode,
		reason: resp.Header.Get("X-Error-Code"), message: printable(resp.Header.Get("X-Error-Message")),
	}
	if resp.StatusCode == http.StatusForbidden && redirected { // a signed URL expires; asking again gives another
		return &transient{err: err}
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &transient{err: err, after: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	return err
}

// json reads one JSON answer into v and returns its header.
func (c *client) json(ctx context.Context, rawURL string, header http.Header, v any) (h http.Header, err error) {
	err = c.try(ctx, func() error {
		resp, err := c.get(ctx, rawURL, header)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxJSON+1))
		if err != nil {
			return &transient{err: fmt.Errorf("%s: %w", display(rawURL), err)}
		}
		if len(body) > maxJSON {
			return fmt.Errorf("%s answers with more than %d bytes", display(rawURL), maxJSON)
		}
		if err := json.Unmarshal(body, v); err != nil {
			return fmt.Errorf("%s does not answer with the JSON of a hub: %w", display(rawURL), err)
		}
		h = resp.Header
		return nil
	})
	return h, err
}

// watch cancels a request whose body brings nothing for a while.
func watch(body io.ReadCloser, cancel func()) io.ReadCloser {
	w := &watched{ReadCloser: body, cancel: cancel}
	w.timer = time.AfterFunc(stall, func() { w.stalled.Store(true); cancel() })
	return w
}

type watched struct {
	io.ReadCloser
	cancel  func()
	timer   *time.Timer
	stalled atomic.Bool
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(stall)
	n, err := w.ReadCloser.Read(p)
	if err != nil && w.stalled.Load() {
		err = fmt.Errorf("nothing came for %v", stall)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.cancel()
	return w.ReadCloser.Close()
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}

// display is a URL without what may be secret: user, query and fragment.
func display(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "the URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// printable is a server's message, fit to be shown.
func printable(s string) string {
	const most = 300
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// bearer is the header that carries a token; an empty token gives none.
func bearer(token string) http.Header {
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return h
}

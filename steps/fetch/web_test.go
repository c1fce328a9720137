package fetch

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A web is a server of files with ranges and ETags, which can be told to
// misbehave.
type web struct {
	*httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	requests []*http.Request
	faults   []fault // the next answers, one each
	noETag   bool
}

// A fault answers instead of the server; true means that it did.
type fault func(w http.ResponseWriter, r *http.Request, file []byte) bool

func newWeb(t *testing.T) *web {
	w := &web{files: map[string][]byte{}}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.requests = append(w.requests, r)
	file, ok := w.files[r.URL.Path]
	var f fault
	if len(w.faults) > 0 {
		f, w.faults = w.faults[0], w.faults[1:]
	}
	noETag := w.noETag
	w.mu.Unlock()
	if f != nil && f(rw, r, file) {
		return
	}
	if !ok {
		http.NotFound(rw, r)
		return
	}
	if !noETag {
		rw.Header().Set("ETag", etag(file))
	}
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(file))
}

func etag(file []byte) string { return fmt.Sprintf(`"%x"`, hashOf(file)[:8]) }

func (w *web) put(path string, file []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files[path] = file
}

func (w *web) fail(faults ...fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = faults
}

// seen returns the requests so far.
func (w *web) seen() []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*http.Request(nil), w.requests...)
}

func fine(http.ResponseWriter, *http.Request, []byte) bool { return false }

// status answers with a code and asks to come again at once.
func status(code int) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(code)
		return true
	}
}

// short promises the whole file, or the rest asked for, and sends n bytes.
func short(n int) fault {
	return func(w http.ResponseWriter, r *http.Request, file []byte) bool {
		start := 0
		if v := r.Header.Get("Range"); v != "" {
			fmt.Sscanf(v, "bytes=%d-", &start)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(file)-1, len(file)))
		}
		w.Header().Set("ETag", etag(file))
		w.Header().Set("Content-Length", strconv.Itoa(len(file)-start))
		if start > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(file[start : start+n])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

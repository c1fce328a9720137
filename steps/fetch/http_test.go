package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

func hashOf(b []byte) []byte { h := sha256.Sum256(b); return h[:] }

func hexOf(b []byte) string { return hex.EncodeToString(hashOf(b)) }

// noise is n bytes without a pattern.
func noise(n int) []byte {
	b := make([]byte, 0, n+32)
	for i := 0; len(b) < n; i++ {
		b = append(b, hashOf(fmt.Append(nil, i))...)
	}
	return b[:n]
}

func wantField(t *testing.T, err error, field string, words ...string) {
	t.Helper()
	var e *pipeline.FieldError
	if !errors.As(err, &e) || e.Field != field {
		t.Fatalf("error %v, want one at %s", err, field)
	}
	for _, w := range words {
		if !strings.Contains(e.Error(), w) {
			t.Errorf("error %q does not say %q", e, w)
		}
	}
}

func httpParams(url, more string) string {
	return fmt.Sprintf(`{"source": {"http": {"url": %q%s}}}`, url, more)
}

func TestHTTPWithDigest(t *testing.T) {
	w, m := newWeb(t), newMachine(t)
	file := noise(1 << 20)
	w.put("/a/data.bin", file)
	text := httpParams(w.URL+"/a/data.bin?x=1", `, "sha256": "`+hexOf(file)+`"`)
	pin, err := m.pin(text, false)
	if err != nil || pin.Lock || pin.ID != "sha256:"+hexOf(file)+" data.bin" {
		t.Fatalf("pin %+v, %v", pin, err)
	}
	if n := len(w.seen()); n != 0 {
		t.Fatalf("pinning made %d requests", n)
	}
	out, err := m.run(t.Context(), text, pin.ID)
	if err != nil || out["data.bin"] != string(file) {
		t.Fatalf("%d files, %v", len(out), err)
	}

	w.put("/a/data.bin", noise(1000))
	_, err = newMachine(t).run(t.Context(), text, pin.ID)
	wantField(t, err, "source.http.sha256", hexOf(file), hexOf(noise(1000)))
}

func TestHTTPTrustsFirstUse(t *testing.T) {
	t.Parallel()
	w, m := newWeb(t), newMachine(t)
	file := noise(100_000)
	w.put("/data.bin", file)
	text := httpParams(w.URL+"/data.bin", "")
	if _, err := m.pin(text, false); !errors.Is(err, pipeline.ErrNotPinned) {
		t.Fatalf("pinned without the network: %v", err)
	}
	out, err := m.fetch(text)
	if err != nil || out["data.bin"] != string(file) {
		t.Fatalf("%d files, %v", len(out), err)
	}
	if n := len(w.seen()); n != 1 {
		t.Errorf("%d requests, want the one of pinning", n)
	}
	pin, err := m.pin(text, false)
	if err != nil || !pin.Lock || pin.From != w.URL+"/data.bin" {
		t.Errorf("pin %+v, %v", pin, err)
	}

	// Another machine has only the lock: its step downloads.
	other := newMachine(t)
	if out, err := other.run(t.Context(), text, pin.ID); err != nil || out["data.bin"] != string(file) {
		t.Errorf("from the lock: %d files, %v", len(out), err)
	}
	w.put("/data.bin", file[1:])
	_, err = newMachine(t).run(t.Context(), text, pin.ID)
	wantField(t, err, "source.http.url", "changed since it was pinned", hexOf(file), hexOf(file[1:]), "pipe lock --update")

	// What pinning left behind may be damaged.
	third := newMachine(t)
	writeTestFile(t, filepath.Join(third.downloads, key(w.URL+"/data.bin"), "data"), "damaged")
	w.put("/data.bin", file)
	if out, err := third.run(t.Context(), text, pin.ID); err != nil || out["data.bin"] != string(file) {
		t.Errorf("beside a damaged download: %d files, %v", len(out), err)
	}
	w.put("/data.bin", file[1:])

	// An update asks the server again, and takes what is new.
	delete(m.lock, pin.From)
	renewed, err := m.pin(text, true)
	if err != nil || !strings.Contains(renewed.ID, hexOf(file[1:])) {
		t.Errorf("renewed pin %+v, %v", renewed, err)
	}
	before := len(w.seen())
	delete(m.lock, pin.From)
	if again, err := m.pin(text, true); err != nil || again != renewed {
		t.Errorf("pin again %+v, %v", again, err)
	}
	last := w.seen()[before:]
	if len(last) != 1 || last[0].Header.Get("If-None-Match") == "" {
		t.Errorf("%d requests to find out that nothing changed", len(last))
	}
}

func TestHTTPPinnedOnceByMany(t *testing.T) {
	w, m := newWeb(t), newMachine(t)
	file := noise(3 << 20)
	w.put("/big.bin", file)
	// The server is slow enough for all to come meanwhile.
	w.fail(func(http.ResponseWriter, *http.Request, []byte) bool {
		time.Sleep(300 * time.Millisecond)
		return false
	})
	text := httpParams(w.URL+"/big.bin", "")
	var g sync.WaitGroup
	for range 16 {
		g.Go(func() {
			p := &machine{t: t, downloads: m.downloads, lock: map[string]string{}}
			if pin, err := p.pin(text, true); err != nil || !strings.Contains(pin.ID, hexOf(file)) {
				t.Errorf("pin %+v, %v", pin, err)
			}
		})
	}
	g.Wait()
	if n := len(w.seen()); n != 1 {
		t.Errorf("%d downloads, want 1", n)
	}
}

func TestHTTPRetries(t *testing.T) {
	t.Parallel()
	w, m := newWeb(t), newMachine(t)
	file := noise(3 << 20)
	w.put("/f", file)
	w.fail(status(503), status(429), short(1000), short(2<<20))
	c := newClient(3, m.emit) // the last fault comes after much progress
	c.first = time.Millisecond
	defer c.close()
	b, _ := newBudget("1GB")
	x := &transfer{
		client: c, url: w.URL + "/f", path: filepath.Join(m.work, "f"), want: anything(), budget: b,
		progress: func(int64, int64) {},
	}
	got, err := x.run(t.Context())
	if err != nil || got != hexOf(file) {
		t.Fatalf("%s, %v", got, err)
	}
	if m.retries() != 4 {
		t.Errorf("%d retries, want 4", m.retries())
	}
	all := w.seen()
	if r := all[len(all)-1].Header; r.Get("Range") != fmt.Sprintf("bytes=%d-", 1000+(2<<20)) || r.Get("If-Range") != etag(file) {
		t.Errorf("last request: Range %q, If-Range %q", r.Get("Range"), r.Get("If-Range"))
	}

	w.fail(status(503), status(503))
	c.retries = 1
	if _, err := x.run(t.Context()); err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "2 attempts") {
		t.Errorf("after all retries: %v", err)
	}
	before := len(w.seen())
	w.fail(status(404))
	if _, err := x.run(t.Context()); err == nil || len(w.seen()) != before+1 {
		t.Errorf("404 was tried %d times: %v", len(w.seen())-before, err)
	}
}

// The file changes while its download is broken off: the parts are not mixed.
func TestHTTPChangesBetweenAttempts(t *testing.T) {
	t.Parallel()
	for _, noETag := range []bool{false, true} {
		w, m := newWeb(t), newMachine(t)
		old, new := noise(200_000), bytes.Repeat([]byte("new "), 50_000)
		w.noETag = noETag
		w.put("/f", old)
		broken := short(100_000)
		w.fail(func(rw http.ResponseWriter, r *http.Request, file []byte) bool {
			w.put("/f", new)
			return broken(rw, r, file)
		})
		out, err := m.fetch(httpParams(w.URL+"/f", ""))
		if err != nil || out["f"] != string(new) {
			t.Errorf("no ETag %v: %d bytes, %v", noETag, len(out["f"]), err)
		}
	}
}

// A step that was killed goes on where it was, in its state.
func TestHTTPResumesAfterKill(t *testing.T) {
	t.Parallel()
	w, m := newWeb(t), newMachine(t)
	file := noise(2 << 20)
	w.put("/f", file)
	text := httpParams(w.URL+"/f", `, "sha256": "`+hexOf(file)+`"`)
	pin, err := m.pin(text, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(t.Context())
	w.fail(func(rw http.ResponseWriter, r *http.Request, file []byte) bool {
		rw.Header().Set("ETag", etag(file))
		rw.Write(file[:1<<20])
		rw.(http.Flusher).Flush()
		time.Sleep(100 * time.Millisecond)
		kill()
		<-r.Context().Done()
		return true
	})
	if _, err := m.run(ctx, text, pin.ID); !errors.Is(err, context.Canceled) {
		t.Fatalf("killed: %v", err)
	}
	out, err := m.run(t.Context(), text, pin.ID)
	if err != nil || out["f"] != string(file) {
		t.Fatalf("%d bytes, %v", len(out["f"]), err)
	}
	all := w.seen()
	if got := all[len(all)-1].Header.Get("Range"); got == "" {
		t.Error("the whole file was asked for again")
	}
}

// A cancelled step whose partial bytes were damaged does not trust them.
func TestHTTPDamagedPart(t *testing.T) {
	t.Parallel()
	w, m := newWeb(t), newMachine(t)
	file := noise(1 << 20)
	w.put("/f", file)
	text := httpParams(w.URL+"/f", `, "sha256": "`+hexOf(file)+`"`)
	pin, err := m.pin(text, false)
	if err != nil {
		t.Fatal(err)
	}
	writeTestFile(t, filepath.Join(m.work, "state", "http.part"), string(noise(1000)[1:]))
	out, err := m.run(t.Context(), text, pin.ID)
	if err != nil || out["f"] != string(file) {
		t.Errorf("%d bytes, %v", len(out["f"]), err)
	}
	if n := len(w.seen()); n != 2 {
		t.Errorf("%d requests, want the rest and then the whole", n)
	}
}

func TestHTTPRedirects(t *testing.T) {
	t.Parallel()
	home, away, m := newWeb(t), newWeb(t), newMachine(t)
	away.put("/f", []byte("content"))
	to := func(url string) fault {
		return func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
			http.Redirect(w, r, url, http.StatusFound)
			return true
		}
	}
	m.secrets["TOKEN"] = "s3cret"
	text := httpParams(home.URL+"/f", `, "token": {"secret": "TOKEN"}`)
	home.fail(to(home.URL+"/g"), to(away.URL+"/f?signed=1"))
	if out, err := m.fetch(text); err != nil || out["f"] != "content" {
		t.Fatalf("%v, %v", out, err)
	}
	for i, r := range home.seen() {
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("request %d to the host came without the token", i)
		}
	}
	if a := away.seen(); len(a) != 1 || a[0].Header.Get("Authorization") != "" || a[0].Header.Get("Referer") != "" {
		t.Errorf("the other host saw %v", a[0].Header)
	}

	for range maxRedirects + 1 {
		home.faults = append(home.faults, to(home.URL+"/f"))
	}
	_, err := newMachine(t).pin(httpParams(home.URL+"/f", ""), true)
	wantField(t, err, "source.http.url", "more than 10 redirects")

	safe := httptest.NewTLSServer(http.RedirectHandler(away.URL+"/f", http.StatusFound))
	defer safe.Close()
	c := newClient(0, m.emit)
	c.http.Transport = safe.Client().Transport
	if _, err := c.get(t.Context(), safe.URL, nil); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("downgrade: %v", err)
	}
}

func TestHTTPRefuses(t *testing.T) {
	w := newWeb(t)
	w.put("/f", noise(5000))
	w.put("/dir/", nil)
	unsized := func(rw http.ResponseWriter, _ *http.Request, file []byte) bool {
		rw.Write(file[:2500])
		rw.(http.Flusher).Flush()
		rw.Write(file[2500:])
		return true
	}
	small := func(url string) string { return strings.Replace(httpParams(url, ""), "{", `{"maxSize": "4KB", `, 1) }
	for _, c := range []struct {
		name, text, field, words string
		fault                    fault
	}{
		{"announced size", small(w.URL + "/f"), "maxSize", "more than 4KB", fine},
		{"size that comes", small(w.URL + "/f"), "maxSize", "more than 4KB", unsized},
		{"not found", httpParams(w.URL+"/g", ""), "source.http.url", "404", fine},
		{"forbidden", httpParams(w.URL+"/f", ""), "source.http.url", "token", status(403)},
		{"no name", httpParams(w.URL+"/dir/", ""), "source.http.url", "filename", fine},
		{"no variable", httpParams(w.URL+"/f", `, "token": {"secret": "NOT_SET"}`), "source.http.token", "NOT_SET", fine},
		{"name that leads out", httpParams(w.URL+"/f", `, "filename": ".."`), "source.http.filename", "leads out", fine},
		{"no host", httpParams("http://pipe.invalid/f", ""), "source.http.url", "pipe.invalid", fine},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.fail(c.fault)
			_, err := newMachine(t).pin(c.text, true)
			wantField(t, err, c.field, c.words)
		})
	}
}

func TestHTTPFilename(t *testing.T) {
	w, m := newWeb(t), newMachine(t)
	w.put("/get", []byte("x"))
	out, err := m.fetch(httpParams(w.URL+"/get?id=5", `, "filename": "five.txt"`))
	if err != nil || out["five.txt"] != "x" {
		t.Errorf("%v, %v", out, err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "99999": maxRetryAfter,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", v, got, want)
		}
	}
}

// TestHTTPSameSecond: a file that changes within the second in which it was
// fetched is fetched again.
func TestHTTPSameSecond(t *testing.T) {
	body, modified := "one", time.Now()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", modified.UTC().Format(http.TimeFormat))
		http.ServeContent(w, r, "data.txt", modified, strings.NewReader(body))
	}))
	defer web.Close()
	m := newMachine(t)
	text := httpParams(web.URL+"/data.txt", "")
	first, err := m.pin(text, true)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // else the download counts as that of a process waited for
	body = "two"
	delete(m.lock, first.From)
	if again, err := m.pin(text, true); err != nil || !strings.Contains(again.ID, hexOf([]byte("two"))) {
		t.Errorf("pin %+v, %v", again, err)
	}
}

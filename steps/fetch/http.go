package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
)

// HTTP is one file of a web server. Its pin is "sha256:DIGEST NAME".
//
// Without a SHA-256 it is trusted at its first use: pinning downloads it to
// the folder of downloads that its URL names, and the step copies it from there.
type HTTP struct {
	URL      string  `json:"url"`
	SHA256   string  `json:"sha256"`
	Filename string  `json:"filename"`
	Token    *Secret `json:"token"`
}

const (
	httpURL    = "source.http.url"
	httpSHA256 = "source.http.sha256"
)

func (s *HTTP) origin(string) artifact.Source { return artifact.Source{Kind: "http"} }

func (s *HTTP) pin(ctx context.Context, p *Params, q *pipeline.PinRequest) (pipeline.Pin, error) {
	name, err := s.name()
	if err != nil {
		return pipeline.Pin{}, err
	}
	pin := pipeline.Pin{From: s.from(), Lock: s.SHA256 == ""}
	digest := s.SHA256
	if locked, ok := q.Locked(pin.From); ok && digest == "" {
		if digest, _, err = splitHTTP(locked); err != nil {
			return pin, &pipeline.FieldError{Field: httpURL, Err: err}
		}
	}
	if digest == "" {
		if !q.Network {
			return pin, pipeline.ErrNotPinned
		}
		if digest, err = s.first(ctx, p, q); err != nil {
			return pin, blame(httpURL, err)
		}
	}
	pin.ID = "sha256:" + digest + " " + name
	return pin, nil
}

// splitHTTP takes a pin apart.
func splitHTTP(id string) (digest, name string, err error) {
	rest, ok := strings.CutPrefix(id, "sha256:")
	digest, name, named := strings.Cut(rest, " ")
	if _, err := pipeline.ParseDigest(digest); !ok || !named || err != nil || checkName(name) != nil {
		return "", "", fmt.Errorf("its pin %q is malformed", id)
	}
	return digest, name, nil
}

// name is what the file will be called.
func (s *HTTP) name() (string, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" {
		return "", &pipeline.FieldError{Field: httpURL, Err: errors.New("malformed URL")}
	}
	if s.Filename != "" {
		if err := checkName(s.Filename); err != nil {
			return "", &pipeline.FieldError{Field: "source.http.filename", Err: err}
		}
		return s.Filename, nil
	}
	name := path.Base(u.Path)
	if strings.HasSuffix(u.Path, "/") || name == "/" || checkName(name) != nil {
		return "", &pipeline.FieldError{
			Field: httpURL, Err: errors.New("the URL gives no file name"),
			Hint: `say what to call the file, such as filename: "data.jsonl"`,
		}
	}
	return name, nil
}

// from is the name in pipe.lock.
func (s *HTTP) from() string {
	from := s.URL
	if u, err := url.Parse(s.URL); err == nil {
		u.User = nil
		from = u.String()
	}
	if s.Filename != "" {
		from += " as " + s.Filename
	}
	return from
}

// first downloads the file, unless the download of another run is still what
// the server has, and returns its digest.
func (s *HTTP) first(ctx context.Context, p *Params, q *pipeline.PinRequest) (string, error) {
	if q.Downloads == "" {
		return "", errNoDownloads
	}
	token, err := s.Token.read("source.http.token", q.Secret)
	if err != nil {
		return "", err
	}
	began := time.Now()
	dir := filepath.Join(q.Downloads, key(s.URL))
	unlock, err := lockFolder(ctx, dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	c := newClient(p.Retries, q.Emit)
	defer c.close()
	x, err := s.transfer(c, p, token, filepath.Join(dir, "data"), anything(), q.Emit)
	if err != nil {
		return "", err
	}
	meta := filepath.Join(dir, "meta.json")
	if s.fresh(ctx, x, meta, began) {
		return x.done()
	}
	if err := os.Remove(x.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	digest, err := x.run(ctx)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(x.meta)
	if err != nil {
		return "", err
	}
	return digest, os.WriteFile(meta, b, 0o666)
}

// fresh reports whether there is a download that was completed after began, by
// a process that this one waited for, or that the server says is unchanged.
func (s *HTTP) fresh(ctx context.Context, x *transfer, meta string, began time.Time) bool {
	info, err := os.Stat(x.path)
	if err != nil {
		return false
	}
	if info.ModTime().After(began) {
		return true
	}
	var m partMeta
	if b, err := os.ReadFile(meta); err != nil || json.Unmarshal(b, &m) != nil {
		return false
	}
	header := x.header.Clone()
	switch {
	case m.ETag != "":
		header.Set("If-None-Match", m.ETag)
	case m.Modified != "":
		header.Set("If-Modified-Since", m.Modified)
	default:
		return false
	}
	resp, err := x.client.get(ctx, s.URL, header, http.StatusNotModified)
	if err != nil {
		return false // the download will say what is wrong
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusNotModified
}

func (s *HTTP) transfer(c *client, p *Params, token, path string, want sum, emit func(pipeline.Fact)) (*transfer, error) {
	b, err := newBudget(p.MaxSize)
	if err != nil {
		return nil, err
	}
	return &transfer{
		client: c, url: s.URL, header: bearer(token), path: path, want: want, budget: b,
		progress: func(done, total int64) {
			emit(pipeline.Progress{Done: done, Total: max(total, 0), Unit: "bytes"})
		},
	}, nil
}

// fetch copies what pinning left behind, if that is it, else downloads anew.
func (s *HTTP) fetch(ctx context.Context, p *Params, t *pipeline.Task, dir string) error {
	digest, name, err := splitHTTP(t.Pin)
	if err != nil {
		return err
	}
	dst := filepath.Join(dir, name)
	if t.Downloads != "" {
		b, err := newBudget(p.MaxSize)
		if err != nil || copied(dst, filepath.Join(t.Downloads, key(s.URL), "data"), digest, b) {
			return err
		}
	}
	token, err := s.Token.read("source.http.token", t.Secret)
	if err != nil {
		return err
	}
	c := newClient(p.Retries, t.Emit)
	defer c.close()
	x, err := s.transfer(c, p, token, filepath.Join(t.State, "http"), sum{"sha256", digest, -1}, t.Emit)
	if err != nil {
		return err
	}
	if _, err := x.run(ctx); err != nil {
		return s.explain(err)
	}
	return os.Rename(x.path, dst)
}

// explain says of other bytes than the pinned ones who is to blame.
func (s *HTTP) explain(err error) error {
	var wrong *mismatch
	switch {
	case !errors.As(err, &wrong):
		return blame(httpURL, err)
	case s.SHA256 != "":
		return &pipeline.FieldError{
			Field: httpSHA256, Err: fmt.Errorf("%s is another file: %w", display(s.URL), wrong),
			Hint: "find out why before changing sha256",
		}
	}
	return &pipeline.FieldError{
		Field: httpURL, Err: fmt.Errorf("the file at %s changed since it was pinned: %w", display(s.URL), wrong),
		Hint: "pipe lock --update accepts the new file",
	}
}

// copied copies src to dst if its SHA-256 is digest.
func copied(dst, src, digest string, b *budget) bool {
	d, _, err := copyFile(dst, src, b)
	if err == nil && d.String() == digest {
		return true
	}
	os.Remove(dst)
	return false
}

var errNoDownloads = errors.New("the cache cannot be written to, so that there is no place for the download")

// ofThisMachine reports whether a disk is full or broken, which is nothing that
// the user wrote.
func ofThisMachine(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EROFS)
}

// blame says an error at a field, unless it names one itself.
func blame(field string, err error) error {
	var named *pipeline.FieldError
	if err == nil || errors.As(err, &named) || errors.Is(err, context.Canceled) || ofThisMachine(err) {
		return err
	}
	e := &pipeline.FieldError{Field: field, Err: err}
	var status *statusError
	if errors.As(err, &status) && (status.code == http.StatusUnauthorized || status.code == http.StatusForbidden) {
		e.Hint = `if it needs a token, name the variable that holds it, such as token: secret: "TOKEN"`
	}
	return e
}

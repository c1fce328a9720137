package fetch

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// A sum is what a file must be. An empty hex is anything, a negative size is
// any size.
type sum struct {
	algo string // "sha256", or "git" for the SHA-1 of a git blob
	hex  string
	size int64
}

func anything() sum { return sum{algo: "sha256", size: -1} }

func (s sum) hash() hash.Hash {
	if s.algo == "git" {
		h := sha1.New()
		fmt.Fprintf(h, "blob %d\x00", s.size)
		return h
	}
	return sha256.New()
}

// A mismatch says that the bytes that came are not the wanted ones.
type mismatch struct{ want, got string }

func (m *mismatch) Error() string { return fmt.Sprintf("wanted %s, got %s", m.want, m.got) }

// A transfer brings one file to path. Until it is complete and checked, it
// lies beside it with the suffix .part, where a later attempt of this or
// another process goes on; only one may work on it at a time.
type transfer struct {
	client   *client
	url      string
	header   http.Header
	path     string
	want     sum
	budget   *budget // charged with the size of the file
	progress func(done, total int64)

	charged bool
	meta    partMeta
}

// partMeta stands in path.part.json: what is needed to go on.
type partMeta struct {
	Validator string `json:"validator,omitempty"` // for If-Range
	ETag      string `json:"etag,omitempty"`
	Modified  string `json:"modified,omitempty"`
}

// much is how far, in bytes, an attempt must get for the attempts to count anew.
const much = 1 << 20

// run returns the digest of the file, in the algorithm of want.
func (x *transfer) run(ctx context.Context) (got string, err error) {
	if err := os.MkdirAll(filepath.Dir(x.path), 0o777); err != nil {
		return "", err
	}
	if got, err := x.done(); err == nil && x.want.hex != "" && got == x.want.hex {
		return got, nil // an earlier process completed it
	}
	err = x.client.try(ctx, func() error {
		got, err = x.attempt(ctx)
		return err
	})
	return got, err
}

// done hashes the complete file, if there is one.
func (x *transfer) done() (string, error) {
	f, err := os.Open(x.path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := x.want.hash()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (x *transfer) attempt(ctx context.Context) (string, error) {
	f, err := os.OpenFile(x.path+".part", os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := x.want.hash()
	offset, err := x.resume(f, h)
	if err != nil {
		return "", err
	}
	resp, err := x.ask(ctx, offset)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	resumed := resp.StatusCode == http.StatusPartialContent
	if offset > 0 && !resumed {
		h, offset = x.want.hash(), 0
		if err := restart(f); err != nil {
			return "", err
		}
	}
	total := int64(-1)
	if resp.ContentLength >= 0 {
		total = offset + resp.ContentLength
	}
	if err := x.announce(resp, total); err != nil {
		return "", err
	}
	size, err := x.copy(ctx, io.MultiWriter(f, h), resp.Body, offset, total)
	if err != nil {
		return "", err
	}
	if x.want.size >= 0 && size < x.want.size {
		return "", &transient{err: fmt.Errorf("%s: it ends after %d of %d bytes", display(x.url), size, x.want.size), further: size-offset > much}
	}
	got := hex.EncodeToString(h.Sum(nil))
	if x.want.hex != "" && got != x.want.hex {
		x.drop()
		if wrong := (&mismatch{x.want.hex, got}); !resumed {
			return "", wrong
		}
		return "", &transient{err: fmt.Errorf("%s: the file changed between two attempts", display(x.url))}
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	os.Remove(x.path + ".part.json")
	return got, os.Rename(x.path+".part", x.path)
}

// resume feeds h what came already, if the server can be asked for the rest.
func (x *transfer) resume(f *os.File, h hash.Hash) (int64, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return 0, err
	}
	x.meta = partMeta{}
	if b, err := os.ReadFile(x.path + ".part.json"); err == nil {
		json.Unmarshal(b, &x.meta) // a torn file is as good as none
	}
	sure := x.meta.Validator != "" || x.want.hex != ""
	if !sure || x.want.size >= 0 && info.Size() >= x.want.size {
		return 0, restart(f)
	}
	return io.Copy(h, f)
}

// ask requests the file from offset on. The answer is 200 or the right 206.
func (x *transfer) ask(ctx context.Context, offset int64) (*http.Response, error) {
	header := x.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		if x.meta.Validator != "" {
			header.Set("If-Range", x.meta.Validator)
		}
	}
	resp, err := x.client.get(ctx, x.url, header)
	var status *statusError
	if offset > 0 && errors.As(err, &status) && status.code == http.StatusRequestedRangeNotSatisfiable {
		x.drop()
		return nil, &transient{err: fmt.Errorf("%s: the file is now shorter", display(x.url))}
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusPartialContent {
		start, ok := rangeStart(resp.Header.Get("Content-Range"))
		etag := resp.Header.Get("ETag")
		if offset == 0 || !ok || start != offset || x.meta.ETag != "" && etag != "" && etag != x.meta.ETag {
			resp.Body.Close()
			x.drop()
			return nil, &transient{err: fmt.Errorf("%s: the server answers with another part than asked for", display(x.url))}
		}
	}
	return resp, nil
}

// announce checks what the header of an answer says, and notes it for a later attempt.
func (x *transfer) announce(resp *http.Response, total int64) error {
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" && x.want.hex == "" && !compressedName(x.url) {
		return fmt.Errorf("%s: the server compresses the file (%s) although it was asked not to", display(x.url), printable(enc))
	}
	if x.want.size >= 0 && total >= 0 && total != x.want.size {
		x.drop()
		return &mismatch{fmt.Sprintf("%d bytes", x.want.size), fmt.Sprintf("%d", total)}
	}
	if total >= 0 && total > x.budget.left.Load() && !x.charged {
		return x.budget.exceeded()
	}
	m := partMeta{ETag: resp.Header.Get("ETag"), Modified: lastModified(resp.Header)}
	switch {
	case m.ETag != "" && !strings.HasPrefix(m.ETag, "W/"):
		m.Validator = m.ETag
	case m.ETag == "":
		m.Validator = m.Modified
	}
	x.meta = m
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(x.path+".part.json", b, 0o666)
}

// lastModified returns the time in an answer's header, as it stands there, or
// "" when the file may have changed again since then without the time telling:
// it counts seconds (RFC 9110 §8.8.2.2).
func lastModified(h http.Header) string {
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return ""
	}
	if date, err := http.ParseTime(h.Get("Date")); err != nil || date.Sub(modified) < time.Second {
		return ""
	}
	return h.Get("Last-Modified")
}

// copy writes the body and returns the size of the whole file.
func (x *transfer) copy(ctx context.Context, w io.Writer, body io.Reader, offset, total int64) (int64, error) {
	limit := x.budget.left.Load()
	if x.want.size >= 0 {
		limit = x.want.size
	}
	size := offset
	last := time.Now()
	buf := make([]byte, 256<<10)
	for {
		n, err := body.Read(buf)
		if size += int64(n); size > limit {
			if x.want.size >= 0 {
				x.drop()
				return 0, &mismatch{fmt.Sprintf("%d bytes", x.want.size), "more"}
			}
			return 0, x.budget.exceeded()
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return 0, err
		}
		if now := time.Now(); now.Sub(last) > time.Second/5 || err == io.EOF {
			x.progress(size, total)
			last = now
		}
		if err == io.EOF {
			return size, x.charge(size)
		}
		if err != nil {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			return 0, &transient{err: fmt.Errorf("%s: it broke off after %d bytes: %w", display(x.url), size, err), further: size-offset > much}
		}
	}
}

// charge takes the size from the budget, unless that was done beforehand.
func (x *transfer) charge(size int64) error {
	if x.charged {
		return nil
	}
	x.charged = true
	return x.budget.take(size)
}

// drop deletes what came so far.
func (x *transfer) drop() {
	os.Remove(x.path + ".part")
	os.Remove(x.path + ".part.json")
}

func restart(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// rangeStart reads the start of "bytes 5-9/10".
func rangeStart(v string) (int64, bool) {
	rest, ok := strings.CutPrefix(v, "bytes ")
	first, _, dash := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(first, 10, 64)
	return n, ok && dash && err == nil && n >= 0
}

func compressedName(rawURL string) bool {
	name := strings.ToLower(display(rawURL))
	return strings.HasSuffix(name, "gz") || strings.HasSuffix(name, ".zst") || strings.HasSuffix(name, ".bz2") || strings.HasSuffix(name, ".xz")
}

// key is a file name made of what was asked.
func key(asked string) string { return pipeline.SumBytes([]byte(asked)).String() }

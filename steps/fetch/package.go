package fetch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
)

// Package is a file, a folder or a glob out of a published package. Its pin is
// "CLIENT:NAME==VERSION:DIGEST", with the SHA-256 of the archive that the
// machine's own client brought.
type Package struct {
	PyPI    string `json:"pypi"`
	NPM     string `json:"npm"`
	Version string `json:"version"`
	Path    string `json:"path"`
}

const packageField = "source.package"

// archiveFile is the archive in a folder of downloads.
const archiveFile = "archive"

func (s *Package) origin(string) artifact.Source {
	return artifact.Source{Kind: "package", Repo: s.PyPI + s.NPM, Commit: s.Version}
}

// from is the name in pipe.lock.
func (s *Package) from() string {
	return s.client().kind + ":" + s.PyPI + s.NPM + "==" + s.Version
}

// client returns the client that brings the package.
func (s *Package) client() packageClient {
	if s.NPM != "" {
		return npm()
	}
	return pip()
}

func (s *Package) pin(ctx context.Context, p *Params, q *pipeline.PinRequest) (pipeline.Pin, error) {
	if err := s.check(); err != nil {
		return pipeline.Pin{}, err
	}
	pin := pipeline.Pin{From: s.from(), Lock: true}
	if id, ok := q.Locked(pin.From); ok {
		pin.ID = id
		if _, err := s.digest(id); err != nil {
			return pin, &pipeline.FieldError{Field: packageField, Err: err}
		}
		return pin, nil
	}
	if !q.Network {
		return pin, pipeline.ErrNotPinned
	}
	digest, err := s.first(ctx, p, q)
	if err != nil {
		return pin, blame(packageField, err)
	}
	pin.ID = pin.From + ":" + digest
	return pin, nil
}

var digestEnd = regexp.MustCompile(`:([0-9a-f]{64})$`)

// digest takes the digest out of a pin.
func (s *Package) digest(id string) (string, error) {
	m := digestEnd.FindStringSubmatch(id)
	if m == nil {
		return "", fmt.Errorf("its pin %q is malformed", id)
	}
	return m[1], nil
}

// first brings the archive to the folder of downloads, unless it is there
// already (a published version never changes), and returns its digest.
func (s *Package) first(ctx context.Context, p *Params, q *pipeline.PinRequest) (string, error) {
	if q.Downloads == "" {
		return "", errNoDownloads
	}
	dir := filepath.Join(q.Downloads, key(s.from()))
	unlock, err := lockFolder(ctx, dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	file := filepath.Join(dir, archiveFile)
	if _, err := os.Stat(file); err != nil {
		tmp, err := os.MkdirTemp(dir, "client-")
		if err != nil {
			return "", err
		}
		defer os.RemoveAll(tmp)
		got, err := s.bring(ctx, p, tmp, q.Emit)
		if err != nil {
			return "", err
		}
		if err := os.Rename(got, file); err != nil {
			return "", err
		}
	}
	sum, err := q.Sum(file)
	if err == nil {
		err = checkSize(p, sum.Size)
	}
	return sum.Digest.String(), err
}

func checkSize(p *Params, size int64) error {
	b, err := newBudget(p.MaxSize)
	if err == nil {
		err = b.take(size)
	}
	return err
}

// bring runs the client in tmp, an empty folder, and returns the path of the
// archive.
func (s *Package) bring(ctx context.Context, p *Params, tmp string, emit func(pipeline.Fact)) (string, error) {
	c := s.client()
	emit(pipeline.Log{Level: "info", Message: "asking " + c.name + " for " + s.PyPI + s.NPM + " " + s.Version})
	got := filepath.Join(tmp, "got")
	if err := os.Mkdir(got, 0o777); err != nil {
		return "", err
	}
	if err := c.run(ctx, s, p.Retries, tmp, got); err != nil {
		return "", err
	}
	file, err := only(got)
	if err == nil && file == "" {
		err = fmt.Errorf("%s left %s, not one archive", c.name, listing(got))
	}
	return file, err
}

func (s *Package) fetch(ctx context.Context, p *Params, t *pipeline.Task, dir string) error {
	want, err := s.digest(t.Pin)
	if err != nil {
		return err
	}
	file, err := s.pinnedArchive(ctx, p, t, want)
	if err != nil {
		return blame(packageField, err)
	}
	format, err := sniff(file)
	if err != nil {
		return err
	}
	if format != "zip" && format != "tar.gz" {
		return &pipeline.FieldError{Field: packageField, Err: errors.New("what came is neither a zip nor a tar.gz")}
	}
	b, err := newBudget(p.MaxSize)
	if err != nil {
		return err
	}
	a := newArchive(file, filepath.Join(t.Tmp, "package"), b)
	a.exec = p.As == "files"
	a.keep = s.keep
	if err := a.unpack(ctx, format); err != nil {
		return blame(packageField, err)
	}
	if a.files == 0 {
		return &pipeline.FieldError{
			Field: packageField + ".path", Err: fmt.Errorf("the package holds no %q; there is %s", s.Path, some(a.others)),
		}
	}
	return move(a.dst, dir)
}

// pinnedArchive returns the archive with the digest want: what pinning left
// behind, or else what the client brings now.
func (s *Package) pinnedArchive(ctx context.Context, p *Params, t *pipeline.Task, want string) (string, error) {
	if t.Downloads != "" {
		file := filepath.Join(t.Downloads, key(s.from()), archiveFile)
		if d, err := sumFile(file); err == nil && d.String() == want {
			return file, nil
		}
	}
	tmp := filepath.Join(t.Tmp, "client")
	if err := os.Mkdir(tmp, 0o777); err != nil {
		return "", err
	}
	file, err := s.bring(ctx, p, tmp, t.Emit)
	if err != nil {
		return "", err
	}
	d, err := sumFile(file)
	if err != nil {
		return "", err
	}
	if d.String() != want {
		return "", &pipeline.FieldError{
			Field: packageField,
			Err:   fmt.Errorf("the archive of %s changed since it was pinned: %w", s.from(), &mismatch{want, d.String()}),
			Hint:  "a published version should never change: find out why before you accept it with pipe lock --update",
		}
	}
	return file, nil
}

func sumFile(path string) (pipeline.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return pipeline.Digest{}, err
	}
	defer f.Close()
	d, _, err := pipeline.Sum(f)
	return d, err
}

// keep says what an entry of the archive is called in the result: files keep
// their base name, what lies in the folder Path its path from there.
func (s *Package) keep(name string) string {
	if s.NPM != "" {
		_, name, _ = strings.Cut(name, "/") // all lies in a folder "package"
	}
	want := path.Clean(strings.TrimPrefix(s.Path, "./"))
	if want == "." {
		return name
	}
	if rest, ok := strings.CutPrefix(name, want+"/"); ok {
		return rest
	}
	if ok, err := path.Match(want, name); name == want || err == nil && ok {
		return path.Base(name)
	}
	return ""
}

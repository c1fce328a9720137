package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// unpack returns the folder to go on with: that of the unpacked archive in
// dir, or dir itself.
func (p *Params) unpack(ctx context.Context, t *pipeline.Task, dir string) (string, error) {
	if p.Unpack == "none" || p.Unpack == "" && p.As == "files" {
		return dir, nil
	}
	file, err := only(dir)
	if err != nil {
		return "", err
	}
	format := p.Unpack
	if format == "" {
		if file != "" {
			format, err = sniff(file)
		}
		if format == "" || err != nil {
			return dir, err
		}
	}
	if file == "" {
		return "", &pipeline.FieldError{Field: "unpack", Err: errors.New("the source brings more than one file, so that it is not one archive")}
	}
	b, err := newBudget(p.MaxSize)
	if err != nil {
		return "", err
	}
	a := newArchive(file, filepath.Join(t.Tmp, "unpacked"), b)
	a.exec = p.As == "files"
	if err := a.unpack(ctx, format); err != nil {
		return "", blame("unpack", err)
	}
	return a.dst, os.Remove(file)
}

// only returns the path of the only file below dir, or "" if there are more.
func only(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		return "", err
	}
	path := filepath.Join(dir, entries[0].Name())
	if entries[0].IsDir() {
		return only(path)
	}
	return path, nil
}

// An archive is unpacked into dst, which it makes. Nothing in it is trusted:
// names that lead out of dst, links, devices, duplicates and more bytes or
// entries than allowed are errors that name the entry.
type archive struct {
	src, dst string
	budget   *budget
	exec     bool // keep the executable bits of files

	// keep renames an entry, or returns "" to leave it out. Nil keeps all.
	keep func(name string) string

	names   *names
	packed  int64 // size of src
	written int64
	files   int // kept
	others  []string
}

func newArchive(src, dst string, b *budget) *archive {
	return &archive{src: src, dst: dst, budget: b, names: newNames()}
}

// Unpacked bytes may be maxRatio times the packed ones; below freeBytes nobody
// counts.
const (
	maxRatio  = 250
	freeBytes = 1 << 30
	maxOthers = 8 // names kept for a message
)

func (a *archive) unpack(ctx context.Context, format string) error {
	info, err := os.Stat(a.src)
	if err != nil {
		return err
	}
	a.packed = info.Size()
	if err := os.Mkdir(a.dst, 0o777); err != nil {
		return err
	}
	switch format {
	case "zip":
		err = a.zip(ctx)
	case "tar.gz":
		err = a.tarGz(ctx)
	case "tar":
		err = a.open(func(f io.Reader) error { return a.tar(ctx, f) })
	case "gz":
		err = a.gz(ctx)
	default:
		err = fmt.Errorf("unknown format %q", format)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(a.src), err)
	}
	if a.files == 0 && a.keep == nil {
		return fmt.Errorf("%s: the archive is empty", filepath.Base(a.src))
	}
	return nil
}

func (a *archive) open(read func(io.Reader) error) error {
	f, err := os.Open(a.src)
	if err != nil {
		return err
	}
	defer f.Close()
	return read(f)
}

// place checks the name of an entry and returns the name it gets; "" for one
// that is left out.
func (a *archive) place(name string, dir bool) (string, error) {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if dir && (name == "" || name == ".") {
		return "", nil
	}
	if err := a.names.add(name, dir); err != nil {
		return "", fmt.Errorf("entry %q: %w", printable(name), err)
	}
	if len(a.names.seen) > maxFiles {
		return "", fmt.Errorf("more than %d entries", maxFiles)
	}
	if a.keep == nil || dir {
		return name, nil
	}
	kept := a.keep(name)
	if kept == "" && len(a.others) < maxOthers {
		a.others = append(a.others, name)
	}
	return kept, nil
}

// write writes one file. Folders come with the files in them.
func (a *archive) write(ctx context.Context, name string, r io.Reader, exec bool) error {
	dst := filepath.Join(a.dst, filepath.FromSlash(name))
	_, _, err := writeFile(dst, a.bounded(ctx, r), exec && a.exec)
	if errors.Is(err, os.ErrExist) {
		err = errors.New("another file has that name already")
	}
	if err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	a.files++
	return nil
}

// bounded is r within the budget and the ratio of the archive.
func (a *archive) bounded(ctx context.Context, r io.Reader) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := r.Read(p)
		a.written += int64(n)
		if lack := a.budget.take(int64(n)); lack != nil {
			return 0, lack
		}
		if a.written > freeBytes && a.written/maxRatio > a.packed {
			return 0, fmt.Errorf("it unpacks to more than %d times its size", maxRatio)
		}
		return n, err
	})
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// sniff returns the format of an archive by its first bytes, or "".
func sniff(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, tarBlock))
	if err != nil {
		return "", err
	}
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return "zip", nil
	case isTar(head):
		return "tar", nil
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
		return sniffGz(f), nil
	}
	return "", nil
}

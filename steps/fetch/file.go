package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
)

// File is a file, a folder or a glob of this machine. In a folder, entries
// whose name begins with a dot are left out.
type File struct {
	Path string `json:"path"` // absolute: the compiler resolved it
}

// maxFiles bounds how many files one source may bring.
const maxFiles = 1_000_000

func (f *File) origin(string) artifact.Source { return artifact.Source{Kind: "file"} }

// pin is the digest of the tree that fetch would make.
func (f *File) pin(_ context.Context, _ *Params, q *pipeline.PinRequest) (pipeline.Pin, error) {
	t := newTree()
	if s, err := q.Sum(f.Path); err == nil { // a file, with no second look at it
		t.add(filepath.Base(f.Path), s.Digest, s.Size, s.Executable)
		return pipeline.Pin{ID: t.id()}, nil
	}
	files, err := f.list()
	if err != nil {
		return pipeline.Pin{}, err
	}
	for _, name := range sortedNames(files) {
		s, err := q.Sum(files[name])
		if err != nil {
			return pipeline.Pin{}, f.blame(err)
		}
		t.add(name, s.Digest, s.Size, s.Executable)
	}
	return pipeline.Pin{ID: t.id()}, nil
}

// fetch copies the files, hashing what it writes.
func (f *File) fetch(ctx context.Context, p *Params, task *pipeline.Task, dir string) error {
	files, err := f.list()
	if err != nil {
		return err
	}
	b, err := newBudget(p.MaxSize)
	if err != nil {
		return err
	}
	t := newTree()
	for i, name := range sortedNames(files) {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, size, err := copyFile(filepath.Join(dir, filepath.FromSlash(name)), files[name], b)
		if err != nil {
			return f.blame(err)
		}
		t.add(name, d, size, executable(files[name]))
		task.Emit(pipeline.Progress{Done: int64(i + 1), Total: int64(len(files)), Unit: "files"})
	}
	if id := t.id(); id != task.Pin {
		return f.blame(errors.New("the files changed while they were being fetched; run again"))
	}
	return nil
}

// list maps the names that the files will have, with slashes, to their paths.
func (f *File) list() (map[string]string, error) {
	if strings.ContainsAny(f.Path, "*?[") {
		if _, err := os.Lstat(f.Path); err != nil {
			return f.glob()
		}
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		return nil, f.blame(err)
	}
	if info.Mode().IsRegular() {
		return map[string]string{filepath.Base(f.Path): f.Path}, nil
	}
	if !info.IsDir() {
		return nil, f.blame(errors.New("it is neither a file nor a folder"))
	}
	return f.folder()
}

func (f *File) glob() (map[string]string, error) {
	paths, err := filepath.Glob(f.Path)
	if err != nil {
		return nil, f.blame(fmt.Errorf("malformed glob: %w", err))
	}
	files := map[string]string{}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, f.blame(err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		name := filepath.Base(p)
		if other, dup := files[name]; dup {
			return nil, f.blame(fmt.Errorf("%s and %s would get the same name", other, p))
		}
		files[name] = p
	}
	if len(files) == 0 {
		return nil, f.blame(errors.New("no file matches"))
	}
	return files, nil
}

func (f *File) folder() (map[string]string, error) {
	files := map[string]string{}
	root, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return nil, f.blame(err)
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		info, err := os.Stat(p) // through a symlink to a file, as in hub caches
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is a link to nothing", p)
		}
		if err != nil {
			return err
		}
		if info.IsDir() {
			return fmt.Errorf("%s is a link to another folder, and links are followed only to files; fetch that folder in a step of its own", p)
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", p)
		}
		if len(files) == maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		rel, err := filepath.Rel(root, p)
		files[filepath.ToSlash(rel)] = p
		return err
	})
	if err != nil {
		return nil, f.blame(err)
	}
	if len(files) == 0 {
		return nil, f.blame(errors.New("the folder has no files"))
	}
	return files, nil
}

// blame says an error at the path that the user wrote.
func (f *File) blame(err error) error {
	var named *pipeline.FieldError
	if errors.As(err, &named) {
		return err
	}
	e := &pipeline.FieldError{Field: "source.file.path", Err: err}
	if errors.Is(err, fs.ErrNotExist) {
		e.Err = fmt.Errorf("%s does not exist", f.Path)
		e.Hint = "a relative path starts at the folder of the file that writes it"
	}
	return e
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// copyFile copies src to dst within the budget, making its folders, and returns
// the digest and size of what it wrote.
func copyFile(dst, src string, b *budget) (d pipeline.Digest, size int64, err error) {
	in, err := os.Open(src)
	if err != nil {
		return d, 0, err
	}
	defer in.Close()
	return writeFile(dst, b.reader(in), executable(src))
}

// writeFile writes r to a new file.
func writeFile(dst string, r io.Reader, exec bool) (d pipeline.Digest, size int64, err error) {
	if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
		return d, 0, err
	}
	mode := fs.FileMode(0o644)
	if exec {
		mode = 0o755
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return d, 0, err
	}
	d, size, err = pipeline.Sum(io.TeeReader(r, out))
	return d, size, errors.Join(err, out.Close())
}

func sortedNames(files map[string]string) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

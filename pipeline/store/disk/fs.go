package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// FS returns the tree root as a read-only file system. Its files are files of
// the store, so that they can be read at any offset ([io.ReaderAt]); blobs are
// checked when they are opened.
func (s *Store) FS(root pipeline.Digest) (fs.FS, error) {
	if _, _, err := s.directory(root); err != nil {
		return nil, &fs.PathError{Op: "open", Path: root.String(), Err: err}
	}
	return treeFS{s, root}, nil
}

// treeFS is a tree as a file system.
type treeFS struct {
	store blobs
	root  pipeline.Digest
}

// blobs is where the directories and files of a tree lie.
type blobs interface {
	directory(pipeline.Digest) (*pipeline.Directory, int64, error)
	open(pipeline.Digest) (*os.File, error)
}

// Open implements [fs.FS].
func (t treeFS) Open(name string) (fs.File, error) {
	f, err := t.open(name)
	if err != nil {
		if errors.Is(err, pipeline.ErrNotFound) {
			err = errors.Join(err, fs.ErrNotExist)
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

func (t treeFS) open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrInvalid
	}
	dir, _, err := t.store.directory(t.root)
	if err != nil || name == "." {
		return &treeDir{info: fileInfo{name: ".", dir: true}, entries: list(dir)}, err
	}
	for {
		first, rest, deeper := cut(name)
		i, found := findDir(dir, first)
		if !found {
			if deeper {
				return nil, fs.ErrNotExist
			}
			return t.openFile(dir, first)
		}
		if dir, _, err = t.store.directory(dir.Dirs[i].Digest); err != nil {
			return nil, err
		}
		if !deeper {
			return &treeDir{info: fileInfo{name: first, dir: true}, entries: list(dir)}, nil
		}
		name = rest
	}
}

func (t treeFS) openFile(dir *pipeline.Directory, name string) (fs.File, error) {
	for _, f := range dir.Files {
		if f.Name == name {
			file, err := t.store.open(f.Digest)
			if err != nil {
				return nil, err
			}
			return treeFile{file, newFileInfo(f)}, nil
		}
	}
	return nil, fs.ErrNotExist
}

func cut(name string) (first, rest string, deeper bool) {
	for i := range len(name) {
		if name[i] == '/' {
			return name[:i], name[i+1:], true
		}
	}
	return name, "", false
}

func findDir(d *pipeline.Directory, name string) (int, bool) {
	for i := range d.Dirs {
		if d.Dirs[i].Name == name {
			return i, true
		}
	}
	return 0, false
}

// list returns the entries of d, sorted by name.
func list(d *pipeline.Directory) []fs.DirEntry {
	if d == nil {
		return nil
	}
	var entries []fs.DirEntry
	files, dirs := d.Files, d.Dirs
	for len(files)+len(dirs) > 0 {
		if len(dirs) == 0 || len(files) > 0 && files[0].Name < dirs[0].Name {
			entries = append(entries, newFileInfo(files[0]))
			files = files[1:]
		} else {
			entries = append(entries, fileInfo{name: dirs[0].Name, dir: true})
			dirs = dirs[1:]
		}
	}
	return entries
}

// treeFile is a blob under its name in a tree.
type treeFile struct {
	*os.File
	info fileInfo
}

func (f treeFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// treeDir is an open directory of a tree.
type treeDir struct {
	info    fileInfo
	entries []fs.DirEntry // not yet read
}

func (d *treeDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *treeDir) Close() error               { return nil }

func (d *treeDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errors.New("is a directory")}
}

// ReadDir implements [fs.ReadDirFile].
func (d *treeDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(d.entries) {
		if n > 0 && len(d.entries) == 0 {
			return nil, io.EOF
		}
		n = len(d.entries)
	}
	entries := d.entries[:n:n]
	d.entries = d.entries[n:]
	return entries, nil
}

// fileInfo describes an entry of a tree; it has no times.
type fileInfo struct {
	name string
	size int64
	exec bool
	dir  bool
}

func newFileInfo(f pipeline.FileNode) fileInfo {
	return fileInfo{name: f.Name, size: f.Size, exec: f.Executable}
}

func (i fileInfo) Name() string               { return path.Base(i.name) }
func (i fileInfo) Size() int64                { return i.size }
func (i fileInfo) ModTime() time.Time         { return time.Time{} }
func (i fileInfo) IsDir() bool                { return i.dir }
func (i fileInfo) Sys() any                   { return nil }
func (i fileInfo) Type() fs.FileMode          { return i.Mode().Type() }
func (i fileInfo) Info() (fs.FileInfo, error) { return i, nil }

func (i fileInfo) Mode() fs.FileMode {
	switch {
	case i.dir:
		return fs.ModeDir | 0o555
	case i.exec:
		return 0o555
	}
	return 0o444
}

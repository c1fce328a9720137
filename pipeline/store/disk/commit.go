package disk

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
)

// CommitOptions say what of a directory enters the tree.
type CommitOptions struct {
	Executable bool // keep the executable bit
}

// Commit stores the files below dir as a tree and returns its root and the sum
// of the files' sizes, in bytes. The files move into the store where they can;
// what is left of dir is of no use. Links to blobs count as the files they are.
// Symbolic links and special files are refused by name, before anything is
// stored.
func (s *Store) Commit(ctx context.Context, dir string, o CommitOptions) (root pipeline.Digest, size int64, err error) {
	t, err := s.commit(ctx, dir, o)
	if err != nil {
		return root, 0, fmt.Errorf("committing %s: %w", dir, err)
	}
	return t.digest, t.total, nil
}

// A tree is a directory that is being committed.
type tree struct {
	name  string
	files []*leaf
	dirs  []*tree

	digest pipeline.Digest
	size   int64 // of the encoding
	total  int64 // of the files
}

// A leaf is a file of a tree.
type leaf struct {
	path string
	node pipeline.FileNode
}

func (s *Store) commit(ctx context.Context, dir string, o CommitOptions) (*tree, error) {
	c := &committer{root: dir, options: o}
	t, err := c.scan(ctx, dir, 0)
	if err != nil {
		return nil, err
	}
	// The largest first, so that all cores end at about the same time.
	slices.SortFunc(c.leaves, func(a, b *leaf) int { return cmp.Compare(b.node.Size, a.node.Size) })
	err = parallel(ctx, len(c.leaves), func(i int) (err error) {
		l := c.leaves[i]
		l.node.Digest, l.node.Size, err = s.PutFile(ctx, l.path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, s.putTree(ctx, t)
}

// A committer lists a directory.
type committer struct {
	root    string
	options CommitOptions
	leaves  []*leaf
}

func (c *committer) scan(ctx context.Context, dir string, depth int) (*tree, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: more than %d levels of directories", c.rel(dir), maxDepth)
	}
	if ctx.Err() != nil {
		return nil, canceled(ctx)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	t := &tree{name: filepath.Base(dir)}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if err := pipeline.CheckName(e.Name()); err != nil {
			return nil, fmt.Errorf("%q: %w", c.rel(path), err)
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		switch mode := info.Mode(); {
		case mode.IsDir():
			sub, err := c.scan(ctx, path, depth+1)
			if err != nil {
				return nil, err
			}
			t.dirs = append(t.dirs, sub)
		case mode.IsRegular():
			l := &leaf{path: path, node: pipeline.FileNode{Name: e.Name(), Size: info.Size()}}
			l.node.Executable = c.options.Executable && mode&0o111 != 0
			t.files = append(t.files, l)
			c.leaves = append(c.leaves, l)
		default:
			return nil, fmt.Errorf("%s is %s: an artifact holds only files and directories", c.rel(path), describe(mode))
		}
	}
	return t, nil
}

func (c *committer) rel(path string) string {
	if rel, err := filepath.Rel(c.root, path); err == nil {
		return rel
	}
	return path
}

func describe(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "no regular file"
}

// putTree stores the directories of t, the deepest first.
func (s *Store) putTree(ctx context.Context, t *tree) error {
	d := &pipeline.Directory{}
	for _, l := range t.files {
		d.Files = append(d.Files, l.node)
		t.total = addSizes(t.total, l.node.Size)
	}
	for _, sub := range t.dirs {
		if err := s.putTree(ctx, sub); err != nil {
			return err
		}
		d.Dirs = append(d.Dirs, pipeline.DirNode{Name: sub.name, Digest: sub.digest, Size: sub.size})
		t.total = addSizes(t.total, sub.total)
	}
	d.Sort()
	var err error
	t.digest, t.size, err = s.Put(ctx, bytes.NewReader(d.Encode()))
	return err
}

package fetch

import (
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// A tree collects files by name and names them all by one digest: that of the
// directory they would make as an artifact.
type tree struct {
	files []pipeline.FileNode
	dirs  map[string]*tree
}

func newTree() *tree { return &tree{dirs: map[string]*tree{}} }

func (t *tree) add(name string, d pipeline.Digest, size int64, exec bool) {
	dir, rest, nested := strings.Cut(name, "/")
	if !nested {
		t.files = append(t.files, pipeline.FileNode{Name: name, Digest: d, Size: size, Executable: exec})
		return
	}
	sub, ok := t.dirs[dir]
	if !ok {
		sub = newTree()
		t.dirs[dir] = sub
	}
	sub.add(rest, d, size, exec)
}

func (t *tree) encode() []byte {
	d := &pipeline.Directory{Files: t.files}
	for name, sub := range t.dirs {
		b := sub.encode()
		d.Dirs = append(d.Dirs, pipeline.DirNode{Name: name, Digest: pipeline.SumBytes(b), Size: int64(len(b))})
	}
	d.Sort()
	return d.Encode()
}

// id is the pin of the tree.
func (t *tree) id() string { return "tree:" + pipeline.SumBytes(t.encode()).String() }

package artifact

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/pipeline"
)

// Digest returns the digest of the artifact in dir, as the store would give it:
// that of its root directory, in lower-case hex. Every file is read. It is for
// artifacts whose files are not executable, which all but files are.
func Digest(dir string) (string, error) {
	d, _, err := tree(dir)
	if err != nil {
		return "", fmt.Errorf("digesting %s: %w", filepath.Base(dir), err)
	}
	return d.String(), nil
}

// tree returns the digest and encoded size of one directory.
func tree(dir string) (pipeline.Digest, int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return pipeline.Digest{}, 0, err
	}
	var node pipeline.Directory
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			d, size, err := tree(path)
			if err != nil {
				return d, 0, err
			}
			node.Dirs = append(node.Dirs, pipeline.DirNode{Name: e.Name(), Digest: d, Size: size})
			continue
		}
		d, size, err := sum(path)
		if err != nil {
			return d, 0, err
		}
		node.Files = append(node.Files, pipeline.FileNode{Name: e.Name(), Digest: d, Size: size})
	}
	node.Sort()
	raw := node.Encode()
	d, size, err := pipeline.Sum(bytes.NewReader(raw))
	return d, size, err
}

func sum(path string) (pipeline.Digest, int64, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return pipeline.Digest{}, 0, err
	}
	if !info.Mode().IsRegular() {
		return pipeline.Digest{}, 0, fmt.Errorf("%s is not a regular file", info.Name())
	}
	f, err := os.Open(path)
	if err != nil {
		return pipeline.Digest{}, 0, err
	}
	defer f.Close()
	return pipeline.Sum(f)
}

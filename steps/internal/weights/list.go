package weights

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sort"

	"github.com/pipe-run/pipe/steps/internal/safetensors"
)

// List returns the names of all stored tensors of the model in dir, sorted,
// from the header of its file or from its index alone.
func List(dir string) ([]string, error) {
	var names []string
	file, err := safetensors.Open(filepath.Join(dir, SingleFile))
	switch {
	case err == nil:
		defer file.Close()
		for _, t := range file.Tensors() {
			names = append(names, t.Name)
		}
	case errors.Is(err, fs.ErrNotExist):
		index, err := readIndex(filepath.Join(dir, IndexFile))
		if err != nil {
			return nil, err
		}
		for name := range index.WeightMap {
			names = append(names, name)
		}
	default:
		return nil, err
	}
	sort.Strings(names)
	return names, nil
}

package weights

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/jsonfile"
)

// Bounds of an index: real ones have at most a few megabytes and a few hundred shards.
const (
	maxIndex  = 64 << 20
	maxShards = 512
)

// index is model.safetensors.index.json: which shard holds which tensor.
type index struct {
	WeightMap map[string]string `json:"weight_map"`
}

// readIndex reads an index. Shards must lie in the model's own directory.
func readIndex(path string) (*index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(raw) > maxIndex {
		return nil, fmt.Errorf("reading %s: more than %d bytes", path, maxIndex)
	}
	var x index
	if err := jsonfile.Decode(raw, &x); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if err := x.check(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return &x, nil
}

func (x *index) check() error {
	if len(x.WeightMap) == 0 {
		return errors.New("weight_map is missing or empty")
	}
	for name, shard := range x.WeightMap {
		if !filepath.IsLocal(shard) || strings.ContainsAny(shard, `/\`) {
			return fmt.Errorf("tensor %q: shard %q is not a plain file name", name, shard)
		}
	}
	if n := len(x.shards()); n > maxShards {
		return fmt.Errorf("%d shards, more than %d", n, maxShards)
	}
	return nil
}

// shards lists the files, sorted.
func (x *index) shards() []string {
	seen := map[string]bool{}
	var list []string
	for _, shard := range x.WeightMap {
		if !seen[shard] {
			seen[shard] = true
			list = append(list, shard)
		}
	}
	sort.Strings(list)
	return list
}

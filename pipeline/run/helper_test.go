package run_test

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/pipe-run/pipe/pipeline"
)

// putTree stores a tree of one file that holds v as JSON.
func putTree(ctx context.Context, s pipeline.Store, v any) (pipeline.Digest, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return pipeline.Digest{}, err
	}
	d, size, err := s.Put(ctx, bytes.NewReader(b))
	if err != nil {
		return d, err
	}
	dir := &pipeline.Directory{Files: []pipeline.FileNode{{Name: "data.json", Digest: d, Size: size}}}
	root, _, err := s.Put(ctx, bytes.NewReader(dir.Encode()))
	return root, err
}

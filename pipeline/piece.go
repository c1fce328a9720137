package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Pieces remembers parts of steps under keys of their own: a shard of a
// dataset, the state after a training's first epochs. A piece is a tree of
// files that is a function of the step's kind, its version and the piece's
// key alone; whoever finds one must come to the same bytes as who computes it.
//
// It is safe for concurrent use.
type Pieces interface {
	// Find returns a directory with the files saved under key, to be read
	// only, or ErrNotFound.
	Find(ctx context.Context, key json.RawMessage) (dir string, err error)

	// Save remembers the files of dir, which lies below Task.Tmp, under key
	// and returns where they are now, to be read only: they are moved away.
	// It replaces what was saved under that key before.
	Save(ctx context.Context, key json.RawMessage, dir string) (moved string, err error)
}

// FindPiece returns a directory with the files saved under key, any value
// that JSON can say, or ErrNotFound, also where nothing remembers pieces.
func (t *Task) FindPiece(ctx context.Context, key any) (dir string, err error) {
	if t.Pieces == nil {
		return "", ErrNotFound
	}
	raw, err := pieceKey(key)
	if err != nil {
		return "", err
	}
	return t.Pieces.Find(ctx, raw)
}

// SavePiece fills a new directory and remembers it under key. It returns
// where the files are, to be read only.
func (t *Task) SavePiece(ctx context.Context, key any, fill func(dir string) error) (dir string, err error) {
	raw, err := pieceKey(key)
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(t.Tmp, "piece-"); err != nil {
		return "", err
	}
	if err := fill(dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	if t.Pieces == nil {
		return dir, nil
	}
	return t.Pieces.Save(ctx, raw, dir)
}

// Piece returns a directory with the files of the piece under key: those that
// are remembered or, if there are none, those that compute fills it with,
// which are remembered then. It is to be read only.
func (t *Task) Piece(ctx context.Context, key any, compute func(dir string) error) (dir string, err error) {
	dir, err = t.FindPiece(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return t.SavePiece(ctx, key, compute)
	}
	return dir, err
}

// pieceKey is the canonical JSON of a piece's key.
func pieceKey(key any) (json.RawMessage, error) {
	raw, err := json.Marshal(key)
	if err == nil {
		raw, err = CanonicalJSON(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("the key of a piece: %w", err)
	}
	return raw, nil
}

// PieceAction is the action under whose key a piece is cached.
func PieceAction(kind string, version int, key json.RawMessage) (*Action, error) {
	params, err := CanonicalJSON([]byte(`{"piece":` + string(key) + `}`))
	if err != nil {
		return nil, fmt.Errorf("the key of a piece: %w", err)
	}
	return &Action{
		Kind: kind, Version: version, Params: params,
		Outputs: map[string]string{PieceOutput: TypeFiles},
	}, nil
}

// PieceOutput is the name of the only output of a piece.
const PieceOutput = "piece"

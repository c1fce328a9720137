package disk

import (
	"bytes"
	"maps"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
)

func sortedKeys[V any](m map[pipeline.Key]V) []pipeline.Key {
	return slices.SortedFunc(maps.Keys(m), func(a, b pipeline.Key) int { return bytes.Compare(a[:], b[:]) })
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

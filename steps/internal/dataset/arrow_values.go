package dataset

import (
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// arrowValue converts row i of an Arrow array. Dates, times and decimals become
// strings as Arrow prints them, maps with string keys objects, binary data that
// is UTF-8 strings. It panics on offsets that do not fit their buffers, for guard.
func arrowValue(a arrow.Array, i, depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	if a.IsNull(i) {
		return Value{}, nil
	}
	switch a := a.(type) {
	case *array.Null:
		return Value{}, nil
	case *array.Boolean:
		return Value{Kind: Bool, Bool: a.Value(i)}, nil
	case *array.String:
		return arrowText(a.Value(i))
	case *array.LargeString:
		return arrowText(a.Value(i))
	case *array.StringView:
		return arrowText(a.Value(i))
	case *array.Binary:
		return bytesValue(a.Value(i)), nil
	case *array.LargeBinary:
		return bytesValue(a.Value(i)), nil
	case *array.BinaryView:
		return bytesValue(a.Value(i)), nil
	case *array.Float32:
		return floatValue(float64(a.Value(i)), 32), nil
	case *array.Float64:
		return floatValue(a.Value(i), 64), nil
	case *array.Float16:
		return floatValue(float64(a.Value(i).Float32()), 32), nil
	case *array.Dictionary:
		return arrowValue(a.Dictionary(), a.GetValueIndex(i), depth+1)
	case *array.RunEndEncoded:
		return arrowValue(a.Values(), a.GetPhysicalIndex(i), depth+1)
	case *array.Struct:
		return arrowStruct(a, i, depth)
	case *array.Map:
		return arrowMap(a, i, depth)
	case array.ListLike:
		start, end := a.ValueOffsets(i)
		return arrowList(a.ListValues(), start, end, depth)
	case array.ExtensionArray:
		return arrowValue(a.Storage(), i, depth+1)
	case array.Union:
		return arrowValue(a.Field(a.ChildID(i)), unionIndex(a, i), depth+1)
	}
	return arrowScalar(a, i)
}

func unionIndex(a array.Union, i int) int {
	if dense, ok := a.(*array.DenseUnion); ok {
		return int(dense.ValueOffset(i))
	}
	return i
}

// arrowScalar converts integers to numbers, and everything else to what Arrow
// prints.
func arrowScalar(a arrow.Array, i int) (Value, error) {
	text := a.ValueStr(i)
	if arrow.IsInteger(a.DataType().ID()) {
		return Value{Kind: Number, Text: text}, nil
	}
	return arrowText(text)
}

func arrowText(s string) (Value, error) {
	if !utf8.ValidString(s) {
		return Value{}, fmt.Errorf("invalid UTF-8 in %s", snippet(s))
	}
	return stringValue(string([]byte(s))), nil // the batch's memory is reused
}

func arrowStruct(a *array.Struct, i, depth int) (Value, error) {
	v := Value{Kind: Object}
	var index map[string]int
	for f, field := range a.DataType().(*arrow.StructType).Fields() {
		item, err := arrowValue(a.Field(f), i, depth+1)
		if err != nil {
			return Value{}, fmt.Errorf("%s: %w", field.Name, err)
		}
		index = v.set(field.Name, item, index)
	}
	return v, nil
}

func arrowList(items arrow.Array, start, end int64, depth int) (Value, error) {
	if start < 0 || end < start || end > int64(items.Len()) {
		return Value{}, fmt.Errorf("a list from %d to %d of %d items", start, end, items.Len())
	}
	v := Value{Kind: List, Items: make([]Value, 0, end-start)}
	for i := start; i < end; i++ {
		item, err := arrowValue(items, int(i), depth+1)
		if err != nil {
			return Value{}, err
		}
		v.Items = append(v.Items, item)
	}
	return v, nil
}

// arrowMap makes an object; keys that are no strings are written as JSON.
func arrowMap(a *array.Map, i, depth int) (Value, error) {
	start, end := a.ValueOffsets(i)
	keys, err := arrowList(a.Keys(), start, end, depth)
	if err != nil {
		return Value{}, err
	}
	items, err := arrowList(a.Items(), start, end, depth)
	if err != nil {
		return Value{}, err
	}
	v := Value{Kind: Object}
	var index map[string]int
	for i, key := range keys.Items {
		name := key.Text
		if key.Kind != String {
			name = key.JSON()
		}
		index = v.set(name, items.Items[i], index)
	}
	return v, nil
}

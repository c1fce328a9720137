package gguf

import "slices"

// Keys lists the metadata's keys in the order of the file.
func (f *File) Keys() []string { return slices.Clone(f.keys) }

// Value is a metadata entry as stored: a sized number, a bool, a string, or a
// slice of such; nil if there is none.
func (f *File) Value(key string) any { return f.values[key] }

// Text is a string entry.
func (f *File) Text(key string) (string, bool) {
	s, ok := f.values[key].(string)
	return s, ok
}

// Bool is a bool entry.
func (f *File) Bool(key string) (value, ok bool) {
	value, ok = f.values[key].(bool)
	return value, ok
}

// Uint is an entry of any integer type that is not negative.
func (f *File) Uint(key string) (uint64, bool) {
	switch v := f.values[key].(type) {
	case uint8:
		return uint64(v), true
	case uint16:
		return uint64(v), true
	case uint32:
		return uint64(v), true
	case uint64:
		return v, true
	case int8:
		return uint64(v), v >= 0
	case int16:
		return uint64(v), v >= 0
	case int32:
		return uint64(v), v >= 0
	case int64:
		return uint64(v), v >= 0
	}
	return 0, false
}

// Float is an entry of either float type.
func (f *File) Float(key string) (float64, bool) {
	switch v := f.values[key].(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// Texts is an array of strings.
func (f *File) Texts(key string) ([]string, bool) {
	list, ok := f.values[key].([]string)
	return list, ok
}

// Floats is an array of float32.
func (f *File) Floats(key string) ([]float32, bool) {
	list, ok := f.values[key].([]float32)
	return list, ok
}

// Ints is an array of int32 or uint32.
func (f *File) Ints(key string) ([]int32, bool) {
	switch list := f.values[key].(type) {
	case []int32:
		return list, true
	case []uint32:
		signed := make([]int32, len(list))
		for i, v := range list {
			signed[i] = int32(v)
		}
		return signed, true
	}
	return nil, false
}

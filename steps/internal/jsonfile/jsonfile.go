// Package jsonfile decodes the JSON files that users bring, such as a model's
// config.json, and says in their words what is wrong with one.
package jsonfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Decode reads the JSON text raw into v, as json.Unmarshal does. Its errors name
// the line and column, or the field, what stands there and what is wanted; the
// caller adds the file's name.
func Decode(raw []byte, v any) error {
	err := json.Unmarshal(raw, v)
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		if len(bytes.TrimSpace(raw)) == 0 {
			return errors.New("the file is empty, want JSON")
		}
		line, col := place(raw, syntax.Offset)
		return fmt.Errorf("not JSON: line %d, column %d: %w", line, col, err)
	case errors.As(err, &wrong):
		return typeError(raw, wrong)
	}
	return err
}

// place turns the number of bytes read before an error into line and column of
// the last of them, from 1.
func place(raw []byte, offset int64) (line, col int) {
	head := raw[:min(max(offset-1, 0), int64(len(raw)))]
	return bytes.Count(head, []byte("\n")) + 1, len(head) - bytes.LastIndexByte(head, '\n')
}

// typeError says which field holds a value of another type than is wanted.
func typeError(raw []byte, wrong *json.UnmarshalTypeError) error {
	want := noun(wrong.Type)
	if wrong.Field == "" {
		return fmt.Errorf("the file holds %s, want %s", found(raw, wrong.Value), want)
	}
	value, verb := at(raw, wrong), "is"
	if within(value, wrong.Value) {
		verb = "holds"
	}
	return fmt.Errorf("%s %s %s, want %s", wrong.Field, verb, found(value, wrong.Value), want)
}

// within reports whether an error is about something in a list or object, which
// its field does not tell.
func within(value []byte, kind string) bool {
	value = bytes.TrimSpace(value)
	return len(value) > 0 && (value[0] == '[' && kind != "array" || value[0] == '{' && kind != "object")
}

// at returns the text of the field that an error names.
func at(raw []byte, wrong *json.UnmarshalTypeError) []byte {
	value := json.RawMessage(raw)
	for _, name := range strings.Split(wrong.Field, ".") {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil || object[name] == nil {
			return nil
		}
		value = object[name]
	}
	return value
}

// maxShown bounds what a message shows of a value, in bytes.
const maxShown = 40

// found says what a value is: itself when it is short, else its type.
func found(value []byte, kind string) string {
	kind, number, _ := strings.Cut(kind, " ")
	value = bytes.TrimSpace(value)
	short := len(value) > 0 && len(value) <= maxShown && value[0] != '{' && value[0] != '['
	switch {
	case number != "":
		return number
	case short && (value[0] == '"') == (kind == "string"):
		return string(value)
	}
	switch kind {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "true or false"
	}
	return "a " + kind
}

// noun says which JSON a Go type is read from.
func noun(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return noun(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number" + below(t.Bits()-1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0 on" + below(t.Bits())
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	return "an object"
}

// below bounds a whole number of so many bits that is not the widest.
func below(bits int) string {
	if bits >= 63 {
		return ""
	}
	return " below " + strconv.FormatUint(1<<bits, 10)
}

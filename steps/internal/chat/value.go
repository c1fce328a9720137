package chat

import (
	"errors"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// list is a Python list: the engine's own forgets its first element when asked
// for it by a negative index.
type list []any

// GetItem implements exec.ItemGetter.
func (l list) GetItem(key any) (*exec.Value, bool) {
	i, ok := key.(int)
	if !ok {
		return exec.AsValue(nil), false
	}
	if i < 0 {
		i += len(l)
	}
	if i < 0 || i >= len(l) {
		return exec.AsValue(nil), false
	}
	if v, ok := l[i].(*exec.Value); ok {
		return v, true
	}
	return exec.AsValue(l[i]), true
}

// asList returns v as a list if it holds some other kind of list.
func asList(v *exec.Value) *exec.Value {
	if v == nil || v.IsError() || !v.IsList() {
		return v
	}
	if _, ok := v.Interface().(list); ok {
		return v
	}
	out := make(list, v.Len())
	for i := range out {
		out[i] = v.Index(i).Interface()
	}
	return exec.AsValue(out)
}

// listFilter makes what a filter returns a list.
func listFilter(f exec.FilterFunction) exec.FilterFunction {
	return func(e *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
		return asList(f(e, in, params))
	}
}

// methods are the engine's with those whose results differ from Python's
// replaced: lists that split returns, and dictionaries, which keep their order.
func methods() exec.Methods {
	m := builtins.Methods
	str := map[string]exec.Method[string]{}
	for _, name := range strings.Fields(`capitalize center find format isalnum isalpha isascii isdigit
		islower isnumeric isspace istitle isupper join ljust lower removeprefix removesuffix replace
		rfind rjust splitlines swapcase title upper zfill`) {
		f, ok := m.Str.Get(name)
		if !ok {
			continue
		}
		str[name] = func(self string, v *exec.Value, args *exec.VarArgs) (any, error) {
			result, err := f(self, v, args)
			if err != nil {
				return nil, err
			}
			return asList(exec.AsValue(result)).Interface(), nil
		}
	}
	for name, f := range stringMethods() {
		str[name] = f
	}
	m.Str = exec.NewMethodSet(str)
	m.Dict = exec.NewMethodSet(map[string]exec.Method[map[string]any]{
		"get": dictGet,
		"items": func(_ map[string]any, v *exec.Value, _ *exec.VarArgs) (any, error) {
			return dictItems(v), nil
		},
		"keys": func(_ map[string]any, v *exec.Value, _ *exec.VarArgs) (any, error) {
			return column(v, 0), nil
		},
		"values": func(_ map[string]any, v *exec.Value, _ *exec.VarArgs) (any, error) {
			return column(v, 1), nil
		},
	})
	return m
}

// dictGet is get(key[, default]).
func dictGet(_ map[string]any, v *exec.Value, args *exec.VarArgs) (any, error) {
	if n := len(args.Args); n < 1 || n > 2 {
		return nil, errors.New("get takes a key and a default")
	}
	if item, ok := v.GetItem(args.Args[0].String()); ok {
		return item.Interface(), nil
	}
	if len(args.Args) == 2 {
		return args.Args[1].Interface(), nil
	}
	return pyNone(), nil
}

// dictItems returns the pairs of a dictionary in order.
func dictItems(v *exec.Value) list {
	out := list{}
	for _, key := range v.Keys() {
		if item, ok := v.GetItem(key.String()); ok {
			out = append(out, list{key.Interface(), item.Interface()})
		}
	}
	return out
}

// column returns the keys (0) or values (1) of a dictionary in order.
func column(v *exec.Value, i int) list {
	out := list{}
	for _, pair := range dictItems(v) {
		out = append(out, pair.(list)[i])
	}
	return out
}

// filterItems is the filter items.
func filterItems(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	return exec.AsValue(dictItems(in))
}

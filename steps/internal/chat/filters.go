package chat

import (
	"errors"
	"slices"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// none is Python's None: a nil that, unlike an undefined value, is defined and
// prints.
type none struct{}

// pyNone is the value None.
func pyNone() any { return (*none)(nil) }

func isNone(v *exec.Value) bool {
	if v == nil || !v.IsNil() || !v.Val.IsValid() {
		return false
	}
	_, ok := v.Val.Interface().(*none)
	return ok
}

// isUndefined tells a value that is not there from None.
func isUndefined(v *exec.Value) bool { return v.IsNil() && !isNone(v) }

// ownFilters are filters that the engine has otherwise, or not at all.
func ownFilters() map[string]exec.FilterFunction {
	return map[string]exec.FilterFunction{
		"tojson": toJSON, "items": filterItems, "default": filterDefault, "d": filterDefault,
		"string": func(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
			if v := show(in); v.IsError() {
				return v
			} else {
				return exec.AsValue(v.String())
			}
		},
		"reverse": filterReverse, "dictsort": filterDictSort, "sum": filterSum,
	}
}

// filterDefault is default(value, boolean=false).
func filterDefault(_ *exec.Evaluator, in *exec.Value, p *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	value, falsy := exec.AsValue(""), false
	for i, a := range p.Args {
		switch i {
		case 0:
			value = a
		case 1:
			falsy = a.IsTrue()
		default:
			return exec.AsValue(errors.New("default takes a value and whether to replace what is false"))
		}
	}
	for name, a := range p.KwArgs {
		switch name {
		case "default_value":
			value = a
		case "boolean":
			falsy = a.IsTrue()
		default:
			return exec.AsValue(errors.New("default has no argument " + name))
		}
	}
	if isUndefined(in) || falsy && !in.IsTrue() {
		return value
	}
	return in
}

// filterReverse turns a list or a text around.
func filterReverse(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
	switch {
	case in.IsError():
		return in
	case in.IsString():
		runes := []rune(in.String())
		slices.Reverse(runes)
		return exec.AsValue(string(runes))
	case in.IsList():
		out := slices.Clone(asList(in).Interface().(list))
		slices.Reverse(out)
		return exec.AsValue(out)
	}
	return exec.AsValue(errors.New("reverse of " + kindOf(in)))
}

// filterDictSort is dictsort by keys, without regard to case.
func filterDictSort(_ *exec.Evaluator, in *exec.Value, p *exec.VarArgs) *exec.Value {
	switch {
	case in.IsError():
		return in
	case len(p.Args)+len(p.KwArgs) > 0:
		return exec.AsValue(errors.New("dictsort is supported without arguments"))
	case !in.IsDict():
		return exec.AsValue(errors.New("dictsort of " + kindOf(in)))
	}
	items := dictItems(in)
	slices.SortStableFunc(items, func(a, b any) int {
		x, y := exec.AsValue(a.(list)[0]).String(), exec.AsValue(b.(list)[0]).String()
		return strings.Compare(strings.ToLower(x), strings.ToLower(y))
	})
	return exec.AsValue(items)
}

// filterSum is sum of numbers; with a start it is refused.
func filterSum(e *exec.Evaluator, in *exec.Value, p *exec.VarArgs) *exec.Value {
	if _, ok := p.KwArgs["start"]; ok || len(p.Args) > 1 {
		return exec.AsValue(errors.New("sum with a start is not supported"))
	}
	f, _ := builtins.Filters.Get("sum")
	return f(e, in, p)
}

// tests are the engine's, with those that must know None from undefined.
func tests() *exec.TestSet {
	own := map[string]exec.TestFunction{
		"defined": func(_ *exec.Context, in *exec.Value, _ *exec.VarArgs) (bool, error) {
			return !in.IsError() && !isUndefined(in), nil
		},
		"undefined": func(_ *exec.Context, in *exec.Value, _ *exec.VarArgs) (bool, error) {
			return !in.IsError() && isUndefined(in), nil
		},
		"none": func(_ *exec.Context, in *exec.Value, _ *exec.VarArgs) (bool, error) {
			return !in.IsError() && isNone(in), nil
		},
		"sequence": func(_ *exec.Context, in *exec.Value, _ *exec.VarArgs) (bool, error) {
			return in.IsString() || in.IsList() || in.IsDict(), nil
		},
	}
	for _, name := range strings.Fields(`boolean callable divisibleby eq equalto == even false float ge gt greaterthan >
		>= in integer iterable le lower lt lessthan < <= mapping ne != number odd sameas string true upper`) {
		if f, ok := builtins.Tests.Get(name); ok {
			own[name] = f
		}
	}
	return exec.NewTestSet(own)
}

// item is a[key] for a key that is computed: a character of a text, not a byte.
func item(_ *exec.Evaluator, p *exec.VarArgs) *exec.Value {
	if len(p.Args) != 2 || len(p.KwArgs) > 0 {
		return exec.AsValue(errors.New("an index is one value"))
	}
	v, key := p.Args[0], p.Args[1]
	switch {
	case v.IsError():
		return v
	case key.IsError():
		return key
	case isUndefined(v) || isNone(v):
		return exec.AsValue(errors.New("an element of " + kindOf(v)))
	case v.IsString() && key.IsInteger():
		runes := []rune(v.String())
		i := key.Integer()
		if i < 0 {
			i += len(runes)
		}
		if i < 0 || i >= len(runes) {
			return exec.AsValue(nil)
		}
		return exec.AsValue(string(runes[i]))
	case v.IsList() && key.IsInteger():
		e, _ := asList(v).Interface().(list).GetItem(key.Integer())
		return e
	case key.IsString() || key.IsInteger():
		var k any = key.String()
		if key.IsInteger() {
			k = key.Integer()
		}
		e, ok := v.GetItem(k)
		if !ok {
			return exec.AsValue(nil)
		}
		return e
	}
	return exec.AsValue(errors.New("an index that is " + kindOf(key)))
}

// call is f(*list): what it calls are macros and functions of templates.
func call(e *exec.Evaluator, p *exec.VarArgs) *exec.Value {
	if len(p.Args) != 2 || len(p.KwArgs) > 0 || !p.Args[1].IsList() {
		return exec.AsValue(errors.New("what is called with *arguments takes a list of them"))
	}
	args := exec.NewVarArgs()
	for _, a := range asList(p.Args[1]).Interface().(list) {
		args.Args = append(args.Args, exec.ToValue(a))
	}
	switch f := p.Args[0].Interface().(type) {
	case exec.Macro:
		return f(args)
	case func(*exec.VarArgs) *exec.Value:
		return f(args)
	case func(*exec.Evaluator, *exec.VarArgs) *exec.Value:
		return f(e, args)
	}
	return exec.AsValue(errors.New("what is called with *arguments is no macro"))
}

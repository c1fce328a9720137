package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// stringMethods are methods of Python's str that the engine has otherwise.
func stringMethods() map[string]exec.Method[string] {
	return map[string]exec.Method[string]{
		"strip":      strip(true, true),
		"lstrip":     strip(true, false),
		"rstrip":     strip(false, true),
		"split":      split(false),
		"rsplit":     split(true),
		"startswith": affix(strings.HasPrefix),
		"endswith":   affix(strings.HasSuffix),
		"count": func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
			part, err := oneText(args, "count")
			if err != nil {
				return nil, err
			}
			return strings.Count(self, part), nil
		},
	}
}

func oneText(args *exec.VarArgs, name string) (string, error) {
	if len(args.Args) != 1 || len(args.KwArgs) > 0 || !args.Args[0].IsString() {
		return "", fmt.Errorf("%s takes one text", name)
	}
	return args.Args[0].String(), nil
}

// strip removes white space, or the characters given, from the sides.
func strip(left, right bool) exec.Method[string] {
	return func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		out := unicode.IsSpace
		if len(args.Args) > 0 && !args.Args[0].IsNil() {
			chars, err := oneText(args, "strip")
			if err != nil {
				return nil, err
			}
			out = func(c rune) bool { return strings.ContainsRune(chars, c) }
		}
		if left {
			self = strings.TrimLeftFunc(self, out)
		}
		if right {
			self = strings.TrimRightFunc(self, out)
		}
		return self, nil
	}
}

func affix(has func(s, part string) bool) exec.Method[string] {
	return func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		if len(args.Args) == 1 && args.Args[0].IsList() {
			l := args.Args[0]
			for i := range l.Len() {
				if has(self, l.Index(i).String()) {
					return true, nil
				}
			}
			return false, nil
		}
		part, err := oneText(args, "startswith or endswith")
		return err == nil && has(self, part), err
	}
}

// split is split([sep[, maxsplit]]), from the right for rsplit.
func split(right bool) exec.Method[string] {
	return func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		sep, most, err := splitArguments(args)
		if err != nil {
			return nil, err
		}
		var parts []string
		switch {
		case sep == "" && most >= 0:
			return nil, errors.New("split at white space with maxsplit is not supported")
		case sep == "":
			parts = strings.Fields(self)
		case most < 0:
			parts = strings.Split(self, sep)
		case !right:
			parts = strings.SplitN(self, sep, most+1)
		default:
			parts = strings.Split(self, sep)
			if extra := len(parts) - most - 1; extra > 0 {
				parts = slices.Concat([]string{strings.Join(parts[:extra+1], sep)}, parts[extra+1:])
			}
		}
		out := make(list, len(parts))
		for i, p := range parts {
			out[i] = p
		}
		return out, nil
	}
}

func splitArguments(args *exec.VarArgs) (sep string, most int, err error) {
	most = -1
	for i, a := range args.Args {
		switch {
		case i == 0 && a.IsNil():
		case i == 0 && a.IsString() && a.String() != "":
			sep = a.String()
		case i == 1 && a.IsInteger():
			most = a.Integer()
		default:
			return "", 0, errors.New("split takes a text and a number")
		}
	}
	for name, a := range args.KwArgs {
		switch {
		case name == "sep" && a.IsString() && a.String() != "":
			sep = a.String()
		case name == "maxsplit" && a.IsInteger():
			most = a.Integer()
		default:
			return "", 0, errors.New("split takes sep and maxsplit")
		}
	}
	return sep, most, nil
}

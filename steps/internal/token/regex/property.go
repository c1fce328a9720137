package regex

import (
	"fmt"
	"strings"
	"sync"
	"unicode"
)

// word is \w in a class: Alphabetic, marks, decimal digits and connectors.
var word = sync.OnceValue(func() spans {
	return fromTables(unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc)
})

// wordAlone is \w outside of classes, to which the numbers of Latin-1 belong
// too in Oniguruma: [^\w] and \W are not the same.
var wordAlone = sync.OnceValue(func() spans {
	return word().or(spans{{0xB2, 0xB3}, {0xB9, 0xB9}, {0xBC, 0xBE}})
})

func whiteSpace() spans { return fromTables(unicode.White_Space) }
func decimal() spans    { return fromTables(unicode.Nd) }

func hexDigits() spans { return spans{{'0', '9'}, {'A', 'F'}, {'a', 'f'}} }

// named are the classes with names of their own, by plain name.
func named(name string) (spans, bool) {
	switch name {
	case "any":
		return spans{{0, unicode.MaxRune}}, true
	case "assigned":
		return assigned(), true
	case "ascii":
		return spans{{0, 0x7F}}, true
	case "alnum":
		return fromTables(unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.Nd), true
	case "alpha", "alphabetic":
		return fromTables(unicode.L, unicode.Nl, unicode.Other_Alphabetic), true
	case "blank":
		return fromTables(unicode.Zs).or(spans{{'\t', '\t'}}), true
	case "cntrl":
		return fromTables(unicode.Cc), true
	case "digit":
		return decimal(), true
	case "graph":
		return assigned().and(fromTables(unicode.White_Space, unicode.Cc, unicode.Cs).not()), true
	case "print":
		return assigned().and(fromTables(unicode.Cc, unicode.Cs).not()), true
	case "lower", "lowercase":
		return fromTables(unicode.Ll, unicode.Other_Lowercase), true
	case "upper", "uppercase":
		return fromTables(unicode.Lu, unicode.Other_Uppercase), true
	case "punct":
		return fromTables(unicode.P).or(spans{{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'}, {'`', '`'}, {'|', '|'}, {'~', '~'}}), true
	case "space", "whitespace":
		return whiteSpace(), true
	case "word":
		return word(), true
	case "xdigit":
		return hexDigits(), true
	case "cn", "unassigned":
		return assigned().not(), true
	case "c", "other":
		return assigned().not().or(fromTables(unicode.Cc, unicode.Cf, unicode.Cs, unicode.Co)), true
	case "lc", "casedletter":
		return fromTables(unicode.Lu, unicode.Ll, unicode.Lt), true
	}
	return nil, false
}

// assigned are the characters that have a category.
func assigned() spans {
	return fromTables(unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Co)
}

// plain is a name as properties are compared: without case, spaces, "_" and "-".
func plain(name string) string {
	return strings.Map(func(c rune) rune {
		switch c {
		case ' ', '_', '-':
			return -1
		}
		return unicode.ToLower(c)
	}, name)
}

// tables finds categories, scripts and properties by plain name.
var tables = sync.OnceValue(func() map[string]*unicode.RangeTable {
	all := map[string]*unicode.RangeTable{}
	for _, m := range []map[string]*unicode.RangeTable{unicode.Properties, unicode.Scripts, unicode.Categories} {
		for name, t := range m {
			all[plain(name)] = t
		}
	}
	for alias, name := range unicode.CategoryAliases {
		if t := unicode.Categories[name]; t != nil {
			all[plain(alias)] = t
		}
	}
	return all
})

// property returns the characters with a property, such as "L" or "Han".
func property(name string) (spans, error) {
	key := plain(name)
	if s, ok := named(key); ok {
		return s, nil
	}
	if t := tables()[key]; t != nil {
		return fromTables(t), nil
	}
	return nil, fmt.Errorf("unknown character property %q", name)
}

package compile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"
)

// A want is one alternative of what the schema accepts in a field.
type want struct {
	kind     cue.Kind // 0: anything
	literal  string   // the one value, as CUE writes it; empty for a type
	text     string   // the same when it is a string, without quotes
	isText   bool
	whole    bool // whole numbers only
	lo, hi   string
	loOpen   bool // lo itself is out
	hiOpen   bool
	phrase   string // in words, such as `a size such as "4GiB"`
	patterns []*regexp.Regexp
	said     []string // the patterns in words
	nonEmpty bool
	fallback bool // the default
}

// wants reads the alternatives of the schema's expressions for one field. All
// expressions apply at once; the one that says most is read.
func (l *language) wants(f *field) []want {
	var best []want
	for _, x := range f.exprs {
		if ws := l.alternatives(x, 0); best == nil || vague(best) {
			best = ws
		}
	}
	return dropDefaults(best)
}

func vague(ws []want) bool {
	return len(ws) == 1 && ws[0].literal == "" && ws[0].phrase == "" && ws[0].lo == ""
}

func (l *language) alternatives(x ast.Expr, depth int) []want {
	if depth > maxDepth {
		return nil
	}
	switch x := x.(type) {
	case *ast.ParenExpr:
		return l.alternatives(x.X, depth+1)
	case *ast.BinaryExpr:
		if x.Op == token.OR {
			// A long list of alternatives nests as deep as it is long: that is no depth.
			return append(l.alternatives(x.X, depth), l.alternatives(x.Y, depth)...)
		}
	case *ast.UnaryExpr:
		if x.Op == token.MUL {
			ws := l.alternatives(x.X, depth+1)
			for i := range ws {
				ws[i].fallback = true
			}
			return ws
		}
	case *ast.Ident:
		if phrase := definitionPhrases[x.Name]; phrase == "" && x.Name != "#Int" && len(l.defs[x.Name]) > 0 {
			return l.alternatives(l.defs[x.Name][0], depth+1)
		}
	}
	var w want
	l.narrow(&w, x, depth)
	return []want{w}
}

// definitionPhrases say what the definitions of the schema stand for.
var definitionPhrases = map[string]string{
	"#Duration": `a duration such as "90s" or "2h"`,
	"#Size":     `a size such as "500MB" or "4GiB"`,
	"#Secret":   `the name of a secret, written {secret: "HF_TOKEN"}`,
	"#Ref":      "an output of another step",
}

// narrow adds to w what x demands.
func (l *language) narrow(w *want, x ast.Expr, depth int) {
	if depth > maxDepth {
		return
	}
	switch x := x.(type) {
	case *ast.ParenExpr:
		l.narrow(w, x.X, depth+1)
	case *ast.BinaryExpr:
		if x.Op == token.AND {
			l.narrow(w, x.X, depth+1)
			l.narrow(w, x.Y, depth+1)
		}
	case *ast.Ident:
		l.narrowIdent(w, x, depth)
	case *ast.StructLit:
		w.kind = cue.StructKind
		for _, d := range x.Elts {
			if d, ok := d.(*ast.Field); ok && w.phrase == "" && len(x.Elts) == 1 {
				if name, _, err := ast.LabelName(d.Label); err == nil {
					w.phrase = "{" + name + ": …}"
				}
			}
		}
	case *ast.ListLit:
		w.kind, w.phrase = cue.ListKind, l.listPhrase(x, depth)
	case *ast.BasicLit:
		w.literal = x.Value
		switch x.Kind {
		case token.STRING:
			w.kind, w.isText = cue.StringKind, true
			w.text, _ = literal.Unquote(x.Value)
			w.literal = strconv.Quote(w.text)
		case token.INT, token.FLOAT:
			w.kind = cue.NumberKind
		case token.TRUE, token.FALSE:
			w.kind = cue.BoolKind
		case token.NULL:
			w.kind = cue.NullKind
		}
	case *ast.UnaryExpr:
		w.bound(x)
	}
}

func (l *language) narrowIdent(w *want, x *ast.Ident, depth int) {
	switch x.Name {
	case "int":
		w.kind, w.whole = cue.NumberKind, true
	case "uint":
		w.kind, w.whole, w.lo = cue.NumberKind, true, "0"
	case "number", "float":
		w.kind = cue.NumberKind
	case "string":
		w.kind = cue.StringKind
	case "bool":
		w.kind = cue.BoolKind
	case "#Int":
		w.kind, w.whole = cue.NumberKind, true
	default:
		if phrase := definitionPhrases[x.Name]; phrase != "" {
			w.phrase = phrase
		}
		for _, def := range l.defs[x.Name] {
			l.narrow(w, def, depth+1)
		}
	}
}

// listPhrase says what a list of the schema holds.
func (l *language) listPhrase(x *ast.ListLit, depth int) string {
	if len(x.Elts) == 0 || depth > maxDepth {
		return "a list"
	}
	first := x.Elts[0]
	if rest, ok := first.(*ast.Ellipsis); ok {
		first = rest.Type
	}
	kind := cue.Kind(0)
	for _, w := range l.alternatives(first, depth+1) {
		if kind |= w.kind; w.isText || w.phrase != "" {
			return "a list"
		}
	}
	switch kind {
	case cue.StringKind:
		return "a list of strings"
	case cue.NumberKind:
		return "a list of numbers"
	}
	return "a list"
}

// bound notes a bound such as >=1, !="" or =~"^a".
func (w *want) bound(x *ast.UnaryExpr) {
	lit, ok := x.X.(*ast.BasicLit)
	if !ok {
		if u, isNeg := x.X.(*ast.UnaryExpr); isNeg && u.Op == token.SUB {
			if lit, ok = u.X.(*ast.BasicLit); ok {
				lit = &ast.BasicLit{Kind: lit.Kind, Value: "-" + lit.Value}
			}
		}
		if !ok {
			return
		}
	}
	if lit.Kind == token.STRING {
		w.kind = cue.StringKind
		s, err := literal.Unquote(lit.Value)
		if err != nil {
			return
		}
		switch x.Op {
		case token.MAT:
			if re, err := regexp.Compile(s); err == nil {
				w.patterns = append(w.patterns, re)
				w.said = append(w.said, patternPhrase(s))
			}
		case token.NEQ:
			w.nonEmpty = w.nonEmpty || s == ""
		}
		return
	}
	if w.kind == 0 {
		w.kind = cue.NumberKind
	}
	switch x.Op {
	case token.GEQ:
		w.lo, w.loOpen = lit.Value, false
	case token.GTR:
		w.lo, w.loOpen = lit.Value, true
	case token.LEQ:
		w.hi, w.hiOpen = lit.Value, false
	case token.LSS:
		w.hi, w.hiOpen = lit.Value, true
	}
}

// patternPhrase says a regular expression of the schema in words.
func patternPhrase(re string) string {
	switch re {
	case "^https?://":
		return "begin with http:// or https://"
	case "^[0-9a-f]{64}$":
		return "be a SHA-256: 64 hex digits in lower case"
	case "^[a-z0-9][a-z0-9._-]*$":
		return "consist of lower-case letters, digits, '.', '_' and '-', and begin with a letter or digit"
	case "^[A-Za-z_][A-Za-z0-9_]*$":
		return "be the name of an environment variable: letters, digits and '_'"
	case "^[a-zA-Z][a-zA-Z0-9_-]*$":
		return "consist of letters, digits, '_' and '-', and begin with a letter"
	case "^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$":
		return `be a repository such as "owner/name"`
	case "^[0-9][A-Za-z0-9.+!_-]*$":
		return `be one exact version such as "1.2.3"`
	case "^[A-Za-z0-9_.]+$":
		return `be the name of a layer such as "q_proj" or "self_attn.q_proj"`
	case "^[A-Za-z0-9][A-Za-z0-9._-]*$", "^(@[a-z0-9._-]+/)?[a-z0-9][a-z0-9._-]*$":
		return "be the name of a package"
	case "^[^/\\x00]+$":
		return "be a file name without '/'"
	}
	return "match the regular expression " + re
}

// dropDefaults leaves out defaults that another alternative covers.
func dropDefaults(ws []want) []want {
	var out []want
	for _, w := range ws {
		covered := false
		for _, o := range ws {
			covered = covered || w.fallback && !o.fallback && (w.kind == 0 || w.literal != "" && o.literal == "" && (o.kind == w.kind || o.kind == 0))
		}
		if !covered {
			out = append(out, w)
		}
	}
	return out
}

// hasDefault reports whether the schema gives f a value by itself.
func (l *language) hasDefault(f *field) bool {
	for _, x := range f.exprs {
		for _, w := range l.alternatives(x, 0) {
			if w.fallback {
				return true
			}
		}
	}
	return false
}

// listLen returns how many elements the lists of f have; high is -1 when any
// number may follow.
func listLen(f *field) (low, high int) {
	high = -1
	for _, x := range f.exprs {
		ast.Walk(x, func(n ast.Node) bool {
			l, ok := n.(*ast.ListLit)
			if !ok {
				return true
			}
			low, high = 0, 0
			for _, e := range l.Elts {
				if _, rest := e.(*ast.Ellipsis); rest {
					high = -1
				} else {
					low++
				}
			}
			if high == 0 {
				high = low
			}
			return false
		}, nil)
	}
	return low, high
}

// String says an alternative as a noun.
func (w want) String() string {
	switch {
	case w.phrase != "":
		return w.phrase
	case w.literal != "":
		return w.literal
	}
	switch w.kind {
	case cue.NumberKind:
		s := "a number"
		if w.whole {
			s = "a whole number"
		}
		if r := w.bounds(); r != "" {
			return s + " " + r
		}
		return s
	case cue.StringKind:
		if w.nonEmpty {
			return "a string that is not empty"
		}
		return "a string"
	case cue.BoolKind:
		return "true or false"
	case cue.StructKind:
		return "a struct"
	case cue.ListKind:
		return "a list"
	}
	return "another value"
}

// bounds says the range of a number, or "".
func (w want) bounds() string {
	switch {
	case w.lo != "" && w.hi != "" && !w.loOpen && !w.hiOpen:
		return "from " + w.lo + " to " + w.hi
	case w.lo != "" && w.hi != "":
		return w.low() + " and " + w.high()
	case w.lo != "":
		return w.low()
	case w.hi != "":
		return w.high()
	}
	return ""
}

func (w want) low() string {
	if w.loOpen {
		return "greater than " + w.lo
	}
	return "at least " + w.lo
}

func (w want) high() string {
	if w.hiOpen {
		return "less than " + w.hi
	}
	return "at most " + w.hi
}

// complain says what is wrong with got, and what may help.
func complain(ws []want, got cue.Value) (msg, hint string) {
	kind := got.Kind()
	if kind == cue.IntKind || kind == cue.FloatKind {
		kind = cue.NumberKind
	}
	var same []want
	var texts, nouns []string
	for _, w := range ws {
		if n := w.String(); !slices.Contains(nouns, n) {
			nouns = append(nouns, n)
		}
		if w.kind == kind {
			same = append(same, w)
		}
		if w.isText && !slices.Contains(texts, w.text) {
			texts = append(texts, w.text)
		}
	}
	tail := ", got " + show(got)
	text, _ := got.String()
	if len(same) == 1 && same[0].literal == "" && same[0].phrase == "" {
		w := same[0]
		switch {
		case w.whole && got.Kind() == cue.FloatKind && len(nouns) > 1:
			return "must be " + list(nouns, "or") + tail, ""
		case w.whole && got.Kind() == cue.FloatKind:
			return "must be a whole number" + tail, ""
		case w.bounds() != "":
			return "must be " + w.bounds() + tail, ""
		case w.nonEmpty && text == "":
			return "must not be empty", ""
		}
		for i, re := range w.patterns {
			if !re.MatchString(text) {
				return "must " + w.said[i] + tail, ""
			}
		}
	}
	if len(ws) == 1 && ws[0].phrase == definitionPhrases["#Secret"] {
		return "must be " + ws[0].phrase, "the value of a secret does not belong in a file; put it into the environment"
	}
	if len(nouns) == 0 {
		return "may not be " + show(got), ""
	}
	if len(texts) > 0 && kind == cue.StringKind {
		hint = suggest(text, texts)
	}
	if kind == cue.StringKind && hint == "" && unquoted(ws, text) {
		hint = "write it without quotes: " + text
	}
	if hint == "" && (kind == cue.NumberKind || kind == cue.BoolKind) && slices.ContainsFunc(ws, func(w want) bool {
		return w.kind == cue.StringKind && !w.isText && w.phrase == "" && len(w.patterns) == 0
	}) {
		hint = "text stands in quotes: " + strconv.Quote(show(got))
	}
	if share, ok := percent(ws, text); ok && hint == "" {
		hint = "write " + share
	}
	if len(texts) == len(nouns) && len(nouns) > 1 {
		return "must be one of " + list(nouns, "or") + tail, hint
	}
	return "must be " + list(nouns, "or") + tail, hint
}

// percent returns text such as "10%" as the share that a number is wanted for.
func percent(ws []want, text string) (string, bool) {
	n, isPercent := strings.CutSuffix(strings.TrimSpace(text), "%")
	x, err := strconv.ParseFloat(strings.TrimSpace(n), 64)
	if !isPercent || err != nil {
		return "", false
	}
	for _, w := range ws {
		if hi, err := strconv.ParseFloat(w.hi, 64); w.kind == cue.NumberKind && !w.whole && err == nil && hi < 100 && x/100 <= hi {
			return strconv.FormatFloat(x/100, 'g', 6, 64), true
		}
	}
	return "", false
}

// unquoted reports whether text, without its quotes, is of a wanted type.
func unquoted(ws []want, text string) bool {
	for _, w := range ws {
		switch w.kind {
		case cue.NumberKind:
			if _, err := strconv.ParseFloat(text, 64); err == nil && text != "" && !strings.ContainsAny(text, "xXpPinIN") {
				return true
			}
		case cue.BoolKind:
			if text == "true" || text == "false" {
				return true
			}
		}
	}
	return false
}

// withoutUser takes user and password out of a URL, for a message.
func withoutUser(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	host, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); ok && at >= 0 {
		return scheme + "://" + rest[at+1:]
	}
	return s
}

// show writes a value of the user's for a message.
func show(v cue.Value) string {
	switch v.Kind() {
	case cue.StructKind:
		return "a struct"
	case cue.ListKind:
		return "a list"
	case cue.StringKind:
		s, _ := v.String()
		s = withoutUser(s)
		if r := []rune(s); len(r) > 60 {
			s = string(r[:57]) + "…"
		}
		return strconv.Quote(s)
	}
	b, err := format.Node(v.Syntax(cue.Final()))
	if err != nil || len(b) > 80 {
		return "something else"
	}
	return string(b)
}

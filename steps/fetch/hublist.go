package fetch

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// A hubList is all files of a commit, sorted by path. Paths are not checked.
type hubList []hubFile

type hubFile struct {
	path string
	sum  sum
}

const maxList = 1 << 30 // bytes of an encoded list

// sort sorts and refuses a path that comes twice.
func (l hubList) sort() error {
	slices.SortFunc(l, func(a, b hubFile) int { return strings.Compare(a.path, b.path) })
	for i := 1; i < len(l); i++ {
		if l[i].path == l[i-1].path {
			return fmt.Errorf("the hub lists %q twice", printable(l[i].path))
		}
	}
	return nil
}

// encode writes a line "ALGORITHM HEX SIZE "PATH"" for each file.
func (l hubList) encode() []byte {
	var b bytes.Buffer
	for _, f := range l {
		fmt.Fprintf(&b, "%s %s %d %q\n", f.sum.algo, f.sum.hex, f.sum.size, f.path)
	}
	return b.Bytes()
}

// decodeList reads what encode wrote; its digest was checked.
func decodeList(b []byte) (hubList, error) {
	var l hubList
	for line := range bytes.Lines(b) {
		f := hubFile{}
		part := strings.SplitN(strings.TrimSuffix(string(line), "\n"), " ", 4)
		if len(part) != 4 {
			return nil, fmt.Errorf("malformed list of files")
		}
		var err error
		f.sum = sum{algo: part[0], hex: part[1]}
		if f.sum.size, err = strconv.ParseInt(part[2], 10, 64); err == nil {
			f.path, err = strconv.Unquote(part[3])
		}
		if err != nil {
			return nil, fmt.Errorf("malformed list of files: %w", err)
		}
		l = append(l, f)
	}
	return l, nil
}

// choose returns the files to fetch: those that a glob of Include matches and
// none of Exclude. Without Include, they are all whose path has no part that
// begins with a dot, and for a model or adapter those that pipe reads.
func (s *HuggingFace) choose(as string, list hubList) ([]hubFile, error) {
	if len(s.Include) == 0 && as != "files" {
		if err := list.checkWeights(as); err != nil {
			return nil, err
		}
	}
	var chosen []hubFile
	matched := make([]bool, len(s.Include))
	usual := usualFiles(as, list)
	for _, f := range list {
		take := len(s.Include) == 0 && usual(f.path)
		for i, glob := range s.Include {
			if globRegexp(glob).MatchString(f.path) {
				take, matched[i] = true, true
			}
		}
		if take && !slices.ContainsFunc(s.Exclude, func(glob string) bool { return globRegexp(glob).MatchString(f.path) }) {
			chosen = append(chosen, f)
		}
	}
	for i, ok := range matched {
		if !ok {
			return nil, &pipeline.FieldError{
				Field: hubField + ".include", Err: fmt.Errorf("no file matches %q; there is %s", s.Include[i], list.some()),
			}
		}
	}
	if len(chosen) == 0 {
		return nil, s.nothing(as, list)
	}
	seen := newNames()
	for _, f := range chosen {
		if err := seen.add(f.path, false); err != nil {
			return nil, &pipeline.FieldError{Field: hubField + ".repo", Err: err, Hint: "leave the file out with exclude"}
		}
	}
	return chosen, nil
}

// nothing says why no file is left.
func (s *HuggingFace) nothing(as string, list hubList) error {
	field, why := ".repo", "the repository holds no files"
	switch {
	case len(s.Include)+len(s.Exclude) > 0:
		field, why = ".exclude", "exclude leaves no file"
	case len(list) > 0 && as == "files":
		why = "the repository holds only files whose name begins with a dot"
	case len(list) > 0:
		why = fmt.Sprintf("the repository holds nothing that a %s is made of; there is %s", as, list.some())
	}
	return &pipeline.FieldError{Field: hubField + field, Err: fmt.Errorf("%s", why)}
}

func (l hubList) some() string {
	var all []string
	for _, f := range l {
		all = append(all, printable(f.path))
	}
	return some(all)
}

// usualFiles tells the files that are fetched when the user names none.
func usualFiles(as string, list hubList) func(path string) bool {
	if as == "files" {
		return func(path string) bool { return !strings.HasPrefix(path, ".") && !strings.Contains(path, "/.") }
	}
	convert := as == "model" && len(list.atTop("*.safetensors")) == 0 && len(list.atTop("*.gguf")) == 1
	return func(name string) bool {
		switch {
		case strings.Contains(name, "/") || strings.HasPrefix(name, "."):
			return false
		case strings.HasSuffix(name, ".gguf"):
			return convert
		}
		return usualName.MatchString(name)
	}
}

// checkWeights refuses weights of which none can be chosen for the user: what
// is left would look like a model without weights.
func (l hubList) checkWeights(as string) error {
	if len(l.atTop("*.safetensors")) > 0 {
		return nil
	}
	ggufs := l.atTop("*.gguf")
	if as == "model" && len(ggufs) > 1 {
		return &pipeline.FieldError{
			Field: hubField + ".include", Err: fmt.Errorf("there are several GGUF files: %s", some(ggufs)),
			Hint: fmt.Sprintf("choose one, such as include: [%q]", ggufs[0]),
		}
	}
	for _, pattern := range pickles() {
		if found := l.atTop(pattern); len(found) > 0 && len(ggufs) == 0 {
			return &pipeline.FieldError{Field: hubField + ".repo", Err: fmt.Errorf("its weights are only in %s: %s", some(found), whyNoPickle)}
		}
	}
	return nil
}

// atTop returns the paths that pattern matches and that lie in no folder.
func (l hubList) atTop(pattern string) []string {
	var found []string
	for _, f := range l {
		if ok, _ := path.Match(pattern, f.path); ok {
			found = append(found, printable(f.path))
		}
	}
	return found
}

// usualName are the files at the top of a repository that models and adapters
// are made of, and their papers.
var usualName = regexp.MustCompile(`\.(safetensors|json|jinja|model|txt|md)$|^(LICENSE|LICENCE|NOTICE)`)

// checkGlobs refuses globs that cannot be meant.
func (s *HuggingFace) checkGlobs() error {
	for field, globs := range map[string][]string{".include": s.Include, ".exclude": s.Exclude} {
		if slices.Contains(globs, "") {
			return &pipeline.FieldError{Field: hubField + field, Err: fmt.Errorf("a glob is empty")}
		}
	}
	return nil
}

// globRegexp reads a glob as the hub's own clients do: * and ? match slashes
// too, and a folder, written with a slash at its end, means all below it.
func globRegexp(glob string) *regexp.Regexp {
	if strings.HasSuffix(glob, "/") {
		glob += "*"
	}
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; c {
		case '*':
			b.WriteString(`.*`)
		case '?':
			b.WriteString(`.`)
		case '[':
			set, n := globSet(glob[i:])
			b.WriteString(set)
			i += n - 1
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return regexp.MustCompile(`\A` + regexp.QuoteMeta(glob) + `\z`) // as it stands
	}
	return re
}

// globSet translates a set such as [a-z] or [!0-9] and returns its length; a
// bracket that is not closed stands for itself.
func globSet(s string) (string, int) {
	end := strings.IndexByte(s[1:], ']')
	if end <= 0 {
		return `\[`, 1
	}
	set := s[1 : 1+end]
	negated := strings.HasPrefix(set, "!")
	set = strings.TrimPrefix(set, "!")
	set = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `^`, `\^`).Replace(set)
	if negated {
		set = "^" + set
	}
	return "[" + set + "]", end + 2
}

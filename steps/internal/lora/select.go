package lora

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pipe-run/pipe/steps/internal/decoder"
)

// AllLinear targets every linear layer but the head.
const AllLinear = "all-linear"

// A Selector chooses modules by their paths as PEFT's target_modules does: by a
// list of names, each a path or the end of one after a dot, or by one regular
// expression that must match the whole path. The zero Selector is AllLinear.
type Selector struct {
	Names   []string
	Pattern string // the regular expression; used when there are no names
}

// UnmarshalJSON reads a regular expression, AllLinear or a list of names.
func (s *Selector) UnmarshalJSON(b []byte) error {
	*s = Selector{}
	if json.Unmarshal(b, &s.Pattern) == nil {
		if s.Pattern == AllLinear {
			s.Pattern = ""
		}
		return nil
	}
	if err := json.Unmarshal(b, &s.Names); err != nil || len(s.Names) == 0 {
		return fmt.Errorf("want %q, a regular expression or a list of names", AllLinear)
	}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (s Selector) MarshalJSON() ([]byte, error) {
	switch {
	case s.Names != nil:
		return json.Marshal(s.Names)
	case s.Pattern != "":
		return json.Marshal(s.Pattern)
	}
	return json.Marshal(AllLinear)
}

// all says that the selector chooses every linear layer.
func (s Selector) all() bool {
	return s.Pattern == "" && (len(s.Names) == 0 || slices.Equal(s.Names, []string{AllLinear}))
}

// Check refuses what is no regular expression. A nil Selector is fine.
func (s *Selector) Check() error {
	if s == nil || s.all() || len(s.Names) > 0 {
		return nil
	}
	_, err := fullMatch(s.Pattern)
	return err
}

// matcher returns a function that says whether a path is chosen, and by which
// of the names.
func (s Selector) matcher() (func(path string) (hit bool, by []int), error) {
	if s.all() {
		return func(string) (bool, []int) { return true, nil }, nil
	}
	if len(s.Names) == 0 {
		re, err := fullMatch(s.Pattern)
		if err != nil {
			return nil, err
		}
		return func(path string) (bool, []int) { return re.MatchString(path), nil }, nil
	}
	return func(path string) (hit bool, by []int) {
		for i, name := range s.Names {
			if path == name || strings.HasSuffix(path, "."+name) {
				by = append(by, i)
			}
		}
		return by != nil, by
	}, nil
}

// fullMatch compiles a regular expression that must match from end to end.
func fullMatch(expression string) (*regexp.Regexp, error) {
	if len(expression) > maxPatternLen {
		return nil, fmt.Errorf("a regular expression of %d bytes, want at most %d", len(expression), maxPatternLen)
	}
	return compile(`\A(?:`, expression, `)\z`)
}

// compile compiles a regular expression between what pipe adds to it, of which
// an error says nothing.
func compile(before, expression, after string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(before + expression + after)
	if err == nil {
		return re, nil
	}
	if _, own := regexp.Compile(expression); own != nil {
		err = own
	}
	return nil, fmt.Errorf("%q is no regular expression that pipe knows (RE2): %w", expression, err)
}

// A Selection says which linear layers of a model are adapted.
type Selection struct {
	Targets Selector
	// Exclude takes modules away from Targets; nil takes none.
	Exclude *Selector
	// Layers are the numbers of the blocks to stay within; none means all.
	Layers []int
}

// Match returns the modules of a model that s chooses, in model order. What
// names nothing is an error that says what could be named, with the parameter to
// blame: targets, exclude or layers.
func (s Selection) Match(c decoder.Config) (list []decoder.Module, field string, err error) {
	modules := c.Modules()
	if list, err = choose(s.Targets, modules); err != nil {
		return nil, "targets", err
	}
	if err := s.Targets.beyond(c); err != nil {
		return nil, "targets", err
	}
	if s.Exclude != nil {
		gone, err := choose(*s.Exclude, modules)
		if err != nil {
			return nil, "exclude", err
		}
		list = slices.DeleteFunc(list, func(m decoder.Module) bool { return slices.Contains(gone, m) })
		if len(list) == 0 {
			return nil, "exclude", fmt.Errorf("leaves nothing of the targets")
		}
	}
	if len(s.Layers) == 0 {
		return list, "", nil
	}
	for _, l := range s.Layers {
		if l < 0 || l >= c.Layers {
			return nil, "layers", fmt.Errorf("the model has no layer %d: its %d layers are numbered from 0", l, c.Layers)
		}
	}
	list = slices.DeleteFunc(list, func(m decoder.Module) bool { return !slices.Contains(s.Layers, layerOf(m.Path)) })
	if len(list) == 0 {
		return nil, "layers", fmt.Errorf("no target lies in these layers")
	}
	return list, "", nil
}

// layerOf returns the first number in a path, which is that of its block.
func layerOf(path string) int {
	for part := range strings.SplitSeq(path, ".") {
		if n, err := strconv.Atoi(part); err == nil {
			return n
		}
	}
	return -1
}

// choose returns the modules that a selector matches. Every name, and the
// regular expression, must match one.
func choose(s Selector, modules []decoder.Module) ([]decoder.Module, error) {
	match, err := s.matcher()
	if err != nil {
		return nil, err
	}
	var list []decoder.Module
	used := make([]bool, len(s.Names))
	for _, m := range modules {
		hit, by := match(m.Path)
		if hit {
			list = append(list, m)
		}
		for _, i := range by {
			used[i] = true
		}
	}
	if s.all() {
		return list, nil
	}
	for i, ok := range used {
		if !ok {
			return nil, fmt.Errorf("no linear layer is called %q%s: the model has %s",
				s.Names[i], near(s.Names[i], modules), strings.Join(leaves(modules), ", "))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the regular expression %q matches the path of no linear layer; paths are such as %s and %s",
			s.Pattern, modules[0].Path, modules[len(modules)-1].Path)
	}
	return list, nil
}

// beyond refuses a regular expression that also matches what is no linear layer
// of a block, which PEFT would adapt or refuse.
func (s Selector) beyond(c decoder.Config) error {
	if s.Pattern == "" || len(s.Names) > 0 {
		return nil
	}
	re, err := fullMatch(s.Pattern)
	if err != nil {
		return err
	}
	linear := map[string]bool{}
	for _, m := range c.Modules() {
		linear[m.Path] = true
	}
	for _, t := range c.Canonical().Tensors() {
		for path := t.Name; ; {
			dot := strings.LastIndexByte(path, '.')
			if dot < 0 {
				break
			}
			path = path[:dot]
			if !linear[path] && re.MatchString(path) {
				return fmt.Errorf("the regular expression %q also matches %s, which is no linear layer of a block: narrow it", s.Pattern, path)
			}
		}
	}
	return nil
}

// leaves are the last names of modules, sorted and once each.
func leaves(modules []decoder.Module) []string {
	var names []string
	for _, m := range modules {
		names = append(names, m.Path[strings.LastIndexByte(m.Path, '.')+1:])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// near asks whether a name was meant to be one of the modules', if one is close.
func near(name string, modules []decoder.Module) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	best, least := "", 3
	for _, leaf := range leaves(modules) {
		if d := slips(last, leaf); d > 0 && d < least && 2*d < len(last) {
			best, least = leaf, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(" (did you mean %q?)", best)
	case slices.Contains([]string{"lm_head", "embed_tokens", "wte"}, last):
		return " (to train it whole, name it in modulesToSave)"
	}
	return ""
}

// slips is the number of letters to insert, drop or change to make b of a.
func slips(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := last
			if a[i] != b[j] {
				change++
			}
			last = row[j+1]
			row[j+1] = min(change, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}

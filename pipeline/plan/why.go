package plan

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// A Change is one leaf in which two actions differ. Path is that of the
// preimage: "params.lora.rank", "inputs.tokens", "pin", "version". Old or New
// is nil when the leaf is absent there.
type Change struct {
	Path string          `json:"path"`
	Old  json.RawMessage `json:"old,omitempty"`
	New  json.RawMessage `json:"new,omitempty"`
}

// Param returns the dotted path of the parameter that changed, or "".
func (c Change) Param() string {
	p, ok := strings.CutPrefix(c.Path, "params.")
	if !ok {
		return ""
	}
	return p
}

// String says the change as a person would.
func (c Change) String() string {
	if p := c.Param(); p != "" {
		switch {
		case c.Old == nil:
			return fmt.Sprintf("%s was added: %s", p, short(c.New))
		case c.New == nil:
			return fmt.Sprintf("%s was removed; it was %s", p, short(c.Old))
		}
		return fmt.Sprintf("%s changed from %s to %s", p, short(c.Old), short(c.New))
	}
	if in, ok := strings.CutPrefix(c.Path, "inputs."); ok {
		in, what, _ := strings.Cut(in, ".")
		switch {
		case what == "type":
			return fmt.Sprintf("input %s changed from %s to %s", in, short(c.Old), short(c.New))
		case c.Old == nil:
			return fmt.Sprintf("input %s was added", in)
		case c.New == nil:
			return fmt.Sprintf("input %s was removed", in)
		}
		return fmt.Sprintf("input %s changed", in)
	}
	switch {
	case c.Path == "pin":
		return "the source changed"
	case c.Path == "version":
		return fmt.Sprintf("this pipe computes this kind differently (version %s, was %s)", short(c.New), short(c.Old))
	case strings.HasPrefix(c.Path, "outputs"):
		return "its outputs changed"
	}
	return fmt.Sprintf("%s changed from %s to %s", c.Path, short(c.Old), short(c.New))
}

// short cuts a value for one line of text.
func short(raw json.RawMessage) string {
	const most = 60
	if r := []rune(string(raw)); len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(raw)
}

// Diff returns the leaves in which two preimages differ, in order of path.
func Diff(old, new []byte) ([]Change, error) {
	a, err := leaves(old)
	if err != nil {
		return nil, err
	}
	b, err := leaves(new)
	if err != nil {
		return nil, err
	}
	paths := maps.Clone(a)
	maps.Copy(paths, b)
	var changes []Change
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if !bytes.Equal(a[path], b[path]) {
			changes = append(changes, Change{path, a[path], b[path]})
		}
	}
	return changes, nil
}

// leaves maps the dotted path of each scalar, list or empty object in raw to
// its JSON.
func leaves(raw []byte) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	var walk func(path string, raw json.RawMessage) error
	walk = func(path string, raw json.RawMessage) error {
		if len(raw) == 0 || raw[0] != '{' || string(raw) == "{}" {
			out[path] = raw
			return nil
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			return fmt.Errorf("reading an action: %w", err)
		}
		for name, v := range m {
			sub := name
			if path != "" {
				sub = path + "." + name
			}
			if err := walk(sub, v); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk("", raw)
}

// An Explanation says how an action differs from the nearest earlier one.
type Explanation struct {
	Key     pipeline.Key
	Nearest pipeline.Key // zero when the step never ran
	Changes []Change
}

// maxEarlier bounds how many earlier executions are compared.
const maxEarlier = 20

// Explain compares it.Action with the earlier execution of the step that
// differs least, the latest of equals.
func (p *Planner) Explain(ctx context.Context, it *Item) (*Explanation, error) {
	e := &Explanation{Key: it.Key}
	if p.Past == nil || it.Action == nil {
		return e, nil
	}
	keys, err := p.Past.Earlier(ctx, it.Node.Name, it.Node.Kind)
	if err != nil {
		return nil, err
	}
	now := it.Action.Canonical()
	for _, k := range keys[:min(len(keys), maxEarlier)] {
		if k == it.Key {
			continue
		}
		then, err := p.Past.Preimage(ctx, k)
		if err != nil {
			continue // collected: nothing to compare with
		}
		changes, err := Diff(then, now)
		if err != nil {
			return nil, err
		}
		if e.Nearest.IsZero() || len(changes) < len(e.Changes) {
			e.Nearest, e.Changes = k, changes
		}
	}
	return e, nil
}

// reason says why it is a miss: how it differs from when the step last had a
// result.
func (p *Planner) reason(ctx context.Context, it *Item) string {
	if p.Past == nil {
		return "never run"
	}
	if when, ok := p.Past.Evicted(it.Key); ok {
		return "evicted " + ago(time.Since(when))
	}
	last, ok := p.Past.Last(ctx, it.Node.Name)
	if !ok {
		return "never run"
	}
	if last == it.Key {
		return "its result is no longer whole in the cache"
	}
	then, err := p.Past.Preimage(ctx, last)
	if err != nil {
		return "never run like this"
	}
	changes, err := Diff(then, it.Action.Canonical())
	if err != nil || len(changes) == 0 {
		return "never run like this"
	}
	first := changes[0]
	for _, c := range changes { // a parameter says more than an input
		if c.Param() != "" {
			first = c
			break
		}
	}
	if more := len(changes) - 1; more > 0 {
		return fmt.Sprintf("%s, and %d more", first, more)
	}
	return first.String()
}

func ago(d time.Duration) string {
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit + " ago"
		}
		return fmt.Sprintf("%d %ss ago", n, unit)
	}
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return count(int(d/time.Minute), "minute")
	case d < 24*time.Hour:
		return count(int(d/time.Hour), "hour")
	}
	return count(int(d/(24*time.Hour)), "day")
}

package chat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// lost tells what of a conversation its rendering has no trace of: the roles of
// messages whose text is not in it, and "tools", "tool calls" and "reasoning".
func lost(r Record, full string) []string {
	var all []string
	note := func(what, text string) {
		text = strings.TrimSpace(text)
		if text == "" || slices.Contains(all, what) || strings.Contains(full, text) || strings.Contains(full, quoted(text)) {
			return
		}
		all = append(all, what)
	}
	for _, m := range r.Messages {
		note(m.Role, m.Content)
		note("reasoning", m.Reasoning)
		note("tool calls", names(m.ToolCalls))
	}
	note("tools", names(r.Tools))
	slices.Sort(all)
	return all
}

// quoted is a text as it stands within JSON.
func quoted(s string) string {
	var w jsonWriter
	w.quote(s)
	q := w.out.String()
	return q[1 : len(q)-1]
}

// names returns the name of the first function in a JSON list of tools or calls.
func names(list string) string {
	if list == "" {
		return ""
	}
	var all []struct {
		Name     string
		Function struct{ Name string }
	}
	if json.Unmarshal([]byte(list), &all) != nil || len(all) == 0 {
		return ""
	}
	if all[0].Function.Name != "" {
		return all[0].Function.Name
	}
	return all[0].Name
}

// Counts are of the tokens that begin and end what a row holds.
type Counts struct{ BOS, Stops int }

// Count counts them in ids.
func (t *Template) Count(ids []int32) Counts {
	var c Counts
	bos, ok := t.tok.BOS()
	for _, id := range ids {
		if ok && id == bos {
			c.BOS++
		}
		if t.stop[id] {
			c.Stops++
		}
	}
	return c
}

// WantsBOS is the spelling of the BOS token that the tokenizer begins plain text
// with, "" where it adds none.
func (t *Template) WantsBOS() string {
	if !t.tok.AddsBOS() {
		return ""
	}
	return t.piece(t.tok.BOS())
}

// encodeSegments tokenizes the text of the segments as a whole where no token
// spans two of them, since that is what generation will see; elsewhere each
// stretch that is trained on begins with a token of its own, as if the text before
// it were a prompt. Segments that are trained on are supervised.
func (t *Template) encodeSegments(segments []Segment) (Encoded, error) {
	var text strings.Builder
	row, n := newRow(nil), 0 // n: bytes of text that row has
	flush := func(train bool) error {
		if text.Len() == n {
			return nil
		}
		ids, err := t.raw(text.String())
		if err != nil {
			return err
		}
		if len(ids) < len(row.IDs) || !slices.Equal(ids[:len(row.IDs)], row.IDs) {
			ids = t.tok.AppendEncode(slices.Clone(row.IDs), text.String()[n:], false)
			if got := t.tok.Decode(ids, false); got != t.tok.Decode(t.tok.Encode(text.String(), false), false) {
				return fmt.Errorf("%w: a token spans the end of %s and the segment after it, and this tokenizer cannot encode them apart", ErrPrefix, tail(text.String()[:n]))
			}
		}
		from := len(row.IDs)
		row.IDs = ids
		for range ids[from:] {
			row.Labels = append(row.Labels, Unsupervised)
		}
		if train {
			row.supervise(from, len(ids), 1)
		}
		n = text.Len()
		return nil
	}
	last := -1
	for i, s := range segments {
		if i > 0 && s.Train != segments[i-1].Train {
			if err := flush(segments[i-1].Train); err != nil {
				return Encoded{}, err
			}
		}
		text.WriteString(s.Text)
		if s.Train && s.Text != "" {
			last = i
		}
	}
	if last < 0 {
		return Encoded{}, fmt.Errorf("%w: no segment is trained on", ErrNothing)
	}
	if segments[len(segments)-1].Train {
		if err := flush(true); err != nil {
			return Encoded{}, err
		}
	}
	for len(row.Labels) > 0 && row.Labels[len(row.Labels)-1] == Unsupervised {
		row.cut(len(row.Labels) - 1)
	}
	return t.finish(row)
}

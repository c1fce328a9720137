package dataset

import "fmt"

// pangu reads Huawei's question and answer data: a context and a target, the
// context text or a list of it that ends with the question (what stands before
// are question and answer in turn); a list of such rows, which is a conversation;
// or a context and its targets, the best first, which makes a preference of the
// first and the last. system is who the model shall be.
func (s *Shaper) pangu(r *Record, row Value) *badField {
	if row.Kind == List {
		return s.panguTurns(r, row)
	}
	if bad := s.systemFirst(r, row); bad != nil {
		return bad
	}
	if bad := s.panguContext(r, row, ""); bad != nil {
		return bad
	}
	_, _, ranked := s.find(row, "targets")
	if ranked != (s.shape == Preference) {
		return wrong(s.columns["targets"], "rows with a target and rows with ranked targets cannot be mixed in one step")
	}
	if ranked {
		return s.panguRanked(r, row)
	}
	target, bad := s.filled(row, "target")
	if bad != nil {
		return bad
	}
	r.Messages = append(r.Messages, Message{Role: "assistant", Content: target})
	return nil
}

func (s *Shaper) panguTurns(r *Record, row Value) *badField {
	if s.shape == Preference {
		return wrong("", "conversations and rows with ranked targets cannot be mixed in one step")
	}
	if len(row.Items) == 0 {
		return wrong("", "is an empty conversation")
	}
	for i, turn := range row.Items {
		at := fmt.Sprintf("[%d].", i)
		if turn.Kind != Object {
			return wanted(at[:len(at)-1], "an object", turn)
		}
		if i == 0 {
			if bad := s.systemFirst(r, turn); bad != nil {
				return bad.within(at)
			}
		}
		if bad := s.panguContext(r, turn, at); bad != nil {
			return bad
		}
		target, bad := s.filled(turn, "target")
		if bad != nil {
			return bad.within(at)
		}
		r.Messages = append(r.Messages, Message{Role: "assistant", Content: target})
	}
	return nil
}

// within puts the path of what holds the field before it.
func (b *badField) within(at string) *badField {
	b.field = at + b.field
	return b
}

func (s *Shaper) panguContext(r *Record, row Value, at string) *badField {
	name, v, ok := s.find(row, "context")
	switch {
	case !ok:
		return s.missing(row, "context").within(at)
	case v.Kind == String:
		v = Value{Kind: List, Items: []Value{v}}
	case v.Kind != List:
		return wanted(at+name, "a string or a list of strings", v)
	}
	if len(v.Items)%2 == 0 {
		return wrong(at+name, "holds %d texts; wanted an odd number: questions and answers in turn, a question last", len(v.Items))
	}
	for i, item := range v.Items {
		if item.Kind != String {
			return wanted(fmt.Sprintf("%s%s[%d]", at, name, i), "a string", item)
		}
		role := "user"
		if i%2 == 1 {
			role = "assistant"
		}
		r.Messages = append(r.Messages, Message{Role: role, Content: item.Text})
	}
	if isBlank(v.Items[len(v.Items)-1].Text) {
		return wrong(at+name, "is empty")
	}
	return nil
}

func (s *Shaper) panguRanked(r *Record, row Value) *badField {
	name, targets, bad := s.list(row, "targets")
	if bad != nil {
		return bad
	}
	if len(targets) < 2 {
		return wrong(name, "holds %d answers; a ranking needs two", len(targets))
	}
	for i, target := range targets {
		if target.Kind != String {
			return wanted(fmt.Sprintf("%s[%d]", name, i), "a string", target)
		}
	}
	best, worst := targets[0].Text, targets[len(targets)-1].Text
	switch {
	case isBlank(best) || isBlank(worst):
		return wrong(name, "an answer is empty")
	case best == worst:
		return wrong(name, "the first and the last answer are the same: neither is better")
	}
	r.Chosen = []Message{{Role: "assistant", Content: best}}
	r.Rejected = []Message{{Role: "assistant", Content: worst}}
	return nil
}

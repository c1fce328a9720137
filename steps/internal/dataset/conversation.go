package dataset

import (
	"fmt"
	"strconv"
	"strings"
)

// shareGPTRoles are the values of from, and what they are called in messages.
// A function_call is an assistant's message made of tool calls alone.
var shareGPTRoles = map[string]string{
	"human": "user", "user": "user",
	"gpt": "assistant", "assistant": "assistant", "function_call": "assistant",
	"system":      "system",
	"observation": "tool", "tool": "tool",
}

// shareGPT reads conversations of {from, value}. The asking side (human,
// observation) and the answering side (gpt, function_call) take turns.
func (s *Shaper) shareGPT(r *Record, row Value) *badField {
	if bad := s.onlyText(row); bad != nil {
		return bad
	}
	turns, name, bad := s.turns(row, "conversations")
	if bad != nil {
		return bad
	}
	system, bad := s.optional(row, "system")
	if bad != nil {
		return bad
	}
	if system != "" {
		r.Messages = append(r.Messages, Message{Role: "system", Content: system})
	}
	for i, turn := range turns {
		m, bad := s.shareGPTTurn(turn, fmt.Sprintf("%s[%d]", name, i))
		if bad != nil {
			return bad
		}
		if n := len(r.Messages); n > 0 && answers(m) == answers(r.Messages[n-1]) && r.Messages[n-1].Role != "system" {
			return wrong(fmt.Sprintf("%s[%d].%s", name, i, s.columns["from"]), "%s follows %s; the two sides must take turns", m.Role, r.Messages[n-1].Role)
		}
		r.Messages = append(r.Messages, m)
	}
	if r.Tools, bad = s.tools(row); bad != nil {
		return bad
	}
	return checkConversation(r.Messages, name)
}

func answers(m Message) bool { return m.Role == "assistant" }

func (s *Shaper) shareGPTTurn(turn Value, at string) (Message, *badField) {
	if turn.Kind != Object {
		return Message{}, wanted(at, "an object", turn)
	}
	from, bad := member(turn, at, s.columns["from"])
	if bad != nil {
		return Message{}, bad
	}
	value, bad := member(turn, at, s.columns["value"])
	if bad != nil {
		return Message{}, bad
	}
	role, ok := shareGPTRoles[from]
	if !ok {
		return Message{}, wrong(at+"."+s.columns["from"], "wanted human, gpt, system, observation or function_call, found %s", snippet(from))
	}
	if from != "function_call" {
		return Message{Role: role, Content: value}, nil
	}
	at += "." + s.columns["value"]
	call, err := ParseJSON([]byte(value))
	if err != nil {
		return Message{}, wrong(at, "a function call must be JSON: %v", err)
	}
	if call.Kind == Object {
		call = Value{Kind: List, Items: []Value{call}}
	}
	calls, bad := toolCalls(call, at)
	return Message{Role: role, ToolCalls: calls}, bad
}

// messages reads the conversations of OpenAI's chat format.
func (s *Shaper) messages(r *Record, row Value) *badField {
	if bad := s.onlyText(row); bad != nil {
		return bad
	}
	turns, name, bad := s.turns(row, "messages")
	if bad != nil {
		return bad
	}
	for i, turn := range turns {
		m, bad := s.message(turn, fmt.Sprintf("%s[%d]", name, i))
		if bad != nil {
			return bad
		}
		r.Messages = append(r.Messages, m)
	}
	if r.Tools, bad = s.tools(row); bad != nil {
		return bad
	}
	return checkConversation(r.Messages, name)
}

func (s *Shaper) message(turn Value, at string) (m Message, bad *badField) {
	if turn.Kind != Object {
		return m, wanted(at, "an object", turn)
	}
	if m.Role, bad = member(turn, at, s.columns["role"]); bad != nil {
		return m, bad
	}
	switch m.Role {
	case "system", "user", "assistant", "tool":
	default:
		return m, wrong(at+"."+s.columns["role"], "wanted system, user, assistant or tool, found %s", snippet(m.Role))
	}
	if calls, ok := turn.Get("tool_calls"); ok && calls.Kind != Null {
		if m.Role != "assistant" {
			return m, wrong(at+".tool_calls", "only an assistant calls tools, not the %s", m.Role)
		}
		if m.ToolCalls, bad = toolCalls(calls, at+".tool_calls"); bad != nil {
			return m, bad
		}
	}
	if m.Content, bad = s.content(turn, at, m.ToolCalls != ""); bad != nil {
		return m, bad
	}
	if name, _ := turn.Get("name"); name.Kind == String {
		m.Name = name.Text
	} else if name.Kind != Null {
		return m, wanted(at+".name", "a string", name)
	}
	m.Weight, bad = messageWeight(turn, at, m.Role)
	return m, bad
}

// content reads a message's text: a string, or a list of text parts. It may be
// missing beside tool calls.
func (s *Shaper) content(turn Value, at string, calls bool) (string, *badField) {
	name := s.columns["content"]
	v, ok := turn.Get(name)
	at += "." + name
	switch {
	case v.Kind == Null && calls:
		return "", nil
	case !ok:
		return "", wrong(at, "is missing")
	case v.Kind == String:
		return v.Text, nil
	case v.Kind != List:
		return "", wanted(at, "a string", v)
	}
	var text strings.Builder
	for i, part := range v.Items {
		at := fmt.Sprintf("%s[%d]", at, i)
		kind, bad := member(part, at, "type")
		if bad != nil {
			return "", bad
		}
		if kind != "text" {
			return "", wrong(at, "is of type %s; only text can be trained on", snippet(kind))
		}
		key := "text"
		if _, ok := part.Get("value"); ok { // as LLaMA-Factory 1 writes parts
			key = "value"
		}
		s, bad := member(part, at, key)
		if bad != nil {
			return "", bad
		}
		text.WriteString(s)
	}
	return text.String(), nil
}

// messageWeight reads weight (OpenAI) or loss_weight (Volcengine Ark).
func messageWeight(turn Value, at, role string) (*float64, *badField) {
	for _, name := range []string{"weight", "loss_weight"} {
		v, _ := turn.Get(name)
		if v.Kind == Null {
			continue
		}
		w, err := strconv.ParseFloat(v.Text, 64)
		if v.Kind != Number || err != nil || w < 0 || w > 1 {
			return nil, wanted(at+"."+name, "a number from 0 to 1", v)
		}
		if role != "assistant" && w == 0 {
			return nil, nil // it is not learnt anyway
		}
		if role != "assistant" {
			return nil, wrong(at+"."+name, "only an assistant's message has a weight, not the %s's", role)
		}
		return &w, nil
	}
	return nil, nil
}

// turns returns the list of messages that a column holds, and the column's name.
func (s *Shaper) turns(row Value, column string) ([]Value, string, *badField) {
	name := s.columns[column]
	v, ok := row.Get(name)
	switch {
	case !ok:
		return nil, name, s.missing(row, column)
	case v.Kind == String && strings.HasPrefix(strings.TrimSpace(v.Text), "["): // in a CSV file
		list, err := ParseJSON([]byte(v.Text))
		if err != nil {
			return nil, name, wrong(name, "a list of messages written as a string must be JSON: %v", err)
		}
		v = list
	}
	if v.Kind != List {
		return nil, name, wanted(name, "a list of messages", v)
	}
	if len(v.Items) == 0 {
		return nil, name, wrong(name, "is empty")
	}
	return v.Items, name, nil
}

// tools returns the tools on offer as a JSON list; the column holds such a list
// or its text.
func (s *Shaper) tools(row Value) (string, *badField) {
	name := s.columns["tools"]
	v, _ := row.Get(name)
	if v.Kind == String {
		if strings.TrimSpace(v.Text) == "" {
			return "", nil
		}
		list, err := ParseJSON([]byte(v.Text))
		if err != nil {
			return "", wrong(name, "tools written as a string must be JSON: %v", err)
		}
		v = list
	}
	if v.Kind == Null || v.Kind == List && len(v.Items) == 0 {
		return "", nil
	}
	if v.Kind != List {
		return "", wanted(name, "a list of tools", v)
	}
	for i, tool := range v.Items {
		if tool.Kind != Object {
			return "", wanted(fmt.Sprintf("%s[%d]", name, i), "an object", tool)
		}
	}
	return v.JSON(), nil
}

// toolCalls brings calls into the one form that chat templates understand:
// [{"type":"function","function":{"name":…,"arguments":{…}}}], with the id kept
// where there is one. A call may come bare, and its arguments as JSON text.
func toolCalls(v Value, at string) (string, *badField) {
	if v.Kind != List {
		return "", wanted(at, "a list of tool calls", v)
	}
	if len(v.Items) == 0 {
		return "", nil
	}
	calls := Value{Kind: List}
	for i, call := range v.Items {
		at := fmt.Sprintf("%s[%d]", at, i)
		if call.Kind != Object {
			return "", wanted(at, "an object", call)
		}
		function, ok := call.Get("function")
		if !ok {
			function = call
		} else {
			at += ".function"
		}
		name, bad := member(function, at, "name")
		if bad != nil {
			return "", bad
		}
		arguments, bad := callArguments(function, at+".arguments")
		if bad != nil {
			return "", bad
		}
		out := Value{Kind: Object}
		if id, _ := call.Get("id"); id.Kind == String {
			out.Fields = append(out.Fields, Field{"id", id})
		}
		out.Fields = append(out.Fields, Field{"type", stringValue("function")},
			Field{"function", Value{Kind: Object, Fields: []Field{{"name", stringValue(name)}, {"arguments", arguments}}}})
		calls.Items = append(calls.Items, out)
	}
	return calls.JSON(), nil
}

func callArguments(function Value, at string) (Value, *badField) {
	v, _ := function.Get("arguments")
	if v.Kind == String {
		parsed, err := ParseJSON([]byte(v.Text))
		if err != nil {
			return Value{}, wrong(at, "arguments written as a string must be JSON: %v", err)
		}
		v = parsed
	}
	switch v.Kind {
	case Null:
		return Value{Kind: Object}, nil
	case Object:
		return v, nil
	}
	return Value{}, wanted(at, "an object", v)
}

// member returns the text of a field of an object within a row.
func member(v Value, at, name string) (string, *badField) {
	if v.Kind != Object {
		return "", wanted(at, "an object", v)
	}
	field, ok := v.Get(name)
	if !ok {
		return "", wrong(at+"."+name, "is missing")
	}
	if field.Kind != String {
		return "", wanted(at+"."+name, "a string", field)
	}
	return field.Text, nil
}

// checkConversation refuses what no chat template can render or nothing can be
// learnt from.
func checkConversation(messages []Message, name string) *badField {
	learnt := false
	for i, m := range messages {
		if m.Role == "system" && i > 0 {
			return wrong(name, "a system message stands at place %d; it can only be the first", i)
		}
		if m.Role == "assistant" {
			learnt = learnt || strings.TrimSpace(m.Content) != "" || m.ToolCalls != ""
		}
	}
	if !learnt {
		return wrong(name, "holds no assistant message with text, so there is nothing to learn")
	}
	return nil
}

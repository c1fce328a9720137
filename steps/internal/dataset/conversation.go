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
	"gpt": "assistant", "assistant": "assistant", "model": "assistant", "chatgpt": "assistant",
	"function_call": calling, "tool_call": calling,
	"system":      "system",
	"observation": "tool", "tool": "tool", "function_response": "tool", "tool_response": "tool",
}

// calling is the role of an assistant whose message is tool calls alone.
const calling = "function_call"

// shareGPT reads conversations of {from, value}, or of {role, content} where the
// messages have no from. The asking side (human, observation) and the answering
// side (gpt, function_call) take turns.
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
			from, _ := s.turnKeys(turn)
			return wrong(fmt.Sprintf("%s[%d].%s", name, i, from), "%s follows %s; the two sides must take turns", m.Role, r.Messages[n-1].Role)
		}
		if m.Role == "system" && system != "" && i == 0 {
			return wrong(fmt.Sprintf("%s[0]", name), "a system message, and there is a column system too")
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
	fromKey, valueKey := s.turnKeys(turn)
	from, bad := member(turn, at, fromKey)
	if bad != nil {
		return Message{}, bad
	}
	value, bad := member(turn, at, valueKey)
	if bad != nil {
		return Message{}, bad
	}
	role, ok := s.layout.Roles[from]
	if !ok {
		role, ok = shareGPTRoles[from]
	}
	if !ok {
		return Message{}, wrong(at+"."+fromKey, "wanted human, gpt, system, observation or function_call, found %s", snippet(from))
	}
	if role != calling {
		m := Message{Role: role, Content: value}
		if m.Reasoning, bad = reasoning(turn, at, role); bad != nil {
			return m, bad
		}
		m.Weight, bad = messageWeight(turn, at, role)
		return m, bad
	}
	role = "assistant"
	at += "." + valueKey
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

// turnKeys are what a turn calls its speaker and its text.
func (s *Shaper) turnKeys(turn Value) (from, value string) {
	from, value = s.columns["from"], s.columns["value"]
	if _, mapped := s.layout.Columns["from"]; mapped {
		return from, value
	}
	_, has := turn.Get(from)
	if _, other := turn.Get("role"); other && !has {
		return "role", "content"
	}
	return from, value
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
	if m.Role, bad = s.messageRole(m.Role, at); bad != nil {
		return m, bad
	}
	if m.ToolCalls, bad = messageCalls(turn, at, m.Role); bad != nil {
		return m, bad
	}
	if m.Content, bad = s.content(turn, at, m.ToolCalls != ""); bad != nil {
		return m, bad
	}
	if m.Name, bad = maybe(turn, at, "name"); bad != nil {
		return m, bad
	}
	if m.ToolCallID, bad = maybe(turn, at, "tool_call_id"); bad != nil {
		return m, bad
	}
	if m.ToolCallID != "" && m.Role != "tool" {
		return m, wrong(at+".tool_call_id", "only a tool answers a call, not the %s", m.Role)
	}
	if m.Reasoning, bad = reasoning(turn, at, m.Role); bad != nil {
		return m, bad
	}
	m.Weight, bad = messageWeight(turn, at, m.Role)
	return m, bad
}

// messageRole returns the role that a role's name stands for: OpenAI's developer
// is the system, its function of older days a tool.
func (s *Shaper) messageRole(role, at string) (string, *badField) {
	if known := s.layout.Roles[role]; known != "" && known != calling {
		return known, nil
	}
	switch role {
	case "system", "user", "assistant", "tool":
		return role, nil
	case "developer":
		return "system", nil
	case "function":
		return "tool", nil
	}
	return "", wrong(at+"."+s.columns["role"], "wanted system, user, assistant or tool, found %s", snippet(role))
}

// messageCalls reads tool_calls, or the one function_call of older days.
func messageCalls(turn Value, at, role string) (string, *badField) {
	name := "tool_calls"
	calls, _ := turn.Get(name)
	if calls.Kind == Null {
		name = "function_call"
		if calls, _ = turn.Get(name); calls.Kind == Object {
			calls = Value{Kind: List, Items: []Value{calls}}
		}
	}
	switch {
	case calls.Kind == Null:
		return "", nil
	case calls.Kind == String && strings.TrimSpace(calls.Text) == "":
		return "", nil
	case role != "assistant":
		return "", wrong(at+"."+name, "only an assistant calls tools, not the %s", role)
	case calls.Kind == String:
		list, err := ParseJSON([]byte(calls.Text))
		if err != nil {
			return "", wrong(at+"."+name, "calls written as a string must be JSON: %v", err)
		}
		calls = list
	}
	return toolCalls(calls, at+"."+name)
}

// reasoning reads what an assistant thought, under the names that chat templates
// and providers have for it.
func reasoning(turn Value, at, role string) (string, *badField) {
	for _, name := range []string{"reasoning_content", "reasoning", "thinking"} {
		text, bad := maybe(turn, at, name)
		if bad != nil {
			return "", bad
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		if role != "assistant" {
			return "", wrong(at+"."+name, "only an assistant reasons, not the %s", role)
		}
		return text, nil
	}
	return "", nil
}

// maybe returns the text of a field of an object, "" when it is missing or null.
func maybe(v Value, at, name string) (string, *badField) {
	switch field, _ := v.Get(name); field.Kind {
	case Null:
		return "", nil
	case String:
		return field.Text, nil
	default:
		return "", wanted(at+"."+name, "a string", field)
	}
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

// messageWeight reads weight (OpenAI), loss_weight (Volcengine Ark) or train
// (axolotl: true or false).
func messageWeight(turn Value, at, role string) (*float64, *badField) {
	if train, _ := turn.Get("train"); train.Kind == Bool {
		w := 0.0
		if train.Bool {
			w = 1
		}
		if role != "assistant" && w == 1 {
			return nil, wrong(at+".train", "only an assistant's message is learnt, not the %s's", role)
		}
		if role != "assistant" {
			return nil, nil
		}
		return &w, nil
	}
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
	name, v, ok := s.find(row, column)
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
	name, v, _ := s.find(row, "tools")
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
		id, _ := call.Get("id")
		if id.Kind == Null { // Kiln's Hugging Face export
			id, _ = function.Get("id")
		}
		if id.Kind == String {
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
	ids := map[string]bool{} // of the calls so far; "" for one without an id
	for i, m := range messages {
		if m.Role == "system" && i > 0 {
			return wrong(name, "a system message stands at place %d; it can only be the first", i)
		}
		if m.Role == "assistant" {
			learnt = learnt || strings.TrimSpace(m.Content) != "" || m.ToolCalls != ""
		}
		if m.ToolCalls != "" {
			callIDs(m.ToolCalls, ids)
		}
		if m.ToolCallID != "" && !ids[m.ToolCallID] && !ids[""] {
			return wrong(name, "a tool answers the call %s, which no message before it makes", snippet(m.ToolCallID))
		}
	}
	if !learnt {
		return wrong(name, "holds no assistant message with text, so there is nothing to learn")
	}
	return nil
}

// callIDs notes the ids of calls that toolCalls wrote.
func callIDs(calls string, ids map[string]bool) {
	list, err := ParseJSON([]byte(calls))
	if err != nil {
		return
	}
	for _, call := range list.Items {
		id, _ := call.Get("id")
		ids[id.Text] = true
	}
}

package dataset

import (
	"fmt"
	"strings"
)

// gemini reads the conversations of Google's Vertex: contents of role (user,
// model; function, or none, for what tools answer) and parts, each a text, a
// functionCall or a functionResponse.
func (s *Shaper) gemini(r *Record, row Value) *badField {
	if bad := s.geminiSystem(r, row); bad != nil {
		return bad
	}
	name, contents, bad := s.list(row, "contents")
	if bad != nil {
		return bad
	}
	for i, content := range contents {
		messages, bad := geminiContent(content, fmt.Sprintf("%s[%d]", name, i))
		if bad != nil {
			return bad
		}
		r.Messages = append(r.Messages, messages...)
	}
	if r.Tools, bad = s.geminiTools(row); bad != nil {
		return bad
	}
	return checkConversation(r.Messages, name)
}

func (s *Shaper) geminiSystem(r *Record, row Value) *badField {
	name, v, _ := s.find(row, "systemInstruction")
	text := v.Text
	switch v.Kind {
	case Null:
		return nil
	case Object:
		m, bad := geminiMessage(v, name, "system")
		if bad != nil {
			return bad
		}
		if m.ToolCalls != "" || m.Reasoning != "" {
			return wrong(name, "holds more than text")
		}
		text = m.Content
	case String:
	default:
		return wanted(name, "text or parts", v)
	}
	if text != "" {
		r.Messages = append(r.Messages, Message{Role: "system", Content: text})
	}
	return nil
}

func geminiContent(content Value, at string) ([]Message, *badField) {
	if content.Kind != Object {
		return nil, wanted(at, "an object", content)
	}
	role, bad := maybe(content, at, "role")
	if bad != nil {
		return nil, bad
	}
	parts, ok := content.Get("parts")
	if !ok || parts.Kind != List || len(parts.Items) == 0 {
		return nil, wanted(at+".parts", "a list of parts", parts)
	}
	if _, answered := parts.Items[0].Get("functionResponse"); answered {
		return geminiResponses(parts.Items, at+".parts")
	}
	switch role {
	case "user":
	case "model":
		role = "assistant"
	default:
		return nil, wrong(at+".role", "wanted user or model, found %s", snippet(role))
	}
	m, bad := geminiMessage(content, at, role)
	return []Message{m}, bad
}

// geminiMessage puts the parts of one content into one message.
func geminiMessage(content Value, at, role string) (Message, *badField) {
	m := Message{Role: role}
	parts, _ := content.Get("parts")
	if parts.Kind != List {
		return m, wanted(at+".parts", "a list of parts", parts)
	}
	calls := Value{Kind: List}
	for i, part := range parts.Items {
		at := fmt.Sprintf("%s.parts[%d]", at, i)
		if call, ok := part.Get("functionCall"); ok {
			if role != "assistant" {
				return m, wrong(at, "only the model calls functions")
			}
			calls.Items = append(calls.Items, renamed(call, "args", "arguments"))
			continue
		}
		if _, ok := part.Get("text"); !ok {
			return m, wrong(at, "holds neither text nor a function call; only text can be trained on")
		}
		text, bad := member(part, at, "text")
		if bad != nil {
			return m, bad
		}
		if thought, _ := part.Get("thought"); thought.Bool {
			m.Reasoning += text
		} else {
			m.Content += text
		}
	}
	var bad *badField
	m.ToolCalls, bad = toolCalls(calls, at+".parts")
	return m, bad
}

func geminiResponses(parts []Value, at string) (messages []Message, bad *badField) {
	for i, part := range parts {
		at := fmt.Sprintf("%s[%d].functionResponse", at, i)
		response, _ := part.Get("functionResponse")
		name, bad := member(response, at, "name")
		if bad != nil {
			return nil, bad
		}
		v, ok := response.Get("response")
		if !ok {
			return nil, wrong(at+".response", "is missing")
		}
		text := v.JSON()
		if content, _ := v.Get("content"); len(v.Fields) == 1 && content.Kind == String { // as Kiln writes it
			text = content.Text
		}
		messages = append(messages, Message{Role: "tool", Name: name, Content: text})
	}
	return messages, nil
}

// geminiTools turns functionDeclarations into tools as chat templates know them:
// types in lower case, as in JSON Schema.
func (s *Shaper) geminiTools(row Value) (string, *badField) {
	name, v, _ := s.find(row, "tools")
	if v.Kind == Null {
		return "", nil
	}
	if v.Kind != List {
		return "", wanted(name, "a list of tools", v)
	}
	all := Value{Kind: List}
	for i, tool := range v.Items {
		declared, ok := tool.Get("functionDeclarations")
		if !ok {
			declared, ok = tool.Get("function_declarations")
		}
		if !ok || declared.Kind != List {
			return "", wanted(fmt.Sprintf("%s[%d].functionDeclarations", name, i), "a list", declared)
		}
		for _, function := range declared.Items {
			all.Items = append(all.Items, Value{Kind: Object, Fields: []Field{
				{"type", stringValue("function")}, {"function", lowerTypes(function)},
			}})
		}
	}
	if len(all.Items) == 0 {
		return "", nil
	}
	return all.JSON(), nil
}

// renamed is an object with one of its fields called otherwise.
func renamed(v Value, from, to string) Value {
	out := Value{Kind: v.Kind, Text: v.Text, Items: v.Items}
	for _, f := range v.Fields {
		if f.Name == from {
			f.Name = to
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

// lowerTypes writes Vertex' names of types (STRING) as JSON Schema's.
func lowerTypes(v Value) Value {
	out := v
	out.Items, out.Fields = nil, nil
	for _, item := range v.Items {
		out.Items = append(out.Items, lowerTypes(item))
	}
	for _, f := range v.Fields {
		if f.Name == "type" && f.Value.Kind == String {
			switch f.Value.Text {
			case "STRING", "INTEGER", "BOOLEAN", "NUMBER", "ARRAY", "OBJECT":
				f.Value = stringValue(strings.ToLower(f.Value.Text))
			}
		} else {
			f.Value = lowerTypes(f.Value)
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

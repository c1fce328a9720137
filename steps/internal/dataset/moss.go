package dataset

import (
	"fmt"
	"strconv"
	"strings"
)

// moss reads MOSS' conversations: chat is an object of turn_1, turn_2, …, each
// with Human and MOSS, and, in those that use tools, Inner Thoughts, Commands and
// Tool Responses. The marks around the texts (<|Human|>: … <eoh>) come off, and
// "None" is none. meta_instruction is the system prompt, inner thoughts are
// reasoning, and a command name("…") is a call with the argument "input".
func (s *Shaper) moss(r *Record, row Value) *badField {
	system, bad := s.optional(row, "meta_instruction")
	if bad != nil {
		return bad
	}
	if system != "" {
		r.Messages = append(r.Messages, Message{Role: "system", Content: system})
	}
	name, chat, ok := s.find(row, "chat")
	if !ok {
		return s.missing(row, "chat")
	}
	if chat.Kind != Object || len(chat.Fields) == 0 {
		return wanted(name, "an object of turn_1, turn_2, …", chat)
	}
	turns := map[string]Value{}
	for _, f := range chat.Fields {
		turns[f.Name] = f.Value
	}
	for n := 1; n <= len(chat.Fields); n++ {
		key := fmt.Sprintf("turn_%d", n)
		at := name + "." + key
		turn, ok := turns[key]
		if !ok {
			return wrong(at, "is missing, of %d turns", len(chat.Fields))
		}
		if turn.Kind != Object {
			return wanted(at, "an object", turn)
		}
		if bad := mossTurn(r, turn, at); bad != nil {
			return bad
		}
	}
	return checkConversation(r.Messages, name)
}

func mossTurn(r *Record, turn Value, at string) *badField {
	texts := map[string]string{}
	for _, key := range []string{"Human", "Inner Thoughts", "Commands", "Tool Responses", "MOSS"} {
		text, bad := maybe(turn, at, key)
		if bad != nil {
			return bad
		}
		if text = unmark(text); text == "None" && key != "Human" && key != "MOSS" {
			text = ""
		}
		texts[key] = text
	}
	if texts["Human"] == "" {
		return wrong(at+".Human", "is missing or empty")
	}
	if texts["MOSS"] == "" {
		return wrong(at+".MOSS", "is missing or empty")
	}
	r.Messages = append(r.Messages, Message{Role: "user", Content: texts["Human"]})
	thought := texts["Inner Thoughts"]
	if commands := texts["Commands"]; commands != "" {
		calls, bad := mossCalls(commands, at+".Commands")
		if bad != nil {
			return bad
		}
		if texts["Tool Responses"] == "" {
			return wrong(at+".Tool Responses", "is missing, and there are commands")
		}
		r.Messages = append(r.Messages, Message{Role: "assistant", ToolCalls: calls, Reasoning: thought},
			Message{Role: "tool", Content: texts["Tool Responses"]})
		thought = ""
	} else if texts["Tool Responses"] != "" {
		return wrong(at+".Tool Responses", "answers no command")
	}
	r.Messages = append(r.Messages, Message{Role: "assistant", Content: texts["MOSS"], Reasoning: thought})
	return nil
}

// unmark takes <|Who|>: off the beginning of a text and <eo?> off its end.
func unmark(text string) string {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "<|"); ok {
		if who, after, ok := strings.Cut(rest, "|>:"); ok && len(who) <= 16 {
			text = after
		}
	}
	text = strings.TrimSpace(text)
	for _, end := range []string{"<eoh>", "<eot>", "<eoc>", "<eor>", "<eom>"} {
		text = strings.TrimSuffix(text, end)
	}
	return strings.TrimSpace(text)
}

// mossCalls reads commands: name("…") or name(…), several after commas.
func mossCalls(commands, at string) (string, *badField) {
	calls := Value{Kind: List}
	for rest := commands; ; {
		name, after, ok := strings.Cut(rest, "(")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t\n\"") {
			return "", wrong(at, "wanted name(\"…\"), found %s", snippet(rest))
		}
		argument, tail, ok := mossArgument(after)
		if !ok {
			return "", wrong(at, "the parenthesis of %s never closes", name)
		}
		arguments := Value{Kind: Object, Fields: []Field{{"input", stringValue(argument)}}}
		calls.Items = append(calls.Items, Value{Kind: Object, Fields: []Field{
			{"type", stringValue("function")},
			{"function", Value{Kind: Object, Fields: []Field{{"name", stringValue(name)}, {"arguments", arguments}}}},
		}})
		if rest = strings.TrimSpace(tail); rest == "" {
			return calls.JSON(), nil
		}
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return "", wrong(at, "wanted a comma between commands, found %s", snippet(tail))
		}
	}
}

// mossArgument returns what stands before the closing parenthesis, without its
// quotes, and what stands after.
func mossArgument(text string) (argument, tail string, ok bool) {
	if strings.HasPrefix(text, `"`) {
		if quoted, err := strconv.QuotedPrefix(text); err == nil && strings.HasPrefix(text[len(quoted):], ")") {
			if argument, err = strconv.Unquote(quoted); err == nil {
				return argument, text[len(quoted)+1:], true
			}
		}
	}
	end := strings.LastIndex(text, ")")
	if end < 0 {
		return "", "", false
	}
	return strings.Trim(text[:end], `"`), text[end+1:], true
}

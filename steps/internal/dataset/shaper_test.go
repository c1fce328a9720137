package dataset

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// shape makes a record of one row of JSON and shows it.
func shape(t *testing.T, format Format, columns map[string]string, row string) (string, error) {
	t.Helper()
	value, err := ParseJSON([]byte(row))
	if err != nil {
		t.Fatal(err)
	}
	shaper, err := NewShaper(format, columns)
	if err != nil {
		t.Fatal(err)
	}
	r, err := shaper.Record("f", Raw{Value: value, Record: 1})
	if err != nil {
		return "", err
	}
	if r.Shape != shaper.Shape() || r.Origin != (Origin{"f", 1}) {
		t.Errorf("record %+v", r)
	}
	switch r.Shape {
	case Text:
		return r.Text, nil
	case PromptCompletion:
		return r.Prompt + " → " + r.Completion, nil
	}
	var b strings.Builder
	for _, m := range r.Messages {
		fmt.Fprintf(&b, "%s", m.Role)
		if m.Name != "" {
			fmt.Fprintf(&b, "(%s)", m.Name)
		}
		if m.Weight != nil {
			fmt.Fprintf(&b, "*%v", *m.Weight)
		}
		fmt.Fprintf(&b, ": %s%s; ", m.Content, m.ToolCalls)
	}
	return b.String() + r.Tools, nil
}

func TestShapes(t *testing.T) {
	for _, c := range []struct {
		format  Format
		columns map[string]string
		row     string
		want    string
	}{
		{TextFormat, nil, `{"text":"x","id":1}`, "x"},
		{TextFormat, nil, `"x"`, "x"},
		{TextFormat, map[string]string{"text": "body"}, `"x"`, "x"},
		{TextFormat, map[string]string{"text": "body"}, `{"body":"x"}`, "x"},
		{PromptFormat, nil, `{"prompt":"","completion":"y"}`, " → y"},
		{AlpacaFormat, nil, `{"instruction":"i","input":"","output":"o"}`, "user: i; assistant: o; "},
		{AlpacaFormat, nil, `{"instruction":"i","input":"n","output":"o","system":"s","history":[["q","a"]]}`,
			"system: s; user: q; assistant: a; user: i\nn; assistant: o; "},
		{AlpacaFormat, nil, `{"instruction":"i","input":null,"output":"o","history":null,"images":[]}`, "user: i; assistant: o; "},
		{ShareGPTFormat, nil, `{"conversations":[{"from":"system","value":"s"},{"from":"human","value":"h"},{"from":"gpt","value":"g"}]}`,
			"system: s; user: h; assistant: g; "},
		{ShareGPTFormat, map[string]string{"conversations": "c", "from": "who", "value": "says"},
			`{"system":"s","tools":"[{\"name\": \"f\"}]","c":[{"who":"user","says":"h"},{"who":"function_call","says":"{\"name\": \"f\", \"arguments\": {\"a\": 1.0}}"},{"who":"observation","says":"1"},{"who":"gpt","says":"g"}]}`,
			`system: s; user: h; assistant: [{"type":"function","function":{"name":"f","arguments":{"a":1.0}}}]; tool: 1; assistant: g; [{"name":"f"}]`},
		{MessagesFormat, nil, `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"name":"n"},{"role":"assistant","content":"c","weight":0}]}`,
			"user(n): ab; assistant*0: c; "},
		{MessagesFormat, nil, `{"messages":"[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\",\"loss_weight\":1}]"}`,
			"user: a; assistant*1: b; "},
	} {
		got, err := shape(t, c.format, c.columns, c.row)
		if err != nil || got != c.want {
			t.Errorf("%s %s:\n got %q, %v\nwant %q", c.format, c.row, got, err, c.want)
		}
	}
}

func TestBadRows(t *testing.T) {
	for _, c := range []struct {
		format Format
		row    string
		want   string
	}{
		{TextFormat, `5`, "f: record 1: wanted an object, found a number: 5"},
		{TextFormat, `{"text":" \n"}`, "text: is empty"},
		{TextFormat, `{"text":null}`, "text: wanted a string, found null"},
		{TextFormat, `{"body":"x"}`, "text: is missing; the row has body"},
		{TextFormat, `{}`, "text: is missing; the row has none"},
		{PromptFormat, `{"prompt":[{"role":"user"}],"completion":"x"}`, `prompt: wanted a string, found a list: [{"role":"user"}]`},
		{AlpacaFormat, `{"instruction":"i","output":""}`, "output: is empty"},
		{AlpacaFormat, `{"instruction":" ","output":"o"}`, "instruction: is empty"},
		{AlpacaFormat, `{"instruction":"i","input":7,"output":"o"}`, "input: wanted a string, found a number: 7"},
		{AlpacaFormat, `{"instruction":"i","output":"o","history":[["q"]]}`, `history[0]: wanted a [question, answer] pair, found a list: ["q"]`},
		{AlpacaFormat, `{"instruction":"i","output":"o","history":[["q",null]]}`, "history[0][1]: wanted a string, found null"},
		{AlpacaFormat, `{"instruction":"i","output":"o","images":["a.png"]}`, "images: holds media; only text can be trained on"},
		{ShareGPTFormat, `{"conversations":[]}`, "conversations: is empty"},
		{ShareGPTFormat, `{"conversations":[{"from":"bot","value":"x"}]}`, `conversations[0].from: wanted human, gpt, system, observation or function_call, found "bot"`},
		{ShareGPTFormat, `{"conversations":[{"from":"human","value":"x"},{"from":"human","value":"y"}]}`, "conversations[1].from: user follows user; the two sides must take turns"},
		{ShareGPTFormat, `{"conversations":[{"from":"human","value":"x"},{"from":"gpt"}]}`, "conversations[1].value: is missing"},
		{ShareGPTFormat, `{"conversations":[{"from":"human","value":"x"}]}`, "conversations: holds no assistant message with text"},
		{ShareGPTFormat, `{"conversations":[{"from":"human","value":"x"},{"from":"function_call","value":"f()"}]}`, "conversations[1].value: a function call must be JSON"},
		{ShareGPTFormat, `{"conversations":[{"from":"human","value":"x"},{"from":"gpt","value":"y"}],"tools":"{}"}`, "tools: wanted a list of tools, found an object: {}"},
		{MessagesFormat, `{"messages":{"role":"user"}}`, "messages: wanted a list of messages, found an object"},
		{MessagesFormat, `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}`, `messages[0].content[0]: is of type "image_url"; only text can be trained on`},
		{MessagesFormat, `{"messages":[{"role":"critic","content":"x"}]}`, `messages[0].role: wanted system, user, assistant or tool, found "critic"`},
		{MessagesFormat, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null}]}`, "messages[1].content: wanted a string, found null"},
		{MessagesFormat, `{"messages":[{"role":"user","content":"a"},{"role":"system","content":"b"},{"role":"assistant","content":"c"}]}`, "a system message stands at place 1; it can only be the first"},
		{MessagesFormat, `{"messages":[{"role":"user","content":"a","tool_calls":[]}]}`, "messages[0].tool_calls: only an assistant calls tools, not the user"},
		{MessagesFormat, `{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"["}}]}]}`, "messages[0].tool_calls[0].function.arguments: arguments written as a string must be JSON"},
		{MessagesFormat, `{"messages":[{"role":"assistant","content":"a","weight":2}]}`, "messages[0].weight: wanted a number from 0 to 1, found a number: 2"},
		{MessagesFormat, `{"messages":[{"role":"user","content":"a","weight":1}]}`, "messages[0].weight: only an assistant's message has a weight, not the user's"},
	} {
		_, err := shape(t, c.format, nil, c.row)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s:\n got %v\nwant %s", c.format, c.row, err, c.want)
		}
	}
}

func TestJSONIsValidAndEqual(t *testing.T) {
	value, err := ParseJSON([]byte(`{"a\u0001\"":[true,false,null,-1.5e+3,"\t\n\r\\/<>&\u2028"],"b":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := "{\"a\\u0001\\\"\":[true,false,null,-1.5e+3,\"\\t\\n\\r\\\\/<>&\u2028\"],\"b\":{}}"
	if got := value.JSON(); got != want || !json.Valid([]byte(got)) {
		t.Errorf("%s, want %s", got, want)
	}
}

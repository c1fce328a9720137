package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// Message is one turn of a conversation. Its fields are those of a record's
// messages, so that one converts into the other.
type Message struct {
	Role      string // "system", "user", "assistant" or "tool"
	Content   string
	Name      string   // "" for none
	ToolCalls string   // JSON list of calls, "" for none
	Weight    *float64 // share in the loss, 0 to 1; nil: as its role has it

	Reasoning  string // what an assistant thought first, "" for none
	ToolCallID string // of the call that a tool's message answers, "" for none
}

// Record is one example: Messages, or Prompt and Completion, or Text, or
// Messages with two ways to go on.
type Record struct {
	Shape              string // one of the constants below
	Messages           []Message
	Chosen, Rejected   []Message
	Tools              string // JSON list of the tools on offer, "" for none
	Prompt, Completion string
	Text               string
	Segments           []Segment
}

// Segment is a span of text that is tokenized as it stands, and trained on or not.
type Segment struct {
	Text  string
	Train bool
}

// The shapes of a Record.
const (
	Messages         = "messages"
	PromptCompletion = "prompt-completion"
	Text             = "text"
	Preference       = "preference"
	Segments         = "segments"
)

// variables are what a template can refer to.
func (t *Template) variables(messages []Message, tools string) (map[string]any, error) {
	all := make(list, len(messages))
	for i, m := range messages {
		dict, err := m.dict()
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i+1, err)
		}
		all[i] = dict
	}
	vars := map[string]any{"messages": all, "tools": pyNone(), "documents": pyNone()}
	if tools != "" {
		v, err := readJSON(tools)
		if err != nil {
			return nil, fmt.Errorf("tools: %w", err)
		}
		vars["tools"] = v
	}
	if bos := t.piece(t.tok.BOS()); bos != "" {
		vars["bos_token"] = bos
	}
	if eos := t.piece(t.tok.EOS()); eos != "" {
		vars["eos_token"] = eos
	}
	if day, err := time.Parse(dateLayout, t.date); err == nil {
		vars[dateFunction] = strftimeNow(day)
	}
	return vars, nil
}

// dict is the message as templates see it: role, content and, where they are,
// name, reasoning_content, tool_calls and tool_call_id, in this order.
func (m Message) dict() (*exec.Dict, error) {
	d := exec.NewDict()
	put := func(key string, value any) {
		d.Pairs = append(d.Pairs, &exec.Pair{Key: exec.AsValue(key), Value: exec.AsValue(value)})
	}
	put("role", m.Role)
	put("content", m.Content)
	if m.Name != "" {
		put("name", m.Name)
	}
	if m.Reasoning != "" {
		put("reasoning_content", m.Reasoning)
	}
	if m.ToolCalls != "" {
		calls, err := readJSON(m.ToolCalls)
		if err != nil {
			return nil, fmt.Errorf("tool_calls: %w", err)
		}
		put("tool_calls", calls)
	}
	if m.ToolCallID != "" {
		put("tool_call_id", m.ToolCallID)
	}
	return d, nil
}

// maxDepth bounds nested JSON.
const maxDepth = 64

// readJSON decodes JSON keeping the order of keys, as Python does.
func readJSON(text string) (any, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

func readValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return int(n), nil
		}
		return t.Float64()
	case json.Delim:
		if t == '[' {
			return readList(d, depth)
		}
		return readObject(d, depth)
	case nil:
		return pyNone(), nil
	}
	return t, nil
}

func readList(d *json.Decoder, depth int) (any, error) {
	all := list{}
	for d.More() {
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	_, err := d.Token()
	return all, err
}

func readObject(d *json.Decoder, depth int) (any, error) {
	dict := exec.NewDict()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		dict.Pairs = append(dict.Pairs, &exec.Pair{Key: exec.AsValue(key), Value: exec.AsValue(v)})
	}
	if len(dict.Pairs) == 0 { // the engine takes an empty Dict for true
		_, err := d.Token()
		return map[string]any{}, err
	}
	_, err := d.Token()
	return dict, err
}

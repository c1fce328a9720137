package dataset

import (
	"fmt"
	"strings"
	"testing"
)

// oneLine writes a record in one line.
func oneLine(r Record) string {
	var b strings.Builder
	turns := func(messages []Message) {
		for _, m := range messages {
			b.WriteString(m.Role)
			for _, s := range []string{m.Name, m.ToolCallID} {
				if s != "" {
					fmt.Fprintf(&b, "(%s)", s)
				}
			}
			if m.Weight != nil {
				fmt.Fprintf(&b, "*%v", *m.Weight)
			}
			if m.Reasoning != "" {
				fmt.Fprintf(&b, "{%s}", m.Reasoning)
			}
			fmt.Fprintf(&b, ": %s%s; ", m.Content, m.ToolCalls)
		}
	}
	switch r.Shape {
	case Text:
		return r.Text
	case PromptCompletion:
		return r.Prompt + " → " + r.Completion
	case Segments:
		for _, s := range r.Segments {
			fmt.Fprintf(&b, "[%s %v]", s.Text, s.Train)
		}
		return b.String()
	}
	turns(r.Messages)
	b.WriteString(r.Tools)
	if r.Shape == Preference {
		b.WriteString("+ ")
		turns(r.Chosen)
		b.WriteString("- ")
		turns(r.Rejected)
	}
	if r.Shape == Judged {
		fmt.Fprintf(&b, "desirable %v", r.Desirable)
	}
	return b.String()
}

// lay shapes one row and shows what came of it, records and refusals.
func lay(t *testing.T, l Layout, row string) string {
	t.Helper()
	value, err := ParseJSON([]byte(row))
	if err != nil {
		t.Fatal(err)
	}
	shaper, err := l.Shaper()
	if err != nil {
		t.Fatal(err)
	}
	shaper.Settle(value)
	records, refused := shaper.Records("f", Raw{Value: value, Record: 1}, nil)
	var all []string
	for _, r := range records {
		if r.Shape != shaper.Shape() || r.Origin != (Origin{"f", 1}) {
			t.Errorf("record %+v", r)
		}
		if err := r.check(shaper.Shape()); err != nil {
			t.Error(err)
		}
		all = append(all, oneLine(r))
	}
	for _, err := range refused {
		if left := err.(*RowError); left.Left {
			all = append(all, "left out: "+left.What)
		} else {
			all = append(all, err.Error())
		}
	}
	return strings.Join(all, " & ")
}

const (
	callFoo = `[{"id":"c1","type":"function","function":{"name":"foo","arguments":{"a":1}}}]`
	pair    = `"chosen":[{"role":"assistant","content":"good"}],"rejected":[{"role":"assistant","content":"bad"}]`
)

// TestLayouts: a row of every shape, and what it becomes.
func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		layout Layout
		row    string
		want   string
	}{
		// ShareGPT and its variants.
		{Layout{Format: ShareGPTFormat}, `{"conversations":[{"role":"user","content":"h"},{"role":"assistant","content":"g","weight":0}]}`, "user: h; assistant*0: g; "},
		{Layout{Format: ShareGPTFormat}, `{"conversation":[{"from":"human","value":"h"},{"from":"tool_call","value":"[{\"name\":\"foo\",\"arguments\":\"{}\"}]"},{"from":"tool","value":"1"},{"from":"model","value":"g"}],"tools":[{"name":"foo"}]}`,
			`user: h; assistant: [{"type":"function","function":{"name":"foo","arguments":{}}}]; tool: 1; assistant: g; [{"name":"foo"}]`},
		{Layout{Format: ShareGPTFormat, Roles: map[string]string{"Q": "user", "A": "assistant"}}, `{"conversations":[{"from":"Q","value":"h"},{"from":"A","value":"g"}]}`, "user: h; assistant: g; "},

		// OpenAI's messages, Volcengine Ark's, axolotl's train, Kiln's exports.
		{Layout{Format: MessagesFormat}, `{"messages":[{"role":"developer","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":` + strings.ReplaceAll(callFoo, `{"a":1}`, `"{\"a\":1}"`) + `},{"role":"tool","tool_call_id":"c1","content":"2"},{"role":"assistant","content":"done"}]}`,
			"system: s; user: u; assistant: " + callFoo + "; tool(c1): 2; assistant: done; "},
		{Layout{Format: MessagesFormat}, `{"messages":[{"role":"user","content":"u"},{"role":"assistant","function_call":{"name":"foo","arguments":"{}"}},{"role":"function","name":"foo","content":"2"}]}`,
			`user: u; assistant: [{"type":"function","function":{"name":"foo","arguments":{}}}]; tool(foo): 2; `},
		{Layout{Format: MessagesFormat}, `{"messages":[{"role":"user","content":"u","loss_weight":0.0},{"role":"assistant","content":"a","reasoning_content":"r","loss_weight":0.5}]}`, "user: u; assistant*0.5{r}: a; "},
		{Layout{Format: MessagesFormat, Reasoning: ThinkReasoning}, `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a","reasoning_content":"r"}]}`, "user: u; assistant: <think>\nr\n</think>\n\na; "},
		{Layout{Format: MessagesFormat, Reasoning: DropReasoning}, `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a","reasoning_content":"r"}]}`, "user: u; assistant: a; "},
		{Layout{Format: MessagesFormat}, `{"messages":[{"role":"user","content":"u","train":false},{"role":"assistant","content":"a","train":false},{"role":"user","content":"v"},{"role":"assistant","content":"b","train":true}]}`, "user: u; assistant*0: a; user: v; assistant*1: b; "},
		{Layout{Format: MessagesFormat}, `{"conversations":[{"role":"user","content":"u"},{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"foo","id":"c1","arguments":{"a":1}}}]}]}`, "user: u; assistant: " + callFoo + "; "},

		// Prompts and completions as messages; of them only the completion is learnt.
		{Layout{Format: PromptFormat}, `{"prompt":[{"role":"user","content":"u"},{"role":"assistant","content":"a"},{"role":"user","content":"v"}],"completion":[{"role":"assistant","content":"b"}]}`, "user: u; assistant*0: a; user: v; assistant: b; "},
		{Layout{Format: PromptFormat}, `{"prompt":"u","completion":{"role":"assistant","content":"b"}}`, "user: u; assistant: b; "},

		// Judged answers.
		{Layout{Format: KTOFormat}, `{"prompt":"u","completion":"a","label":true}`, "user: u; assistant: a; "},
		{Layout{Format: KTOFormat}, `{"prompt":"u","completion":"a","label":false}`, "left out: its answer is marked undesirable"},
		{Layout{Format: KTOFormat, Undesirable: true}, `{"prompt":"u","completion":"a","label":"0"}`, "user: u; assistant: a; desirable false"},
		{Layout{Format: KTOFormat, Undesirable: true}, `{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}],"label":1,"system":"s"}`, "system: s; user: u; assistant: a; desirable true"},
		{Layout{Format: KTOFormat}, `{"instruction":"u","input":"i","output":"a","kto_tag":true}`, "user: u\ni; assistant: a; "},
		{Layout{Format: KTOFormat}, `{"prompt":[{"role":"user","content":"u"}],"completion":[{"role":"assistant","content":"a"}],"label":true}`, "user: u; assistant: a; "},
		{Layout{Format: KTOFormat}, `{"prompt":"u","completion":"a","label":"maybe"}`, `f: record 1: label: wanted true or false, found a string: "maybe"`},
		{Layout{Format: PreferenceFormat}, `{"prompt":[{"role":"user","content":"u"}],` + strings.NewReplacer("chosen", "chosen_messages", "rejected", "rejected_messages").Replace(pair) + `}`, "user: u; + assistant: good; - assistant: bad; "},

		// Segments, steps.
		{Layout{Format: SegmentsFormat}, `{"segments":[{"label":false,"text":"<s>q "},{"label":true,"text":"a</s>"}]}`, "[<s>q  false][a</s> true]"},
		{Layout{Format: SegmentsFormat}, `{"segments":[{"label":false,"text":"q"}]}`, "f: record 1: segments: no segment is labelled true, so there is nothing to learn"},
		{Layout{Format: SegmentsFormat}, `{"segments":[{"text":"q"}]}`, "f: record 1: segments[0].label: is missing"},
		{Layout{Format: StepwiseFormat}, `{"prompt":"p","completions":["one","two"],"labels":[true,false]}`, "[p\n false][one\n true][two false]"},
		{Layout{Format: StepwiseFormat}, `{"prompt":"p","completions":["one"],"labels":[]}`, "f: record 1: labels: is empty"},
		{Layout{Format: StepwiseFormat}, `{"prompt":"p","completions":["one"],"labels":[1,0]}`, "f: record 1: labels: holds 2 labels for 1 completions"},
		{Layout{Format: StepwiseFormat}, `{"prompt":"p","completions":["one"],"labels":[0]}`, "f: record 1: labels: no step is labelled true, so there is nothing to learn"},

		// MOSS.
		{Layout{Format: MOSSFormat}, `{"conversation_id":1,"chat":{"turn_1":{"Human":"h","MOSS":"m"},"turn_2":{"Human":"i","MOSS":"n"}}}`, "user: h; assistant: m; user: i; assistant: n; "},
		{Layout{Format: MOSSFormat}, `{"meta_instruction":"s","chat":{"turn_1":{"Human":"<|Human|>: h<eoh>","Inner Thoughts":"<|Inner Thoughts|>: t<eot>","Commands":"<|Commands|>: Search(\"x, y\"), Solve(\"z\")<eoc>","Tool Responses":"<|Results|>: 1<eor>","MOSS":"<|MOSS|>: m<eom>"}}}`,
			`system: s; user: h; assistant{t}: [{"type":"function","function":{"name":"Search","arguments":{"input":"x, y"}}},{"type":"function","function":{"name":"Solve","arguments":{"input":"z"}}}]; tool: 1; assistant: m; `},
		{Layout{Format: MOSSFormat}, `{"chat":{"turn_1":{"Human":"h<eoh>","Inner Thoughts":"None<eot>","Commands":"None<eoc>","Tool Responses":"None<eor>","MOSS":"m<eom>"}}}`, "user: h; assistant: m; "},
		{Layout{Format: MOSSFormat}, `{"chat":{"turn_1":{"Human":"h","MOSS":"m"},"turn_3":{"Human":"h","MOSS":"m"}}}`, "f: record 1: chat.turn_2: is missing, of 2 turns"},
		{Layout{Format: MOSSFormat}, `{"chat":{"turn_1":{"Human":"h","MOSS":" "}}}`, "f: record 1: chat.turn_1.MOSS: is missing or empty"},
		{Layout{Format: MOSSFormat}, `{"chat":{"turn_1":{"Human":"h","Commands":"do it","MOSS":"m"}}}`, `f: record 1: chat.turn_1.Commands: wanted name("…"), found "do it"`},

		// Huawei's Pangu.
		{Layout{Format: PanguFormat}, `{"context":["q"],"target":"a","system":"s"}`, "system: s; user: q; assistant: a; "},
		{Layout{Format: PanguFormat}, `{"context":"q","target":"a"}`, "user: q; assistant: a; "},
		{Layout{Format: PanguFormat}, `{"context":["q","a","r"],"target":"b"}`, "user: q; assistant: a; user: r; assistant: b; "},
		{Layout{Format: PanguFormat}, `[{"system":"s","context":"q","target":"a"},{"context":"r","target":"b"}]`, "system: s; user: q; assistant: a; user: r; assistant: b; "},
		{Layout{Format: PanguFormat}, `{"context":"q","targets":["a","b","c"]}`, "user: q; + assistant: a; - assistant: c; "},
		{Layout{Format: PanguFormat}, `{"context":["q","a"],"target":"b"}`, "f: record 1: context: holds 2 texts; wanted an odd number: questions and answers in turn, a question last"},
		{Layout{Format: PanguFormat}, `[{"context":"q","target":7}]`, "f: record 1: [0].target: wanted a string, found a number: 7"},

		// iFlytek's Spark.
		{Layout{Format: SparkFormat}, `{"input":"q","target":"a","history":[["x","y"]]}`, "user: x; assistant: y; user: q; assistant: a; "},
		{Layout{Format: SparkFormat}, `{"input":"q","target":""}`, "f: record 1: target: is empty"},

		// Google's Vertex, as Kiln exports it.
		{Layout{Format: GeminiFormat}, `{"systemInstruction":{"role":"system","parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[{"text":"t","thought":true},{"functionCall":{"name":"foo","args":{"a":1}}}]},{"parts":[{"functionResponse":{"name":"foo","response":{"content":"2"}}}]},{"role":"model","parts":[{"text":"a"}]}],"tools":[{"functionDeclarations":[{"name":"foo","parameters":{"type":"OBJECT","properties":{"a":{"type":"INTEGER"}}}}]}]}`,
			`system: s; user: q; assistant{t}: [{"type":"function","function":{"name":"foo","arguments":{"a":1}}}]; tool(foo): 2; assistant: a; [{"type":"function","function":{"name":"foo","parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}}]`},
		{Layout{Format: GeminiFormat}, `{"contents":[{"role":"user","parts":[{"inlineData":{}}]}]}`, "f: record 1: contents[0].parts[0]: holds neither text nor a function call; only text can be trained on"},
		{Layout{Format: GeminiFormat}, `{"contents":[{"role":"assistant","parts":[{"text":"x"}]}]}`, `f: record 1: contents[0].role: wanted user or model, found "assistant"`},

		// SQuAD, flat and nested.
		{Layout{Format: SQuADFormat}, `{"context":"c","question":"q","answers":{"text":["a","b"],"answer_start":[0,1]}}`, "user: c\n\nq; assistant: a; "},
		{Layout{Format: SQuADFormat}, `{"context":"c","question":"q","answers":{"text":[],"answer_start":[]}}`, "left out: the question has no answer"},
		{Layout{Format: SQuADFormat, Unanswerable: "nobody knows"}, `{"context":"c","question":"q","answers":{"text":[],"answer_start":[]}}`, "user: c\n\nq; assistant: nobody knows; "},
		{Layout{Format: SQuADFormat}, `{"title":"t","paragraphs":[{"context":"c","qas":[{"id":"1","question":"q","answers":[{"text":"a","answer_start":0}]},{"question":"r","is_impossible":true,"answers":[],"plausible_answers":[]}]},{"context":"d","qas":[{"question":"s","answers":[{"text":" "}]},{"question":"t","answers":[{"text":"b"}]}]}]}`,
			"user: c\n\nq; assistant: a;  & user: d\n\nt; assistant: b;  & left out: the question has no answer & f: record 1: paragraphs[1].qas[0].answers[0].text: is empty"},
		{Layout{Format: SQuADFormat}, `{"paragraphs":[{"context":"c"}]}`, "f: record 1: paragraphs[0].question: is missing; the row has context"},
	} {
		if got := lay(t, c.layout, c.row); got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.layout.Format, c.row, got, c.want)
		}
	}
}

// TestLayoutRefusals: what is wrong with messages beyond their layout.
func TestLayoutRefusals(t *testing.T) {
	for row, want := range map[string]string{
		`{"messages":[{"role":"user","content":"u"},{"role":"tool","content":"x","tool_call_id":"c9"},{"role":"assistant","content":"a"}]}`: `messages: a tool answers the call "c9", which no message before it makes`,
		`{"messages":[{"role":"user","content":"u","reasoning_content":"r"},{"role":"assistant","content":"a"}]}`:                           "messages[0].reasoning_content: only an assistant reasons, not the user",
		`{"messages":[{"role":"user","content":"u","tool_call_id":"c"},{"role":"assistant","content":"a"}]}`:                                "messages[0].tool_call_id: only a tool answers a call, not the user",
		`{"messages":[{"role":"user","content":"u","train":true},{"role":"assistant","content":"a"}]}`:                                      "messages[0].train: only an assistant's message is learnt, not the user's",
		`{"messages":[{"role":"user","content":7},{"role":"assistant","content":"a"}]}`:                                                     "messages[0].content: wanted a string, found a number: 7",
	} {
		if got := lay(t, Layout{Format: MessagesFormat}, row); !strings.HasSuffix(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", row, got, want)
		}
	}
	if _, err := (Layout{Format: PanguFormat, Columns: map[string]string{"question": "q"}}).Shaper(); err == nil {
		t.Error("a column that the format does not have was accepted")
	}
}

// TestKnownOddities: duplicate keys, U+2028 and null are what docs/data.md says.
func TestKnownOddities(t *testing.T) {
	for row, want := range map[string]string{
		`{"text":"one","text":"two"}`:   "two",
		"{\"text\":\"a\u2028b\u0085\"}": "a\u2028b\u0085",
		`{"text":"a\u2028b"}`:           "a\u2028b",
		`{"text":null}`:                 "f: record 1: text: wanted a string, found null",
		`{}`:                            "f: record 1: text: is missing; the row has none",
		`{"text":3}`:                    "f: record 1: text: wanted a string, found a number: 3",
	} {
		if got := lay(t, Layout{Format: TextFormat}, row); got != want {
			t.Errorf("%s: %q, want %q", row, got, want)
		}
	}
}

// FuzzShape reads any row as every format: no panic, and every record can be
// written.
func FuzzShape(f *testing.F) {
	for _, seed := range []string{
		`{"conversations":[{"from":"human","value":"h"},{"from":"function_call","value":"{\"name\":\"f\"}"}],"tools":"[{}]"}`,
		`{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}],"label":true,"chosen":[],"rejected":{}}`,
		`{"chat":{"turn_1":{"Human":"<|Human|>:","Commands":"f(\"a\"), g(","MOSS":"x"}},"contents":[{"parts":[{"functionCall":{}}]}]}`,
		`{"paragraphs":[{"context":"c","qas":[{}]},7],"context":["a"],"targets":["b","c"],"question":"q","answers":{"text":[]}}`,
		`[{"context":"q","target":"a"},{}]`, `{"segments":[{"text":"","label":1}],"prompt":"p","completions":["a"],"labels":["+"]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		row, err := ParseJSON(data)
		if err != nil {
			return
		}
		for _, format := range Formats() {
			if format == TemplateFormat {
				continue
			}
			s, err := NewShaper(format, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.Settle(row)
			records, refused := s.Records("f", Raw{Value: row, Record: 1}, nil)
			for _, r := range records {
				if err := r.check(s.Shape()); err != nil {
					t.Fatalf("%s: %v", format, err)
				}
			}
			if len(records)+len(refused) == 0 {
				t.Fatalf("%s: a row of no record and no reason", format)
			}
			Nearest(row, Layout{Format: format})
		}
	})
}

// TestTortureRows: rows made to take time or memory are refused, soon.
func TestTortureRows(t *testing.T) {
	many := strings.Repeat(`{"question":"q","answers":[{"text":"a"}]},`, 2000)
	article := `{"context":"` + strings.Repeat("c", 1<<16) + `","qas":[` + strings.TrimSuffix(many, ",") + `]}`
	calls := strings.Repeat(`{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"c","content":""},`, 20000)
	var turns strings.Builder
	for i := range 40000 {
		fmt.Fprintf(&turns, `"turn_%d":{"Human":"h","MOSS":"m"},`, i+1)
	}
	for _, c := range []struct {
		format Format
		row    string
		want   string
	}{
		{SQuADFormat, article, "its records hold more than 8 MiB"},
		{MessagesFormat, `{"messages":[` + calls + `{"role":"assistant","content":"x"}]}`, ""},
		{MOSSFormat, `{"chat":{` + strings.TrimSuffix(turns.String(), ",") + `}}`, ""},
	} {
		s, err := NewShaper(c.format, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.limit = 8 << 20; c.format == SQuADFormat && len(c.row) > s.limit {
			t.Fatal("the row alone is beyond the limit")
		}
		_, refused := s.Records("f", Raw{Value: parseRows(t, c.row)[0], Record: 1}, nil)
		if c.want == "" && len(refused) > 0 || c.want != "" && (len(refused) != 1 || !strings.Contains(refused[0].Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.format, refused, c.want)
		}
	}
	template, err := ParseRowTemplate(TemplateSpec{Text: strings.Repeat("{{a}}", 300)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Layout{Format: TemplateFormat, Template: template}.Shaper()
	if err != nil {
		t.Fatal(err)
	}
	row := Value{Kind: Object, Fields: []Field{{"a", stringValue(strings.Repeat("a", 1<<16))}}}
	s.limit = 8 << 20
	if _, err := s.Record("f", Raw{Value: row}); err == nil || !strings.Contains(err.Error(), "more than 8 MiB") {
		t.Errorf("%.200v", err)
	}
}

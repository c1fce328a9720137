package chat

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// marking writes ChatML and marks what the assistant writes.
const marking = `{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}

{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`

func weigh(messages []Message, weights ...float64) []Message {
	for i := range weights {
		messages[i].Weight = &weights[i]
	}
	return messages
}

// TestMask checks what of a conversation each choice supervises.
func TestMask(t *testing.T) {
	turns := func() []Message {
		return conversation("system", "be", "user", "a", "assistant", "b", "user", "c", "assistant", "d")
	}
	chatml, jinja := Spec{Kind: ChatML}, Spec{Kind: Jinja, Jinja: marking}
	for _, test := range []struct {
		name     string
		spec     Spec
		train    Train
		messages []Message
		want     []string
		weights  []float32 // of the supervised tokens; nil: none
	}{
		{"all", chatml, Train{}, turns(), []string{"b<|im_end|>", "d<|im_end|>"}, nil},
		{"last", chatml, Train{Last: true}, turns(), []string{"d<|im_end|>"}, nil},
		{"user too", chatml, Train{Roles: []string{"assistant", "user"}}, turns(), []string{"a<|im_end|>", "b<|im_end|>", "c<|im_end|>", "d<|im_end|>"}, nil},
		{"user alone", chatml, Train{Roles: []string{"user"}}, turns(), []string{"a<|im_end|>", "c<|im_end|>"}, nil},
		{"last of two roles", chatml, Train{Roles: []string{"assistant", "user"}, Last: true}, turns(), []string{"d<|im_end|>"}, nil},
		{"weights", chatml, Train{}, weigh(turns(), 1, 1, 0.25, 1, 1), []string{"b<|im_end|>", "d<|im_end|>"}, []float32{0.25, 0.25, 1, 1}},
		{"weight 0", chatml, Train{}, weigh(turns(), 1, 1, 1, 1, 0), []string{"b<|im_end|>"}, nil},
		{"a weight of what is not trained on", chatml, Train{}, weigh(turns(), 0.5), []string{"b<|im_end|>", "d<|im_end|>"}, nil},
		{"marked", jinja, Train{}, turns(), []string{"b<|im_end|>", "d<|im_end|>"}, nil},
		{"marked, last", jinja, Train{Last: true}, turns(), []string{"d<|im_end|>"}, nil},
		{"marked, weights", jinja, Train{}, weigh(turns(), 1, 1, 1, 1, 0.5), []string{"b<|im_end|>", "d<|im_end|>"}, []float32{1, 1, 0.5, 0.5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tp := template(t, "bytelevel", test.spec).With(test.train)
			e, err := tp.Encode(context.Background(), Record{Shape: Messages, Messages: test.messages})
			if err != nil {
				t.Fatal(err)
			}
			if _, got := parts(tp, e); !slices.Equal(got, test.want) {
				t.Errorf("supervised %q, want %q", got, test.want)
			}
			var weights []float32
			for i, w := range e.Weights {
				if e.Labels[i] != Unsupervised {
					weights = append(weights, w)
				} else if w != 0 {
					t.Errorf("token %d is not supervised and has weight %v", i, w)
				}
			}
			if !slices.Equal(weights, test.weights) {
				t.Errorf("weights %v, want %v", weights, test.weights)
			}
		})
	}
}

// TestMaskRefused checks what masks refuse, and what they say.
func TestMaskRefused(t *testing.T) {
	short := strings.ReplaceAll(marking, "<|im_end|>{% endgeneration %}", "{% endgeneration %}<|im_end|>")
	captured := `{% set x %}{% generation %}{{ messages[-1].content }}{% endgeneration %}{% endset %}{{ x }}<|im_end|>`
	once := `{% for m in messages %}<|im_start|>{{ m.role }}:{% if loop.last %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}{% endfor %}`
	history := `{% for m in messages %}<|im_start|>{{ m.role }}:{{ m.content if loop.last or m.role == 'user' else 'old' }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}`
	turns := conversation("user", "a", "assistant", "b", "user", "c", "assistant", "d")
	for name, test := range map[string]struct {
		source string
		train  Train
		record Record
		want   string
	}{
		"mark before the stop token": {short, Train{}, Record{Messages: turns}, "ends before the stop token"},
		"mark in a set block":        {captured, Train{}, Record{Messages: turns}, "within a macro or a set block"},
		"fewer marks than answers":   {once, Train{}, Record{Messages: weigh(slices.Clone(turns), 1, 0.5)}, "marks 1 parts of 2 assistant messages"},
		"marks and other roles":      {marking, Train{Roles: []string{"user"}}, Record{Messages: turns}, "leave train.roles out"},
		"a history that changes":     {history, Train{}, Record{Messages: turns}, `turns: "last"`},
	} {
		tp, err := Load(t.TempDir(), open(t, "bytelevel"), Spec{Kind: Jinja, Jinja: test.source})
		if err == nil {
			test.record.Shape = Messages
			_, err = tp.With(test.train).Encode(context.Background(), test.record)
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	tp := template(t, "bytelevel", Spec{Kind: Jinja, Jinja: history}).With(Train{Last: true})
	if e, err := tp.Encode(context.Background(), Record{Shape: Messages, Messages: turns}); err != nil {
		t.Error(err)
	} else if _, got := parts(tp, e); !slices.Equal(got, []string{"d<|im_end|>"}) {
		t.Errorf("the last turn alone: %q", got)
	}
}

// TestLost finds what templates leave out.
func TestLost(t *testing.T) {
	deaf := `{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}:{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}`
	tp := template(t, "bytelevel", Spec{Kind: Jinja, Jinja: deaf})
	record := Record{Shape: Messages, Tools: `[{"type":"function","function":{"name":"look"}}]`, Messages: conversation("system", "be brief", "user", " a ", "assistant", "b")}
	record.Messages = append(record.Messages, Message{Role: "assistant", Content: "x", ToolCalls: `[{"function":{"name":"look","arguments":{}}}]`})
	e, err := tp.Encode(context.Background(), record)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"system", "tool calls", "tools"}; !slices.Equal(e.Lost, want) {
		t.Errorf("lost %q, want %q", e.Lost, want)
	}
	all := template(t, "bytelevel", Spec{Kind: ChatML})
	if e, err := all.Encode(context.Background(), Record{Shape: Messages, Messages: conversation("system", "be", "user", "a", "assistant", "b")}); err != nil || e.Lost != nil {
		t.Errorf("lost %q, %v", e.Lost, err)
	}
}

// TestSegments: what says so is supervised, whatever tokens the text has.
func TestSegments(t *testing.T) {
	tp := Plain(open(t, "bytelevel"))
	for _, test := range []struct {
		segments   []Segment
		text       string
		supervised []string
	}{
		{[]Segment{{"the rain", false}, {" is cold", true}}, "the rain is cold<|im_end|>", []string{" is cold<|im_end|>"}},
		{[]Segment{{"the ", false}, {"rain", true}, {" is", true}, {" not", false}, {" cold", true}}, "the rain is not cold<|im_end|>", []string{"rain is", " cold<|im_end|>"}},
		{[]Segment{{"a", false}, {"b<|im_end|>", true}, {"c", false}}, "ab<|im_end|>", []string{"b<|im_end|>"}},
	} {
		e, err := tp.Encode(context.Background(), Record{Shape: Segments, Segments: test.segments})
		if err != nil {
			t.Fatal(err)
		}
		text, supervised := parts(tp, e)
		if text != test.text || !slices.Equal(supervised, test.supervised) {
			t.Errorf("%v: %q, supervised %q", test.segments, text, supervised)
		}
	}
	if _, err := tp.Encode(context.Background(), Record{Shape: Segments, Segments: []Segment{{"a", false}}}); !errors.Is(err, ErrNothing) {
		t.Errorf("nothing to train on: %v", err)
	}
}

package chat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-run/pipe/steps/internal/token"
)

// conversation is messages given as role, content, role, content, …
func conversation(s ...string) []Message {
	var out []Message
	for i := 0; i < len(s); i += 2 {
		out = append(out, Message{Role: s[i], Content: s[i+1]})
	}
	return out
}

func template(tb testing.TB, tokenizer string, spec Spec) *Template {
	tb.Helper()
	t, err := Load(tb.TempDir(), open(tb, tokenizer), spec)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// parts returns the text of e and that of each supervised stretch.
func parts(t *Template, e Encoded) (all string, supervised []string) {
	var run []int32
	flush := func() {
		if len(run) > 0 {
			supervised = append(supervised, t.tok.Decode(run, false))
		}
		run = nil
	}
	for i, label := range e.Labels {
		if label == Unsupervised {
			flush()
			continue
		}
		if label != int64(e.IDs[i]) {
			panic("a label is not its token")
		}
		run = append(run, e.IDs[i])
	}
	flush()
	return t.tok.Decode(e.IDs, false), supervised
}

func TestEncode(t *testing.T) {
	llama := `{{ bos_token }}{% for m in messages %}{{ '[' + m.role + ']' + m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}`
	always := `{% for m in messages %}<|im_start|>{{ m.role + '\n' + m.content }}<|im_end|>
{% endfor %}{{ '<|im_start|>assistant\n' }}`
	bare := `{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}`
	one := 0.0
	weighted := conversation("user", "a", "assistant", "b", "user", "c", "assistant", "d")
	weighted[1].Weight = &one
	tests := []struct {
		name, tokenizer string
		spec            Spec
		record          Record
		want            string
		supervised      []string
	}{
		{"chatml", "bytelevel", Spec{Kind: ChatML}, Record{Shape: Messages, Messages: conversation("user", "the rain", "assistant", "is cold", "user", "and?", "assistant", "done")},
			"<|im_start|>user\nthe rain<|im_end|>\n<|im_start|>assistant\nis cold<|im_end|>\n<|im_start|>user\nand?<|im_end|>\n<|im_start|>assistant\ndone<|im_end|>",
			[]string{"is cold<|im_end|>", "done<|im_end|>"}},
		{"what follows the last answer is left out", "bytelevel", Spec{Kind: ChatML}, Record{Shape: Messages, Messages: conversation("user", "a", "assistant", "b", "user", "c")},
			"<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>", []string{"b<|im_end|>"}},
		{"weight 0", "bytelevel", Spec{Kind: ChatML}, Record{Shape: Messages, Messages: weighted},
			"<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\nd<|im_end|>", []string{"d<|im_end|>"}},
		{"a template that always asks", "bytelevel", Spec{Kind: Jinja, Jinja: always}, Record{Shape: Messages, Messages: conversation("user", "a", "assistant", "b", "user", "c", "assistant", "d")},
			"<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\nd<|im_end|>", []string{"b<|im_end|>", "d<|im_end|>"}},
		{"a template without stop tokens", "bytelevel", Spec{Kind: Jinja, Jinja: bare}, Record{Shape: Messages, Messages: conversation("user", "a", "assistant", "b", "user", "c", "assistant", "d")},
			"user: a\nassistant: b\nuser: c\nassistant: d\n<|im_end|>", []string{" b\n", " d\n<|im_end|>"}},
		{"bos and eos of the template", "sentencepiece", Spec{Kind: Jinja, Jinja: llama}, Record{Shape: Messages, Messages: conversation("user", "the", "assistant", "rain")},
			"<s>[user]the[assistant]rain</s>", []string{"rain</s>"}},
		{"alpaca", "sentencepiece", Spec{Kind: Alpaca}, Record{Shape: Messages, Messages: conversation("user", "Say it.", "assistant", "it")},
			"<s>Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nSay it.\n\n### Response:\nit</s>", []string{"it</s>"}},
		{"alpaca with input", "sentencepiece", Spec{Kind: Alpaca}, Record{Shape: Messages, Messages: conversation("user", "Say it.", "user", "x", "assistant", "it")},
			"<s>Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nSay it.\n\n### Input:\nx\n\n### Response:\nit</s>", []string{"it</s>"}},
		{"alpaca with system and turns", "sentencepiece", Spec{Kind: Alpaca}, Record{Shape: Messages, Messages: conversation("system", "Be brief.", "user", "a", "assistant", "b", "user", "c", "assistant", "d")},
			"<s>Be brief.\n\n### Instruction:\na\n\n### Response:\nb</s>\n\n### Instruction:\nc\n\n### Response:\nd</s>", []string{"b</s>", "d</s>"}},
		{"completion", "bytelevel", Spec{Kind: None}, Record{Shape: PromptCompletion, Prompt: "the rain", Completion: " is cold"}, "the rain is cold<|im_end|>", []string{" is cold<|im_end|>"}},
		{"completion with a bos", "sentencepiece", Spec{Kind: None}, Record{Shape: PromptCompletion, Prompt: "the rain", Completion: " is"}, "<s>the rain is</s>", []string{"is</s>"}},
		{"text", "sentencepiece", Spec{Kind: None}, Record{Shape: Text, Text: "the rain"}, "<s>the rain</s>", []string{"the rain</s>"}},
		{"text with its own bos and eos", "sentencepiece", Spec{Kind: None}, Record{Shape: Text, Text: "<s>the rain</s>"}, "<s>the rain</s>", []string{"the rain</s>"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tp := Plain(open(t, test.tokenizer))
			if test.spec.Kind != None {
				tp = template(t, test.tokenizer, test.spec)
			}
			e, err := tp.Encode(context.Background(), test.record)
			if err != nil {
				t.Fatal(err)
			}
			all, supervised := parts(tp, e)
			want := strings.TrimPrefix(test.want, "<s>")
			if strings.TrimSpace(strings.TrimPrefix(strings.ReplaceAll(all, "s> ", "s>"), "<s>")) != want || strings.HasPrefix(all, "<s>") != strings.HasPrefix(test.want, "<s>") {
				t.Errorf("text %q\nwant %q", all, test.want)
			}
			if !slices.Equal(supervised, test.supervised) {
				t.Errorf("supervised %q\nwant %q", supervised, test.supervised)
			}
			count := 0
			for _, label := range e.Labels {
				if label != Unsupervised {
					count++
				}
			}
			if count != e.Supervised || len(e.IDs) != len(e.Labels) || e.Labels[0] != Unsupervised {
				t.Errorf("%d supervised of %d labels, %d ids, said %d", count, len(e.Labels), len(e.IDs), e.Supervised)
			}
			if last := e.IDs[len(e.IDs)-1]; !slices.Contains(tp.StopIDs(), last) {
				t.Errorf("ends in %d, not one of %v", last, tp.StopIDs())
			}
		})
	}
}

// TestPromptIsPrefix sees that what generation is given is how training rows
// begin.
func TestPromptIsPrefix(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		tp     *Template
		record Record
	}{
		{template(t, "bytelevel", Spec{Kind: ChatML}), Record{Shape: Messages, Messages: conversation("user", "the rain", "assistant", "is cold")}},
		{template(t, "sentencepiece", Spec{Kind: Alpaca}), Record{Shape: Messages, Messages: conversation("user", "the rain", "assistant", "is cold")}},
		{Plain(open(t, "sentencepiece")), Record{Shape: PromptCompletion, Prompt: "the rain", Completion: " is cold"}},
	} {
		e, err := test.tp.Encode(ctx, test.record)
		if err != nil {
			t.Fatal(err)
		}
		prompt, answer, err := test.tp.Question(ctx, test.record)
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(answer) != "is cold" {
			t.Errorf("%s: answer %q", test.tp.Kind(), answer)
		}
		if !slices.Equal(prompt, e.IDs[:len(prompt)]) || len(prompt) != len(e.IDs)-e.Supervised {
			t.Errorf("%s: prompt %v, row %v, %d supervised", test.tp.Kind(), prompt, e.IDs, e.Supervised)
		}
	}
	if _, _, err := Plain(open(t, "sentencepiece")).Question(ctx, Record{Shape: Text, Text: "x"}); err == nil {
		t.Error("text has a question")
	}
}

func TestEncodeRefused(t *testing.T) {
	chatml := template(t, "bytelevel", Spec{Kind: ChatML})
	plain := Plain(open(t, "bytelevel"))
	forgetful := template(t, "bytelevel", Spec{Kind: Jinja, Jinja: `{% for m in messages %}{% if loop.last or m.role == 'assistant' %}<|im_start|>{{ m.content }}<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>{% endif %}`})
	spaced := template(t, "bytelevel", Spec{Kind: Jinja, Jinja: `{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant {% endif %}`})
	half := 1.5
	weighted := conversation("user", "a", "assistant", "b")
	weighted[1].Weight = &half
	tests := []struct {
		name   string
		tp     *Template
		record Record
		want   string
		is     error
	}{
		{"no assistant", chatml, Record{Shape: Messages, Messages: conversation("user", "a")}, "no assistant message", ErrNothing},
		{"no messages", chatml, Record{Shape: Messages}, "no assistant message", ErrNothing},
		{"an answer that joins the prompt", spaced, Record{Shape: Messages, Messages: conversation("user", "a", "assistant", "the")}, "message 2 (assistant)", ErrPrefix},
		{"a history that changes", forgetful, Record{Shape: Messages, Messages: conversation("user", "a", "assistant", "b")}, "renders the first 1 messages differently", ErrPrefix},
		{"a stop token in the answer", chatml, Record{Shape: Messages, Messages: conversation("user", "a", "assistant", "b<|im_end|>c")}, "contains the stop token <|im_end|>", nil},
		{"weight", chatml, Record{Shape: Messages, Messages: weighted}, "weight 1.5 is not between 0 and 1", nil},
		{"no template", plain, Record{Shape: Messages, Messages: conversation("user", "a", "assistant", "b")}, "needs a chat template", nil},
		{"empty text", plain, Record{Shape: Text}, "text is empty", ErrNothing},
		{"empty completion", plain, Record{Shape: PromptCompletion, Prompt: "a"}, "completion is empty", ErrNothing},
		{"a completion that joins the prompt", plain, Record{Shape: PromptCompletion, Prompt: "the ", Completion: "rain"}, "end of the prompt \"the \"", ErrPrefix},
		{"no eos", Plain(open(t, "unknown")), Record{Shape: Text, Text: "the rain"}, "name no eos", nil},
		{"unknown shape", plain, Record{Shape: "preference"}, `shape "preference"`, nil},
		{"bad tool calls", chatml, Record{Shape: Messages, Messages: []Message{{Role: "assistant", ToolCalls: "{"}}}, "tool_calls", nil},
		{"bos twice", Plain(open(t, "sentencepiece")), Record{Shape: Text, Text: "<s><s>x"}, "has <s> twice in a row", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.tp.Encode(context.Background(), test.record)
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	tok := open(t, "bytelevel")
	tests := []struct {
		name, config, jinja string
		source, err         string
	}{
		{"none", "", "", "", "no chat template of its own"},
		{"null", `{"chat_template":null}`, "", "", "no chat template of its own"},
		{"a string", `{"chat_template":"{% for m in messages %}{{ m.content }}{% endfor %}1"}`, "", "{% for m in messages %}{{ m.content }}{% endfor %}1", ""},
		{"a list", `{"chat_template":[{"name":"tool_use","template":"x"},{"name":"default","template":"{% for m in messages %}{{ m.content }}{% endfor %}2"}]}`, "", "{% for m in messages %}{{ m.content }}{% endfor %}2", ""},
		{"a list without default", `{"chat_template":[{"name":"rag","template":"x"}]}`, "", "", "named default"},
		{"a file", `{"chat_template":"x"}`, "{% for m in messages %}{{ m.content }}{% endfor %}3", "{% for m in messages %}{{ m.content }}{% endfor %}3", ""},
		{"a number", `{"chat_template":3}`, "", "", "neither a string nor a list"},
	}
	for _, test := range tests {
		sub := filepath.Join(dir, test.name)
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"tokenizer_config.json": test.config, "chat_template.jinja": test.jinja} {
			if content != "" {
				if err := os.WriteFile(filepath.Join(sub, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		tp, err := Load(sub, tok, Spec{Kind: Model})
		switch {
		case test.err != "":
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: error %v, want %q", test.name, err, test.err)
			}
		case err != nil:
			t.Errorf("%s: %v", test.name, err)
		case tp.Source() != test.source || len(tp.Digest()) != 64:
			t.Errorf("%s: source %q, digest %s", test.name, tp.Source(), tp.Digest())
		}
	}
}

// TestLoadRefused sees that a template that cannot work is refused at once.
func TestLoadRefused(t *testing.T) {
	tests := []struct {
		name, tokenizer string
		spec            Spec
		want            string
	}{
		{"tokens the tokenizer lacks", "sentencepiece", Spec{Kind: ChatML}, "<|im_start|>, which is not a token"},
		{"no eos", "unknown", Spec{Kind: Alpaca}, "eos token"},
		{"no stop token at all", "unknown", Spec{Kind: Jinja, Jinja: `{{ messages[-1].content }}`}, "writes no stop token"},
		{"unknown kind", "bytelevel", Spec{Kind: "odd"}, "is none of"},
		{"empty", "bytelevel", Spec{Kind: Jinja, Jinja: " "}, "is empty"},
		{"syntax", "bytelevel", Spec{Kind: Jinja, Jinja: `{% for m in %}`}, "jinja template: "},
		{"unclosed", "bytelevel", Spec{Kind: Jinja, Jinja: `{{ messages`}, "jinja template: "},
		{"no answer", "bytelevel", Spec{Kind: Jinja, Jinja: `hello`}, "does not write the text of an assistant"},
		{"raise", "bytelevel", Spec{Kind: Jinja, Jinja: `{{ raise_exception('only in French') }}`}, "only in French"},
		{"the date", "bytelevel", Spec{Kind: Jinja, Jinja: `{{ strftime_now('%Y') }}`}, "asks for the date"},
		{"a file", "bytelevel", Spec{Kind: Jinja, Jinja: `{% include 'jinja_test.go' %}`}, "include"},
		{"a parent", "bytelevel", Spec{Kind: Jinja, Jinja: `{% extends '/etc/hostname' %}`}, "extends"},
		{"chance", "bytelevel", Spec{Kind: Jinja, Jinja: `{{ [1, 2] | random }}`}, "random"},
		{"too many numbers", "bytelevel", Spec{Kind: Jinja, Jinja: `{{ range(1000000000) | length }}`}, "more than 100000 elements"},
		{"too much text", "bytelevel", Spec{Kind: Jinja, Jinja: `{% for i in range(1000) %}{{ 'a' | center(100000) }}{% endfor %}`}, "renders more than 16 MiB"},
		{"too long", "bytelevel", Spec{Kind: Jinja, Jinja: strings.Repeat("x", maxSource+1)}, "larger than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(t.TempDir(), open(t, test.tokenizer), test.spec)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestSyntax checks that errors of syntax name their line.
func TestSyntax(t *testing.T) {
	for source, want := range map[string]string{
		"{% for m in %}":                               "line 1: expected either",
		"a\nb\n{% if x %}\n{{ y }}":                    "line 3: {% if %} has no end: expected tag",
		"{% if a %}\r\n\r\n{% for b in c %}{% if d %}": "line 3: {% if %} has no end",
		"\n{% if a b %}x{% endif %}":                   "line 2: {% if %}: If-condition is malformed",
		"\n{{ 'a":                                      "line 2: {{ has no end: }}",
		"x\n{#":                                        "line 2: {# has no end",
		"\n\n{% foo %}":                                "line 3: {% foo %} is no statement",
		"{% for m in c %}\n{% endif %}{% endfor %}":    "line 2: {% endif %} is no statement",
		"\n{{ m['a' }}":                                "line 2: [ is not closed",
		"{{ a }}\n{{\n[1, 2) }}":                       "line 3: ) stands where ] was expected",
		"\n{%0(%}":                                     "line 2: ( is not closed",
		"\n{{ a) }}":                                   "line 2: ) closes nothing",
		"\n{{ a == }}":                                 "line 2: expected either",
		"{%- if a -%}\n\n  {%- endif %}\n{% raw %}\n{{ {% endraw %}\n{% include 'x' %}": "line 6: {% include %} is no statement",
	} {
		_, err := compile(source)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", source, err, want)
		}
	}
}

// TestCancel stops a template that would run for hours.
func TestCancel(t *testing.T) {
	e, err := compile(`{% for i in range(100000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := e.render(ctx, map[string]any{}); err == nil {
		t.Error("no error")
	}
}

// TestConcurrent renders one template from many goroutines.
func TestConcurrent(t *testing.T) {
	tp := template(t, "bytelevel", Spec{Kind: ChatML})
	r := Record{Shape: Messages, Messages: conversation("user", "the rain", "assistant", "is cold")}
	want, err := tp.Encode(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 10 {
				if got, err := tp.Encode(context.Background(), r); err != nil || !slices.Equal(got.IDs, want.IDs) {
					t.Errorf("%v, error %v", got.IDs, err)
				}
			}
		})
	}
	wait.Wait()
}

// FuzzTemplate sees that no template makes the engine panic or hang, that its
// direct form renders and labels as the engine does, and that errors of syntax
// name a line of the template.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{chatMLSource, alpacaSource, marking, "{{ messages | tojson }}", "{% raw %}", "{{ 'a' if", "{# {{ %}", "{{ (a if b else c)[0] }}", "{%- set x = {'a': [1, 2][0:1]} -%}{{ x }}", "a\n\n{% for %}", "{%0(%}"} {
		f.Add(s, "hello")
	}
	tok, err := token.Load("../token/testdata/bytelevel")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source, content string) {
		e, err := compile(source)
		if err != nil {
			line := 0
			if _, scanErr := fmt.Sscanf(err.Error(), "line %d: ", &line); scanErr != nil || line < 1 || line > 1+strings.Count(source, "\n")+strings.Count(source, "\r") {
				t.Fatalf("%q: the error names no line of it: %v", source, err)
			}
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		tp := &Template{engine: e, tok: tok, direct: newDirect(rewrite(source)), ends: true}
		tp.setStops(tok.StopIDs())
		talk := conversation("user", content, "assistant", content)
		text, marks, ok := tp.renderDirect(talk, "", false)
		want, wantMarks, err := tp.renderEngine(ctx, talk, "", false)
		if !ok || ctx.Err() != nil {
			return
		}
		if err != nil || text != want || !slices.Equal(marks, wantMarks) {
			t.Fatalf("%q: the direct form renders %q %v, the engine %q %v %v", source, text, marks, want, wantMarks, err)
		}
	})
}

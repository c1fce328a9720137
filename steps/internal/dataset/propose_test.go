package dataset

import (
	"strings"
	"testing"
)

func parseRows(t *testing.T, texts ...string) (rows []Value) {
	t.Helper()
	for _, text := range texts {
		v, err := ParseJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, v)
	}
	return rows
}

// TestPropose: what rows look like, or why that cannot be told.
func TestPropose(t *testing.T) {
	for row, want := range map[string]string{
		`{"instruction":"i","input":"","output":"o","id":7}`:                          "alpaca: the row has instruction, output",
		`{"conversations":[{"from":"human","value":"h"},{"from":"gpt","value":"g"}]}`: "sharegpt: the row has conversations (a list of messages with from)",
		`{"conversations":[{"role":"user","content":"h"}]}`:                           "messages: the row has conversations (a list of messages with role)",
		`{"messages":[{"role":"user","content":"h"}],"tools":[]}`:                     "messages: the row has messages (a list of messages with role)",
		`{"messages":"[{\"role\":\"user\"}]"}`:                                        "messages: the row has messages (a list of messages with role)",
		`{"prompt":"p","completion":"c"}`:                                             "prompt-completion: the row has prompt, completion",
		`{"prompt":"p","completion":"c","label":true}`:                                "kto: the row has prompt, completion, label (true or false)",
		`{"prompt":"p","completions":["c"],"labels":[true]}`:                          "stepwise: the row has prompt, completions (a list), labels (a list)",
		`{"prompt":"p","chosen":"c","rejected":"r"}`:                                  "preference: the row has chosen, rejected",
		`{"conversations":[{"from":"human","value":"h"}],"chosen":{},"rejected":{}}`:  "preference: the row has chosen, rejected",
		`{"messages":[{"role":"user","content":"h"}],"label":false}`:                  "kto: the row has messages (a list of messages with role), label (true or false)",
		`{"segments":[{"text":"x","label":true}]}`:                                    "segments: the row has segments (a list of texts with labels)",
		`{"chat":{"turn_1":{}}}`:                                                      "moss: the row has chat (an object with turn_1)",
		`{"context":["q"],"target":"a"}`:                                              "pangu: the row has context, target",
		`[{"context":"q","target":"a"}]`:                                              "pangu: the row is a list of context and target",
		`{"input":"q","target":"a"}`:                                                  "spark: the row has input, target",
		`{"contents":[{"role":"user","parts":[]}]}`:                                   "gemini: the row has contents (a list with parts)",
		`{"context":"c","question":"q","answers":{"text":["a"]}}`:                     "squad: the row has context, question, answers",
		`{"paragraphs":[{"context":"c","qas":[]}]}`:                                   "squad: the row has paragraphs (a list with qas)",
		`{"text":"t","url":"u"}`:                                                      "text: the row has text",
		`"t"`:                                                                         "text: the row is a text",
		`{"text":"t","label":3}`:                                                      `no format fits rows of the columns text, label; a template can name them (format: "template")`,
		`{"question":"q","answer":"a"}`:                                               `no format fits rows of the columns question, answer; format: "alpaca" with columns: {instruction: "question", output: "answer"} would read it`,
		`{"instruction":"i","output":"o","text":"t"}`:                                 "the rows could be alpaca (the row has instruction, output), or text (the row has text): say which",
		`{"prompt":"p","chosen":"c","rejected":"r","messages":[{"role":"u"}]}`:        "the rows could be messages (the row has messages (a list of messages with role)), or preference (the row has chosen, rejected): say which",
		`7`: `no format fits rows of a number; a template can name them (format: "template")`,
	} {
		got := ""
		if c, err := ProposeOne(parseRows(t, row)); err != nil {
			got = err.Error()
		} else {
			got = string(c.Format) + ": " + c.Why
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", row, got, want)
		}
	}
}

// TestProposeLooksAtAll: a few broken rows do not hide what the others are, and
// columns that only some rows have count.
func TestProposeLooksAtAll(t *testing.T) {
	rows := parseRows(t, strings.Split(strings.Repeat(`{"prompt":"p","completion":"c"}|`, 18)+`{}|{"prompt":"p","completion":"c","label":true}`, "|")...)
	c, err := ProposeOne(rows)
	if want := "19 of the first 20 rows have prompt, completion"; err != nil || c.Format != PromptFormat || c.Why != want {
		t.Errorf("%+v, %v; want %s", c, err, want)
	}
	if _, err := ProposeOne(nil); err == nil {
		t.Error("no rows were told apart")
	}
}

// TestNearest: a refused row says what it looks like instead.
func TestNearest(t *testing.T) {
	for row, want := range map[string]string{
		`{"conversations":[{"from":"human","value":"h"},{"from":"gpt","value":"g"}]}`: "it looks like sharegpt: the row has conversations (a list of messages with from)",
		`{"conversations":[{"from":"human","value":"h"}]}`:                            "", // no record could be made
		`{"question":"q","answer":"a"}`:                                               `format: "alpaca" with columns: {instruction: "question", output: "answer"} would read it`,
		`{"x":1}`:                                                                     "",
	} {
		if got := Nearest(parseRows(t, row)[0], Layout{Format: AlpacaFormat}); got != want {
			t.Errorf("%s: %q, want %q", row, got, want)
		}
	}
}

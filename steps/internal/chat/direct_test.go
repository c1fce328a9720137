package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/token"
)

// randomConversation has roles, texts and fields of all sorts.
func randomConversation(r *rand.Rand) ([]Message, string) {
	texts := []string{
		"", " ", "Hello", " two\nlines \n", "日本 <b> & 'q' \"d\"", "{{ x }}{% if %}", "<think>\nhm\n</think>\n\nb", "a</think>b</think> c", "<think>",
		"<tool_response>\nx\n</tool_response>", "<|im_end|>", "0", "False", "\u2028\u00a0x\u3000", "\xff\xfe", strings.Repeat("long ", 30), "é",
	}
	calls := []string{
		`[{"id":"abcdef123","type":"function","function":{"name":"look","arguments":{"z":1,"a":[1.5,true,null,{},[]],"u":"é<&>\u2028"}}}]`,
		`[{"function":{"name":"look","arguments":"{}"}},{"name":"f","arguments":{}}]`, `[]`, `{}`, `null`, `{`, `"x"`,
	}
	roles := []string{"system", "user", "assistant", "tool", "user", "assistant", "developer", ""}
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	seldom := func(n int) bool { return r.IntN(n) == 0 }
	var all []Message
	for i := range r.IntN(7) {
		m := Message{Role: pick(roles), Content: pick(texts)}
		if !seldom(4) { // as conversations are
			m.Role = []string{"user", "assistant"}[i%2]
		}
		if seldom(6) {
			m.Reasoning = pick(texts)
		}
		if seldom(6) {
			m.ToolCalls = calls[min(r.IntN(8), r.IntN(len(calls)))]
		}
		if seldom(8) {
			m.Name, m.ToolCallID = pick(texts), pick(texts)
		}
		all = append(all, m)
	}
	if len(all) > 0 && seldom(3) {
		all[0].Role = "system"
	}
	tools := ""
	if seldom(4) {
		tools = pick([]string{`[{"type":"function","function":{"name":"look","description":"it's","parameters":{"type":"object","properties":{}}}}]`, `[]`, `[1.5,"x"]`, `{`})
	}
	return all, tools
}

// sources are templates: those of the tests and ours.
func sources(t *testing.T) map[string]string {
	all := map[string]string{"marking": marking}
	for name, b := range builtinTemplates() {
		all[name] = b.source
	}
	for _, file := range []string{"testdata/rendered.jsonl", "testdata/features.jsonl"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			var row struct{ Name, Template string }
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatal(err)
			}
			if row.Template != "" {
				all[row.Name+" "+row.Template[:min(40, len(row.Template))]] = row.Template
			}
		}
	}
	return all
}

// compareDirect renders random conversations both ways: what the direct form
// renders must be what the engine does. It returns how many it rendered.
func compareDirect(t *testing.T, name, source string, n int) (direct, engine int) {
	t.Helper()
	e, err := compile(source)
	if err != nil {
		return 0, 0 // refused
	}
	tp := &Template{kind: Jinja, source: source, engine: e, tok: open(t, "bytelevel"), direct: newDirect(rewrite(source))}
	random := rand.New(rand.NewPCG(7, 8))
	for range n {
		messages, tools := randomConversation(random)
		generate := random.IntN(2) == 0
		got, marks, ok := tp.renderDirect(messages, tools, generate)
		if !ok && tp.direct == nil {
			return 0, 0
		}
		want, wantMarks, err := tp.renderEngine(context.Background(), messages, tools, generate)
		if err == nil {
			engine++
		}
		if !ok {
			continue
		}
		direct++
		if err != nil || got != want || !slices.Equal(marks, wantMarks) {
			t.Fatalf("%s: of %+v, tools %s, generate %v:\n got %q %v\nwant %q %v %v", name, messages, tools, generate, got, marks, want, wantMarks, err)
		}
	}
	return direct, engine
}

// TestDirect compares the direct forms of templates with the engine.
func TestDirect(t *testing.T) {
	n, forms, rendered := 150, 0, 0
	if testing.Short() {
		n = 40
	}
	all := sources(t)
	for name, source := range all {
		direct, engine := compareDirect(t, name, source, n)
		if direct > 0 {
			forms++
			rendered += direct
		}
		_, ours := builtinTemplates()[name]
		if ours && (direct < engine || direct == 0) {
			t.Errorf("%s: the direct form renders %d conversations of the engine's %d", name, direct, engine)
		}
	}
	t.Logf("%d of %d templates have a direct form, which rendered %d conversations", forms, len(all), rendered)
	if forms < 45 {
		t.Errorf("%d of %d templates have a direct form", forms, len(all))
	}
}

// compareMasks labels conversations by both ways of rendering: masks are found by
// many renderings of prefixes, each of which either may make. It returns how many
// conversations were labelled; the others must fail alike.
func compareMasks(t *testing.T, name string, fast *Template, n int) (labelled int) {
	t.Helper()
	slow := *fast
	slow.direct = nil
	choices := []Train{{}, {Last: true}, {Roles: []string{"assistant", "user"}}}
	random := rand.New(rand.NewPCG(9, 10))
	for i := range n {
		messages, tools := randomConversation(random)
		if i%2 == 0 { // as most are
			messages, tools = conversation("user", "a "+name, "assistant", "it's", "user", "<b>\nc", "assistant", "é d"), ""
		}
		record, train := Record{Shape: Messages, Messages: messages, Tools: tools}, choices[i%len(choices)]
		got, err := fast.With(train).Encode(context.Background(), record)
		want, wantErr := slow.With(train).Encode(context.Background(), record)
		if !reflect.DeepEqual(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%s: of %+v, tools %s, train %+v:\n got %+v %v\nwant %+v %v", name, messages, tools, train, got, err, want, wantErr)
		}
		if err == nil {
			labelled++
		}
	}
	return labelled
}

// TestDirectMask compares the masks of both ways of rendering.
func TestDirectMask(t *testing.T) {
	n := 40
	if testing.Short() {
		n = 10
	}
	forms, labelling := 0, 0
	for name, source := range sources(t) {
		e, err := compile(source)
		if err != nil {
			continue // refused
		}
		tp := &Template{kind: Jinja, source: source, engine: e, tok: open(t, "bytelevel"), direct: newDirect(rewrite(source))}
		if tp.direct == nil {
			continue
		}
		forms++
		tp.setStops(tp.tok.StopIDs())
		_ = tp.probe() // whether it ends answers with a token; this tokenizer has not those of all
		if compareMasks(t, name, tp, n) > 0 {
			labelling++
		}
	}
	t.Logf("%d of %d templates with a direct form labelled conversations", labelling, forms)
	if labelling < 30 {
		t.Errorf("%d of %d templates labelled a conversation", labelling, forms)
	}
}

// TestTortureDirectMask compares the masks of the templates that models come with,
// with their own tokenizers.
func TestTortureDirectMask(t *testing.T) {
	for _, name := range []string{"smollm-135m-instruct", "llama3", "qwen3"} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && !strings.HasPrefix(name, "smollm") {
				t.Skip("large vocabularies take seconds to load")
			}
			dir := shareddata.Path(t, "tokenizers/"+name)
			tok, err := token.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			tp, err := Load(dir, tok, Spec{Kind: Model})
			if err != nil {
				t.Fatal(err)
			}
			if tp.direct == nil {
				t.Fatal("the template has no direct form")
			}
			if n := compareMasks(t, name, tp, 60); n < 10 {
				t.Errorf("%d conversations labelled of 60", n)
			}
		})
	}
}

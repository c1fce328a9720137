package chat

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
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

package dataset

import (
	"strings"
	"testing"
)

// TestRowTemplate: what templates make of rows.
func TestRowTemplate(t *testing.T) {
	ask := func(prompt, completion string) TemplateSpec {
		return TemplateSpec{Prompt: prompt, Completion: completion}
	}
	news := Labels{"label": {"0": "news", "1": "sport"}}
	for _, c := range []struct {
		spec   TemplateSpec
		labels Labels
		row    string
		want   string
	}{
		{ask("Classify: {{text}}\nLabel:", " {{label}}"), news, `{"text":"ball","label":1}`, "Classify: ball\nLabel: →  sport"},
		{ask("Classify: {{text}}", "{{label}}"), news, `{"text":"ball","label":"2"}`, `f: record 1: label: labels has no name for "2"`},
		{ask(`{{ a.b[1]["x y"] }} {{n}} {{t}}`, `{{"{{"}}{{a.c | trim}}{{"}}"}}`), nil, `{"a":{"b":[0,{"x y":"deep"}],"c":" s "},"n":1.50,"t":true}`, "deep 1.50 true → {{s}}"},
		{ask(`{{["sepal length"]}}`, "{{list|json}}"), nil, `{"sepal length":5.1,"list":[1,"ü"]}`, `5.1 → [1,"ü"]`},
		{ask(`{{x | default("none")}}/{{y|default("")}}/{{z|trim|default("blank")}}`, "{{c}}"), nil, `{"x":null,"z":" ","c":"d"}`, "none//blank → d"},
		{TemplateSpec{Text: "{{title}}\n\n{{body}}"}, nil, `{"title":"T","body":"B"}`, "T\n\nB"},
		{TemplateSpec{Messages: []TemplateMessage{{"system", `{{s|default("")}}`}, {"user", "{{q}}"}, {"assistant", "{{a}}"}}}, nil, `{"q":"Q","a":"A"}`, "user: Q; assistant: A; "},
		{TemplateSpec{Messages: []TemplateMessage{{"system", "be {{s}}"}, {"user", "{{q}}"}, {"assistant", "{{a}}"}}}, nil, `{"s":"brief","q":"Q","a":"A"}`, "system: be brief; user: Q; assistant: A; "},

		{ask("{{a}}", "{{b}}"), nil, `{"a":"x"}`, "f: record 1: b: is missing; there are a"},
		{ask("{{a}}", "{{b}}"), nil, `{"a":"x","b":null}`, `f: record 1: b: is null; default("…") gives it a value`},
		{ask("{{a}}", "{{b}}"), nil, `{"a":"x","b":"  "}`, "f: record 1: template.completion: is empty for this row"},
		{ask("{{a}}", "{{b}}"), nil, `{"a":["x"],"b":"y"}`, `f: record 1: a: wanted text or a number (the filter json writes other values), found a list: ["x"]`},
		{ask("{{a[2]}}", "{{b}}"), nil, `{"a":["x"],"b":"y"}`, "f: record 1: a[2]: is missing; the list holds 1"},
		{ask("{{a[0]}}", "{{b}}"), nil, `{"a":"x","b":"y"}`, `f: record 1: a: wanted a list, found a string: "x"`},
	} {
		template, err := ParseRowTemplate(c.spec, c.labels)
		if err != nil {
			t.Fatal(err)
		}
		if got := lay(t, Layout{Format: TemplateFormat, Template: template}, c.row); got != c.want {
			t.Errorf("%+v of %s:\n got %q\nwant %q", c.spec, c.row, got, c.want)
		}
	}
}

// TestTemplateErrors: what is wrong with a template is said before any row is read.
func TestTemplateErrors(t *testing.T) {
	for source, want := range map[string]string{
		"{{a":                         "never ends",
		"{{}}":                        "wanted a field's name",
		"{{a.}}":                      "after the dot",
		"{{a[x]}}":                    "wanted a number or a name in quotes",
		"{{a[0}}":                     "a [ never closes",
		"{{[0]}}":                     "a row's columns have names",
		"{{a b}}":                     `wanted a field, | or }} before "b}}"`,
		"{{a|upper}}":                 `"upper" is no filter; there are trim, json and default`,
		"{{a|default}}":               `default("…")`,
		`{{a|default(7)}}`:            "a text in quotes",
		`{{a|default("x"}}`:           "the parenthesis of default never closes",
		`{{"x}}`:                      "a text in quotes never ends",
		`{{"x"|trim}}`:                "filters are for fields",
		"a }} b":                      "}} without {{",
		"nothing":                     "names no field of the row",
		"{{a[99999999999999999999]}}": "wanted a number",
	} {
		_, err := ParseRowTemplate(TemplateSpec{Prompt: "{{a}}", Completion: source}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "template.completion: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
	for want, spec := range map[string]TemplateSpec{
		"template: it must have either text":                          {},
		"template: it must have either text, or prompt":               {Text: "{{a}}", Completion: "{{b}}"},
		"template: a prompt needs a completion":                       {Prompt: "{{a}}"},
		"template.messages: the last message must be the assistant's": {Messages: []TemplateMessage{{"user", "{{q}}"}}},
		"template.messages[1].role: only the first message":           {Messages: []TemplateMessage{{"user", "{{q}}"}, {"system", "x"}, {"assistant", "{{a}}"}}},
		"template.messages[0].content: {{q: never ends":               {Messages: []TemplateMessage{{"user", "{{q"}, {"assistant", "{{a}}"}}},
		"labels.label: the template does not name the field label":    {Text: "{{a}}"},
	} {
		if _, err := ParseRowTemplate(spec, Labels{"label": {"0": "x"}}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestTemplateFirstRow: a template for other columns is refused at the first row.
func TestTemplateFirstRow(t *testing.T) {
	template, err := ParseRowTemplate(TemplateSpec{Prompt: `{{text}} {{more|default("")}}`, Completion: "{{lable}}"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = template.CheckRow(parseRows(t, `{"text":"t","label":"l"}`)[0])
	if want := "template.completion: the rows have no field lable; they have text, label"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := template.CheckRow(parseRows(t, `{"text":"t","lable":null}`)[0]); err != nil {
		t.Error(err)
	}
}

func FuzzRowTemplate(f *testing.F) {
	for _, seed := range []string{"{{a}}", `{{a.b[0]["c"]|trim|default("x")}}`, `{{"{{"}}{{x|json}}`, "}}", "{{[\"a\"]"} {
		f.Add(seed)
	}
	row := Value{Kind: Object, Fields: []Field{{"a", stringValue("x")}, {"x", Value{Kind: List}}}}
	f.Fuzz(func(t *testing.T, source string) {
		template, err := ParseRowTemplate(TemplateSpec{Text: source}, nil)
		if err != nil {
			return
		}
		s, err := Layout{Format: TemplateFormat, Template: template}.Shaper()
		if err != nil {
			t.Fatal(err)
		}
		s.Records("f", Raw{Value: row, Record: 1}, nil)
	})
}

package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// TemplateSpec is a row template as the user writes it: text, or a prompt and a
// completion, or messages. docs/data.md has its language.
type TemplateSpec struct {
	Text       string            `json:"text"`
	Prompt     string            `json:"prompt"`
	Completion string            `json:"completion"`
	Messages   []TemplateMessage `json:"messages"`
}

// TemplateMessage is one message of a row template.
type TemplateMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Labels are, by field, what its values are called: {"label": {"0": "news"}}.
type Labels map[string]map[string]string

// RowTemplate makes records of rows of any columns.
type RowTemplate struct {
	shape  Shape
	texts  []templateText // text; or prompt and completion; or one per message
	labels Labels
}

// templateText is one text of a template.
type templateText struct {
	field  string // where it stands, such as template.prompt
	role   string // of a message
	pieces []piece
}

// piece is literal text, or a field of the row.
type piece struct {
	literal string
	at      fieldPath
	filters []filter
}

// TemplateError says what is wrong with a row template, and where.
type TemplateError struct {
	Field string // such as template.messages[0].content
	What  string
}

func (e *TemplateError) Error() string { return e.Field + ": " + e.What }

// ParseRowTemplate reads a row template. Its error is a *TemplateError.
func ParseRowTemplate(spec TemplateSpec, labels Labels) (*RowTemplate, error) {
	t := &RowTemplate{labels: labels}
	add := func(field, role, source string) error {
		pieces, err := parseTemplate(source)
		if err != nil {
			return &TemplateError{field, err.Error()}
		}
		t.texts = append(t.texts, templateText{field, role, pieces})
		return nil
	}
	err := spec.check()
	switch {
	case err != nil:
	case spec.Messages != nil:
		t.shape = Messages
		for i, m := range spec.Messages {
			if err = add(fmt.Sprintf("template.messages[%d].content", i), m.Role, m.Content); err != nil {
				return nil, err
			}
		}
		err = checkRoles(spec.Messages)
	case spec.Text != "":
		t.shape = Text
		err = add("template.text", "", spec.Text)
	default:
		t.shape = PromptCompletion
		if err = add("template.prompt", "", spec.Prompt); err == nil {
			err = add("template.completion", "", spec.Completion)
		}
	}
	if err != nil {
		return nil, err
	}
	return t, t.check()
}

// check refuses a template that is none of the three kinds, or several.
func (spec TemplateSpec) check() error {
	kinds := 0
	for _, given := range []bool{spec.Text != "", spec.Prompt != "" || spec.Completion != "", spec.Messages != nil} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return &TemplateError{"template", "it must have either text, or prompt and completion, or messages"}
	case spec.Prompt != "" && spec.Completion == "":
		return &TemplateError{"template", "a prompt needs a completion: that is what is learnt"}
	}
	return nil
}

// checkRoles refuses conversations from which nothing could be learnt.
func checkRoles(messages []TemplateMessage) error {
	for i, m := range messages {
		if m.Role == "system" && i > 0 {
			return &TemplateError{fmt.Sprintf("template.messages[%d].role", i), "only the first message can be the system's"}
		}
	}
	if n := len(messages); n == 0 || messages[n-1].Role != "assistant" {
		return &TemplateError{"template.messages", "the last message must be the assistant's"}
	}
	return nil
}

// check refuses templates that are equal for every row, and labels of fields
// that no text names.
func (t *RowTemplate) check() error {
	last := t.texts[len(t.texts)-1]
	if !slices.ContainsFunc(last.pieces, func(p piece) bool { return p.at != nil }) {
		return &TemplateError{last.field, "names no field of the row, so that every row would teach the same"}
	}
	for _, field := range slices.Sorted(maps.Keys(t.labels)) {
		if !slices.Contains(t.paths(), field) {
			return &TemplateError{"labels." + field, fmt.Sprintf("the template does not name the field %s", field)}
		}
	}
	return nil
}

// paths are the fields that the template names.
func (t *RowTemplate) paths() (all []string) {
	for _, text := range t.texts {
		for _, p := range text.pieces {
			if p.at != nil {
				all = append(all, p.at.String())
			}
		}
	}
	return all
}

// Columns are the columns that the template reads.
func (t *RowTemplate) Columns() []string {
	var all []string
	for _, text := range t.texts {
		for _, p := range text.pieces {
			if p.at != nil && !slices.Contains(all, p.at[0].name) {
				all = append(all, p.at[0].name)
			}
		}
	}
	return all
}

// CheckRow refuses a first row that lacks a column without a default: the
// template was not written for such rows.
func (t *RowTemplate) CheckRow(row Value) error {
	if row.Kind != Object {
		return nil
	}
	for _, text := range t.texts {
		for _, p := range text.pieces {
			if p.at == nil || p.optional() {
				continue
			}
			if _, ok := row.Get(p.at[0].name); !ok {
				return &TemplateError{text.field, fmt.Sprintf("the rows have no field %s; they have %s", p.at[0].name, rowNames(row))}
			}
		}
	}
	return nil
}

// templated makes a record as the layout's template says.
func (s *Shaper) templated(r *Record, row Value) *badField {
	t := s.layout.Template
	var texts []string
	for _, text := range t.texts {
		var b strings.Builder
		for _, p := range text.pieces {
			if p.at == nil {
				b.WriteString(p.literal)
				continue
			}
			value, bad := p.value(row, t.labels[p.at.String()])
			if bad != nil {
				return bad
			}
			if b.Len()+len(value) > s.limit {
				return wrong(text.field, "becomes more than %d MiB for this row", s.limit>>20)
			}
			b.WriteString(value)
		}
		texts = append(texts, b.String())
	}
	last := len(texts) - 1
	if isBlank(texts[last]) {
		return wrong(t.texts[last].field, "is empty for this row")
	}
	switch t.shape {
	case Text:
		r.Text = texts[0]
	case PromptCompletion:
		r.Prompt, r.Completion = texts[0], texts[1]
	default:
		for i, text := range t.texts {
			if text.role == "system" && isBlank(texts[i]) {
				continue
			}
			r.Messages = append(r.Messages, Message{Role: text.role, Content: texts[i]})
		}
	}
	return nil
}

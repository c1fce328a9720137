package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// Reasonings say what becomes of an assistant's reasoning that stands in a field
// of its own.
const (
	KeepReasoning  = "keep"  // it stays beside the message, for the chat template
	ThinkReasoning = "think" // it goes before the text, between <think> and </think>
	DropReasoning  = "drop"
)

// Layout says how rows are laid out.
type Layout struct {
	Format Format

	// Columns are what the format's columns are called in the files:
	// {"instruction": "question"} reads field question as the instruction.
	Columns map[string]string

	// Only makes system, history and tools count only where Columns names them,
	// as LLaMA-Factory does.
	Only bool

	// Roles are further values of from and role, and those they stand for:
	// user, assistant, function_call, tool or system.
	Roles map[string]string

	Template     *RowTemplate // of the format template
	Unanswerable string       // the answer to SQuAD's unanswerable questions; "" leaves them out
	Undesirable  bool         // keep KTO's undesirable answers too; the shape is then Judged
	Reasoning    string       // "" is KeepReasoning
}

// A Shaper turns rows of one layout into records. It is safe for concurrent use.
type Shaper struct {
	layout  Layout
	spec    spec
	shape   Shape
	columns map[string]string // the format's name of a column → the file's
	limit   int               // bytes that the records of one row may hold
}

// NewShaper returns the Shaper of a format with no options but its columns.
func NewShaper(format Format, columns map[string]string) (*Shaper, error) {
	return Layout{Format: format, Columns: columns}.Shaper()
}

// Shaper returns the Shaper of a layout.
func (l Layout) Shaper() (*Shaper, error) {
	known, ok := specOf(l.Format)
	if !ok {
		return nil, fmt.Errorf("unknown format %q", l.Format)
	}
	s := &Shaper{layout: l, spec: known, shape: known.shape, columns: map[string]string{}, limit: maxRecordBytes}
	for _, name := range known.columns {
		s.columns[name] = name
	}
	names := make([]string, 0, len(l.Columns))
	for name := range l.Columns {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(known.columns, name) {
			return nil, fmt.Errorf("format %s has no column %q (it has %s)", l.Format, name, strings.Join(known.columns, ", "))
		}
		s.columns[name] = l.Columns[name]
	}
	switch {
	case l.Format == KTOFormat && !l.Undesirable:
		s.shape = Messages
	case l.Format == TemplateFormat && l.Template == nil:
		return nil, fmt.Errorf("format template has no template")
	case l.Format == TemplateFormat:
		s.shape = l.Template.shape
	}
	return s, nil
}

// Settle looks at a first row where that decides the shape of all: prompts with
// completions that are messages become conversations, and Pangu's ranked answers
// preferences.
func (s *Shaper) Settle(row Value) {
	switch s.layout.Format {
	case PromptFormat:
		_, prompt, _ := s.find(row, "prompt")
		_, completion, _ := s.find(row, "completion")
		if prompt.Kind == List || completion.Kind == List || completion.Kind == Object {
			s.shape = Messages
		}
	case PanguFormat:
		if _, _, ranked := s.find(row, "targets"); ranked {
			s.shape = Preference
		}
	}
}

// Told is the shape of every record of a layout, "" where the rows decide it.
func (l Layout) Told() Shape {
	switch l.Format {
	case PromptFormat, PanguFormat, TemplateFormat:
		return ""
	}
	s, err := l.Shaper()
	if err != nil {
		return ""
	}
	return s.shape
}

// Format is what rows are read as.
func (s *Shaper) Format() Format { return s.layout.Format }

// Shape returns the shape of every record.
func (s *Shaper) Shape() Shape { return s.shape }

// Columns returns the fields of rows that are read, for Options.Columns.
func (s *Shaper) Columns() []string {
	if s.layout.Template != nil {
		return s.layout.Template.Columns()
	}
	var names []string
	for _, column := range s.spec.columns {
		_, mapped := s.layout.Columns[column]
		if slices.Contains(inner, column) || s.layout.Only && !mapped && slices.Contains(named, column) {
			continue
		}
		names = append(names, s.columns[column])
		if !mapped {
			names = append(names, aliases[column]...)
		}
	}
	return names
}

// Records appends the records of a row of the named file, most often one. What of
// the row made none is in refused, each a *RowError.
func (s *Shaper) Records(file string, raw Raw, records []Record) (all []Record, refused []error) {
	parts, size := s.parts(raw.Value), 0
	if len(parts) > maxParts {
		return records, []error{&RowError{File: file, Record: raw.Record, Line: raw.Line, What: fmt.Sprintf("holds %d records; at most %d are supported", len(parts), maxParts)}}
	}
	for _, part := range parts {
		record := Record{Shape: s.shape, Origin: Origin{File: file, Record: raw.Record}}
		bad := s.fill(&record, part.value)
		if size += record.size(); size > s.limit {
			bad = wrong("", "its records hold more than %d MiB", s.limit>>20)
		}
		if bad == nil {
			s.placeReasoning(&record)
			records = append(records, record)
			continue
		}
		refused = append(refused, &RowError{
			File: file, Record: raw.Record, Line: raw.Line, Field: strings.TrimSuffix(part.at+bad.field, "."),
			What: bad.what, Left: bad.left, Value: &raw.Value,
		})
		if size > s.limit {
			break
		}
	}
	return records, refused
}

// Record is Records for rows that make one record.
func (s *Shaper) Record(file string, raw Raw) (Record, error) {
	records, refused := s.Records(file, raw, nil)
	if len(refused) > 0 {
		return Record{}, refused[0]
	}
	if len(records) != 1 {
		return Record{}, &RowError{File: file, Record: raw.Record, Line: raw.Line, What: fmt.Sprintf("holds %d records, not one", len(records))}
	}
	return records[0], nil
}

// maxParts bounds the records of one row.
const maxParts = 1 << 20

// part is what one record is made of, and the beginning of its fields' paths.
type part struct {
	at    string
	value Value
}

// parts cuts a row into what makes one record each.
func (s *Shaper) parts(row Value) []part {
	if s.layout.Format == SQuADFormat {
		if parts := s.questions(row); parts != nil {
			return parts
		}
	}
	return []part{{value: row}}
}

// placeReasoning does with reasoning what the layout says.
func (s *Shaper) placeReasoning(r *Record) {
	if s.layout.Reasoning == "" || s.layout.Reasoning == KeepReasoning {
		return
	}
	for _, messages := range [][]Message{r.Messages, r.Chosen, r.Rejected} {
		for i := range messages {
			m := &messages[i]
			if m.Reasoning != "" && s.layout.Reasoning == ThinkReasoning {
				m.Content = "<think>\n" + strings.TrimSpace(m.Reasoning) + "\n</think>\n\n" + m.Content
			}
			m.Reasoning = ""
		}
	}
}

// badField is what is wrong with a row, before its place is known.
type badField struct {
	field, what string
	left        bool // the row is well, but left out
}

func wrong(field, format string, args ...any) *badField {
	return &badField{field: field, what: fmt.Sprintf(format, args...)}
}

func wanted(field, want string, found Value) *badField {
	if found.Kind == Null {
		return wrong(field, "wanted %s, found null", want)
	}
	return wrong(field, "wanted %s, found %s: %s", want, found.Kind, found.show())
}

func (s *Shaper) fill(r *Record, row Value) *badField {
	if s.layout.Format == TextFormat && row.Kind == String {
		row = Value{Kind: Object, Fields: []Field{{s.columns["text"], row}}}
	}
	turns := s.layout.Format == PanguFormat && row.Kind == List
	if row.Kind != Object && !turns {
		return wanted("", "an object", row)
	}
	return s.spec.fill(s, r, row)
}

// named are the columns that LLaMA-Factory reads only where they are named.
var named = []string{"system", "history", "tools"}

// find returns the name and value of a column in a row.
func (s *Shaper) find(row Value, column string) (string, Value, bool) {
	name := s.columns[column]
	_, mapped := s.layout.Columns[column]
	if s.layout.Only && !mapped && slices.Contains(named, column) {
		return name, Value{}, false
	}
	v, ok := row.Get(name)
	if ok || mapped {
		return name, v, ok
	}
	for _, other := range aliases[column] {
		if v, ok := row.Get(other); ok {
			return other, v, true
		}
	}
	return name, Value{}, false
}

func (s *Shaper) text(r *Record, row Value) (bad *badField) {
	r.Text, bad = s.filled(row, "text")
	return bad
}

// promptCompletion reads a prompt and what completes it: two texts, or, once
// Settle saw lists, messages. Of those only the completion is learnt.
func (s *Shaper) promptCompletion(r *Record, row Value) (bad *badField) {
	if s.shape == Messages {
		return s.conversationalPrompt(r, row)
	}
	if r.Prompt, bad = s.required(row, "prompt"); bad != nil {
		return bad
	}
	r.Completion, bad = s.filled(row, "completion")
	return bad
}

func (s *Shaper) conversationalPrompt(r *Record, row Value) (bad *badField) {
	if bad := s.onlyText(row); bad != nil {
		return bad
	}
	if r.Messages, bad = s.said(row, "prompt", "user"); bad != nil {
		return bad
	}
	for i := range r.Messages {
		if answers(r.Messages[i]) {
			none := 0.0
			r.Messages[i].Weight = &none
		}
	}
	completion, bad := s.said(row, "completion", "assistant")
	if bad != nil {
		return bad
	}
	r.Messages = append(r.Messages, completion...)
	if r.Tools, bad = s.tools(row); bad != nil {
		return bad
	}
	return checkAnswer(r.Messages, completion, s.columns["completion"])
}

// alpaca makes a conversation: the system prompt, the history, then a user who
// says the instruction and, on the line after, the input, as LLaMA-Factory does.
func (s *Shaper) alpaca(r *Record, row Value) *badField {
	if bad := s.onlyText(row); bad != nil {
		return bad
	}
	instruction, bad := s.required(row, "instruction")
	if bad != nil {
		return bad
	}
	input, bad := s.optional(row, "input")
	if bad != nil {
		return bad
	}
	output, bad := s.filled(row, "output")
	if bad != nil {
		return bad
	}
	if bad := s.systemAndHistory(r, row); bad != nil {
		return bad
	}
	request := instruction
	if input != "" {
		request += "\n" + input
	}
	if strings.TrimSpace(request) == "" {
		return wrong(s.columns["instruction"], "is empty")
	}
	r.Messages = append(r.Messages, Message{Role: "user", Content: request}, Message{Role: "assistant", Content: output})
	return nil
}

// spark makes a conversation of what iFlytek's input and target say, as alpaca
// does.
func (s *Shaper) spark(r *Record, row Value) *badField {
	if bad := s.onlyText(row); bad != nil {
		return bad
	}
	input, bad := s.filled(row, "input")
	if bad != nil {
		return bad
	}
	target, bad := s.filled(row, "target")
	if bad != nil {
		return bad
	}
	if bad := s.systemAndHistory(r, row); bad != nil {
		return bad
	}
	r.Messages = append(r.Messages, Message{Role: "user", Content: input}, Message{Role: "assistant", Content: target})
	return nil
}

func (s *Shaper) systemAndHistory(r *Record, row Value) *badField {
	system, bad := s.optional(row, "system")
	if bad != nil {
		return bad
	}
	if system != "" {
		r.Messages = append(r.Messages, Message{Role: "system", Content: system})
	}
	name, history, _ := s.find(row, "history")
	if history.Kind == Null || history.Kind == String && history.Text == "" {
		return nil
	}
	if history.Kind != List {
		return wanted(name, "a list of [question, answer] pairs", history)
	}
	for i, pair := range history.Items {
		at := fmt.Sprintf("%s[%d]", name, i)
		if pair.Kind != List || len(pair.Items) != 2 {
			return wanted(at, "a [question, answer] pair", pair)
		}
		for j, role := range []string{"user", "assistant"} {
			turn := pair.Items[j]
			if turn.Kind != String {
				return wanted(fmt.Sprintf("%s[%d]", at, j), "a string", turn)
			}
			r.Messages = append(r.Messages, Message{Role: role, Content: turn.Text})
		}
	}
	return nil
}

// required returns the text of a column that must be there.
func (s *Shaper) required(row Value, column string) (string, *badField) {
	name, v, ok := s.find(row, column)
	if !ok {
		return "", s.missing(row, column)
	}
	if v.Kind != String {
		return "", wanted(name, "a string", v)
	}
	return v.Text, nil
}

// filled is required, and refuses text that is empty or white space alone.
func (s *Shaper) filled(row Value, column string) (string, *badField) {
	text, bad := s.required(row, column)
	if bad == nil && isBlank(text) {
		bad = wrong(s.columns[column], "is empty")
	}
	return text, bad
}

// isBlank tells text without anything but white space.
func isBlank(text string) bool { return strings.TrimSpace(text) == "" }

// optional returns the text of a column, "" when it is missing or null.
func (s *Shaper) optional(row Value, column string) (string, *badField) {
	name, v, _ := s.find(row, column)
	switch v.Kind {
	case Null:
		return "", nil
	case String:
		return v.Text, nil
	default:
		return "", wanted(name, "a string", v)
	}
}

// missing says that a column is not there, and what is.
func (s *Shaper) missing(row Value, column string) *badField {
	name := s.columns[column]
	as := ""
	if name != column {
		as = " (the " + column + ")"
	}
	return wrong(name, "is missing%s; the row has %s", as, rowNames(row))
}

// rowNames lists the first fields of a row.
func rowNames(row Value) string {
	const most = 12
	var names []string
	for _, f := range row.Fields {
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, f.Name)
	}
	return orNone(names)
}

// mediaColumns hold what is no text in the formats of LLaMA-Factory and TRL.
var mediaColumns = []string{"image", "images", "video", "videos", "audio", "audios"}

// onlyText refuses rows that come with images, sound or video.
func (s *Shaper) onlyText(row Value) *badField {
	for _, name := range mediaColumns {
		v, ok := row.Get(name)
		if !ok || v.Kind == Null || v.Kind == List && len(v.Items) == 0 || v.Kind == String && v.Text == "" {
			continue
		}
		return wrong(name, "holds media; only text can be trained on")
	}
	return nil
}

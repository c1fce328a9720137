package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// Format is how the rows of a file are laid out.
type Format string

// The formats, each with the columns it reads; a question mark is one that may
// be missing, null or empty.
const (
	AlpacaFormat   Format = "alpaca"            // instruction, input?, output, system?, history?
	ShareGPTFormat Format = "sharegpt"          // conversations of from and value, system?, tools?
	MessagesFormat Format = "messages"          // messages of role and content, tools?
	PromptFormat   Format = "prompt-completion" // prompt, completion
	TextFormat     Format = "text"              // text; a row that is a string is one too

	PreferenceFormat Format = "preference" // prompt?, chosen, rejected, system?, tools?; see preference.go
)

// formatColumns are the columns of each format, as in a column mapping.
var formatColumns = map[Format][]string{
	AlpacaFormat:   {"instruction", "input", "output", "system", "history"},
	ShareGPTFormat: {"conversations", "from", "value", "system", "tools"},
	MessagesFormat: {"messages", "role", "content", "tools"},
	PromptFormat:   {"prompt", "completion"},
	TextFormat:     {"text"},

	PreferenceFormat: {"prompt", "input", "chosen", "rejected", "system", "tools", "role", "content", "from", "value"},
}

// A Shaper turns rows of one format into records.
type Shaper struct {
	format  Format
	shape   Shape
	columns map[string]string // the format's name of a column → the file's
}

// NewShaper returns a Shaper for rows of a format whose columns are called as
// columns says: {"instruction": "question"} reads field question as the
// instruction.
func NewShaper(format Format, columns map[string]string) (*Shaper, error) {
	known, ok := formatColumns[format]
	if !ok {
		return nil, fmt.Errorf("unknown format %q", format)
	}
	s := &Shaper{format: format, shape: Messages, columns: map[string]string{}}
	switch format {
	case PromptFormat:
		s.shape = PromptCompletion
	case TextFormat:
		s.shape = Text
	case PreferenceFormat:
		s.shape = Preference
	}
	for _, name := range known {
		s.columns[name] = name
	}
	names := make([]string, 0, len(columns))
	for name := range columns {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("format %s has no column %q (it has %s)", format, name, strings.Join(known, ", "))
		}
		s.columns[name] = columns[name]
	}
	return s, nil
}

// Shape returns the shape of every record.
func (s *Shaper) Shape() Shape { return s.shape }

// Columns returns the fields of rows that are read, for Options.Columns.
func (s *Shaper) Columns() []string {
	var names []string
	for _, column := range formatColumns[s.format] {
		switch column {
		case "from", "value", "role", "content": // of a message, not of a row
		default:
			names = append(names, s.columns[column])
		}
	}
	if s.format == PreferenceFormat {
		names = append(names, otherPrompts...)
	}
	return names
}

// Record makes a record of a row of the named file. Its error is a *RowError.
func (s *Shaper) Record(file string, raw Raw) (Record, error) {
	record := Record{Shape: s.shape, Origin: Origin{File: file, Record: raw.Record}}
	if bad := s.fill(&record, raw.Value); bad != nil {
		return Record{}, &RowError{File: file, Record: raw.Record, Line: raw.Line, Field: bad.field, What: bad.what}
	}
	return record, nil
}

// badField is what is wrong with a row, before its place is known.
type badField struct{ field, what string }

func wrong(field, format string, args ...any) *badField {
	return &badField{field, fmt.Sprintf(format, args...)}
}

func wanted(field, want string, found Value) *badField {
	if found.Kind == Null {
		return wrong(field, "wanted %s, found null", want)
	}
	return wrong(field, "wanted %s, found %s: %s", want, found.Kind, found.show())
}

func (s *Shaper) fill(r *Record, row Value) *badField {
	if s.format == TextFormat && row.Kind == String {
		row = Value{Kind: Object, Fields: []Field{{s.columns["text"], row}}}
	}
	if row.Kind != Object {
		return wanted("", "an object", row)
	}
	switch s.format {
	case AlpacaFormat:
		return s.alpaca(r, row)
	case ShareGPTFormat:
		return s.shareGPT(r, row)
	case MessagesFormat:
		return s.messages(r, row)
	case PromptFormat:
		return s.promptCompletion(r, row)
	case PreferenceFormat:
		return s.preference(r, row)
	default:
		return s.text(r, row)
	}
}

func (s *Shaper) text(r *Record, row Value) (bad *badField) {
	r.Text, bad = s.filled(row, "text")
	return bad
}

func (s *Shaper) promptCompletion(r *Record, row Value) (bad *badField) {
	if r.Prompt, bad = s.required(row, "prompt"); bad != nil {
		return bad
	}
	r.Completion, bad = s.filled(row, "completion")
	return bad
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

func (s *Shaper) systemAndHistory(r *Record, row Value) *badField {
	system, bad := s.optional(row, "system")
	if bad != nil {
		return bad
	}
	if system != "" {
		r.Messages = append(r.Messages, Message{Role: "system", Content: system})
	}
	name := s.columns["history"]
	history, _ := row.Get(name)
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
	name := s.columns[column]
	v, ok := row.Get(name)
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
	if bad == nil && strings.TrimSpace(text) == "" {
		bad = wrong(s.columns[column], "is empty")
	}
	return text, bad
}

// optional returns the text of a column, "" when it is missing or null.
func (s *Shaper) optional(row Value, column string) (string, *badField) {
	name := s.columns[column]
	switch v, _ := row.Get(name); v.Kind {
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
	const most = 12
	var names []string
	for _, f := range row.Fields {
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, f.Name)
	}
	name := s.columns[column]
	as := ""
	if name != column {
		as = " (the " + column + ")"
	}
	return wrong(name, "is missing%s; the row has %s", as, orNone(names))
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

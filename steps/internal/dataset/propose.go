package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// SampleRows is how many rows a proposal looks at.
const SampleRows = 100

// A Candidate is a format that rows may be of.
type Candidate struct {
	Format Format
	Why    string // what makes them look so

	fits    int      // rows that do
	columns []string // that the format would read
}

// Propose tells which formats rows look like: of those that most rows fit, the
// ones that read what no other reads. One candidate is an answer; none or
// several are not.
func Propose(rows []Value) []Candidate {
	var all []Candidate
	for _, format := range Formats() {
		c := Candidate{Format: format}
		looks := ""
		for _, row := range rows {
			columns, as := claims(format, row)
			if columns == nil {
				continue
			}
			if c.fits++; c.fits == 1 {
				looks = as
			}
			for _, column := range columns {
				if !slices.Contains(c.columns, column) {
					c.columns = append(c.columns, column)
				}
			}
		}
		if c.fits > 0 && c.fits*10 >= len(rows)*9 { // a few may be broken
			c.Why = count(c.fits, len(rows), looks)
			all = append(all, c)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(c Candidate) bool {
		return slices.ContainsFunc(all, func(other Candidate) bool { return other.reads(c) })
	})
}

// reads reports whether c reads all that other does, and more.
func (c Candidate) reads(other Candidate) bool {
	if len(c.columns) <= len(other.columns) {
		return false
	}
	for _, column := range other.columns {
		if !slices.Contains(c.columns, column) {
			return false
		}
	}
	return true
}

func count(n, of int, looks string) string {
	switch {
	case of == 1:
		return "the row " + looks
	case n == of:
		return fmt.Sprintf("each of the first %d rows %s", of, looks)
	}
	if rest, ok := strings.CutPrefix(looks, "has "); ok {
		looks = "have " + rest
	} else {
		looks = "are" + strings.TrimPrefix(looks, "is")
	}
	return fmt.Sprintf("%d of the first %d rows %s", n, of, looks)
}

// sign is a column that marks a format.
type sign struct {
	column string
	is     func(Value) bool
	what   string
}

// signs are what marks a format: each list of columns is one way to be of it.
// The columns that come after "and" are read when they are there.
func signs(format Format) (ways [][]sign, and []string) {
	one := func(way ...sign) [][]sign { return [][]sign{way} }
	str := func(column string) sign { return sign{column, isText, ""} }
	list := func(column string) sign { return sign{column, isList, "a list"} }
	there := func(column string) sign { return sign{column, isThere, ""} }
	turns := func(column, key string) sign {
		return sign{column, func(v Value) bool { return isTurns(v, key) }, "a list of messages with " + key}
	}
	switch format {
	case AlpacaFormat:
		return one(str("instruction"), str("output")), []string{"input", "system", "history"}
	case ShareGPTFormat:
		return [][]sign{{turns("conversations", "from")}, {turns("conversation", "from")}}, []string{"system", "tools"}
	case MessagesFormat:
		return [][]sign{{turns("messages", "role")}, {turns("conversations", "role")}, {turns("conversation", "role")}}, []string{"tools"}
	case PromptFormat:
		return one(there("prompt"), there("completion")), []string{"tools"}
	case TextFormat:
		return one(str("text")), nil
	case PreferenceFormat:
		and = []string{"prompt", "conversations", "instruction", "input", "system", "tools"}
		return [][]sign{{there("chosen"), there("rejected")}, {there("chosen_messages"), there("rejected_messages")}}, and
	case KTOFormat:
		label, tag := sign{"label", isTruth, "true or false"}, sign{"kto_tag", isTruth, "true or false"}
		and = []string{"input", "system", "tools"}
		return [][]sign{
			{there("prompt"), there("completion"), label}, {turns("messages", "role"), label}, {turns("conversations", "from"), label},
			{str("instruction"), str("output"), tag}, {turns("messages", "role"), tag}, {turns("conversations", "from"), tag},
		}, and
	case SegmentsFormat:
		return one(sign{"segments", func(v Value) bool { return isTurns(v, "text") }, "a list of texts with labels"}), nil
	case StepwiseFormat:
		return one(str("prompt"), list("completions"), list("labels")), nil
	}
	return vendorSigns(format)
}

func vendorSigns(format Format) (ways [][]sign, and []string) {
	str := func(column string) sign { return sign{column, isText, ""} }
	there := func(column string) sign { return sign{column, isThere, ""} }
	switch format {
	case MOSSFormat:
		chat := func(v Value) bool { _, ok := v.Get("turn_1"); return ok }
		return [][]sign{{{"chat", chat, "an object with turn_1"}}}, []string{"meta_instruction"}
	case PanguFormat:
		context := sign{"context", func(v Value) bool { return isText(v) || isList(v) }, ""}
		return [][]sign{{context, str("target")}, {context, {"targets", isList, "a list"}}}, []string{"system"}
	case SparkFormat:
		return [][]sign{{str("input"), str("target")}}, []string{"system", "history"}
	case GeminiFormat:
		parts := func(v Value) bool { return isTurns(v, "parts") }
		return [][]sign{{{"contents", parts, "a list with parts"}}}, []string{"systemInstruction", "system_instruction", "tools"}
	case SQuADFormat:
		qas := func(v Value) bool { return isTurns(v, "qas") }
		return [][]sign{{str("context"), str("question"), there("answers")}, {{"paragraphs", qas, "a list with qas"}}}, []string{"is_impossible"}
	}
	return nil, nil
}

// claims returns the columns that a format would read of a row, and how the row
// looks; nil when it is none of the format's.
func claims(format Format, row Value) (columns []string, looks string) {
	if format == TextFormat && row.Kind == String {
		return []string{""}, "is a text"
	}
	if format == PanguFormat && row.Kind == List && isTurns(row, "context") {
		return []string{""}, "is a list of context and target"
	}
	ways, and := signs(format)
	for _, way := range ways {
		columns, looks = match(way, row)
		if columns == nil || format == TextFormat && labelled(row) {
			continue
		}
		for _, column := range and {
			if v, ok := row.Get(column); ok && v.Kind != Null {
				columns = append(columns, column)
			}
		}
		return columns, looks
	}
	return nil, ""
}

// match returns the columns of a way to be of a format that a row has all of.
func match(way []sign, row Value) (columns []string, looks string) {
	var names []string
	for _, s := range way {
		v, ok := row.Get(s.column)
		if !ok || !s.is(v) {
			return nil, ""
		}
		columns = append(columns, s.column)
		if s.what != "" {
			names = append(names, s.column+" ("+s.what+")")
		} else {
			names = append(names, s.column)
		}
	}
	return columns, "has " + strings.Join(names, ", ")
}

// labelled tells rows of a table for classification, whose text alone is not
// what is to be learnt.
func labelled(row Value) bool {
	for _, name := range []string{"label", "labels", "target", "class", "label_desc", "category"} {
		if _, ok := row.Get(name); ok {
			return true
		}
	}
	return false
}

func isText(v Value) bool  { return v.Kind == String }
func isList(v Value) bool  { return v.Kind == List }
func isThere(v Value) bool { return v.Kind != Null }
func isTruth(v Value) bool { return v.Kind == Bool }

// isTurns tells a list of objects that have a field, which in CSV is JSON.
func isTurns(v Value, key string) bool {
	if v.Kind == String && strings.HasPrefix(strings.TrimSpace(v.Text), "[") {
		parsed, err := ParseJSON([]byte(v.Text))
		if err != nil {
			return false
		}
		v = parsed
	}
	if v.Kind != List || len(v.Items) == 0 {
		return false
	}
	for _, item := range v.Items {
		if _, ok := item.Get(key); !ok {
			return false
		}
	}
	return true
}

// Nearest says which format a row that a shaper refused looks like, "" when it
// looks like none in which a record could be made of it.
func Nearest(row Value, declared Layout) string {
	if columns, _ := claims(declared.Format, row); columns != nil {
		return ""
	}
	for _, c := range Propose([]Value{row}) {
		shaper, err := NewShaper(c.Format, nil)
		if err != nil {
			continue
		}
		shaper.Settle(row)
		if records, _ := shaper.Records("", Raw{Value: row}, nil); len(records) > 0 || c.Format == KTOFormat {
			return fmt.Sprintf("it looks like %s: %s", c.Format, c.Why)
		}
	}
	if len(declared.Columns) > 0 {
		return "" // the user knows them
	}
	return columnHint(row)
}

// columnHint proposes a mapping of the columns for rows that hold a question and
// an answer under other names; "" when they do not.
func columnHint(row Value) string {
	named := func(names ...string) string {
		for _, name := range names {
			if v, _ := row.Get(name); v.Kind == String {
				return name
			}
		}
		return ""
	}
	ask := named("question", "query", "prompt", "input", "instruction", "problem")
	answer := named("answer", "response", "output", "completion", "target", "solution")
	if ask == "" || answer == "" {
		return ""
	}
	return fmt.Sprintf("format: %q with columns: {instruction: %q, output: %q} would read it", AlpacaFormat, ask, answer)
}

// ProposeOne returns the one format that rows look like, and why. Its error
// names the candidates, or what the rows have.
func ProposeOne(rows []Value) (Candidate, error) {
	all := Propose(rows)
	switch {
	case len(rows) == 0:
		return Candidate{}, fmt.Errorf("there are no rows to tell the format from")
	case len(all) == 1:
		return all[0], nil
	case len(all) > 1:
		var names []string
		for _, c := range all {
			names = append(names, fmt.Sprintf("%s (%s)", c.Format, c.Why))
		}
		return Candidate{}, fmt.Errorf("the rows could be %s: say which", strings.Join(names, ", or "))
	}
	what := rows[0].Kind.String()
	if rows[0].Kind == Object {
		what = "the columns " + rowNames(rows[0])
	}
	err := fmt.Sprintf("no format fits rows of %s", what)
	if hint := columnHint(rows[0]); hint != "" {
		return Candidate{}, fmt.Errorf("%s; %s", err, hint)
	}
	return Candidate{}, fmt.Errorf("%s; a template can name them (format: %q)", err, TemplateFormat)
}

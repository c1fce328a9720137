package dataset

import "fmt"

// unanswerable is why a question of SQuAD is left out.
const unanswerable = "the question has no answer"

// questions cuts an article of SQuAD's nested files, or one of its paragraphs,
// into a row per question; nil for rows that are flat already.
func (s *Shaper) questions(row Value) []part {
	name, paragraphs, ok := s.find(row, "paragraphs")
	if !ok {
		if _, nested := row.Get("qas"); !nested {
			return nil
		}
		return s.paragraph(row, "")
	}
	if paragraphs.Kind != List || len(paragraphs.Items) == 0 {
		return nil
	}
	all := []part{}
	for i, paragraph := range paragraphs.Items {
		all = append(all, s.paragraph(paragraph, fmt.Sprintf("%s[%d].", name, i))...)
	}
	return all
}

func (s *Shaper) paragraph(v Value, at string) (all []part) {
	context, _ := v.Get(s.columns["context"])
	qas, _ := v.Get("qas")
	for i, qa := range qas.Items {
		fields := []Field{{s.columns["context"], context}}
		for _, f := range qa.Fields {
			if f.Name != s.columns["context"] {
				fields = append(fields, f)
			}
		}
		all = append(all, part{at: fmt.Sprintf("%sqas[%d].", at, i), value: Value{Kind: Object, Fields: fields}})
	}
	if all == nil { // said by question, at the paragraph
		all = []part{{at: at, value: v}}
	}
	return all
}

// question makes a conversation of SQuAD's question: the user says the context,
// an empty line and the question, the assistant the first answer. answers is a
// list of {text} or an object of lists. A question without an answer is left out,
// or answered as the layout says.
func (s *Shaper) question(r *Record, row Value) *badField {
	context, bad := s.filled(row, "context")
	if bad != nil {
		return bad
	}
	question, bad := s.filled(row, "question")
	if bad != nil {
		return bad
	}
	answer, bad := s.squadAnswer(row)
	if bad != nil {
		return bad
	}
	r.Messages = []Message{{Role: "user", Content: context + "\n\n" + question}, {Role: "assistant", Content: answer}}
	return nil
}

func (s *Shaper) squadAnswer(row Value) (string, *badField) {
	name, answers, ok := s.find(row, "answers")
	texts := answers
	if answers.Kind == Object {
		texts, _ = answers.Get("text")
		name += ".text"
	}
	impossibleName, mark, _ := s.find(row, "is_impossible")
	impossible := false
	if mark.Kind != Null {
		var bad *badField
		if impossible, bad = truth(mark, impossibleName); bad != nil {
			return "", bad
		}
	}
	switch {
	case !ok && !impossible:
		return "", s.missing(row, "answers")
	case impossible, texts.Kind == List && len(texts.Items) == 0:
		if s.layout.Unanswerable == "" {
			return "", &badField{field: name, what: unanswerable, left: true}
		}
		return s.layout.Unanswerable, nil
	case texts.Kind != List:
		return "", wanted(name, "a list of answers", texts)
	}
	name += "[0]"
	first := texts.Items[0]
	if first.Kind == Object {
		text, bad := member(first, name, "text")
		if bad != nil {
			return "", bad
		}
		first, name = stringValue(text), name+".text"
	}
	if first.Kind != String {
		return "", wanted(name, "a string", first)
	}
	if isBlank(first.Text) {
		return "", wrong(name, "is empty")
	}
	return first.Text, nil
}

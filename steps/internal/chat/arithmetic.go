package chat

import "strings"

// join writes operands one after the other, with arithmetic as calls. Jinja binds
// * / // % tighter than ~, that tighter than + and -, and those tighter than
// comparisons, in, not, and, or; filters and tests belong to their operand.
func join(item []operand) string {
	var out strings.Builder
	start, is := 0, false
	flush := func(end int) {
		out.WriteString(chain(item[start:end], 0))
	}
	for i, o := range item {
		text := o.text
		if blank(text) {
			continue
		}
		stops := boundary(text) && !(text == "not" && is) || strings.Contains("=!<>", text)
		is = text == "is"
		if stops {
			flush(i)
			out.WriteString(text)
			start = i + 1
		}
	}
	flush(len(item))
	return out.String()
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// boundary says whether a word ends an arithmetic expression.
func boundary(word string) bool {
	switch word {
	case "and", "or", "not", "in", "if", "elif", "else", "for", "set", "recursive":
		return true
	}
	return false
}

// levels are the operators from the loosest to the tightest, with their functions.
func levels() []map[string]string {
	return []map[string]string{
		{"+": added, "-": taken}, {"~": joined}, {"*": times, "/": over, "//": floored, "%": modulo}, {"**": power},
	}
}

// chain writes a chain of operands at a level, from the left.
func chain(item []operand, level int) string {
	if level == len(levels()) {
		var out strings.Builder
		for _, o := range item {
			out.WriteString(o.text)
		}
		return out.String()
	}
	names := levels()[level]
	left, start, name := "", 0, ""
	seen := false // of an operand since the last operator
	take := func(end int) {
		part := chain(item[start:end], level+1)
		if name == "" {
			left = part
		} else {
			left = " " + name + "(" + left + ", " + part + ") "
		}
	}
	for i := 0; i < len(item); i++ {
		text := item[i].text
		if blank(text) {
			continue
		}
		width := 1
		if (text == "/" || text == "*") && i+1 < len(item) && item[i+1].text == text {
			width, text = 2, text+text
		}
		f, ok := names[text]
		if ok && seen && !exponent(item[:i], text) {
			take(i)
			name, start, seen = f, i+width, false
			i += width - 1
			continue
		}
		i += width - 1
		seen = !strings.Contains("+-*/%~|", text)
	}
	if name == "" {
		return chain(item, level+1)
	}
	take(len(item))
	return left
}

// exponent says whether a sign belongs to a number such as 1e-5.
func exponent(before []operand, sign string) bool {
	if sign != "-" && sign != "+" || len(before) == 0 {
		return false
	}
	word := before[len(before)-1].text
	return len(word) > 1 && word[0] >= '0' && word[0] <= '9' && strings.HasSuffix(strings.ToLower(word), "e")
}

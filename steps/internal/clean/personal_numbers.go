package clean

import "strings"

// A group is a run of digits, text[start:end].
type group struct{ start, end int }

func (g group) len() int { return g.end - g.start }

// digitGroups returns the runs of digits in a text.
func digitGroups(text string) (all []group) {
	for at := 0; at < len(text); at++ {
		if !isDigit(text[at]) {
			continue
		}
		g := group{start: at}
		for at < len(text) && isDigit(text[at]) {
			at++
		}
		g.end = at
		all = append(all, g)
	}
	return all
}

// joined returns the groups from the first on that follow each other with a single
// separator between them and have at most limit digits together.
func joined(text string, groups []group, separators string, limit int) []group {
	total := 0
	for i, g := range groups {
		if i > 0 && (g.start != groups[i-1].end+1 || strings.IndexByte(separators, text[g.start-1]) < 0) {
			return groups[:i]
		}
		if total += g.len(); total > limit {
			return groups[:i]
		}
	}
	return groups
}

// digits are those of groups, without what is between.
func digits(text string, groups []group) string {
	var b strings.Builder
	for _, g := range groups {
		b.WriteString(text[g.start:g.end])
	}
	return b.String()
}

func cards(text string) (all []Finding) {
	groups := digitGroups(text)
	for i := 0; i < len(groups); i++ {
		if first := text[groups[i].start]; first < '2' || first > '6' {
			continue
		}
		run := joined(text, groups[i:], " -", 19)
		for ; len(run) > 0; run = run[:len(run)-1] {
			if isCard(text, run) {
				all = append(all, Finding{CreditCard, run[0].start, run[len(run)-1].end})
				i += len(run) - 1
				break
			}
		}
	}
	return all
}

func isCard(text string, run []group) bool {
	d := digits(text, run)
	return len(d) >= 13 && alone(text, run[0].start, run[len(run)-1].end) && plainGroups(run) && luhn(d)
}

// plainGroups wants at least three digits in every group, as cards are printed.
func plainGroups(run []group) bool {
	for _, g := range run {
		if g.len() < 3 {
			return false
		}
	}
	return true
}

// luhn is the checksum of ISO/IEC 7812-1, annex B.
func luhn(digits string) bool {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

func ibans(text string) (all []Finding) {
	for at := 0; at+15 <= len(text); at++ {
		if !isUpper(text[at]) || !isUpper(text[at+1]) || !isDigit(text[at+2]) || !isDigit(text[at+3]) || at > 0 && isAlnum(text[at-1]) {
			continue
		}
		if end := ibanEnd(text, at); end > 0 {
			all = append(all, Finding{IBAN, at, end})
			at = end - 1
		}
	}
	return all
}

// ibanEnd returns where the longest valid number that starts at a place ends;
// 0 if none does. Groups of four may have a space between them.
func ibanEnd(text string, start int) int {
	end := 0
	compact := make([]byte, 0, 34)
	for at := start; at < len(text) && len(compact) < 34; at++ {
		c := text[at]
		if c == ' ' && len(compact) > 0 && len(compact)%4 == 0 {
			continue
		}
		if !isUpper(c) && !isDigit(c) {
			break
		}
		compact = append(compact, c)
		if len(compact) >= 15 && (at+1 == len(text) || !isAlnum(text[at+1])) && mod97(compact) == 1 {
			end = at + 1
		}
	}
	return end
}

// mod97 is the remainder of ISO 7064 (MOD 97-10) with the first four characters
// moved to the end and letters read as 10 to 35.
func mod97(s []byte) int {
	rest := 0
	for i := range s {
		c := s[(i+4)%len(s)]
		if isDigit(c) {
			rest = (10*rest + int(c-'0')) % 97
		} else {
			rest = (100*rest + int(c-'A') + 10) % 97
		}
	}
	return rest
}

func chinaIDs(text string) (all []Finding) {
	for _, g := range digitGroups(text) {
		end := g.end
		if g.len() == 17 && end < len(text) && (text[end] == 'X' || text[end] == 'x') {
			end++
		}
		if end-g.start == 18 && alone(text, g.start, end) && isChinaID(text[g.start:end]) {
			all = append(all, Finding{ChinaID, g.start, end})
		}
	}
	return all
}

// isChinaID checks date of birth and the check character (ISO 7064 MOD 11-2).
func isChinaID(s string) bool {
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }
	century, month, day := two(6), two(10), two(12)
	if s[0] == '0' || century < 18 || century > 20 || month < 1 || month > 12 || day < 1 || day > 31 {
		return false
	}
	sum := 0
	for i := range 17 {
		sum = (sum + int(s[i]-'0')) * 2 % 11
	}
	check := s[17]
	if check == 'x' {
		check = 'X'
	}
	return check == "0123456789X"[(12-sum)%11]
}

func phones(text string) (all []Finding) {
	groups := digitGroups(text)
	for i := 0; i < len(groups); i++ {
		if n, start := phone(text, groups[i:]); n > 0 {
			all = append(all, Finding{Phone, start, groups[i+n-1].end})
			i += n - 1
		}
	}
	return append(all, bracketed(text)...)
}

// phone returns how many of the groups, from the first on, are a number, 0 if none
// are, and where it begins.
func phone(text string, groups []group) (n, start int) {
	start = groups[0].start
	if start > 0 && text[start-1] == '+' {
		run := joined(text, groups, " -.", 15)
		if len(run) == 0 || text[start] == '0' || len(digits(text, run)) < 8 {
			return 0, 0
		}
		n, start = len(run), start-1
	} else if run := joined(text, groups[:min(3, len(groups))], " -", 11); isChinaMobile(text, run) {
		n = len(run)
	} else if run := joined(text, groups[:min(3, len(groups))], "-.", 10); isAmerican(text, run) {
		n = len(run)
	}
	if n == 0 || !alone(text, start, groups[n-1].end) {
		return 0, 0
	}
	return n, start
}

// isChinaMobile: 11 digits from 13 to 19, together or as 3-4-4.
func isChinaMobile(text string, run []group) bool {
	whole := len(run) == 1 && run[0].len() == 11 || len(run) == 3 && run[0].len() == 3 && run[1].len() == 4 && run[2].len() == 4
	return whole && text[run[0].start] == '1' && text[run[0].start+1] >= '3'
}

// isAmerican: 3-3-4 digits, area and exchange from 2 up (NANP).
func isAmerican(text string, run []group) bool {
	return len(run) == 3 && run[0].len() == 3 && run[1].len() == 3 && run[2].len() == 4 &&
		text[run[0].start] >= '2' && text[run[1].start] >= '2'
}

// bracketed finds numbers such as (212) 555-0123.
func bracketed(text string) (all []Finding) {
	const form = "(ddd) ddd-dddd"
	for at := 0; ; at++ {
		next := strings.IndexByte(text[at:], '(')
		if next < 0 {
			return all
		}
		at += next
		if end := matchForm(text, at, form); end > 0 && text[at+1] >= '2' && (end == len(text) || !isAlnum(text[end])) {
			all = append(all, Finding{Phone, at, end})
			at = end - 1
		}
	}
}

// matchForm returns where a form that starts at a place ends; 0 if it does not.
// d is a digit; spaces may be missing.
func matchForm(text string, at int, form string) int {
	for i := range len(form) {
		switch {
		case at < len(text) && (form[i] == 'd' && isDigit(text[at]) || form[i] != 'd' && text[at] == form[i]):
			at++
		case form[i] == ' ':
		default:
			return 0
		}
	}
	return at
}

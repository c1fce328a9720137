package clean

import (
	"cmp"
	"slices"
	"strings"
)

// Kinds of personal data that can be found.
const (
	Email      = "email"
	Phone      = "phone"
	IPAddress  = "ipAddress"
	CreditCard = "creditCard"
	IBAN       = "iban"
	ChinaID    = "chinaId"
)

// PersonalKinds lists the kinds. What two of them would claim is that of the
// first: the ones with a checksum are surest.
func PersonalKinds() []string {
	return []string{Email, IBAN, ChinaID, CreditCard, IPAddress, Phone}
}

// A Finding is a span of a text, in bytes, that is personal data.
type Finding struct {
	Kind       string
	Start, End int
}

// Personal returns the personal data of some kinds in a text, in order and
// without overlap:
//
//	email       local@domain.tld, the parts of RFC 5321's dot-atoms in ASCII
//	phone       +country and 8 to 15 digits (E.164), grouped or not; Chinese mobile
//	            numbers; North American ones as (212) 555-0123, 212-555-0123 or 212.555.0123
//	ipAddress   IPv4 in dotted decimal, IPv6 in colons
//	creditCard  13 to 19 digits in groups of at least three, of a known issuer's
//	            first digit (2 to 6), whose Luhn checksum is right (ISO/IEC 7812)
//	iban        two letters, two check digits and up to 30 characters in capitals,
//	            whose remainder by 97 is 1 (ISO 13616)
//	chinaId     18 characters of a resident identity card whose date of birth and
//	            checksum are right (GB 11643)
func Personal(text string, kinds []string) []Finding {
	var all []Finding
	for _, kind := range PersonalKinds() {
		if !slices.Contains(kinds, kind) {
			continue
		}
		found := slices.DeleteFunc(find(kind, text), func(f Finding) bool { return overlaps(all, f) })
		all = append(all, found...)
		slices.SortFunc(all, func(a, b Finding) int { return cmp.Compare(a.Start, b.Start) })
	}
	return all
}

func find(kind, text string) []Finding {
	switch kind {
	case Email:
		return emails(text)
	case Phone:
		return phones(text)
	case IPAddress:
		return addresses(text)
	case CreditCard:
		return cards(text)
	case IBAN:
		return ibans(text)
	case ChinaID:
		return chinaIDs(text)
	}
	panic("clean: no kind of personal data: " + kind)
}

// overlaps reports whether sorted findings cover a part of f.
func overlaps(all []Finding, f Finding) bool {
	i, _ := slices.BinarySearchFunc(all, f.Start, func(a Finding, start int) int { return cmp.Compare(a.End, start+1) })
	return i < len(all) && all[i].Start < f.End
}

// Mask replaces findings by their kind in brackets, such as [email].
func Mask(text string, findings []Finding) string {
	if len(findings) == 0 {
		return text
	}
	var b strings.Builder
	from := 0
	for _, f := range findings {
		b.WriteString(text[from:f.Start])
		b.WriteString("[" + f.Kind + "]")
		from = f.End
	}
	b.WriteString(text[from:])
	return b.String()
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isAlnum(c byte) bool { return isDigit(c) || isUpper(c) || 'a' <= c && c <= 'z' }

// alone reports whether no letter or digit stands beside text[start:end].
func alone(text string, start, end int) bool {
	return (start == 0 || !isAlnum(text[start-1])) && (end == len(text) || !isAlnum(text[end]))
}

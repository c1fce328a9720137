package clean

import (
	"net/netip"
	"strings"
)

// Longest parts of an address of electronic mail (RFC 5321, 4.5.3.1).
const (
	maxLocal  = 64
	maxDomain = 255
)

func emails(text string) (all []Finding) {
	least := 0
	for at := 0; ; at++ {
		next := strings.IndexByte(text[at:], '@')
		if next < 0 {
			return all
		}
		at += next
		start, end := at, at+1
		for start > least && at-start < maxLocal && isLocal(text[start-1]) {
			start--
		}
		for start < at && text[start] == '.' {
			start++
		}
		for end < len(text) && end-at <= maxDomain && (isAlnum(text[end]) || text[end] == '-' || text[end] == '.') {
			end++
		}
		for end > at+1 && !isAlnum(text[end-1]) {
			end--
		}
		if start < at && text[at-1] != '.' && isDomain(text[at+1:end]) {
			all = append(all, Finding{Email, start, end})
			least = end
		}
	}
}

// isLocal reports whether c may stand before the @ (RFC 5322's atext and dots).
func isLocal(c byte) bool {
	return isAlnum(c) || strings.IndexByte(".!#$%&'*+/=?^_`{|}~-", c) >= 0
}

// isDomain wants labels behind dots, the last of at least two letters.
func isDomain(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	top := labels[len(labels)-1]
	return len(top) >= 2 && (strings.HasPrefix(top, "xn--") || !strings.ContainsAny(top, "0123456789-"))
}

// addresses finds what Go reads as an IP address within runs of its characters.
func addresses(text string) (all []Finding) {
	for at := 0; at < len(text); at++ {
		if !inAddress(text[at]) {
			continue
		}
		end := at
		for end < len(text) && inAddress(text[end]) {
			end++
		}
		start, stop := at, end
		at = end
		for stop > start && text[stop-1] == '.' || stop > start+1 && text[stop-1] == ':' && text[stop-2] != ':' {
			stop-- // the end of a sentence or clause
		}
		if stop-start < 3 || stop-start > 45 || !alone(text, start, stop) || !strings.ContainsAny(text[start:stop], ".:") {
			continue
		}
		if a, err := netip.ParseAddr(text[start:stop]); err == nil && (a.Is4() || strings.Count(text[start:stop], ":") > 2) {
			all = append(all, Finding{IPAddress, start, stop})
		}
	}
	return all
}

func inAddress(c byte) bool {
	return isDigit(c) || c == '.' || c == ':' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

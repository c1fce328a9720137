package xlsx

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// date returns days since the workbook's epoch as ISO 8601: a date, a time of
// day when there are no days, or both. The epoch makes 1 the first of January
// 1900 as if February 1900 had had a 29th, so days before March count from the
// day after (ECMA-376, 18.17.4.1).
func (d date1904) date(days float64) (string, bool) {
	const most = 2958466 // the year 10000
	if days < 0 || days >= most {
		return "", false
	}
	milliseconds := math.Floor(days*86400000 + 0.5)
	whole := math.Floor(milliseconds / 86400000)
	part := time.Duration(milliseconds-whole*86400000) * time.Millisecond
	epoch := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case bool(d):
		epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case whole < 60:
		epoch = epoch.AddDate(0, 0, 1)
	}
	t := epoch.AddDate(0, 0, int(whole)).Add(part)
	switch {
	case whole == 0 && !bool(d):
		return t.Format("15:04:05.999"), true
	case part == 0:
		return t.Format("2006-01-02"), true
	}
	return t.Format("2006-01-02T15:04:05.999"), true
}

// builtinDate reports whether a number format that every program knows shows a
// date or time (ECMA-376, 18.8.30, and those of East Asia).
func builtinDate(id string) bool {
	n, err := strconv.Atoi(id)
	return err == nil && (n >= 14 && n <= 22 || n >= 27 && n <= 36 || n >= 45 && n <= 47 || n >= 50 && n <= 58)
}

// showsDate reports whether a number format has parts of a date, outside of
// quoted text, colours and locales.
func showsDate(format string) bool {
	for i := 0; i < len(format); i++ {
		switch c := format[i]; c {
		case '"':
			end := strings.IndexByte(format[i+1:], '"')
			if end < 0 {
				return false
			}
			i += end + 1
		case '[':
			end := strings.IndexByte(format[i:], ']')
			if end < 0 {
				return false
			}
			switch strings.ToLower(format[i+1 : i+end]) { // hours, minutes, seconds that may be many
			case "h", "hh", "m", "mm", "s", "ss":
				return true
			}
			i += end
		case '\\', '_', '*':
			i++
		case ';':
			return false
		case 'y', 'Y', 'm', 'M', 'd', 'D', 'h', 'H', 's', 'S':
			return true
		}
	}
	return false
}

// unescape takes off the escapes of characters that XML cannot hold: _x000D_.
func unescape(s string) string {
	if !strings.Contains(s, "_x") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if i+7 <= len(s) && s[i] == '_' && s[i+1] == 'x' && s[i+6] == '_' {
			if n, err := strconv.ParseUint(s[i+2:i+6], 16, 16); err == nil && utf8.ValidRune(rune(n)) {
				b.WriteRune(rune(n))
				i += 7
				continue
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

package chat

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// Some templates write the date of the day, for which they call
// strftime_now(format). Tokens must not depend on when they are made, so the date
// is a parameter, and the time of day is midnight.

// dateFunction is what templates call.
const dateFunction = "strftime_now"

// errNoDate is what a template that asks for the date ends with where none is given.
var errNoDate = errors.New(`the template asks for the date (strftime_now), and tokens must not depend on when they are made: say which, such as date: "2026-01-31"`)

// AnyDate is for those who look at a template and keep nothing that it renders.
const AnyDate = "2000-01-01"

// dateLayout is how dates are given.
const dateLayout = "2006-01-02"

// CheckDate says what is wrong with a date that was given; "" is none.
func CheckDate(date string) error {
	if _, err := time.Parse(dateLayout, date); err != nil && date != "" {
		return fmt.Errorf(`%q is no day of the calendar; say it as in "2026-01-31"`, date)
	}
	return nil
}

// AsksDate says whether the template can write the date.
func (t *Template) AsksDate() bool { return strings.Contains(t.source, dateFunction) }

// Date is the date that the template was given and can write, "" for none.
func (t *Template) Date() string { return t.date }

// strftimeNow is strftime_now(format) of a day, in English.
func strftimeNow(day time.Time) func(*exec.Evaluator, *exec.VarArgs) *exec.Value {
	return func(_ *exec.Evaluator, p *exec.VarArgs) *exec.Value {
		if len(p.Args) != 1 || len(p.KwArgs) > 0 || !p.Args[0].IsString() {
			return exec.AsValue(errors.New("strftime_now takes a format"))
		}
		text, err := strftime(day, p.Args[0].String())
		if err != nil {
			return exec.AsValue(err)
		}
		return exec.AsValue(text)
	}
}

// directives are those of Python's strftime in the C locale that have one meaning
// everywhere, as layouts of package time.
func directives() map[string]string {
	return map[string]string{
		"a": "Mon", "A": "Monday", "b": "Jan", "h": "Jan", "B": "January", "d": "02", "e": "_2", "m": "01", "y": "06", "Y": "2006",
		"j": "002", "H": "15", "I": "03", "M": "04", "S": "05", "p": "PM", "D": "01/02/06", "F": "2006-01-02", "T": "15:04:05", "R": "15:04",
		"x": "01/02/06", "X": "15:04:05", "c": "Mon Jan _2 15:04:05 2006",
		"-d": "2", "-m": "1", "-I": "3", "-H": "0", "-M": "0", "-S": "0",
	}
}

// strftime writes midnight of a day.
func strftime(day time.Time, format string) (string, error) {
	var out strings.Builder
	all := directives()
	for {
		text, rest, found := strings.Cut(format, "%")
		out.WriteString(text)
		if !found {
			return out.String(), nil
		}
		size := 1
		if strings.HasPrefix(rest, "-") {
			size = 2
		}
		if len(rest) < size {
			return "", errors.New("strftime_now: the format ends in %")
		}
		name := rest[:size]
		format = rest[size:]
		layout, ok := all[name]
		switch {
		case name == "%":
			out.WriteByte('%')
		case !ok:
			return "", fmt.Errorf("strftime_now: %%%s is not supported", name)
		case layout == "0":
			out.WriteByte('0')
		default:
			out.WriteString(day.Format(layout))
		}
	}
}

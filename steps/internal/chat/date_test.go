package chat

import (
	"context"
	"strings"
	"testing"
	"time"
)

// The wanted texts are those of Python's datetime(2026, 2, 3).strftime.
func TestStrftime(t *testing.T) {
	day := time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
	for format, want := range map[string]string{
		"%Y-%m-%d": "2026-02-03", "%d %b %Y": "03 Feb 2026", "%A, %B %-d, %Y": "Tuesday, February 3, 2026", "%a %e/%-m/%y %j": "Tue  3/2/26 034",
		"%H:%M:%S %I %p %-H": "00:00:00 12 AM 0", "100%% of 2006 Jan": "100% of 2006 Jan", "%D %F %T %R": "02/03/26 2026-02-03 00:00:00 00:00",
		"%c": "Tue Feb  3 00:00:00 2026", "": "",
	} {
		if got, err := strftime(day, format); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", format, got, err, want)
		}
	}
	for _, format := range []string{"%", "%-", "%Q", "%-%", "%é"} {
		if got, err := strftime(day, format); err == nil {
			t.Errorf("%s: %q", format, got)
		}
	}
}

func TestCheckDate(t *testing.T) {
	for date, ok := range map[string]bool{"": true, "2026-01-31": true, "2024-02-29": true, "2026-02-29": false, "2026-1-31": false, "today": false, "2026-01-31T00:00": false} {
		if err := CheckDate(date); (err == nil) != ok {
			t.Errorf("%s: %v", date, err)
		}
	}
}

// TestDate holds that a template is told its date, whether it calls for it or asks first.
func TestDate(t *testing.T) {
	const asks = `{% if strftime_now is defined %}{{ strftime_now('%d %B %Y') }}{% else %}26 Jul 2024{% endif %}` + chatMLSource
	const calls = `{{ strftime_now('%Y-%m-%d') }}` + chatMLSource
	tok := open(t, "bytelevel")
	for _, c := range []struct{ source, date, want string }{
		{asks, "2026-01-31", "31 January 2026<|im_start|>"}, {asks, "", "26 Jul 2024<|im_start|>"}, {calls, "2026-01-31", "2026-01-31<|im_start|>"},
	} {
		tpl, err := Load("", tok, Spec{Kind: Jinja, Jinja: c.source, Date: c.date})
		if err != nil {
			t.Fatal(err)
		}
		text, err := tpl.Render(context.Background(), []Message{{Role: "user", Content: "hi"}}, "", true)
		if err != nil || !strings.HasPrefix(text, c.want) {
			t.Errorf("%q: %q, %v, want %q", c.date, text, err, c.want)
		}
		if tpl.Date() != c.date || !tpl.AsksDate() {
			t.Errorf("%q: it has the date %q", c.date, tpl.Date())
		}
	}
	one, err := Load("", tok, Spec{Kind: Jinja, Jinja: calls, Date: "2026-01-31"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := Load("", tok, Spec{Kind: Jinja, Jinja: calls, Date: "2026-02-01"})
	if err != nil {
		t.Fatal(err)
	}
	if one.Identity() == two.Identity() || one.Digest() != two.Digest() {
		t.Error("the date is no part of the identity, or part of the digest")
	}
	if _, err := Load("", tok, Spec{Kind: Jinja, Jinja: calls}); err == nil || !strings.Contains(err.Error(), `say which, such as date: "2026-01-31"`) {
		t.Errorf("no date: %v", err)
	}
	plain, err := Load("", tok, Spec{Kind: ChatML, Date: "2026-01-31"})
	if err != nil || plain.AsksDate() || plain.Date() != "" {
		t.Errorf("a template that does not ask: %v", err)
	}
}

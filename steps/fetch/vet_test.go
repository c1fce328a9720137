package fetch

import (
	"strings"
	"testing"
)

// TestLockNamesNoUser: pipe.lock is committed, passwords are not.
func TestLockNamesNoUser(t *testing.T) {
	s := HTTP{URL: "https://me:hunter2@example.com/a.jsonl?v=1", Filename: "b.jsonl"}
	if got, want := s.from(), "https://example.com/a.jsonl?v=1 as b.jsonl"; got != want {
		t.Errorf("from %q, want %q", got, want)
	}
	if got := display(s.URL); strings.Contains(got, "hunter2") || strings.Contains(got, "@") {
		t.Errorf("messages show %q", got)
	}
}

func TestVetPackage(t *testing.T) {
	for params, good := range map[string]bool{
		`{"source": {"package": {"pypi": "a", "version": "1", "path": "x"}}}`:             true,
		`{"source": {"package": {"npm": "a", "version": "1", "path": "x"}}}`:              true,
		`{"source": {"package": {"pypi": "a", "npm": "b", "version": "1", "path": "x"}}}`: false,
		`{"source": {"package": {"version": "1", "path": "x"}}}`:                          false,
		`{"source": {"file": {"path": "x"}}}`:                                             true,
	} {
		if err := Kind.Vet([]byte(params), nil); (err == nil) != good {
			t.Errorf("%s: %v", params, err)
		}
	}
}

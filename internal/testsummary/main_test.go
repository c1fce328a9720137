package main

import (
	"strings"
	"testing"
)

// TestSummary checks counts, skips with their reasons, and the verdict.
func TestSummary(t *testing.T) {
	for _, c := range []struct {
		events string
		ok     bool
		want   string
	}{
		{`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: no data\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}`, true, "ok  \tp\t0.1s\nSKIP p TestA: a_test.go:1: no data\nPASS: 1 tests passed, 0 failed, 1 skipped\n"},
		{`{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:2: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}`, false, "    b_test.go:2: wrong\nFAIL\tp\t0.1s\nFAIL: 0 tests passed, 1 failed, 0 skipped\n"},
		{"", false, "FAIL: 0 tests passed, 0 failed, 0 skipped\n"},
	} {
		var b strings.Builder
		s := &summary{output: map[string]*strings.Builder{}, count: map[string]int{}, out: &b}
		if err := s.read(strings.NewReader(c.events)); err != nil {
			t.Fatal(err)
		}
		if ok := s.print(); ok != c.ok || b.String() != c.want {
			t.Errorf("ok %v, printed %q; want %v, %q", ok, b.String(), c.ok, c.want)
		}
	}
}

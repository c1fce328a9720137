package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const committed = "../data/tickets.jsonl"

// TestCommitted fails when the committed data are not what this program
// writes.
func TestCommitted(t *testing.T) {
	got, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, encode(rows())) {
		t.Errorf("%s is not what go run ./examples/smollm2/make writes", committed)
	}
	if len(got) > 100_000 {
		t.Errorf("%s has %d bytes", committed, len(got))
	}
}

// A ticket is what a message should become.
type ticket struct {
	Product string `json:"product"`
	Order   int    `json:"order"`
	Kind    string `json:"kind"`
	Urgent  bool   `json:"urgent"`
}

// TestNothingLeaks checks the committed rows: whichever are held out, no row
// to train on has the ticket of one of them, nor its order, nor its message
// about another product.
func TestNothingLeaks(t *testing.T) {
	b, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	once := func(n int, what string) {
		t.Helper()
		if first, ok := seen[what]; ok {
			t.Errorf("rows %d and %d share %s", first, n, what)
		}
		seen[what] = n
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		k := read(t, r)
		once(n, fmt.Sprintf("the ticket %s %s %t", k.Product, k.Kind, k.Urgent))
		once(n, fmt.Sprintf("the order %d", k.Order))
		bare := strings.NewReplacer(k.Product, "%", fmt.Sprint(k.Order), "#").Replace(r.Instruction)
		if strings.Count(bare, "%") != 1 || strings.Count(bare, "#") != 1 {
			t.Errorf("row %d does not name product and order once: %q", n, r.Instruction)
		}
		once(n, "the message "+bare)
	}
	if n < 300 {
		t.Errorf("%d rows", n)
	}
}

// read decodes the ticket of a row, strictly: four known keys in one order,
// nothing between them.
func read(t *testing.T, r row) ticket {
	t.Helper()
	var k ticket
	d := json.NewDecoder(strings.NewReader(r.Output))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		t.Fatalf("%s: %v", r.Output, err)
	}
	again, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != r.Output {
		t.Errorf("the ticket is %s, strictly %s", r.Output, again)
	}
	if !slices.ContainsFunc(kinds, func(have kind) bool { return have.name == k.Kind }) {
		t.Errorf("unknown kind %q", k.Kind)
	}
	if r.System != system {
		t.Errorf("another system message: %q", r.System)
	}
	return k
}

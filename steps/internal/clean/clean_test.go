package clean

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pipe-run/pipe/steps/internal/dataset"
)

func TestWords(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "!?": 0, "one Two, three": 3, "don't": 2, "naïve café": 2, "中文字": 3, "GPT模型4": 4,
		"ひらがなカ": 5, "한국어 문장": 2, "e\u0301te\u0301": 1, "ที่": 1, "\xff\xfe": 0,
	} {
		if got := CountWords(text); got != want {
			t.Errorf("%q has %d words, want %d", text, got, want)
		}
	}
	if !slices.Equal(Shingles("The Quay is LOW", 2), Shingles("the quay, is low!", 2)) {
		t.Error("case or punctuation matters")
	}
	if Jaccard(Shingles("a b", 5), Shingles("a b c d e", 5)) != 0 {
		t.Error("a short text equals a part of a longer one")
	}
}

// vary replaces some words of a text.
func vary(r *rand.Rand, words []string, n int) string {
	words = slices.Clone(words)
	for range n {
		words[r.IntN(len(words))] = fmt.Sprint("x", r.IntN(1e6))
	}
	return strings.Join(words, " ")
}

// TestNearAgainstAllPairs: whatever is removed is as similar as asked for, and of
// what all pairs would remove no more is missed than the bands explain.
func TestNearAgainstAllPairs(t *testing.T) {
	for _, similarity := range []float64{0.5, 0.8} {
		r := rand.New(rand.NewPCG(1, uint64(100*similarity)))
		h := NewHasher(similarity, 3, 128)
		n, err := NewNear(t.TempDir(), similarity)
		if err != nil {
			t.Fatal(err)
		}
		var kept [][]uint64
		twins, missed := 0, 0
		for i := range 300 {
			var words []string
			base := rand.New(rand.NewPCG(7, uint64(i/5)))
			for range 60 {
				words = append(words, fmt.Sprint("w", base.IntN(5000)))
			}
			s := h.Sketch(vary(r, words, i%5))
			truth := slices.ContainsFunc(kept, func(k []uint64) bool { return Jaccard(k, s.Shingles) >= similarity })
			twin, found, err := n.Add(int64(i), s)
			if err != nil {
				t.Fatal(err)
			}
			if found && (!truth || twin.Similarity < similarity) {
				t.Fatalf("text %d was removed for one of similarity %v", i, twin.Similarity)
			}
			if truth {
				twins++
			}
			if truth && !found {
				missed++
			}
			if !found {
				kept = append(kept, s.Shingles)
			}
		}
		if twins < 100 || float64(missed) > 0.02*float64(twins) {
			t.Errorf("of %d near-duplicates of similarity %v, %d were missed", twins, similarity, missed)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBanding(t *testing.T) {
	for _, permutations := range []int{16, 128, 1024} {
		for s := 0.3; s <= 1; s += 0.05 {
			bands, rows := banding(s, permutations)
			if bands*rows > permutations || rows > 1 && Recall(s, bands, rows) < wantedRecall {
				t.Errorf("%d permutations, similarity %v: %d bands of %d", permutations, s, bands, rows)
			}
		}
	}
}

func TestPersonal(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"mail a.b+c@ex-ample.co.uk.", "mail [email]."},
		{"no@tld, @x.org, a@b.c, a@-b.org", "no@tld, @x.org, a@b.c, a@-b.org"},
		{"邮箱：ann@example.org，谢谢", "邮箱：[email]，谢谢"},
		{"call +49 30 901820 or 138-0013-8000", "call [phone] or [phone]"},
		{"(212) 555-0123, 212.555.0123, 2125550123", "[phone], [phone], 2125550123"},
		{"id 11010519491231002X!", "id [chinaId]!"},
		{"id 110105194912310021", "id 110105194912310021"},
		{"card 12 4111 1111 1111 1111 ok", "card 12 [creditCard] ok"},
		{"card 4111111111111112", "card 4111111111111112"},
		{"GB82 WEST 1234 5698 7654 32 paid", "[iban] paid"},
		{"GB82 WEST 1234 5698 7654 33", "GB82 WEST 1234 5698 7654 33"},
		{"at 192.168.0.1. or 2001:db8::1: fine, 1.2.3, 300.1.1.1, 12:30:45", "at [ipAddress]. or [ipAddress]: fine, 1.2.3, 300.1.1.1, 12:30:45"},
	} {
		if got := Mask(c.text, Personal(c.text, PersonalKinds())); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.text, got, c.want)
		}
	}
}

func FuzzPersonal(f *testing.F) {
	for _, seed := range []string{"a@b.org 4111111111111111", "+1 (212) 555-0123", "GB82WEST12345698765432", "::1 1.2.3.4", "11010519491231002X", "@@..@", strings.Repeat("1 ", 50), "中a@b.cn文"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		end := 0
		findings := Personal(text, PersonalKinds())
		for _, x := range findings {
			if x.Start < end || x.End <= x.Start || x.End > len(text) {
				t.Fatalf("%q: %+v", text, findings)
			}
			end = x.End
		}
		if masked := Mask(text, findings); utf8.ValidString(text) && !utf8.ValidString(masked) {
			t.Fatalf("%q becomes %q", text, masked)
		}
	})
}

func TestMapJSON(t *testing.T) {
	up := func(s string) string {
		if s == "1" {
			return "one"
		}
		return strings.ToUpper(s)
	}
	got := mapJSON(`{"a":[1, 2.5,"x\"y\u00e4"],"":null}`, up)
	if want := `{"A":["one", 2.5,"X\"YÄ"],"":null}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTextAndAnswer(t *testing.T) {
	r := dataset.Record{Shape: dataset.Preference,
		Messages: []dataset.Message{{Role: "system", Content: "s"}, {Role: "user", Content: "u"}},
		Chosen:   []dataset.Message{{Role: "assistant", Content: "good"}}, Rejected: []dataset.Message{{Role: "assistant", Content: "bad"}}}
	if Text(r) != "u\ngood\nbad" || Answer(r) != "good" {
		t.Errorf("%q, %q", Text(r), Answer(r))
	}
	before := r.Hash()
	if Map(r, strings.ToUpper).Chosen[0].Content != "GOOD" || r.Hash() != before {
		t.Error("Map changes what it was given, or not all of it")
	}
}

func TestOrdered(t *testing.T) {
	n, last := 0, -1
	next := func() (int, bool, error) { n++; return n - 1, n <= 500, nil }
	err := Ordered(context.Background(), 4, next, func(i int) int { return i }, func(i int) error {
		if i != last+1 {
			t.Errorf("%d after %d", i, last)
		}
		last = i
		return nil
	})
	if err != nil || last != 499 {
		t.Errorf("%d, %v", last, err)
	}
	broken := errors.New("broken")
	n = 0
	if err := Ordered(context.Background(), 4, next, func(i int) int { return i }, func(int) error { return broken }); err != broken {
		t.Errorf("%v", err)
	}
	if err := Ordered(context.Background(), 4, func() (int, bool, error) { return 0, false, broken }, func(i int) int { return i }, func(int) error { return nil }); err != broken {
		t.Errorf("%v", err)
	}
}

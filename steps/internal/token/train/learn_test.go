package train

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// FuzzLearn learns from hostile words with hostile parameters and checks what holds of any vocabulary.
func FuzzLearn(f *testing.F) {
	f.Add("the the then there", "<|end|>", uint16(270), uint8(2), uint8(0))
	f.Add("aaaaaaaa aaaa aaa aa a", "aa", uint16(300), uint8(1), uint8(3))
	f.Add("\xff\xfe\x00 \xff\xff\xff", "\xff a", uint16(0), uint8(0), uint8(1))
	f.Add("abab abab baba", "ab b abab", uint16(265), uint8(1), uint8(255))
	f.Fuzz(func(t *testing.T, text, special string, size uint16, frequency, longest uint8) {
		p := Params{VocabSize: int(size), MinFrequency: int64(frequency), MaxTokenLength: int(longest)}
		for i := range p.Order {
			p.Order[i] = byte(i)
		}
		for _, s := range strings.Split(special, " ") {
			if s != "" && !slices.Contains(p.Special, s) {
				p.Special = append(p.Special, s)
			}
		}
		c, parts := NewCounter(), []*Counter{NewCounter(), NewCounter()}
		for i, w := range strings.Split(text, " ") {
			c.Add(w, 1)
			parts[i%2].Add(w, 1)
		}
		parts[0].Merge(parts[1])
		words, counts := c.Words()
		if w, n := parts[0].Words(); !slices.Equal(w, words) || !slices.Equal(n, counts) {
			t.Fatal("counting in parts differs")
		}
		v, err := Learn(context.Background(), words, counts, p)
		if err != nil {
			t.Fatal(err)
		}
		check(t, v, p)
		again, err := Learn(context.Background(), words, counts, p)
		if err != nil || !slices.Equal(again.Pieces, v.Pieces) || !slices.Equal(again.Merges, v.Merges) {
			t.Fatalf("learning again differs: %v", err)
		}
	})
}

// check holds that the special tokens come first, that pieces are distinct and no more than asked for, and
// that merges join pieces to pieces.
func check(t *testing.T, v *Vocabulary, p Params) {
	t.Helper()
	ids := map[string]int32{}
	for i, s := range v.Pieces {
		if _, twice := ids[s]; twice {
			t.Fatalf("piece %q twice", s)
		}
		ids[s] = int32(i)
	}
	if !slices.Equal(v.Pieces[:len(p.Special)], p.Special) {
		t.Fatalf("special tokens %q do not come first: %q", p.Special, v.Pieces[:len(p.Special)])
	}
	if most := max(p.VocabSize, 256+len(p.Special)); len(v.Pieces) > most {
		t.Fatalf("%d pieces, at most %d", len(v.Pieces), most)
	}
	for b := range 256 {
		if _, ok := ids[string([]byte{byte(b)})]; !ok {
			t.Fatalf("byte %d has no piece", b)
		}
	}
	for _, m := range v.Merges {
		piece := v.Pieces[m[0]] + v.Pieces[m[1]]
		if _, ok := ids[piece]; !ok {
			t.Fatalf("the merge of %q and %q makes no piece", v.Pieces[m[0]], v.Pieces[m[1]])
		}
		if p.MaxTokenLength > 0 && len(piece) > max(2, p.MaxTokenLength) {
			t.Fatalf("%q is longer than %d bytes", piece, p.MaxTokenLength)
		}
	}
}

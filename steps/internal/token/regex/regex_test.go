package regex

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// vector is what Oniguruma makes of a pattern: for each text its pieces and
// its matches, as bounds in characters, those that are empty left out.
type vector struct {
	Pattern string
	Texts   []struct {
		Text            string
		Pieces, Matches [][2]int
	}
}

func (v *vector) UnmarshalJSON(data []byte) error {
	var raw struct {
		Pattern string
		Texts   [][]json.RawMessage
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	v.Pattern, v.Texts = raw.Pattern, nil
	for _, row := range raw.Texts {
		v.Texts = append(v.Texts, struct {
			Text            string
			Pieces, Matches [][2]int
		}{})
		t := &v.Texts[len(v.Texts)-1]
		for i, to := range []any{&t.Text, &t.Pieces, &t.Matches} {
			if err := json.Unmarshal(row[i], to); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestVectors compares with Oniguruma.
func TestVectors(t *testing.T) {
	path := "testdata/vectors.jsonl"
	if other := os.Getenv("REGEX_VECTORS"); other != "" {
		path = other
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	count, refused := 0, 0
	for in.Scan() {
		var v vector
		if err := json.Unmarshal(in.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		re, err := Compile(v.Pattern)
		if err != nil {
			if !strings.Contains(err.Error(), "can be empty") {
				t.Error(err)
			}
			refused++
			continue
		}
		for _, row := range v.Texts {
			count++
			pieces, matches := split(re, row.Text)
			if !slices.Equal(pieces, row.Pieces) || !slices.Equal(matches, row.Matches) {
				t.Errorf("%q on %q: pieces %v, matches %v; want %v, %v", v.Pattern, row.Text, pieces, matches, row.Pieces, row.Matches)
			}
		}
	}
	if count < 1000 || refused*10 > count {
		t.Errorf("%d texts compared, %d patterns refused", count, refused)
	}
}

// split returns what is cut at matches, and the matches, in characters.
func split(re *Regexp, s string) (pieces, matches [][2]int) {
	pieces, matches = [][2]int{}, [][2]int{}
	chars := func(lo, hi int) [2]int {
		return [2]int{utf8.RuneCountInString(s[:lo]), utf8.RuneCountInString(s[:hi])}
	}
	done := 0
	re.Matches(s, func(lo, hi int) bool {
		if done < lo {
			pieces = append(pieces, chars(done, lo))
		}
		if lo < hi {
			pieces = append(pieces, chars(lo, hi))
			matches = append(matches, chars(lo, hi))
		}
		done = hi
		return true
	})
	if done < len(s) {
		pieces = append(pieces, chars(done, len(s)))
	}
	return pieces, matches
}

// TestRemembered sees that matches are the same while results are remembered.
func TestRemembered(t *testing.T) {
	for _, pattern := range []string{`(?:a|ab|b)+c`, `(?:a?b?)(?=.*c)\w+?`, `(?:(?>a+)|b)*?c`, `(?:a|aa)+$`, `\s+(?!\S)|\s+`} {
		re, err := Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"aabbabac abc", "aaaa\nab", "  a   b c  "} {
			plain, memo := machine{code: re.code, s: s}, machine{code: re.code, s: s, memo: map[int][]int32{}}
			for i := range s {
				if a, b := plain.run(0, i), memo.run(0, i); a != b {
					t.Errorf("%q at %d of %q: %d, remembering %d", pattern, i, s, a, b)
				}
			}
		}
	}
}

// TestLinear runs patterns that take exponential or quadratic time where
// nothing is remembered.
func TestLinear(t *testing.T) {
	for _, c := range []struct {
		pattern, unit string
		most          int // characters
	}{
		{`(?:a|a)+b`, "a", 1 << 13}, {`(?:a+)+b`, "a", 1 << 13}, {`(?:a|aa)+$b`, "a", 1 << 13}, {`\s+(?!\S)b|\s*[\r\n]+`, " ", 1 << 13},
		{`(?:(?=a*b)a|a)+b`, "a", 1 << 13}, {`(?:(?>a*)b|a)*c`, "a", 1 << 13}, {`a{0,100}a{100}b`, "a", 1 << 11},
	} {
		re, err := Compile(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		half, whole := steps(re, strings.Repeat(c.unit, c.most/2)), steps(re, strings.Repeat(c.unit, c.most))
		if whole > 5*half/2 {
			t.Errorf("%q took %d steps on %d characters, %d on half of them", c.pattern, whole, c.most, half)
		}
	}
}

// steps returns what a search that finds nothing takes.
func steps(re *Regexp, s string) int {
	m := machine{code: re.code, s: s}
	m.search(re.first, 0)
	return m.steps
}

func TestRefused(t *testing.T) {
	for pattern, want := range map[string]string{
		`(`: "( without )", `)`: ") without (", `[a`: "[ without ]", `a**+*{2}`: "", `*`: "a repeat of nothing", `(a)\1`: `\1 is not supported`,
		`\p{Klingon}`: `unknown character property "Klingon"`, `(?:a*)*`: "what can be empty", `(?<=a+)b`: "look-behind", `\`: `\ at the end`,
		`a{5000}`: "a repeat of more than 1000", `(?:a{1000}){1000}`: "too large", `[b-a]`: "is empty", `\x{110000}`: "no character", `[[:nope:]]`: "[:nope:]",
		`(?:(?:(?:){1000}){1000}){1000}`: "", `(?q)`: "(?q is not supported",
	} {
		_, err := Compile(pattern)
		switch {
		case want == "" && err != nil && !strings.Contains(err.Error(), "can be empty"):
			t.Errorf("%q: %v", pattern, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %q", pattern, err, want)
		}
	}
}

// FuzzRegex sees that no pattern makes compiling or matching panic, and that
// matches are in order and at characters.
func FuzzRegex(f *testing.F) {
	f.Add(`\s+(?!\S)|\s+`, "a  b")
	f.Add(`(?i:'s|[^\p{L}&&[a-z]]?)+?`, "it's")
	f.Add(`(?<=a|b)c{1,3}+$`, "acc\n")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		re, err := Compile(pattern)
		if err != nil || !utf8.ValidString(s) {
			return
		}
		end := 0
		re.Matches(s, func(lo, hi int) bool {
			if lo < end || hi < lo || hi > len(s) || lo < len(s) && !utf8.RuneStart(s[lo]) || hi < len(s) && !utf8.RuneStart(s[hi]) {
				t.Fatalf("%q on %q: %d, %d after %d", pattern, s, lo, hi, end)
			}
			end = hi
			return true
		})
	})
}

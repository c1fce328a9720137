package token

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestOffsets looks at spans where text is rewritten, split and unknown.
func TestOffsets(t *testing.T) {
	tests := []struct {
		tokenizer, text string
		want            []string // the text of each span
	}{
		{"bytelevel", "the日", []string{"the", "\xe6\x97", "\xa5"}},
		{"bytelevel", "a<|im_end|>the", []string{"a", "<|im_end|>", "the"}},
		{"sentencepiece", " the", []string{"", " the"}},
		{"unknown", "the☃☃ rain", []string{"the", "☃", "☃", " rain"}},
	}
	for _, test := range tests {
		_, spans := open(t, test.tokenizer).EncodeWithOffsets(test.text, false)
		var got []string
		end := 0
		for _, s := range spans {
			if s.Start < end && s.Start != s.End {
				t.Errorf("%s %q: span %v begins before %d", test.tokenizer, test.text, s, end)
			}
			end = s.End
			got = append(got, test.text[s.Start:s.End])
		}
		if strings.Join(got, "") != test.text {
			t.Errorf("%s %q: spans cover %q", test.tokenizer, test.text, got)
		}
		if test.tokenizer != "bytelevel" && !slices.Equal(got, test.want) || len(got) == 0 {
			t.Errorf("%s %q: spans %q, want %q", test.tokenizer, test.text, got, test.want)
		}
	}
}

func TestNormalizedOffsets(t *testing.T) {
	const in = "xe\u0301y"
	_, spans := open(t, "llama3").EncodeWithOffsets(in, true)
	first, last := spans[0], spans[len(spans)-1]
	if first != (Span{0, 0}) || last != (Span{len(in), len(in)}) {
		t.Errorf("special tokens have spans %v and %v", first, last)
	}
	for _, s := range spans[1 : len(spans)-1] {
		if s.Start == 2 || s.End == 2 {
			t.Errorf("span %v cuts the composed character", s)
		}
	}
}

func TestSpecial(t *testing.T) {
	tok := open(t, "bytelevel")
	if got := tok.Special(); !slices.Equal(got, []int32{0, 1, 2}) || !tok.IsSpecial(2) || tok.IsSpecial(3) {
		t.Errorf("special tokens %v", got)
	}
	if _, ok := tok.BOS(); ok {
		t.Error("a BOS although bos_token is null")
	}
	if eos, ok := tok.EOS(); !ok || eos != 2 {
		t.Errorf("EOS %d, %t", eos, ok)
	}
	if got := tok.StopIDs(); !slices.Equal(got, []int32{0, 2}) {
		t.Errorf("stop ids %v", got)
	}
	if id, ok := tok.ID("<|im_end|>"); !ok || id != 2 {
		t.Errorf("id of <|im_end|>: %d, %t", id, ok)
	}
	if piece, ok := tok.Piece(2); !ok || piece != "<|im_end|>" {
		t.Errorf("piece 2: %q, %t", piece, ok)
	}
	for _, id := range []int32{-1, int32(tok.VocabSize()), 1 << 30} {
		if _, ok := tok.Piece(id); ok {
			t.Errorf("there is a piece %d", id)
		}
	}
	if !open(t, "sentencepiece").AddsBOS() || tok.AddsBOS() {
		t.Error("who adds a BOS is wrong")
	}
}

// TestStream compares decoding one by one with decoding at once.
func TestStream(t *testing.T) {
	for _, name := range []string{"bytelevel", "llama3", "sentencepiece", "unknown"} {
		tok := open(t, name)
		for _, text := range []string{"the rain 日本の冬 🙂", " a  b", "", "<s>x</s> the", "👩‍👧"} {
			ids := tok.Encode(text, true)
			s := tok.Stream(true)
			var got strings.Builder
			for _, id := range ids {
				got.WriteString(s.Next(id))
			}
			got.WriteString(s.Flush())
			if want := tok.Decode(ids, true); got.String() != want {
				t.Errorf("%s %q: streamed %q, decoded %q", name, text, got.String(), want)
			}
		}
	}
	s := open(t, "bytelevel").Stream(true)
	if got := s.Next(idOf(t, "bytelevel", "æ")); got != "" {
		t.Errorf("the first byte of a character was shown as %q", got)
	}
	if got := s.Flush(); got != "\uFFFD" {
		t.Errorf("half a character was flushed as %q", got)
	}
}

func idOf(t *testing.T, name, piece string) int32 {
	t.Helper()
	id, ok := open(t, name).ID(piece)
	if !ok {
		t.Fatalf("%s has no piece %q", name, piece)
	}
	return id
}

// TestMergeHeap compares the two ways to merge.
func TestMergeHeap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"bytelevel", "sentencepiece"} {
		m := open(t, name).model.(*bpe)
		for range 300 {
			var text strings.Builder
			for range 1 + rng.IntN(60) {
				text.WriteString([]string{"the", " ", "a", "n", "i", "re", "▁", "日"}[rng.IntN(8)])
			}
			var a, b merger
			m.fill(&a, text.String())
			m.fill(&b, text.String())
			m.merges.mergeRun(&a)
			m.merges.mergeHeap(&b)
			if !slices.Equal(a.syms, b.syms) {
				t.Fatalf("%s %q: run %v, heap %v", name, text.String(), a.syms, b.syms)
			}
		}
	}
}

// TestSplitAt shows that cutting before ▁ changes no id.
func TestSplitAt(t *testing.T) {
	tok := open(t, "sentencepiece")
	m := tok.model.(*bpe)
	if m.splitAt == "" {
		t.Fatal("the vocabulary should allow it")
	}
	whole := *m
	whole.splitAt = ""
	text := strings.Repeat("▁the▁▁rain日 ▁", 30)
	var a, b scratch
	a.cache.resize(firstLines)
	b.cache.resize(firstLines)
	m.encode(&a, plain(text))
	whole.encode(&b, plain(text))
	if !slices.Equal(a.ids, b.ids) {
		t.Errorf("cut %v\nwhole %v", a.ids, b.ids)
	}
}

// plain is text as it was given.
func plain(s string) text { return text{s: s} }

// TestConcurrent encodes from many goroutines, with results as from one.
func TestConcurrent(t *testing.T) {
	tok := open(t, "bytelevel")
	text := strings.Repeat("the rain in the north is colder 12 ", 50)
	want := tok.Encode(text, true)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 20 {
				if got := tok.Encode(text, true); !slices.Equal(got, want) {
					t.Error("ids differ")
				}
			}
		})
	}
	wait.Wait()
}

// TestLong sees that a pretoken of 280,000 bytes takes no quadratic time.
func TestLong(t *testing.T) {
	tok := open(t, "bytelevel")
	text := strings.Repeat("theraininthenorth", 1<<14)
	if got := tok.Decode(tok.Encode(text, false), false); got != text {
		t.Error("a long word does not come back")
	}
}

func TestInvalidUTF8(t *testing.T) {
	tok := open(t, "bytelevel")
	for in, want := range map[string]string{
		"a\xffb": "a\uFFFDb", "\xe6\x97": "\uFFFD", "\xe6\x97x": "\uFFFDx", "\xe0\x80": "\uFFFD\uFFFD",
		"\xed\xa0\x80": "\uFFFD\uFFFD\uFFFD", "\xf0\x9f\x99": "\uFFFD", "\xf5\x80": "\uFFFD\uFFFD", "\xc3": "\uFFFD",
	} {
		if got := tok.Decode(tok.Encode(in, false), false); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// TestDigest sees that the digest follows what decides ids and nothing else.
func TestDigest(t *testing.T) {
	original := content(t, "testdata/bytelevel/tokenizer.json")
	digest := func(file string) string {
		dir := t.TempDir()
		write(t, dir, "tokenizer.json", file)
		tok, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		return tok.Digest()
	}
	want := digest(original)
	if len(want) != 64 {
		t.Fatalf("digest %q", want)
	}
	for _, same := range [][2]string{{`"version":"1.0"`, `"version": "1.0"`}, {`"truncation":null`, `"truncation":{"max_length":4}`}} {
		if got := digest(strings.Replace(original, same[0], same[1], 1)); got != want {
			t.Errorf("%q changes the digest", same[1])
		}
	}
	for _, other := range [][2]string{{`"individual_digits":true`, `"individual_digits":false`}, {`"special":true`, `"special":false`}, {`"ignore_merges":false`, `"ignore_merges":true`}} {
		changed := strings.Replace(original, other[0], other[1], 1)
		if changed == original {
			t.Fatalf("%q is not in the file", other[0])
		}
		if digest(changed) == want {
			t.Errorf("%q does not change the digest", other[1])
		}
	}
}

// TestRefused loads files that must be refused, with the reason given.
func TestRefused(t *testing.T) {
	const model = `"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`
	tests := []struct{ file, want string }{
		{`{`, "tokenizer.json: "},
		{`{}`, "model vocab is not a map"},
		{`{"model":{"type":"Odd","vocab":{"a":0}}}`, `model type "Odd" is not supported`},
		{`{"model":{"type":"Unigram","vocab":[["a",0.0]]}}`, "without unk_id"},
		{`{"model":{"type":"Unigram","unk_id":3,"vocab":[["a",0.0]]}}`, "unk_id 3 is not one of 1 pieces"},
		{`{"model":{"type":"Unigram","unk_id":0,"vocab":[["a"]]}}`, "not a piece and its score"},
		{`{"model":{"type":"WordPiece","vocab":{"a":0}}}`, `unk_token "[UNK]" is not in the vocab`},
		{`{"model":{"type":"WordLevel","unk_token":"u","vocab":{"a":0}}}`, `unk_token "u" is not in the vocab`},
		{`{"model":{"vocab":{},"merges":[]}}`, "model vocab is empty"},
		{`{"model":{"vocab":{"a":-1},"merges":[]}}`, "ids go from 0"},
		{`{"model":{"vocab":{"a":99999999},"merges":[]}}`, "ids go from 0"},
		{`{"model":{"vocab":{"a":1.5},"merges":[]}}`, "model vocab is not a map"},
		{`{"model":{"vocab":{"a":0,"b":0},"merges":[]}}`, `id 0 is given to both "a" and "b"`},
		{`{"model":{"vocab":{"a":0},"merges":["a b"]}}`, "merge 0"},
		{`{"model":{"vocab":{"a":0},"merges":["a"]}}`, "not two pieces"},
		{`{"model":{"vocab":{"a":0},"merges":[["a"]]}}`, "has 1 parts"},
		{`{"model":{"vocab":{"a":0},"merges":7}}`, "neither strings nor pairs"},
		{`{"model":{"vocab":{"a":0},"merges":[],"dropout":0.1}}`, "dropout"},
		{`{"model":{"vocab":{"a":0},"merges":["a a"],"end_of_word_suffix":"</w>"}}`, "merge 0"},
		{`{"model":{"vocab":{"a":0},"merges":[],"unk_token":"u"}}`, `unk_token "u" is not in the vocab`},
		{`{"normalizer":{"type":"Precompiled"},` + model + `}`, "charsmap is too short"},
		{`{"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////wAA"},` + model + `}`, "an array of 4294967295 bytes"},
		{`{"normalizer":{"type":"Odd"},` + model + `}`, `normalizer "Odd" is not supported`},
		{`{"normalizer":{"type":"Replace","pattern":{"Regex":"(a)\\1"},"content":" "},` + model + `}`, `\1 is not supported`},
		{`{"normalizer":{"type":"Replace","pattern":{"String":""},"content":" "},` + model + `}`, "pattern is empty"},
		{`{"pre_tokenizer":{"type":"Odd"},` + model + `}`, `pre-tokenizer "Odd" is not supported`},
		{`{"pre_tokenizer":{"type":"FixedLength","length":0},` + model + `}`, "length 0 is less than 1"},
		{`{"pre_tokenizer":{"type":"CharDelimiterSplit","delimiter":""},` + model + `}`, "not one character"},
		{`{"pre_tokenizer":{"type":"Metaspace","replacement":"ab"},` + model + `}`, "not one character"},
		{`{"pre_tokenizer":{"type":"Metaspace","replacement":"a","add_prefix_space":false,"prepend_scheme":"first"},` + model + `}`, "contradict"},
		{`{"pre_tokenizer":{"type":"Split","behavior":"Isolated","pattern":{"Regex":"x(+"}},` + model + `}`, "a repeat of nothing"},
		{`{"pre_tokenizer":{"type":"Split","behavior":"Odd","pattern":{"String":"x"}},` + model + `}`, `behavior "Odd"`},
		{`{"post_processor":{"type":"Odd"},` + model + `}`, `post-processor "Odd" is not supported`},
		{`{"post_processor":{"type":"TemplateProcessing","single":[]},` + model + `}`, "no sequence A"},
		{`{"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}},{"Sequence":{"id":"A"}}],"special_tokens":{"x":{"ids":[9]}}},` + model + `}`, "id 9 is not in the vocab"},
		{`{"normalizer":{"type":"Sequence","normalizers":[` + strings.Repeat(`{"type":"Replace","pattern":{"String":"a"},"content":"aa"},`, 40) + `{"type":"NFC"}]},` + model + `}`, "times as long"},
		{`{"decoder":{"type":"Odd"},` + model + `}`, `decoder "Odd" is not supported`},
		{`{"decoder":{"type":"CTC","word_delimiter_token":""},` + model + `}`, "word_delimiter_token is empty"},
		{`{"decoder":{"type":"BPEDecoder","suffix":""},` + model + `}`, "suffix is empty"},
		{`{"added_tokens":[{"id":5,"content":"a"}],` + model + `}`, `added token "a" has id 5, but the vocab gives it 0`},
		{`{"added_tokens":[{"id":1,"content":"c"}],` + model + `}`, `id 1 is given to both "b" and the added token "c"`},
		{`{"added_tokens":[{"id":99999999,"content":"c"}],` + model + `}`, "ids go from 0"},
		{`{"normalizer":` + strings.Repeat(`{"type":"Sequence","normalizers":[`, 20) + `{"type":"NFC"}` + strings.Repeat(`]}`, 20) + `,` + model + `}`, "nested more than"},
	}
	for _, test := range tests {
		dir := t.TempDir()
		write(t, dir, "tokenizer.json", test.file)
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.90s: error %v, want %q", test.file, err, test.want)
		}
	}
}

func TestSideRefused(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"tokenizer_config.json", `{"eos_token":"<nope>"}`, `eos_token "<nope>" is not in the vocab`},
		{"tokenizer_config.json", `{"eos_token":3}`, "neither a string nor an object"},
		{"generation_config.json", `{"eos_token_id":[2,99999]}`, "eos_token_id 99999"},
		{"generation_config.json", `{"eos_token_id":"x"}`, "neither a number nor a list"},
		{"tokenizer_config.json", `{"tokenizer_class":"LlamaTokenizer","add_bos_token":true}`, "no bos_token"},
	}
	for _, test := range tests {
		dir := t.TempDir()
		write(t, dir, "tokenizer.json", content(t, "testdata/bytelevel/tokenizer.json"))
		write(t, dir, test.name, test.file)
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: error %v, want %q", test.name, test.file, err, test.want)
		}
	}
}

func TestMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
	write(t, dir, "tokenizer.model", "x")
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "SentencePiece") {
		t.Errorf("a folder with tokenizer.model: %v", err)
	}
}

// TestPair loads vocab.json with merges.txt.
func TestPair(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "vocab.json", `{"<|endoftext|>":0,"a":1,"b":2,"ab":3,"Ġ":4,"Ġab":5}`)
	write(t, dir, "merges.txt", "#version: 0.2\na b\nĠ ab\n")
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("ab ab<|endoftext|>a", false); !slices.Equal(got, []int32{3, 5, 0, 1}) {
		t.Errorf("ids %v", got)
	}
	if eos, ok := tok.EOS(); !ok || eos != 0 {
		t.Errorf("EOS %d, %t", eos, ok)
	}
	write(t, dir, "tokenizer_config.json", `{"tokenizer_class":"BertTokenizer"}`)
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), `"BertTokenizer"`) {
		t.Errorf("an unknown class: %v", err)
	}
}

func TestTruncationIsSurfaced(t *testing.T) {
	dir := t.TempDir()
	file := strings.Replace(content(t, "testdata/bytelevel/tokenizer.json"), `"truncation":null`, `"truncation":{"max_length":2}`, 1)
	write(t, dir, "tokenizer.json", file)
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("a b c d", false); len(got) < 4 {
		t.Errorf("truncated to %v", got)
	}
	if w := tok.Warnings(); len(w) != 1 || !strings.Contains(w[0], "truncation") {
		t.Errorf("warnings %q", w)
	}
}

// FuzzRoundTrip sees that every text comes back from byte-level ids, and that
// no text is too much for the others.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "the rain", "\xff\xfe", "<|im_end|>x", "  \n\t", "日本🙂", "<tool> x", "'S ſ"} {
		f.Add(s)
	}
	var toks []*Tokenizer
	for _, name := range []string{"bytelevel", "llama3", "sentencepiece", "unknown"} {
		toks = append(toks, open(f, name))
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i, tok := range toks {
			ids := tok.Encode(s, false)
			tracked, spans := tok.EncodeWithOffsets(s, false)
			if !slices.Equal(ids, tracked) {
				t.Fatalf("%q: %v, with offsets %v", s, ids, tracked)
			}
			for _, span := range spans {
				if span.Start < 0 || span.End < span.Start || span.End > len(s) {
					t.Fatalf("%q: span %v", s, span)
				}
			}
			back := tok.Decode(ids, false)
			if i == 0 && back != lossy(s) {
				t.Fatalf("%q comes back as %q", s, back)
			}
		}
	})
}

// FuzzLoad sees that no file makes loading, or what it loads, panic.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"bytelevel", "llama3", "sentencepiece", "unknown"} {
		f.Add(content(f, "testdata/"+name+"/tokenizer.json"), "the <s> 日")
	}
	for line := range strings.Lines(content(f, "testdata/random.jsonl")) { // every component
		var v struct{ Tokenizer json.RawMessage }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			f.Fatal(err)
		}
		if len(v.Tokenizer) < 4000 {
			f.Add(string(v.Tokenizer), "ab the  12日本 é!")
		}
	}
	f.Fuzz(func(t *testing.T, file, text string) {
		dir := t.TempDir()
		write(t, dir, "tokenizer.json", file)
		tok, err := Load(dir)
		if err != nil {
			return
		}
		ids := tok.Encode(text, true)
		tok.Decode(ids, true)
		tok.Digest()
	})
}

// BenchmarkEncode encodes English-like text on one core.
func BenchmarkEncode(b *testing.B) {
	tok := open(b, "bytelevel")
	text := strings.Repeat("the rain in the north is colder than the rain in the south 12 ", 2000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var ids []int32
	for b.Loop() {
		ids = tok.AppendEncode(ids[:0], text, false)
	}
}

func content(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func write(tb testing.TB, dir, name, content string) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
}

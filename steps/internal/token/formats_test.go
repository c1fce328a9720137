package token

import (
	"bufio"
	"compress/bzip2"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"golang.org/x/text/unicode/norm"
)

// TestTiktoken loads a small tiktoken file by both names and by its class.
func TestTiktoken(t *testing.T) {
	var file strings.Builder
	rank := 0
	for b := range 256 {
		fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString([]byte{byte(b)}), rank)
		rank++
	}
	for _, token := range []string{"th", "the", " the", "rain"} {
		fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(token)), rank)
		rank++
	}
	for _, name := range []string{"qwen.tiktoken", "tokenizer.model"} {
		dir := t.TempDir()
		write(t, dir, name, file.String())
		write(t, dir, "tokenizer_config.json", `{"tokenizer_class":"QWenTokenizer"}`)
		tok, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode("the the<|im_end|>rain", false); !slices.Equal(got, []int32{257, 258, 262, 259}) {
			t.Errorf("%s: ids %v", name, got)
		}
		if got := tok.Decode([]int32{257, 258, 262}, true); got != "the the" {
			t.Errorf("%s: text %q", name, got)
		}
		if eos, ok := tok.EOS(); !ok || eos != 260 || len(tok.Digest()) != 64 {
			t.Errorf("%s: EOS %d, %t", name, eos, ok)
		}
	}
	for _, test := range []struct{ content, want string }{
		{file.String(), "of 260 tokens splits text is not known"},
		{"dGhl 0\ndGhl 1\n", "line 2: the token is there twice"},
		{"dGhl 0\ndGhl\n", "line 2: not base64"},
		{"dGhl 0\n!! 1\n", "line 2"},
		{"dGhl 0\ndGhm 99999999\n", "is not a number"},
	} {
		dir := t.TempDir()
		write(t, dir, "x.tiktoken", test.content)
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.20q: error %v, want %q", test.content, err, test.want)
		}
	}
}

// TestNoTokenizer sees what is said of folders without one, and with two.
func TestNoTokenizer(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "neither tokenizer.json") {
		t.Errorf("an empty folder: %v", err)
	}
	write(t, dir, "a.gguf", "GGUF")
	if _, err := Load(dir); err == nil {
		t.Error("four bytes of a GGUF were loaded")
	}
	write(t, dir, "b.gguf", "GGUF")
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "2 .gguf files") {
		t.Errorf("two GGUFs: %v", err)
	}
}

// TestTortureGGUFVocabulary compares the tokenizer in a GGUF with the one
// beside the same model.
func TestTortureGGUFVocabulary(t *testing.T) {
	path := shareddata.Path(t, "models/stories260K/stories260K-f32.gguf")
	embedded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	beside := load(t, "models/stories260K/hf")
	for line := range lines(t, shareddata.Path(t, "torture/tokenizer-vectors/hf-tokenizers-js/vectors.jsonl")) {
		var row struct{ Text string }
		mustJSON(t, []byte(line), &row)
		if got, want := embedded.Encode(row.Text, true), beside.Encode(row.Text, true); !slices.Equal(got, want) {
			t.Errorf("%q: %v, beside %v", row.Text, got, want)
		}
	}
	corrupt := shareddata.Path(t, "torture/weights-real-corruption/ggml-vocab-llama-spm.utf8-mangled.gguf")
	if _, err := Load(corrupt); err == nil {
		t.Error("a mangled GGUF was loaded")
	}
}

// TestTortureSentencePiece sees that a model and the tokenizer.json made from
// it agree.
func TestTortureSentencePiece(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "tokenizer.model", read(t, "tokenizers/llama2/tokenizer.model"))
	write(t, dir, "tokenizer_config.json", read(t, "tokenizers/llama2/tokenizer_config.json"))
	model, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	converted := load(t, "tokenizers/llama2")
	for line := range lines(t, shareddata.Path(t, "torture/tokenizer-vectors/hf-tokenizers-js/vectors.jsonl")) {
		var row struct{ Text string }
		mustJSON(t, []byte(line), &row)
		if strings.Contains(row.Text, "<unk>") {
			continue // control tokens are found in both, the unknown one in tokenizer.json only
		}
		if got, want := model.Encode(row.Text, true), converted.Encode(row.Text, true); !slices.Equal(got, want) {
			t.Errorf("%q: %v, converted %v", row.Text, got, want)
		}
	}
	for _, name := range []string{"test_model.model", "test_ja_model.model"} {
		dir := t.TempDir()
		write(t, dir, "tokenizer.model", read(t, filepath.Join("tokenizers/sentencepiece", name)))
		tok, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		ids := tok.Encode("Hello world. 吾輩は猫である", false)
		if len(ids) < 5 || tok.Decode(ids, false) == "" {
			t.Errorf("%s: ids %v", name, ids)
		}
	}
}

// TestTortureNormalization compares the four forms with Unicode's own test.
func TestTortureNormalization(t *testing.T) {
	f, err := os.Open(shareddata.Path(t, "torture/text/unicode-15.0/NormalizationTest.txt.bz2"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(bzip2.NewReader(f))
	count := 0
	for in.Scan() {
		line, _, _ := strings.Cut(in.Text(), "#")
		columns := strings.Split(line, ";")
		if len(columns) < 5 {
			continue
		}
		count++
		var c [5]string
		for i := range c {
			c[i] = points(t, columns[i])
		}
		for _, form := range []struct {
			form norm.Form
			want [5]string
		}{
			{norm.NFC, [5]string{c[1], c[1], c[1], c[3], c[3]}}, {norm.NFD, [5]string{c[2], c[2], c[2], c[4], c[4]}},
			{norm.NFKC, [5]string{c[3], c[3], c[3], c[3], c[3]}}, {norm.NFKD, [5]string{c[4], c[4], c[4], c[4], c[4]}},
		} {
			for i, s := range c {
				for _, track := range []bool{false, true} {
					if got := unicodeForm(form.form).normalize(text{s: s}, track).s; got != form.want[i] {
						t.Errorf("form %d of %+q: %+q, want %+q", form.form, s, got, form.want[i])
					}
				}
			}
		}
	}
	if count < 15000 {
		t.Errorf("only %d lines", count)
	}
}

// points reads characters given in hexadecimal.
func points(t *testing.T, s string) string {
	t.Helper()
	var out strings.Builder
	for _, hex := range strings.Fields(s) {
		c, err := strconv.ParseUint(hex, 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteRune(rune(c))
	}
	return out.String()
}

// TestTortureGraphemes compares with Unicode's own test.
func TestTortureGraphemes(t *testing.T) {
	count := 0
	for line := range strings.Lines(read(t, "torture/text/unicode-15.0/GraphemeBreakTest.txt")) {
		line, _, _ := strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		count++
		var want []string
		for _, cluster := range strings.Split(strings.Trim(line, "÷ "), "÷") {
			want = append(want, points(t, strings.ReplaceAll(cluster, "×", " ")))
		}
		in := strings.Join(want, "")
		var got []string
		for i := 0; i < len(in); {
			end := graphemeEnd(in, i)
			got = append(got, in[i:end])
			i = end
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+q: %+q, want %+q", in, got, want)
		}
	}
	if count < 500 {
		t.Errorf("only %d lines", count)
	}
}

package tokenize

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/steptest"
)

// A model that is only a tokenizer: bytes, three special tokens, and a chat
// template.
const (
	tokenizerConfig = `{"bos_token":"<s>","eos_token":"</s>","chat_template":"{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% if m['role'] == 'assistant' %}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"}`
	modelConfig     = `{"model_type":"llama","architectures":["LlamaForCausalLM"],"vocab_size":260,"hidden_size":8,"intermediate_size":16,"num_hidden_layers":1,"num_attention_heads":2,"max_position_embeddings":64,"rms_norm_eps":1e-5}`
)

// tokenizer has an id for each printable ASCII letter, in order, after <s> and </s>.
func tokenizer() string {
	var b strings.Builder
	b.WriteString(`{"version":"1.0","added_tokens":[{"id":0,"content":"<s>","special":true,"normalized":false},{"id":1,"content":"</s>","special":true,"normalized":false}],`)
	b.WriteString(`"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","merges":[],"vocab":{"<s>":0,"</s>":1,"Ġ":2,"Ċ":3`)
	id := 4
	for c := byte('!'); c <= '~'; c++ {
		s := string(c)
		if c == '"' || c == '\\' {
			s = `\` + s
		}
		b.WriteString(`,"` + s + `":` + itoa(id))
		id++
	}
	b.WriteString(`}}}`)
	return b.String()
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func modelDir(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tokenizer.json": tokenizer(), "tokenizer_config.json": tokenizerConfig, "config.json": modelConfig,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func recordsDir(t *testing.T, shape dataset.Shape, records ...dataset.Record) string {
	dir := t.TempDir()
	w, err := dataset.CreateRecords(dir, shape)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		r.Shape, r.Origin = shape, dataset.Origin{File: "data.jsonl", Record: int64(i + 1)}
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func chatRecord(question, answer string) dataset.Record {
	return dataset.Record{Messages: []dataset.Message{{Role: "user", Content: question}, {Role: "assistant", Content: answer}}}
}

func newCase(t *testing.T, params string, shape dataset.Shape, records ...dataset.Record) steptest.Case {
	return steptest.Case{
		Kind: Kind, Params: params, Out: []string{"tokens"},
		In: map[string]string{"model": modelDir(t), "records": recordsDir(t, shape, records...)},
	}
}

const plainParams = `{"template":"model","maxLength":64,"overLength":"error","packing":false}`

func rows(t *testing.T, dir string) []dataset.Row {
	tokens, err := dataset.OpenTokens(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tokens.Close()
	var all []dataset.Row
	for r, err := range tokens.All() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, dataset.Row{
			InputIDs: slices.Clone(r.InputIDs), Labels: slices.Clone(r.Labels),
			PositionIDs: slices.Clone(r.PositionIDs), AttentionMask: slices.Clone(r.AttentionMask), LossWeights: slices.Clone(r.LossWeights),
		})
	}
	return all
}

func TestSuite(t *testing.T) {
	var records []dataset.Record
	for i := range 50 {
		records = append(records, chatRecord(strings.Repeat("q", i%7+1), strings.Repeat("a", i%11+1)))
	}
	steptest.Run(t, newCase(t, plainParams, dataset.Messages, records...))
	steptest.Run(t, newCase(t, strings.Replace(plainParams, `"packing":false`, `"packing":true`, 1), dataset.Messages, records...))
}

// TestMask checks that exactly the answer and its stop token are supervised,
// and that the tokens say which template and tokenizer made them.
func TestMask(t *testing.T) {
	task := steptest.Do(t, newCase(t, plainParams, dataset.Messages, chatRecord("hi", "ok")), 1)
	got := rows(t, task.Out["tokens"])
	if len(got) != 1 {
		t.Fatalf("%d rows", len(got))
	}
	var supervised []int32
	for i, l := range got[0].Labels {
		if l >= 0 {
			supervised = append(supervised, got[0].InputIDs[i])
		}
	}
	id := func(c byte) int32 { return int32(c-'!') + 4 }
	if want := []int32{id('o'), id('k'), 1}; !slices.Equal(supervised, want) {
		t.Errorf("supervised %v, want %v", supervised, want)
	}
	p, err := artifact.Read(task.Out["tokens"])
	if err != nil || p.Tokenizer == "" || p.ChatTemplate == nil || p.ChatTemplate.Digest == "" {
		t.Errorf("provenance %+v, %v", p, err)
	}
}

// TestPacking checks that packed rows hold every document whole, with
// positions from 0, and no row is too long.
func TestPacking(t *testing.T) {
	var records []dataset.Record
	for i := range 40 {
		records = append(records, chatRecord(strings.Repeat("x", i%9), "y"+strings.Repeat("z", i%5)))
	}
	plain := rows(t, steptest.Do(t, newCase(t, plainParams, dataset.Messages, records...), 1).Out["tokens"])
	packed := rows(t, steptest.Do(t, newCase(t, strings.Replace(plainParams, `"packing":false`, `"packing":true`, 1), dataset.Messages, records...), 1).Out["tokens"])
	if len(packed) >= len(plain)/2 {
		t.Errorf("%d rows were packed into %d", len(plain), len(packed))
	}
	var want, got []string
	for _, r := range plain {
		want = append(want, key(r.InputIDs, r.Labels))
	}
	for _, r := range packed {
		if len(r.InputIDs) > 64 {
			t.Errorf("a packed row has %d tokens", len(r.InputIDs))
		}
		for start := 0; start < len(r.InputIDs); {
			end := start + 1
			for end < len(r.InputIDs) && r.PositionIDs[end] != 0 {
				end++
			}
			got = append(got, key(r.InputIDs[start:end], r.Labels[start:end]))
			start = end
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Error("packing changed the documents")
	}
}

// TestPairs: a preference becomes one row of two documents, of which only what
// follows the prompt is supervised.
func TestPairs(t *testing.T) {
	say := func(role, text string) []dataset.Message { return []dataset.Message{{Role: role, Content: text}} }
	pair := dataset.Record{
		Messages: append(append(say("user", "a"), say("assistant", "b")...), say("user", "c")...),
		Chosen:   say("assistant", "good"), Rejected: say("assistant", "no"),
	}
	task := steptest.Do(t, newCase(t, plainParams, dataset.Preference, pair, pair), 1)
	got := rows(t, task.Out["tokens"])
	if len(got) != 2 {
		t.Fatalf("%d rows", len(got))
	}
	var text []byte
	second := 0
	for i, l := range got[0].Labels {
		if got[0].PositionIDs[i] == 0 && i > 0 {
			second = i
			text = append(text, '|')
		}
		if l == 1 {
			text = append(text, '.')
		} else if l >= 0 {
			text = append(text, byte(l)-4+'!')
		}
	}
	if string(text) != "good.|no." || !slices.Equal(got[0].InputIDs[:5], got[0].InputIDs[second:second+5]) {
		t.Errorf("supervised: %s", text)
	}
	p, err := artifact.Read(task.Out["tokens"])
	if err != nil || !p.Pairs {
		t.Errorf("provenance %+v, %v", p, err)
	}
	for params, want := range map[string]string{
		strings.Replace(plainParams, `"packing":false`, `"packing":true`, 1): "packing",
		strings.Replace(plainParams, `64`, `20`, 1):                          "maxLength",
	} {
		var field *pipeline.FieldError
		_, err := steptest.Try(t.Context(), t, newCase(t, params, dataset.Preference, pair), 1)
		if !errors.As(err, &field) || field.Field != want {
			t.Errorf("%s: %v", params, err)
		}
	}
}

func key(ids []int32, labels []int64) string {
	var b strings.Builder
	for i := range ids {
		b.WriteString(itoa(int(ids[i])) + ":")
		if labels[i] >= 0 {
			b.WriteString("s")
		}
		b.WriteString(" ")
	}
	return b.String()
}

func TestOverLength(t *testing.T) {
	long := chatRecord(strings.Repeat("x", 30), strings.Repeat("y", 60))
	short := chatRecord("hi", "ok")
	params := func(how string) string { return strings.Replace(plainParams, `"error"`, `"`+how+`"`, 1) }

	_, err := steptest.Try(t.Context(), t, newCase(t, params("error"), dataset.Messages, long, short), 1)
	var field *pipeline.FieldError
	if !errors.As(err, &field) || field.Field != "maxLength" || !strings.Contains(err.Error(), "1 of 2 records") || !strings.Contains(err.Error(), "at most 128") {
		t.Errorf("error: %v", err)
	}
	if got := rows(t, steptest.Do(t, newCase(t, params("drop"), dataset.Messages, long, short), 1).Out["tokens"]); len(got) != 1 {
		t.Errorf("drop left %d rows", len(got))
	}
	got := rows(t, steptest.Do(t, newCase(t, params("truncate"), dataset.Messages, long, short), 1).Out["tokens"])
	if len(got) != 2 || len(got[0].InputIDs) != 64 {
		t.Errorf("truncate left %d rows, the first of %d tokens", len(got), len(got[0].InputIDs))
	}
}

func TestErrors(t *testing.T) {
	noAnswer := dataset.Record{Messages: []dataset.Message{{Role: "user", Content: "hi"}}}
	for _, c := range []struct {
		params  string
		shape   dataset.Shape
		records []dataset.Record
		want    string
	}{
		{plainParams, dataset.Messages, []dataset.Record{chatRecord("a", "b"), noAnswer}, "data.jsonl, record 2: "},
		{plainParams, dataset.Messages, nil, "there are no records"},
		{strings.Replace(plainParams, `"model"`, `"chatml"`, 1), dataset.Messages, []dataset.Record{chatRecord("a", "b")}, "<|im_start|>"},
		{strings.Replace(plainParams, `"model"`, `"alpaca"`, 1), dataset.Text, []dataset.Record{{Text: "hello"}}, "for conversations"},
	} {
		_, err := steptest.Try(t.Context(), t, newCase(t, c.params, c.shape, c.records...), 1)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v; want %q", err, c.want)
		}
	}
}

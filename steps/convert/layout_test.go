package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/internal/shareddata"
	"github.com/pipe-run/pipe/steps/internal/dataset"
	"github.com/pipe-run/pipe/steps/steptest"
)

const chats = `{"conversations":[{"from":"human","value":"h"},{"from":"gpt","value":"g"}],"id":1,"source":"x"}
{"conversations":[{"from":"human","value":"i"},{"from":"gpt","value":"j"}],"id":2}
`

// TestAuto: the format is told from the rows; why stands in the log and in the
// records, and so do the columns that are not read.
func TestAuto(t *testing.T) {
	res, err := convert(t, map[string]string{"a.jsonl": chats}, `{"format":"auto"}`)
	if err != nil {
		t.Fatal(err)
	}
	why := "sharegpt: each of the first 2 rows has conversations (a list of messages with from)"
	if got := steptest.Records(t, res.out["records"]); len(got) != 2 || got[1].Messages[1].Content != "j" {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{why, "columns that are not read: id, source"} {
		if !strings.Contains(res.log, want) {
			t.Errorf("the log lacks %q: %s", want, res.log)
		}
	}
	r, err := dataset.OpenRecords(res.out["records"])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Layout() != why {
		t.Errorf("the records say %q", r.Layout())
	}
}

// TestAutoRefuses what it cannot tell, and names the candidates.
func TestAutoRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"instruction":"i","output":"o","text":"t"}`: "format: the rows could be alpaca (the row has instruction, output), or text (the row has text): say which",
		`{"x":1}`:  `format: no format fits rows of the columns x; a template can name them (format: "template")`,
		"not JSON": "format: there are no rows to tell the format from",
	} {
		_, err := convert(t, map[string]string{"a.jsonl": text}, `{"format":"auto"}`)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestWrongFormat: the first row that does not fit is named, and what it fits.
func TestWrongFormat(t *testing.T) {
	near := "a.jsonl: record 1: it looks like sharegpt: the row has conversations (a list of messages with from)"
	for params, want := range map[string]string{
		`{"format":"alpaca"}`:                                                   "2 bad rows (onError: \"skip\" leaves them out):\na.jsonl: record 1 (line 1): instruction: is missing; the row has conversations, id, source\na.jsonl: record 2 (line 2): instruction: is missing; the row has conversations, id\n" + near,
		`{"format":"alpaca","onError":"skip"}`:                                  "no records: 2 rows were read and 2 skipped, the first because of\na.jsonl: record 1 (line 1): instruction: is missing; the row has conversations, id, source\n" + near,
		`{"format":"template","template":{"text":"{{q}}"}}`:                     "template.text: the rows have no field q; they have conversations, id, source",
		`{"format":"template","template":{"prompt":"{{id}}","completion":"x"}}`: "template.completion: names no field of the row, so that every row would teach the same",
	} {
		_, err := convert(t, map[string]string{"a.jsonl": chats}, params)
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", params, err, want)
		}
	}
}

// TestLeftOut: rows that are well and not wanted are counted by reason, and are
// no failure.
func TestLeftOut(t *testing.T) {
	rows := map[string]string{"a.jsonl": `{"prompt":"p","completion":"good","label":true}
{"prompt":"p","completion":"bad","label":false}
{"prompt":"q","completion":"bad","label":false}
`}
	res, err := convert(t, rows, `{"format":"kto"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := steptest.Records(t, res.out["records"]); len(got) != 1 || res.metrics["rows/left out"] != 2 || res.metrics["rows/skipped"] != 0 || res.metrics["rows/read"] != 3 {
		t.Errorf("%+v, %v", got, res.metrics)
	}
	if want := "left out: 2 rows, since its answer is marked undesirable; the first is record 2 of a.jsonl"; !strings.Contains(res.log, want) {
		t.Errorf("the log lacks %q: %s", want, res.log)
	}
	res, err = convert(t, rows, `{"format":"auto","kto":{"keep":"all"},"shuffle":{"seed":1}}`)
	if err != nil {
		t.Fatal(err)
	}
	got := steptest.Records(t, res.out["records"])
	good := 0
	for _, r := range got {
		if r.Shape != dataset.Judged {
			t.Errorf("%+v", r)
		}
		if r.Desirable {
			good++
		}
	}
	if len(got) != 3 || good != 1 {
		t.Errorf("%+v", got)
	}
	_, err = convert(t, map[string]string{"a.jsonl": `{"prompt":"p","completion":"bad","label":false}`}, `{"format":"kto"}`)
	if err == nil || !strings.Contains(err.Error(), "1 left out since its answer is marked undesirable") {
		t.Errorf("%v", err)
	}
}

// TestSQuAD: a row of articles becomes a record per question, in parallel too.
func TestSQuAD(t *testing.T) {
	article := func(n int) string {
		return fmt.Sprintf(`{"title":"t%d","paragraphs":[{"context":"c","qas":[{"id":"1","question":"q%d","answers":[{"text":"a","answer_start":0}]},{"id":"2","question":"r","answers":[],"is_impossible":true}]}]}`, n, n)
	}
	file := `{"version":"v2.0","data":[` + article(1) + "," + article(2) + `]}`
	for params, want := range map[string][]string{
		`{"format":"squad"}`: {"c\n\nq1", "c\n\nq2"},
		`{"format":"auto","squad":{"unanswerable":"unknown"}}`: {"c\n\nq1", "c\n\nr", "c\n\nq2", "c\n\nr"},
	} {
		res, err := convert(t, map[string]string{"train-v2.0.json": file}, params)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range steptest.Records(t, res.out["records"]) {
			got = append(got, r.Messages[0].Content)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", params, got, want)
		}
	}
}

// TestPromptsOfMessages: the first row decides between texts and messages.
func TestPromptsOfMessages(t *testing.T) {
	chat := `{"prompt":[{"role":"user","content":"u"}],"completion":[{"role":"assistant","content":"a"}]}`
	res, err := convert(t, map[string]string{"a.jsonl": chat}, `{"format":"prompt-completion"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := steptest.Records(t, res.out["records"]); got[0].Shape != dataset.Messages || len(got[0].Messages) != 2 {
		t.Errorf("%+v", got)
	}
	_, err = convert(t, map[string]string{"a.jsonl": `{"prompt":"u","completion":"a"}` + "\n" + chat}, `{"format":"prompt-completion"}`)
	if err == nil || !strings.Contains(err.Error(), "record 2 (line 2): prompt: wanted a string, found a list") {
		t.Errorf("%v", err)
	}
}

// TestRegistry reads datasets as LLaMA-Factory's registry describes them.
func TestRegistry(t *testing.T) {
	files := map[string]string{
		"data/dataset_info.json": `{"chat":{"file_name":"chat.json","formatting":"sharegpt","split":"train","columns":{"messages":"turns"},"tags":{"role_tag":"who","content_tag":"says","user_tag":"me","assistant_tag":"it"}},
			"book":{"file_name":"books [1]","columns":{"prompt":"text"}},"gone":{"file_name":"gone.json"},"out":{"file_name":"../x.json"},"hub":{"hf_hub_url":"a/b"}}`,
		"data/chat.json":       `[{"turns":[{"who":"me","says":"u"},{"who":"it","says":"a"}],"system":"not read"}]`,
		"data/books [1]/b.txt": "a book",
		"data/other.json":      `[{"x":1}]`,
	}
	res, err := convert(t, files, `{"format":"llama-factory","dataset":"chat"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := steptest.Records(t, res.out["records"]); len(got) != 1 || len(got[0].Messages) != 2 || got[0].Messages[0] != (dataset.Message{Role: "user", Content: "u"}) {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{`split \"train\" is passed over`, "columns that are not read: system", "sharegpt: dataset_info.json says so of chat"} {
		if !strings.Contains(res.log, want) {
			t.Errorf("the log lacks %q: %s", want, res.log)
		}
	}
	if res, err = convert(t, files, `{"format":"llama-factory","dataset":"book"}`); err != nil {
		t.Fatal(err)
	}
	if got := texts(steptest.Records(t, res.out["records"])); !slices.Equal(got, []string{"a book"}) {
		t.Errorf("%q", got)
	}
	for name, want := range map[string]string{
		"gone": "dataset: gone: its file gone.json is not in the input",
		"out":  `dataset: out: its file_name "../x.json" leads out of the folder of dataset_info.json`,
		"hub":  "dataset: hub: the dataset is on the Hugging Face Hub as a/b",
		"none": `dataset: dataset_info.json has no dataset "none"; it has book, chat`,
	} {
		_, err := convert(t, files, `{"format":"llama-factory","dataset":"`+name+`"}`)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if _, err := convert(t, map[string]string{"a.json": "[]"}, `{"format":"llama-factory","dataset":"x"}`); err == nil || err.Error() != "format: the input has no dataset_info.json" {
		t.Errorf("%v", err)
	}
}

// TestTables: tables for classification go through a template, those of UCI,
// whose first line is no header, too.
func TestTables(t *testing.T) {
	params := `{"format":"template","template":{"prompt":"{{content}}\nCategory:","completion":" {{label}}"},"labels":{"label":{"100":"story","101":"culture"}}}`
	res, err := convert(t, map[string]string{"train.json": `{"label":"100","label_desc":"news_story","content":"A tale"}` + "\n" + `{"label":101,"content":"A play"}`}, params)
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(steptest.Records(t, res.out["records"])); !slices.Equal(got, []string{"A tale\nCategory: story", "A play\nCategory: culture"}) {
		t.Errorf("%q", got)
	}
}

// TestUCI reads the tables of the UCI repository.
func TestUCI(t *testing.T) {
	for name, rows := range map[string]int{"iris.csv": 150, "wine_data.csv": 178} {
		data, err := os.ReadFile(shareddata.Path(t, "datasets/uci/"+name))
		if err != nil {
			t.Fatal(err)
		}
		columns := strings.Count(strings.SplitN(string(data), "\n", 3)[1], ",") + 1
		fields := `"class"`
		for i := columns - 1; i > 0; i-- {
			fields = fmt.Sprintf(`"f%d",`, i) + fields
		}
		params := `{"format":"template","header":false,"skip":1,"fields":[` + fields + `],"template":{"prompt":"{{f1}}, {{f2}}:","completion":" {{class}}"},"labels":{"class":{"0":"a","1":"b","2":"c"}}}`
		res, err := convertDir(t, copied(t, name, data), params)
		if err != nil {
			t.Fatal(err)
		}
		if got := steptest.Records(t, res.out["records"]); len(got) != rows || got[0].Completion != " a" {
			t.Errorf("%s: %d records, %+v", name, len(got), got[0])
		}
	}
}

// TestRegistryOfLLaMAFactory converts every dataset of its demo folder that has
// a file, and LLaMA-Factory's files as their formats are told from the rows.
func TestRegistryOfLLaMAFactory(t *testing.T) {
	dir := filepath.Dir(shareddata.Path(t, "datasets/llama-factory/dataset_info.json"))
	for name, want := range map[string]float64{
		"identity": 91, "alpaca_zh_demo": 1000, "glaive_toolcall_en_demo": 300, "dpo_en_demo": 300, "kto_en_demo": 150, "wiki_demo": 1, "c4_demo": 300,
	} {
		res, err := convertDir(t, dir, `{"format":"llama-factory","dataset":"`+name+`"}`)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if res.metrics["records/records"] != want {
			t.Errorf("%s: %v, want %v records", name, res.metrics, want)
		}
	}
	for file, want := range map[string]string{
		"alpaca_zh_demo.json": "alpaca", "glaive_toolcall_en_demo.json": "sharegpt", "dpo_en_demo.json": "preference",
		"kto_en_demo.json": "kto", "c4_demo.jsonl": "text", "v1_sft_demo.jsonl": "messages", "v1_dpo_demo.jsonl": "preference",
	} {
		res, err := convertDir(t, dir, `{"format":"auto","onError":"skip","files":["`+file+`"]}`)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		} else if !strings.Contains(res.log, "the rows are read as "+want) {
			t.Errorf("%s: %s", file, res.log)
		}
	}
}

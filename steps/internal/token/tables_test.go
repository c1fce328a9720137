package token

import (
	"encoding/json"
	"reflect"
	"testing"
)

// tableFiles are files that readTables reads, and some that it leaves alone.
var tableFiles = []struct {
	text string
	read bool
}{
	{`{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}, "added_tokens": [{"id": 3, "content": "<s>"}]}`, true},
	{`{"model":{"vocab":{"\"":0,"\\":1,"\u00e9":2,"é":3,"\"\\":4},"merges":[["\"","\\"]],"type":"BPE","unk_token":"[}\""}}`, true},
	{"{ \"version\" : \"1.0\" ,\n \"model\" :\t{ \"type\" : \"WordLevel\" , \"vocab\" : { } } , \"decoder\" : { \"a\" : [ 1 , { } , [ ] ] } }\r\n", true},
	{`{"model": {"type": "BPE", "vocab": {"a": 0, "a": 1}, "merges": []}}`, true},
	{`{"model": {"vocab": {"a": 0}, "merges": []}}`, false},                                   // the kind follows from what is there
	{`{"model": {"type": "Unigram", "vocab": [["a", -1.5]]}}`, false},                         // a list
	{`{"model": {"type": "BPE", "vocab": {"a": 0}, "Vocab": {"b": 1}, "merges": []}}`, false}, // both count
	{`{"model": {"type": "BPE", "vocab": {"a": 0}, "vocab": {"b": 1}}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0}}, "model": {"type": "BPE"}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0}}, "MODEL": {"type": "BPE"}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 1e3}}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": -1}}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 01}}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 4294967296}}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": null}}}`, false},
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"\xff\": 0}}}", false}, // encoding/json writes U+FFFD
	{"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"\n\": 0}}}", false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b", ["a", "b"]]}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b", "c"]]}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b c"]}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0,}}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0}}} 1`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0}}, "x": tru}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0}}, "x": [1}}`, false},
	{`{"model": {"type": 3, "vocab": {"a": 0}}}`, false},
	{`{"model": {"type": "BPE", "vocab": {"a": 0}} "x": 1}`, false},
	{`{"model": {"type" "BPE", "vocab": {"a": 0}}}`, false},
	{`[]`, false}, {``, false}, {`{`, false}, {`{"model":`, false}, {`{"model":{"vocab":{"a`, false},
}

// TestTables compares what is read fast with what encoding/json reads.
func TestTables(t *testing.T) {
	for _, c := range tableFiles {
		if read := compareTables(t, []byte(c.text)); read != c.read {
			t.Errorf("%s: read fast: %t", c.text, read)
		}
	}
}

// FuzzTables holds the same for any file.
func FuzzTables(f *testing.F) {
	for _, c := range tableFiles {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) { compareTables(t, data) })
}

// compareTables reports whether data is read fast, and fails the test where
// encoding/json has it otherwise.
func compareTables(t *testing.T, data []byte) bool {
	t.Helper()
	var got, want tokenizerFile
	if !readTables(data, &got) {
		return false
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatalf("%s: read, but: %v", data, err)
	}
	if err := json.Unmarshal(want.Model.Vocab, &want.Model.vocab); err != nil {
		t.Fatalf("%s: read, but: %v", data, err)
	}
	if got.Model.merges != nil {
		merges, err := readMerges(want.Model.Merges)
		if err != nil {
			t.Fatalf("%s: read, but: %v", data, err)
		}
		want.Model.merges, want.Model.Merges, got.Model.Merges = merges, nil, nil
	}
	want.Model.Vocab, got.Model.Vocab = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", data, got, want)
	}
	return true
}

package convert

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/steptest"
)

// goldenInput is one small file of every container that a text editor writes.
func goldenInput(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.jsonl": `{"instruction":"add","input":"1 2","output":"3"}` + "\n" + `{"instruction":"héllo","output":"wörld 😀"}` + "\n",
		"b.json":  `[{"instruction":"three","output":"3","system":"be brief"},{"instruction":"four","output":"4","history":[["x","y"]]}]`,
		"c.csv":   "instruction,output\r\n\"a, b\",\"c \"\"d\"\"\ne\"\r\nfive,5\r\n",
		"d.tsv":   "instruction\toutput\nsix\t6\nseven\t7\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	plainCase = `{"format":"alpaca","container":"auto","onError":"fail"}`
	splitCase = `{"format":"alpaca","container":"auto","onError":"fail","shuffle":{"seed":7},"limit":7,"split":{"test":0.3,"validation":0.3}}`
)

func cases(t *testing.T) []steptest.Case {
	in := map[string]string{"files": goldenInput(t)}
	return []steptest.Case{
		{Kind: Kind, Params: plainCase, In: in, Out: []string{"records"}},
		{Kind: Kind, Params: splitCase, In: in, Out: []string{"train", "test", "validation"}},
	}
}

func TestSuite(t *testing.T) {
	for _, c := range cases(t) {
		steptest.Run(t, c)
	}
}

// TestGolden holds the bytes of converted records. Where they change on
// purpose, the kind's version must be raised.
func TestGolden(t *testing.T) {
	want := map[string]string{
		"records":    "f30a50710797827156af3922f9ec85d85fd5551cd413129fd69b6a727cb8295d",
		"train":      "f4fbb5b431ca509c36318087dca540d85235c72010fd47a49886e631cff01886",
		"test":       "86c3992be8e523cabcfc5cd09a9a21ce34b95d04fc3bb8b2c86897aefaa5f31e",
		"validation": "c77a060b436913bb0114aa18d620799e82cc20cf825a94fa1de67c78eeb063ed",
	}
	for _, c := range cases(t) {
		task := steptest.Do(t, c, 2)
		for _, out := range c.Out {
			got, err := artifact.Digest(task.Out[out])
			if err != nil {
				t.Fatal(err)
			}
			if got != want[out] || Kind.Version != 2 {
				t.Errorf("%s: version %d writes %s, want version 2 and %s", out, Kind.Version, got, want[out])
			}
		}
	}
}

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
		"records":    "0e06cb2da12ea7d8dadcf95c222ee5463c0b5333e75d17f328f6aa7c31e74594",
		"train":      "99b7956ef60aa3dbb44ba2281c98c3851449a78e45cc3a7a72c1733045d56992",
		"test":       "5a89535c269654b609bb3b58c53092609ec051e35a96ec554bdc9d6dcce75a85",
		"validation": "c52bbb9fc0501a0696a02be8dabed734713cdafe9ea69c73861fc2de2e204784",
	}
	for _, c := range cases(t) {
		task := steptest.Do(t, c, 2)
		for _, out := range c.Out {
			got, err := artifact.Digest(task.Out[out])
			if err != nil {
				t.Fatal(err)
			}
			if got != want[out] || Kind.Version != 1 {
				t.Errorf("%s: version %d writes %s, want version 1 and %s", out, Kind.Version, got, want[out])
			}
		}
	}
}

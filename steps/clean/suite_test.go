package clean

import (
	"fmt"
	"testing"

	"github.com/pipe-run/pipe/steps/steptest"
)

func TestSuite(t *testing.T) {
	all := append(numbered(0, 300), long, alike, hanzi, kanji, "write to ann@example.org", long)
	for i := range 60 {
		all = append(all, fmt.Sprint("one of a class ", i))
	}
	steptest.Run(t, steptest.Case{
		Kind: Kind, Out: []string{"train", "test", "report"},
		In: map[string]string{"records": write(t, texts(all...)...), "quiz": write(t, texts("row 5", "row 250")...)},
		Params: `{"normalize":{"form":"nfc"},"pii":{"email":"mask"},"duplicates":{"exact":true,"near":{"similarity":0.7,"ngram":5,"permutations":64}},
			"contamination":{"ngram":13,"maxOverlap":0,"action":"drop"},"split":{"test":0.2,"by":"file"},"samples":5}`,
	})
}

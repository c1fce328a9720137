package clean

import (
	"testing"

	"github.com/pipe-run/pipe/steps/internal/artifact"
	"github.com/pipe-run/pipe/steps/steptest"
)

// TestGolden holds the bytes of all outputs. Where they change on purpose, the
// kind's version must be raised.
func TestGolden(t *testing.T) {
	all := append(numbered(0, 120), long, alike, hanzi, kanji, "write to ann@example.org", long, "ﬁne\r\n", "%%% 17 ###", "Das Büro ist jeden Tag von acht Uhr an offen, nur nicht am Sonntag.")
	c := steptest.Case{
		Kind: Kind, Out: []string{"train", "test", "validation", "report"},
		In: map[string]string{"records": write(t, texts(all...)...), "quiz": write(t, texts("row 5", "row 50")...)},
		Params: `{"normalize":{"form":"nfkc","lineEndings":true},"pii":{"email":"mask"},"filters":{"nonLetters":0.9},
			"language":{"keep":["en","zh"],"minConfidence":0.3,"unknown":"keep"},
			"duplicates":{"exact":true,"near":{"similarity":0.7,"ngram":5,"permutations":64}},
			"contamination":{"ngram":13,"maxOverlap":0,"action":"drop"},"split":{"test":0.2,"validation":0.1},"samples":5}`,
	}
	out := steptest.Do(t, c, 2).Out
	for name, want := range map[string]string{
		"train":      "6b33fe02219026435060360336eb5bc595aa2dd7eded6a89153970b411382814",
		"test":       "c50b0663ae2cf4fa7d99e35358a7ddf5c88fd6da579955a99788c3b8c798b9fe",
		"validation": "8185af78d0499a39d6c3df899d3032185210918ca61f1e49d24b01ebc42d1e4e",
		"report":     "aaef88b2b248c2172f4c45c4484e608288bc2ece77fa2a04713046f4fbedf63e",
	} {
		got, err := artifact.Digest(out[name])
		if err != nil {
			t.Fatal(err)
		}
		if got != want || Kind.Version != 1 {
			t.Errorf("%s: version %d writes %s, want version 1 and %s", name, Kind.Version, got, want)
		}
	}
}

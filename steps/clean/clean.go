// Package clean implements the clean step: the text of records is mended, and
// records that should not be trained on are left out, each for a reason that its
// report counts.
//
// A record is judged by its own content, except that of equal or similar ones
// the first stays. Records that stay keep their order.
package clean

import (
	"context"
	"encoding/json"

	"github.com/pipe-run/pipe/pipeline"
)

// Kind is the clean step.
var Kind = kind()

func kind() pipeline.Kind {
	k := pipeline.Define("clean", 1, run)
	k.Vet, k.Metrics, k.Shapes = vet, metrics, shapes
	return k
}

// shapes tells that records keep their shape.
func shapes(_ json.RawMessage, inputs map[string]string) (string, error) {
	return inputs["records"], nil
}

// Params mirrors schemas/clean.cue. A nil struct asks for nothing.
type Params struct {
	Normalize     *NormalizeParams     `json:"normalize"`
	PII           *PIIParams           `json:"pii"`
	Length        *LengthParams        `json:"length"`
	Filters       *FilterParams        `json:"filters"`
	Language      *LanguageParams      `json:"language"`
	Contamination *ContaminationParams `json:"contamination"`
	Duplicates    *DuplicateParams     `json:"duplicates"`
	Split         *SplitParams         `json:"split"`
	Samples       int                  `json:"samples"`
}

// NormalizeParams say how texts are brought into one spelling.
type NormalizeParams struct {
	Form        string `json:"form"` // "nfc", "nfkc" or ""
	LineEndings bool   `json:"lineEndings"`
	Invisible   bool   `json:"invisible"`
}

// PIIParams say what happens to personal data: "report", "mask", "drop" or "".
type PIIParams struct {
	Email      string `json:"email"`
	Phone      string `json:"phone"`
	IPAddress  string `json:"ipAddress"`
	CreditCard string `json:"creditCard"`
	IBAN       string `json:"iban"`
	ChinaID    string `json:"chinaId"`
}

// LengthParams bound a record's text; 0 is no bound.
type LengthParams struct {
	Min  int    `json:"min"`
	Max  int    `json:"max"`
	Unit string `json:"unit"` // "characters", "words", "lines" or "bytes"
}

// FilterParams are the largest shares allowed, 0 to 1; 0 is no bound.
type FilterParams struct {
	NonLetters    float64 `json:"nonLetters"`
	RepeatedLines float64 `json:"repeatedLines"`
	RepeatedWords float64 `json:"repeatedWords"`
}

// LanguageParams name the languages that stay.
type LanguageParams struct {
	Keep          []string `json:"keep"`
	MinConfidence float64  `json:"minConfidence"`
	Unknown       string   `json:"unknown"` // "keep" or "drop"
}

// ContaminationParams say how text of tests is found.
type ContaminationParams struct {
	NGram      int     `json:"ngram"`
	MaxOverlap float64 `json:"maxOverlap"`
	Action     string  `json:"action"` // "drop", "fail" or "report"
}

// DuplicateParams say which records count as the same.
type DuplicateParams struct {
	Exact bool        `json:"exact"`
	Near  *NearParams `json:"near"`
}

// NearParams are those of MinHash.
type NearParams struct {
	Similarity   float64 `json:"similarity"`
	NGram        int     `json:"ngram"`
	Permutations int     `json:"permutations"`
}

// SplitParams are the shares of records held out, 0 to 1; 0 is none.
type SplitParams struct {
	Test       float64 `json:"test"`
	Validation float64 `json:"validation"`
	By         string  `json:"by"` // "answer", "desirable", "file" or ""
}

func run(ctx context.Context, p Params, t *pipeline.Task) error {
	c, err := newCleaner(p, t)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.readTests(ctx); err != nil {
		return err
	}
	err = c.clean(ctx)
	if closed := c.parts.close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := c.report.finish(c); err != nil {
		return err
	}
	return c.check()
}

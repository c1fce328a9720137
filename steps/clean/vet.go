package clean

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/clean"
)

// vet refuses what asks for nothing, or for what cannot be.
func vet(raw json.RawMessage, inputs []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return err
	}
	return p.check(inputs)
}

func (p Params) check(inputs []string) error {
	if p == (Params{Samples: p.Samples}) {
		return &pipeline.FieldError{
			Field: "kind", Err: errors.New("there is nothing to clean"),
			Hint: "say what to do, such as duplicates: {} or normalize: form: \"nfc\"",
		}
	}
	for _, err := range []error{p.Normalize.check(), p.PII.check(), p.Length.check(), p.Filters.check(), p.Language.check(), p.Duplicates.check(), p.Split.check()} {
		if err != nil {
			return err
		}
	}
	return p.checkTests(inputs)
}

// checkTests: whoever looks for contamination needs tests, and whoever gives
// tests must look.
func (p Params) checkTests(inputs []string) error {
	tests := testNames(inputs)
	switch {
	case p.Contamination == nil && len(tests) > 0:
		return &pipeline.FieldError{
			Field: "in." + tests[0], Err: errors.New("nothing looks for it in the records"),
			Hint: "say contamination: {} to leave out records that share text with it",
		}
	case p.Contamination != nil && len(tests) == 0 && p.Split == nil:
		return &pipeline.FieldError{
			Field: "contamination", Err: errors.New("there is nothing to look for"),
			Hint: "give the tests as further inputs, such as in: mmlu: steps.mmlu.out.records, or a split",
		}
	}
	return nil
}

// testNames are the inputs beside the records, sorted.
func testNames(inputs []string) []string {
	tests := slices.DeleteFunc(slices.Clone(inputs), func(s string) bool { return s == "records" })
	slices.Sort(tests)
	return tests
}

func empty(field, what string) error {
	return &pipeline.FieldError{Field: field, Err: errors.New("it asks for nothing"), Hint: "say " + what + ", or leave it out"}
}

func (n *NormalizeParams) check() error {
	if n != nil && *n == (NormalizeParams{}) {
		return empty("normalize", `form: "nfc", lineEndings or invisible`)
	}
	return nil
}

func (p *PIIParams) check() error {
	if p != nil && *p == (PIIParams{}) {
		return empty("pii", `what happens, such as email: "mask"`)
	}
	return nil
}

// of returns what happens to a kind of personal data.
func (p PIIParams) of(kind string) string {
	switch kind {
	case clean.Email:
		return p.Email
	case clean.Phone:
		return p.Phone
	case clean.IPAddress:
		return p.IPAddress
	case clean.CreditCard:
		return p.CreditCard
	case clean.IBAN:
		return p.IBAN
	}
	return p.ChinaID
}

func (l *LengthParams) check() error {
	switch {
	case l == nil:
	case l.Min == 0 && l.Max == 0:
		return empty("length", "min or max")
	case l.Max > 0 && l.Min > l.Max:
		return &pipeline.FieldError{Field: "length", Err: fmt.Errorf("nothing has at least %d and at most %d %s", l.Min, l.Max, l.Unit)}
	}
	return nil
}

func (f *FilterParams) check() error {
	if f != nil && *f == (FilterParams{}) {
		return empty("filters", "nonLetters, repeatedLines or repeatedWords")
	}
	return nil
}

func (l *LanguageParams) check() error {
	if l == nil {
		return nil
	}
	for i, code := range l.Keep {
		if slices.Contains(l.Keep[:i], code) {
			return &pipeline.FieldError{Field: fmt.Sprintf("language.keep[%d]", i), Err: fmt.Errorf("%q is there twice", code)}
		}
	}
	return nil
}

func (d *DuplicateParams) check() error {
	if d != nil && !d.Exact && d.Near == nil {
		return empty("duplicates", "exact or near")
	}
	return nil
}

func (s *SplitParams) check() error {
	if s != nil && s.Test+s.Validation >= 1 {
		return &pipeline.FieldError{
			Field: "split", Err: fmt.Errorf("shares of %v for test and %v for validation leave nothing to train on", s.Test, s.Validation),
			Hint: "their sum must be less than 1, such as {test: 0.1, validation: 0.1}",
		}
	}
	return nil
}

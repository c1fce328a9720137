package convert

import (
	"encoding/json"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
)

// vet refuses templates that do not parse, and shares that leave no records to
// train on.
func vet(raw json.RawMessage, _ []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil {
		return err
	}
	if _, err := p.layout(); err != nil {
		return err
	}
	if p.Split == nil {
		return nil
	}
	return p.Split.check()
}

// check refuses shares that leave nothing to split or to train on.
func (s *SplitParams) check() error {
	switch {
	case s.Test < 0 || s.Validation < 0 || s.Test+s.Validation <= 0:
		return &pipeline.FieldError{Field: "split", Err: fmt.Errorf("shares of %v for test and %v for validation leave nothing to split", s.Test, s.Validation)}
	case s.Test+s.Validation >= 1:
		return &pipeline.FieldError{
			Field: "split", Err: fmt.Errorf("shares of %v for test and %v for validation leave nothing to train on", s.Test, s.Validation),
			Hint: "their sum must be less than 1, such as {test: 0.1, validation: 0.1}",
		}
	}
	return nil
}

package fetch

import (
	"encoding/json"
	"errors"

	"github.com/pipe-run/pipe/pipeline"
)

// vet refuses a package of two registries, or of none.
func vet(raw json.RawMessage, _ []string) error {
	p, err := pipeline.DecodeParams[Params](raw)
	if err != nil || p.Source.Package == nil {
		return err
	}
	return p.Source.Package.check()
}

// check refuses names in both registries or in neither.
func (s *Package) check() error {
	if (s.PyPI == "") != (s.NPM == "") {
		return nil
	}
	return &pipeline.FieldError{
		Field: packageField, Err: errors.New("it must have exactly one of npm or pypi, the name of the package"),
	}
}

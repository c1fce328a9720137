package fetch

import (
	"fmt"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// A Secret names a variable of the run's environment. No step has one that
// does not name it.
type Secret struct {
	Name string `json:"secret"`
}

// read returns the secret's value, or "" when s is nil. field is where the
// user named it.
func (s *Secret) read(field string, lookup func(string) (string, bool)) (string, error) {
	if s == nil {
		return "", nil
	}
	v, ok := lookup(s.Name)
	if v = strings.TrimSpace(v); !ok || v == "" {
		return "", &pipeline.FieldError{
			Field: field, Err: fmt.Errorf("the variable %s is not set", s.Name),
			Hint: "set it in the environment of pipe, or take the field away if no token is needed",
		}
	}
	return v, nil
}

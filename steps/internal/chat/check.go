package chat

import (
	"errors"
	"strings"
)

// Check says what is wrong with a template of the user's own before there is a
// model to use it with.
func (s Spec) Check() error {
	if s.Kind != Jinja {
		return nil
	}
	if _, err := compile(s.Jinja); err != nil {
		_, why, found := strings.Cut(err.Error(), "failed to parse template 'template': ")
		if !found {
			why = err.Error()
		}
		return errors.New("not Jinja: " + why)
	}
	return nil
}

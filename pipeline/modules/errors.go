package modules

import (
	"errors"
	"fmt"

	"cuelang.org/go/mod/module"
)

var errNoCache = errors.New("there is no folder to keep modules in: set CUE_CACHE_DIR")

// A TooNewError is a version of the built-in module that only a newer pipe
// serves.
type TooNewError struct{ Module module.Version }

func (e *TooNewError) Error() string {
	return fmt.Sprintf("%s needs a newer pipe: this one has %s", e.Module, SchemaVersion)
}

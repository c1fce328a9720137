//go:build !linux

package disk

import (
	"errors"
	"os"
)

// cloneFile is not possible: clonefile(2) of darwin makes a new name and
// cannot fill an open file.
func cloneFile(dst, src *os.File) error { return errors.ErrUnsupported }

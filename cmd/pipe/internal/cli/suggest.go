package cli

import (
	"fmt"
	"strings"

	"github.com/pipe-run/pipe/pipeline/compile"
)

// suggest returns "; did you mean …?" or the list of what there is.
func suggest(got string, names []string) string {
	if name := compile.Nearest(got, names); name != "" {
		return fmt.Sprintf("; did you mean %q?", name)
	}
	if len(names) == 0 || len(names) > 20 {
		return ""
	}
	return "; there are " + strings.Join(names, ", ")
}

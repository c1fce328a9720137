package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
)

// TestUsageJSON: however --json is written, the last line of pipe run is its
// summary, even when the command line is wrong.
func TestUsageJSON(t *testing.T) {
	for _, flag := range []string{"--json", "--json=true", "--json=1"} {
		var out, errs bytes.Buffer
		code := Main([]string{"run", flag, "--no-such-flag"}, strings.NewReader(""), &out, &errs)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		var e pipeline.Event
		err := json.Unmarshal([]byte(lines[len(lines)-1]), &e)
		if _, ok := e.Fact.(pipeline.RunEnd); code != exitWrong || err != nil || !ok {
			t.Errorf("%s: exit code %d, %v, stdout %q", flag, code, err, &out)
		}
	}
}

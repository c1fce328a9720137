package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/pipeline"
)

// A qualityIssue is an entry of a Code Quality report, as GitLab reads it.
type qualityIssue struct {
	Description string          `json:"description"`
	CheckName   string          `json:"check_name"`
	Fingerprint string          `json:"fingerprint"` // the same for the same mistake
	Severity    string          `json:"severity"`
	Location    qualityLocation `json:"location"`
}

type qualityLocation struct {
	Path  string `json:"path"` // from the root of the repository
	Lines struct {
		Begin int `json:"begin"`
	} `json:"lines"`
}

// writeQuality writes the problems that err is, none for nil.
func writeQuality(path string, err error) error {
	if path == "" || path == "-" {
		return usagef("--code-quality wants the name of a file")
	}
	issues := []qualityIssue{}
	place := placeBelow(os.Getenv("CI_PROJECT_DIR"))
	for _, p := range problemsOf(err) {
		issues = append(issues, newQualityIssue(*p, place))
	}
	b, err := json.MarshalIndent(issues, "", "  ")
	if err != nil {
		return err
	}
	if err := writeReport(path, append(b, '\n')); err != nil {
		return usageError{fmt.Errorf("writing --code-quality %s: %w", path, err)}
	}
	return nil
}

func newQualityIssue(p pipeline.Problem, place func(pipeline.Pos) (pipeline.Pos, bool)) qualityIssue {
	at, ok := place(p.Pos)
	if !ok {
		at.File = filepath.ToSlash(p.File)
	}
	text := p.Message
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	q := qualityIssue{Description: text, CheckName: "pipe vet", Severity: "critical"}
	q.Location.Path, q.Location.Lines.Begin = at.File, max(1, at.Line)
	q.Fingerprint = pipeline.SumBytes([]byte(at.File + "\x00" + p.Message)).String()
	return q
}

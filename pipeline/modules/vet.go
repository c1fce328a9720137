package modules

import (
	"fmt"
	"os"
	"path/filepath"

	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/token"

	"github.com/pipe-run/pipe/pipeline"
)

// Check evaluates every package of m, as those who import it will. Mistakes
// are Problems at their places.
func (r *Registry) Check(m *Main) error {
	cfg := &load.Config{Dir: m.Dir, Overlay: map[string]load.Source{}, Registry: r, Env: r.env}
	if err := Overlay(cfg.Overlay); err != nil {
		return err
	}
	var problems pipeline.Problems
	for _, dir := range packages(m.fs()) {
		for _, inst := range load.Instances([]string{"./" + dir + ":*"}, cfg) {
			err := error(inst.Err)
			if inst.Err == nil {
				err = cuecontext.New().BuildInstance(inst).Validate()
			}
			if err != nil {
				problems = append(problems, r.cueProblem(err))
			}
		}
	}
	if fs := r.Failures(); len(problems) > 0 && len(fs) > 0 {
		return fs[0].Err
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// cueProblem says the first error of CUE's at the best place it has.
func (r *Registry) cueProblem(err error) *pipeline.Problem {
	e := errors.Errors(err)[0]
	format, args := e.Msg()
	p := &pipeline.Problem{Message: fmt.Sprintf(format, args...)}
	best := e.Position()
	for _, pos := range errors.Positions(e) {
		if r.rank(pos) > r.rank(best) {
			best = pos
		}
	}
	if best.IsValid() {
		p.Pos = pipeline.Pos{File: r.Display(best.Filename()), Line: best.Line(), Col: best.Column()}
	}
	return p
}

// rank prefers places in files of the user.
func (r *Registry) rank(pos token.Pos) int {
	if !pos.IsValid() || pos.Filename() == "" {
		return 0
	}
	if _, ok := r.Locate(pos.Filename()); ok {
		return 1
	}
	return 2
}

// Display names a file for messages: module@version:file inside of a module,
// else relative to the working folder where that is shorter.
func (r *Registry) Display(file string) string {
	if p, ok := r.Locate(file); ok {
		return p.String()
	}
	if wd, err := os.Getwd(); err == nil && filepath.IsAbs(file) {
		if rel, err := filepath.Rel(wd, file); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return file
}

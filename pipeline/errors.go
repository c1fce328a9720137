package pipeline

import "fmt"

// A StepError is a failed step.
type StepError struct {
	Step, Kind string
	Pos        Pos
	Err        error
}

func (e *StepError) Error() string {
	return fmt.Sprintf("%s: step %s (%s): %v", e.Pos, e.Step, e.Kind, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

// A FieldError blames one parameter of a step, by its dotted path. Whoever
// knows the node turns it into a place in the user's file.
type FieldError struct {
	Field string
	Err   error
	Hint  string // what to do about it, when that is certain
}

func (e *FieldError) Error() string {
	if e.Hint != "" {
		return fmt.Sprintf("%s: %v (%s)", e.Field, e.Err, e.Hint)
	}
	return fmt.Sprintf("%s: %v", e.Field, e.Err)
}

func (e *FieldError) Unwrap() error { return e.Err }

// A Problem is a mistake in a pipeline, at the user's line.
type Problem struct {
	Pos
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (p *Problem) Error() string {
	s := p.Message
	if p.Pos.File != "" {
		s = p.Pos.String() + ": " + s
	}
	if p.Hint != "" {
		s += "\n\t" + p.Hint
	}
	return s
}

// Problems are all the mistakes found at once, in the order of their places.
type Problems []*Problem

func (ps Problems) Error() string {
	s := ""
	for i, p := range ps {
		if i > 0 {
			s += "\n"
		}
		s += p.Error()
	}
	return s
}

package pipeline

import "context"

// An Executor turns one action into its result. Executors wrap one another:
// a cache in front of a local or a remote one.
type Executor interface {
	// Execute returns the result of a, emitting what happens on the way, from
	// several goroutines at once. An error means that nothing was recorded. Execute stops promptly, leaving
	// no process behind, when ctx is done.
	Execute(ctx context.Context, a *Action, emit func(Event)) (*Result, error)
}

// A Result is what an action left behind.
type Result struct {
	Outputs map[string]Artifact
	Log     Digest // the step's log, zero when it wrote none
	Usage   Usage  // of the execution that made it
}

// Usage is what an execution cost. It is history: nothing depends on it.
type Usage struct {
	Seconds    float64 `json:"seconds"`              // wall clock
	CPUSeconds float64 `json:"cpuSeconds,omitempty"` // user and system
	PeakMemory int64   `json:"peakMemory,omitempty"` // bytes resident
}

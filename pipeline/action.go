package pipeline

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
)

// An Action is a node with its inputs resolved: plain data that any executor,
// here or on another machine, can run. All of its fields but Node are in its
// key; inputs count by content, not by how they were made, so a step that
// reproduces its bytes leaves every key after it unchanged.
type Action struct {
	Node    *Node // what does not enter the key: name, full parameters, limits
	Kind    string
	Version int
	Params  json.RawMessage // canonical JSON
	Pin     string          // identity of outside bytes; empty for pure steps
	Inputs  map[string]Artifact
	Outputs map[string]string // output name → artifact type
}

// An actionInput is what an input contributes to the key.
type actionInput struct {
	Digest Digest `json:"digest"`
	Type   string `json:"type"`
}

// A Preimage is the readable form of an action, as it is hashed and stored.
type Preimage struct {
	Kind    string                 `json:"kind"`
	Version int                    `json:"version"`
	Params  json.RawMessage        `json:"params"`
	Pin     string                 `json:"pin"`
	Inputs  map[string]actionInput `json:"inputs"`
	Outputs map[string]string      `json:"outputs"`
}

// Canonical returns the canonical JSON (RFC 8785) of what enters a's key. It
// panics when Params is not JSON: the compiler made it.
func (a *Action) Canonical() []byte {
	p := Preimage{
		Kind: a.Kind, Version: a.Version, Params: a.Params, Pin: a.Pin,
		Inputs:  make(map[string]actionInput, len(a.Inputs)),
		Outputs: a.Outputs,
	}
	if p.Outputs == nil {
		p.Outputs = map[string]string{}
	}
	for name, art := range a.Inputs {
		p.Inputs[name] = actionInput{Digest: art.Root, Type: art.Type}
	}
	raw, err := json.Marshal(p)
	if err == nil {
		raw, err = CanonicalJSON(raw)
	}
	if err != nil {
		panic("pipeline: action of " + a.Kind + " is not JSON: " + err.Error())
	}
	return raw
}

// Key returns the name of a's result: SHA-256(a.Canonical()).
func (a *Action) Key() Key { return sha256.Sum256(a.Canonical()) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

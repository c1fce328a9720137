package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
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
	if !a.isPlain() {
		return a.canonicalSlow()
	}
	out := make([]byte, 0, 256+len(a.Params)+len(a.Pin)+128*len(a.Inputs))
	out = append(out, `{"inputs":{`...)
	for i, name := range sortedKeys(a.Inputs) {
		if i > 0 {
			out = append(out, ',')
		}
		in := a.Inputs[name]
		out = hex.AppendEncode(append(appendString(out, name), `:{"digest":"`...), in.Root[:])
		out = append(appendString(append(out, `","type":`...), in.Type), '}')
	}
	out = appendString(append(out, `},"kind":`...), a.Kind)
	out = append(out, `,"outputs":{`...)
	for i, name := range sortedKeys(a.Outputs) {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(append(appendString(out, name), ':'), a.Outputs[name])
	}
	out = append(append(out, `},"params":`...), a.Params...)
	out = appendString(append(out, `,"pin":`...), a.Pin)
	return append(strconv.AppendInt(append(out, `,"version":`...), int64(a.Version), 10), '}')
}

// isPlain reports whether a's members can be written as they are, in the
// order of their bytes.
func (a *Action) isPlain() bool {
	for name, art := range a.Inputs {
		if !isASCII(name) || !isASCII(art.Type) {
			return false
		}
	}
	for name, typ := range a.Outputs {
		if !isASCII(name) || !isASCII(typ) {
			return false
		}
	}
	return isASCII(a.Kind) && utf8.ValidString(a.Pin) && isPlain(a.Params)
}

// canonicalSlow is Canonical for all that is not plain.
func (a *Action) canonicalSlow() []byte {
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

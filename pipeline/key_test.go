package pipeline

import (
	"encoding/json"
	"reflect"
	"testing"
)

func sampleAction() *Action {
	return &Action{
		Node:    &Node{Name: "lora"},
		Kind:    "train",
		Version: 3,
		Params:  json.RawMessage(`{"epochs":3,"lora":{"rank":16}}`),
		Pin:     "pin",
		Inputs:  map[string]Artifact{"model": {Type: "model", Root: Digest{1}, Size: 10}},
		Outputs: map[string]string{"adapter": "adapter"},
	}
}

// Keys of results that exist may never change: a new one reruns everything.
func TestKeyGolden(t *testing.T) {
	const want = `{"inputs":{"model":{"digest":"0100000000000000000000000000000000000000000000000000000000000000","type":"model"}},` +
		`"kind":"train","outputs":{"adapter":"adapter"},"params":{"epochs":3,"lora":{"rank":16}},"pin":"pin","version":3}`
	a := sampleAction()
	if got := string(a.Canonical()); got != want {
		t.Errorf("preimage is\n%s\nwant\n%s", got, want)
	}
	if a.Key().Preimage() != SumBytes([]byte(want)) {
		t.Error("the key is not the digest of its preimage")
	}
	a.Params = json.RawMessage("{ \"lora\": {\"rank\": 16.0},\n\"epochs\": 3 }")
	if string(a.Canonical()) != want {
		t.Error("the spelling of parameters is in the key")
	}
	var p Preimage
	if err := json.Unmarshal([]byte(want), &p); err != nil || p.Kind != "train" || p.Inputs["model"].Digest != (Digest{1}) {
		t.Errorf("read back as %+v, %v", p, err)
	}
	if got := string((&Action{Kind: "k", Params: json.RawMessage("{}")}).Canonical()); got != `{"inputs":{},"kind":"k","outputs":{},"params":{},"pin":"","version":0}` {
		t.Errorf("an action without inputs and outputs is %s", got)
	}
}

// Every field of an action but Node is in the key, and every part of an input
// but its size, which the digest implies.
func TestKeyCoversAction(t *testing.T) {
	changed := map[string]any{
		"Kind":    "evaluate",
		"Version": 4,
		"Params":  json.RawMessage(`{"epochs":4,"lora":{"rank":16}}`),
		"Pin":     "other",
		"Inputs":  map[string]Artifact{"model": {Type: "model", Root: Digest{2}}},
		"Outputs": map[string]string{"adapter": "model"},
	}
	same := map[string]any{"Node": &Node{Name: "other", Limits: Limits{Retries: 3}}}
	base := sampleAction().Key()
	typ := reflect.TypeFor[Action]()
	for i := range typ.NumField() {
		name := typ.Field(i).Name
		a := sampleAction()
		value, inKey := changed[name]
		if !inKey {
			var known bool
			if value, known = same[name]; !known {
				t.Errorf("field %s: does it enter the key? Say so in this test", name)
				continue
			}
		}
		reflect.ValueOf(a).Elem().Field(i).Set(reflect.ValueOf(value))
		if got := a.Key() != base; got != inKey {
			t.Errorf("field %s: the key changes with it: %v, want %v", name, got, inKey)
		}
	}
	for name, c := range map[string]struct {
		inputs map[string]Artifact
		inKey  bool
	}{
		"name":  {map[string]Artifact{"base": {Type: "model", Root: Digest{1}}}, true},
		"type":  {map[string]Artifact{"model": {Type: "files", Root: Digest{1}}}, true},
		"none":  {nil, true},
		"size":  {map[string]Artifact{"model": {Type: "model", Root: Digest{1}, Size: 11}}, false},
		"equal": {map[string]Artifact{"model": {Type: "model", Root: Digest{1}, Size: 10}}, false},
	} {
		a := sampleAction()
		a.Inputs = c.inputs
		if got := a.Key() != base; got != c.inKey {
			t.Errorf("input %s: the key changes with it: %v, want %v", name, got, c.inKey)
		}
	}
}

func TestParse(t *testing.T) {
	d := SumBytes([]byte("x"))
	if got, err := ParseDigest(d.String()); err != nil || got != d {
		t.Errorf("%s, %v", got, err)
	}
	if k, err := ParseKey(d.String()); err != nil || k.Preimage() != d {
		t.Errorf("%s, %v", k, err)
	}
	for _, bad := range []string{"", "ab", d.String() + "0", "G" + d.String()[1:], "AB" + d.String()[2:]} {
		if _, err := ParseDigest(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
		if err := json.Unmarshal([]byte(`"`+bad+`"`), new(Key)); err == nil {
			t.Errorf("%q is accepted in JSON", bad)
		}
	}
}

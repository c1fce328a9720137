package pipeline

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"reflect"
	"testing"
	"time"
)

var eventTime = time.Date(2025, 1, 2, 3, 4, 5, 600_000_000, time.UTC)

// These lines are what programs around pipe read.
var events = []struct {
	event Event
	json  string
}{
	{Event{eventTime, "", RunStart{ID: "r", Name: "bot", File: "a.cue", Steps: 2}},
		`{"event":"run-start","time":"2025-01-02T03:04:05.6Z","id":"r","name":"bot","file":"a.cue","steps":2}`},
	{Event{eventTime, "s", StepStart{Kind: "train", Key: Key{1}, Reason: "never run"}},
		`{"event":"step-start","time":"2025-01-02T03:04:05.6Z","step":"s","kind":"train","key":"0100000000000000000000000000000000000000000000000000000000000000","reason":"never run"}`},
	{Event{eventTime, "s", Progress{Done: 1, Total: 2, Unit: "bytes"}},
		`{"event":"progress","time":"2025-01-02T03:04:05.6Z","step":"s","done":1,"total":2,"unit":"bytes"}`},
	{Event{eventTime, "s", Metric{Name: "train/loss", Value: 2.5, At: 3}},
		`{"event":"metric","time":"2025-01-02T03:04:05.6Z","step":"s","name":"train/loss","value":2.5,"at":3}`},
	{Event{eventTime, "s", Log{Level: "warn", Message: "a <b>\n"}},
		`{"event":"log","time":"2025-01-02T03:04:05.6Z","step":"s","level":"warn","message":"a \u003cb\u003e\n"}`},
	{Event{eventTime, "s", Retry{Attempt: 1, Message: "reset", Delay: 0.5}},
		`{"event":"retry","time":"2025-01-02T03:04:05.6Z","step":"s","attempt":1,"message":"reset","delay":0.5}`},
	{Event{eventTime, "s", Gate{Metric: "loss", Op: "<", Bound: 2, Value: new(2.5), Pos: Pos{File: "a.cue", Line: 3, Col: 4}}},
		`{"event":"gate","time":"2025-01-02T03:04:05.6Z","step":"s","metric":"loss","op":"\u003c","bound":2,"value":2.5,"passed":false,"file":"a.cue","line":3,"col":4}`},
	{Event{eventTime, "s", StepEnd{Status: Ran, Key: "k", Outputs: map[string]Digest{"o": {2}}, Usage: Usage{Seconds: 1.5, CPUSeconds: 2, PeakMemory: 3}}},
		`{"event":"step-end","time":"2025-01-02T03:04:05.6Z","step":"s","status":"ran","key":"k","outputs":{"o":"0200000000000000000000000000000000000000000000000000000000000000"},"seconds":1.5,"cpuSeconds":2,"peakMemory":3}`},
	{Event{eventTime, "", Trouble{Problem{Pos: Pos{File: "a.cue", Line: 3, Col: 4}, Message: "wrong", Hint: "right"}}},
		`{"event":"error","time":"2025-01-02T03:04:05.6Z","file":"a.cue","line":3,"col":4,"message":"wrong","hint":"right"}`},
	{Event{eventTime, "", RunEnd{ID: "r", Ran: 1, Seconds: 2, Steps: map[string]StepSummary{"s": {Status: Ran, Key: "k", Outputs: map[string]Digest{}}}}},
		`{"event":"run","time":"2025-01-02T03:04:05.6Z","id":"r","ran":1,"cached":0,"failed":0,"skipped":0,"interrupted":0,"seconds":2,"steps":{"s":{"status":"ran","key":"k","outputs":{}}}}`},
}

func TestEventGolden(t *testing.T) {
	for _, c := range events {
		got, err := json.Marshal(c.event)
		if err != nil || string(got) != c.json {
			t.Errorf("%s, %v\nwant %s", got, err, c.json)
		}
		var back Event
		if err := json.Unmarshal([]byte(c.json), &back); err != nil || !reflect.DeepEqual(back, c.event) {
			t.Errorf("read back as %+v, %v", back, err)
		}
	}
}

// A metric that JSON has no number for is still an event, and none of the
// others is lost with it.
func TestMetricNotFinite(t *testing.T) {
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		b, err := json.Marshal(Event{eventTime, "s", Metric{Name: "train/loss", Value: x, At: 3}})
		want := `{"event":"metric","time":"2025-01-02T03:04:05.6Z","step":"s","name":"train/loss","value":null,"at":3}`
		if err != nil || string(b) != want {
			t.Errorf("%g: %s, %v", x, b, err)
		}
		var back Event
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if m, ok := back.Fact.(Metric); !ok || !math.IsNaN(m.Value) || m.At != 3 {
			t.Errorf("%g is read back as %+v", x, back)
		}
	}
}

// Every type with EventName is in the table above.
func TestEventsAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	facts := map[string]bool{}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "EventName" && f.Recv != nil {
			facts[f.Recv.List[0].Type.(*ast.Ident).Name] = true
		}
	}
	for _, c := range events {
		delete(facts, reflect.TypeOf(c.event.Fact).Name())
	}
	if len(facts) > 0 {
		t.Errorf("no golden line for %v", facts)
	}
}

func TestEventRefuses(t *testing.T) {
	for _, text := range []string{`{}`, `{"event":"unknown"}`, `[]`, `{"event":"metric","value":"x"}`, `{"event":"step-start","key":"short"}`, `{"event":1}`} {
		var e Event
		if err := json.Unmarshal([]byte(text), &e); err == nil {
			t.Errorf("%s is read as %+v", text, e)
		}
	}
}

// TestEventJSONIsThatOfTheLibrary holds what is written without reflection
// against encoding/json.
func TestEventJSONIsThatOfTheLibrary(t *testing.T) {
	odd := "a\"b\\c<d>&\x00\x1f\x7f\u2028é\xff"
	when := time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", 3600))
	outputs := []map[string]Digest{nil, {}, {"x": {1}}, {odd: {2}, "b": {3}, "a": {4}}}
	var facts []Fact
	for _, out := range outputs {
		facts = append(facts,
			StepEnd{Status: Cached, Key: "k", Outputs: out},
			StepEnd{Status: Cached, Key: "k", Outputs: out, From: odd},
			StepEnd{Status: Failed, Outputs: out, Reason: odd, Usage: Usage{Seconds: 1e-9, CPUSeconds: 2.5, PeakMemory: 7}},
			RunEnd{ID: odd, Ran: 1, Cached: 2, Failed: 3, Skipped: 4, Interrupted: 5, Seconds: 1e30, Steps: map[string]StepSummary{
				odd: {Status: Ran, Key: odd, Outputs: out}, "b": {Status: Skipped}, "a": {},
			}})
	}
	facts = append(facts, RunEnd{}, Log{Level: "info", Message: odd}, Trouble{})
	for _, f := range facts {
		for _, step := range []string{"", "s1", odd} {
			got, err := Event{when, step, f}.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			head, err1 := json.Marshal(eventHead{f.EventName(), when.UTC(), step})
			fact, err2 := json.Marshal(f)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			want := string(head[:len(head)-1]) + "," + string(fact[1:])
			if string(got) != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	}
}

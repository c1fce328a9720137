package pipeline

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// eventHead is what every event has.
type eventHead struct {
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
	Step  string    `json:"step,omitempty"`
}

// MarshalJSON writes the head and the fact as one object.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil) }

// AppendJSON appends what MarshalJSON returns. The facts of which a run in
// which all is cached consists are written without reflection: there are as
// many as steps.
func (e Event) AppendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"event":`...)
	b = appendText(b, e.Fact.EventName())
	b = append(b, `,"time":"`...)
	b, err := e.Time.UTC().AppendText(b)
	if err != nil {
		return nil, err
	}
	b = append(b, '"')
	if e.Step != "" {
		b = appendText(append(b, `,"step":`...), e.Step)
	}
	switch f := e.Fact.(type) {
	case StepEnd:
		b, err = f.append(append(b, ','))
	case RunEnd:
		b, err = f.append(append(b, ','))
	default:
		var fact []byte
		if fact, err = json.Marshal(f); err == nil && !bytes.Equal(fact, []byte("{}")) {
			b = append(append(b, ','), fact[1:len(fact)-1]...)
		}
	}
	return append(b, '}'), err
}

func (f StepEnd) append(b []byte) ([]byte, error) {
	b = appendSummary(b, f.Status, f.Key, f.Outputs)
	if f.Reason != "" {
		b = appendText(append(b, `,"reason":`...), f.Reason)
	}
	if f.From != "" {
		b = appendText(append(b, `,"from":`...), f.From)
	}
	if f.Usage == (Usage{}) {
		return append(b, `,"seconds":0`...), nil
	}
	usage, err := json.Marshal(f.Usage)
	if err != nil {
		return nil, err
	}
	return append(append(b, ','), usage[1:len(usage)-1]...), nil
}

func (f RunEnd) append(b []byte) ([]byte, error) {
	b = appendText(append(b, `"id":`...), f.ID)
	for _, count := range []struct {
		name string
		n    int
	}{{"ran", f.Ran}, {"cached", f.Cached}, {"failed", f.Failed}, {"skipped", f.Skipped}, {"interrupted", f.Interrupted}} {
		b = append(append(append(b, `,"`...), count.name...), `":`...)
		b = strconv.AppendInt(b, int64(count.n), 10)
	}
	seconds, err := json.Marshal(f.Seconds)
	if err != nil {
		return nil, err
	}
	b = append(append(b, `,"seconds":`...), seconds...)
	if f.Steps == nil {
		return append(b, `,"steps":null`...), nil
	}
	b = append(b, `,"steps":{`...)
	for i, name := range sortedKeys(f.Steps) {
		if i > 0 {
			b = append(b, ',')
		}
		s := f.Steps[name]
		b = append(appendSummary(append(appendText(b, name), `:{`...), s.Status, s.Key, s.Outputs), '}')
	}
	return append(b, '}'), nil
}

// metricJSON is a Metric whose value may be none that JSON can say.
type metricJSON struct {
	Name  string   `json:"name"`
	Value *float64 `json:"value"`
	At    int64    `json:"at,omitempty"`
}

// MarshalJSON writes null for a value that is not finite.
func (m Metric) MarshalJSON() ([]byte, error) {
	out := metricJSON{Name: m.Name, Value: &m.Value, At: m.At}
	if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
		out.Value = nil
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Metric) UnmarshalJSON(b []byte) error {
	var in metricJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*m = Metric{Name: in.Name, Value: math.NaN(), At: in.At}
	if in.Value != nil {
		m.Value = *in.Value
	}
	return nil
}

// appendSummary appends the members of a StepSummary.
func appendSummary(b []byte, status Status, key string, outputs map[string]Digest) []byte {
	b = appendText(append(b, `"status":`...), string(status))
	b = appendText(append(b, `,"key":`...), key)
	if outputs == nil {
		return append(b, `,"outputs":null`...)
	}
	b = append(b, `,"outputs":{`...)
	if len(outputs) == 1 { // nearly always
		for name, d := range outputs {
			b = appendOutput(b, name, d)
		}
		return append(b, '}')
	}
	for i, name := range sortedKeys(outputs) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOutput(b, name, outputs[name])
	}
	return append(b, '}')
}

func appendOutput(b []byte, name string, d Digest) []byte {
	return append(hex.AppendEncode(append(appendText(b, name), `:"`...), d[:]), '"')
}

// appendText appends s as encoding/json writes it.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f {
			quoted, _ := json.Marshal(s) // a string always can be
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

package compile

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cuelang.org/go/cue"
)

var errRange = errors.New("out of range")

// readDuration reads a #Duration.
func readDuration(v cue.Value) (time.Duration, error) {
	s, err := v.String()
	if err != nil || v.Err() != nil {
		return 0, errWrong
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, errWrong
	}
	return d, nil
}

// diagnoseLimit says that a timeout or an amount of memory, which is written as
// one should be, is none that can be kept.
func (c *compiler) diagnoseLimit(step, path string, v cue.Value, err error) {
	us := c.userConjuncts(v)
	if err == nil || v.Err() != nil || len(us) == 0 {
		return
	}
	hint := ""
	if path == "timeout" {
		hint = "without a timeout a step may take as long as it likes"
	}
	c.add(us[0].pos(), hint, "%s is out of range: %s", of(step, path), source1(us[0].expr()))
}

// readMemory reads resources.memory.
func readMemory(v cue.Value) (int64, error) {
	if v.Validate(cue.Concrete(true)) != nil {
		return 0, errWrong
	}
	m := v.LookupPath(cue.ParsePath("memory"))
	if !m.Exists() {
		return 0, nil
	}
	s, err := m.String()
	if err != nil {
		return 0, errWrong
	}
	n, err := parseSize(s)
	if err != nil {
		return 0, errWrong
	}
	return n, nil
}

// parseSize reads a #Size in bytes.
func parseSize(s string) (int64, error) {
	i := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if i < 0 {
		return 0, errRange
	}
	unit, ok := map[string]float64{
		"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}[s[i:]]
	f, err := strconv.ParseFloat(s[:i], 64)
	if !ok || err != nil {
		return 0, errRange
	}
	if f = math.Round(f * unit); f > 1<<60 {
		return 0, errRange
	}
	return int64(f), nil
}

// secrets returns the names in {"secret": "NAME"} anywhere in raw, sorted.
func secrets(raw []byte) []string {
	if !bytes.Contains(raw, []byte(`"secret":`)) {
		return nil
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	var names []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if s, ok := v["secret"].(string); ok && len(v) == 1 {
				names = append(names, s)
				return
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	slices.Sort(names)
	return slices.Compact(names)
}

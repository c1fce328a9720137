package decoder

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/pipe-run/pipe/steps/internal/jsonfile"
)

// defaultTheta is the base of rotary frequencies where a file names none.
const defaultTheta = 10000

// rawRope is rope_scaling or rope_parameters.
type rawRope struct {
	Kind           string   `json:"rope_type"`
	OldKind        string   `json:"type"`
	Theta          *float64 `json:"rope_theta"`
	Factor         float64  `json:"factor"`
	Low            float64  `json:"low_freq_factor"`
	High           float64  `json:"high_freq_factor"`
	Original       float64  `json:"original_max_position_embeddings"`
	PartialRotary  *float64 `json:"partial_rotary_factor"`
	AttentionScale *float64 `json:"attention_factor"`
}

// absent says that a key is not there, or null, or an empty object.
func absent(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "null" || string(raw) == "{}"
}

// readRope takes the rotary settings from whichever spelling is present:
// rope_parameters is that of transformers 5, rope_theta with rope_scaling the
// older one, which wins there too.
func (c *Config) readRope(r rawConfig) error {
	name, raw := "rope_scaling", r.RopeScaling
	if absent(raw) {
		name, raw = "rope_parameters", r.RopeParameters
	}
	if absent(raw) {
		return nil
	}
	return c.setRope(name, raw)
}

// setRope reads one object of rotary settings.
func (c *Config) setRope(name string, raw json.RawMessage) error {
	p, err := parseRope(name, raw)
	if err != nil {
		return err
	}
	if p.Theta != nil {
		c.RopeTheta = *p.Theta
	}
	return c.setScaling(name, p)
}

func parseRope(name string, raw json.RawMessage) (p rawRope, err error) {
	if err := jsonfile.Decode(raw, &p); err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	if p.Kind == "" {
		p.Kind = p.OldKind
	}
	switch {
	case p.Theta != nil && !(*p.Theta >= 1 && *p.Theta <= maxTheta):
		return p, fmt.Errorf("%s: rope_theta is %g, want 1 to 1e12", name, *p.Theta)
	case p.PartialRotary != nil && *p.PartialRotary != 1:
		return p, unsupported("%s: partial_rotary_factor %g is not supported", name, *p.PartialRotary)
	case p.AttentionScale != nil && *p.AttentionScale != 1:
		return p, unsupported("%s: attention_factor %g is not supported", name, *p.AttentionScale)
	}
	return p, byLayerType(name, raw)
}

// byLayerType refuses settings that differ between kinds of layers where the
// family has one for all.
func byLayerType(name string, raw json.RawMessage) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, kind := range []string{fullAttention, slidingAttention} {
		if _, ok := keys[kind]; ok {
			return unsupported("%s: settings of %s layers alone are not supported in this architecture", name, kind)
		}
	}
	return nil
}

func (c *Config) setScaling(name string, p rawRope) error {
	switch p.Kind {
	case "", "default":
		return nil
	case "linear":
		if !(p.Factor >= 1) || math.IsInf(p.Factor, 0) {
			return fmt.Errorf("%s: factor is %g, want at least 1", name, p.Factor)
		}
	case "llama3":
		if !(p.Factor >= 1 && p.Low > 0 && p.High > p.Low && p.Original >= 1) || math.IsInf(p.Factor+p.High+p.Original, 0) {
			return fmt.Errorf("%s: llama3 wants factor >= 1, 0 < low_freq_factor < high_freq_factor and original_max_position_embeddings", name)
		}
	default:
		return unsupported("%s: rope_type %q is not supported: want default, linear or llama3", name, p.Kind)
	}
	c.Rope = &RopeScaling{Kind: p.Kind, Factor: p.Factor, LowFreqFactor: p.Low, HighFreqFactor: p.High, OriginalPosition: p.Original}
	return nil
}

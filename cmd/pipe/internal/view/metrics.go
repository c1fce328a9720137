package view

import (
	"fmt"
	"strings"
)

// shown are the metrics that a running step is watched by, in order.
var shown = []struct{ name, format string }{
	{"train/loss", "loss %.4f"},
	{"validation/loss", "validation %.4f"},
	{"train/rewardAccuracy", "preferred %.2f"},
	{"train/learningRate", "lr %.2e"},
	{"train/gradNorm", "norm %.3g"},
	{"train/tokensPerSecond", "%.0f tokens/s"},
	{"train/mfu", "MFU %.0f %%"},
}

// isShown says whether a metric is one of them.
func isShown(name string) bool {
	for _, s := range shown {
		if s.name == name {
			return true
		}
	}
	return false
}

// metricsText says what a step measured last, by the metrics that are shown.
func metricsText(last map[string]float64) string {
	var parts []string
	for _, s := range shown {
		v, ok := last[s.name]
		if !ok {
			continue
		}
		if s.name == "train/mfu" {
			v *= 100 // a share is shown in percent
		}
		parts = append(parts, fmt.Sprintf(s.format, v))
	}
	return strings.Join(parts, "  ")
}

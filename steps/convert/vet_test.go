package convert

import (
	"strings"
	"testing"
)

func TestVet(t *testing.T) {
	for params, want := range map[string]string{
		`{"format": "alpaca"}`: "",
		`{"format": "alpaca", "split": {"test": 0.5, "validation": 0.4}}`: "",
		`{"format": "alpaca", "split": {"test": 0.5, "validation": 0.5}}`: "shares of 0.5 for test and 0.5 for validation leave nothing to train on",
	} {
		err := Kind.Vet([]byte(params), []string{"files"})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", params, err)
		}
	}
}

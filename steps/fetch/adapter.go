package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/pipe-run/pipe/steps/internal/safetensors"
)

const (
	adapterConfig  = "adapter_config.json"
	adapterWeights = "adapter_model.safetensors"
)

// checkAdapter demands the two files of a PEFT adapter.
func checkAdapter(dir string) error {
	if err := checkObject(dir, adapterConfig); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no %s, so this is no PEFT adapter; there is %s", adapterConfig, listing(dir))
		}
		return err
	}
	if !has(dir, adapterWeights) {
		if has(dir, "adapter_model.bin") {
			return fmt.Errorf("its weights are only in adapter_model.bin: %s", whyNoPickle)
		}
		return fmt.Errorf("there is no %s", adapterWeights)
	}
	f, err := safetensors.Open(filepath.Join(dir, adapterWeights))
	if err != nil {
		return trim(err, dir)
	}
	return f.Close()
}

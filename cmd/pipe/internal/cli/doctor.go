package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/pipe-run/pipe/cmd/pipe/internal/view"
	"github.com/pipe-run/pipe/pipeline/run"
	"github.com/pipe-run/pipe/steps/doctor"
)

// A finding is one line of pipe doctor.
type finding struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	OK    bool   `json:"ok"`
}

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Say what this machine can do and what is in the way", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			findings, err := diagnose()
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(findings)
			}
			for _, f := range findings {
				mark := "ok  "
				if !f.OK {
					mark = "note"
				}
				fmt.Fprintf(a.out, "%s  %-12s %s\n", mark, f.Name, f.Value)
			}
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func diagnose() ([]finding, error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	findings := []finding{
		{"version", fmt.Sprintf("%s, %s/%s", version, runtime.GOOS, runtime.GOARCH), true},
		{"cores", fmt.Sprint(runtime.GOMAXPROCS(0)), true},
		{"memory", view.Bytes(machineMemory()), machineMemory() > 0},
		{"kernels", doctor.Kernels(), true},
		{"confinement", run.Confinement(), run.Confined()},
		cacheFinding(dir),
	}
	for _, name := range []string{"HF_ENDPOINT", "HTTPS_PROXY", "https_proxy"} {
		if v := os.Getenv(name); v != "" {
			findings = append(findings, finding{name, v, true})
		}
	}
	return findings, nil
}

// cacheFinding tries to write to the cache.
func cacheFinding(dir string) finding {
	f := finding{Name: "cache", Value: dir, OK: true}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return finding{"cache", err.Error(), false}
	}
	probe, err := os.CreateTemp(dir, "doctor-")
	if err != nil {
		return finding{"cache", dir + " cannot be written to: " + err.Error(), false}
	}
	probe.Close()
	os.Remove(probe.Name())
	if free, ok := freeSpace(dir); ok {
		f.Value += fmt.Sprintf(" (%s free)", view.Bytes(free))
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil && real != dir {
		f.Value += " → " + real
	}
	return f
}

//go:build !linux

package exec

import "os/exec"

// runTied runs cmd. Its process group dies with the step.
func runTied(cmd *exec.Cmd) error { return cmd.Run() }

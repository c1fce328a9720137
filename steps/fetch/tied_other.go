//go:build !linux

package fetch

import "os/exec"

// runTied runs cmd. In a step, its process group dies with the step.
func runTied(cmd *exec.Cmd) error { return cmd.Run() }

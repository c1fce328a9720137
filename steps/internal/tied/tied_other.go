//go:build !linux

// Package tied runs programs that must not outlive the process that started
// them.
package tied

import "os/exec"

// Run runs cmd. In a step, its process group dies with the step.
func Run(cmd *exec.Cmd) error { return cmd.Run() }

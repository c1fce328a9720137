// Package tied runs programs that must not outlive the process that started
// them.
package tied

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Run runs cmd such that the kernel kills it when this process dies, however it
// dies. That is tied to the thread which starts it, so the thread is kept.
func Run(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

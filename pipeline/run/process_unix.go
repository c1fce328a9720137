//go:build unix

package run

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/pipe-run/pipe/pipeline"
)

// ownGroup starts a process as the leader of a group of its own, so that a
// Ctrl-C on the terminal reaches only the parent, and one kill reaches all
// that the step starts.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func killGroup(pid int) { syscall.Kill(-pid, syscall.SIGKILL) }

// killOwnGroup kills this process too, if it leads its group, as a child of
// Local does.
func killOwnGroup() {
	if syscall.Getpgrp() == os.Getpid() {
		syscall.Kill(0, syscall.SIGKILL)
	}
}

// Inherited wraps a descriptor passed by the parent and keeps it from this
// process's own children.
func Inherited(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}

// usageOf reads what the operating system counted for a process that ended
// and for those it waited for.
func usageOf(state *os.ProcessState) (u pipeline.Usage) {
	if state == nil {
		return u
	}
	u.CPUSeconds = (state.UserTime() + state.SystemTime()).Seconds()
	if ru, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.PeakMemory = int64(ru.Maxrss)
		if runtime.GOOS == "linux" {
			u.PeakMemory *= 1024 // Linux counts KiB, darwin bytes
		}
	}
	return u
}

// explainExit says in words how a child died that left no report.
func explainExit(state *os.ProcessState, err error) error {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		if ws.Signal() == syscall.SIGKILL {
			return fmt.Errorf("its process was killed (SIGKILL): the system may have run out of memory")
		}
		return fmt.Errorf("its process was ended by a signal: %s", ws.Signal())
	}
	return fmt.Errorf("its process failed: %w", err)
}

type killKey struct{}

// WithKill returns a context whose steps are killed, without grace, when kill
// is closed: a second Ctrl-C.
func WithKill(ctx context.Context, kill <-chan struct{}) context.Context {
	return context.WithValue(ctx, killKey{}, kill)
}

func killRequested(ctx context.Context) <-chan struct{} {
	kill, _ := ctx.Value(killKey{}).(<-chan struct{})
	return kill
}

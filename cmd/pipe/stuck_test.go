package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestThirdInterrupt: a process that waits for something which no interrupt
// reaches, here a cache that gc has for itself, can be got rid of all the same.
func TestThirdInterrupt(t *testing.T) {
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	if code, _, stderr := output(t, dir, cache, "cache", "du"); code != 0 {
		t.Fatal(stderr)
	}
	gc, err := os.OpenFile(filepath.Join(cache, "locks", "cache"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer gc.Close()
	if err := syscall.Flock(int(gc.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(ctx, t, dir, cache, "cache", "du")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	time.Sleep(300 * time.Millisecond) // else the first signal finds no handler
	for range 20 {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	cmd.Process.Kill()
	<-ended
	t.Error("it waits on, whatever the signals")
}

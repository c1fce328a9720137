package run_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/run"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// parentMain runs a hanging step in dir until it is killed.
func parentMain(dir string) {
	store, err := disk.Open(dir, disk.Options{})
	if err != nil {
		panic(err)
	}
	local := &run.Local{Kinds: testKinds(), Store: store, Secret: os.LookupEnv}
	local.Execute(context.Background(), badAction("hang", ""), 1, func(pipeline.Event) {})
	os.Exit(0)
}

// TestOrphansDie kills a parent with SIGKILL and checks that its child and
// the program that the child started are gone within a second.
func TestOrphansDie(t *testing.T) {
	dir := t.TempDir()
	p := newPlace(t, dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), "PIPE_TEST_PARENT="+dir)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pids := waitForPIDs(t, p.store, badAction("hang", ""))
	parent.Process.Kill()
	parent.Wait()
	waitGone(t, pids)
}

func waitForPIDs(t *testing.T, store *disk.Store, a *pipeline.Action) []int {
	dir, err := store.Work(a.Key())
	if err != nil {
		t.Error(err)
		return nil
	}
	for range 500 {
		if b, err := os.ReadFile(filepath.Join(dir, "state", "pids")); err == nil && len(b) > 0 {
			var pids []int
			for s := range strings.FieldsSeq(string(b)) {
				pid, _ := strconv.Atoi(s)
				pids = append(pids, pid)
			}
			return pids
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the child never started")
	return nil
}

// waitGone fails unless every process ends within a second.
func waitGone(t *testing.T, pids []int) {
	t.Helper()
	if len(pids) != 2 {
		t.Fatalf("pids %v", pids)
	}
	for range 50 {
		alive := 0
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil && !zombie(pid) {
				alive++
			}
		}
		if alive == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("processes %v are still there after a second", pids)
}

// zombie reports whether a process has ended but nobody has waited for it.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return os.IsNotExist(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "Z")
}

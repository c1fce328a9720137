package run_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/run"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// TestMain lets the test binary be the child that Local starts, and the
// parent that a test kills.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "exec-step" {
		os.Exit(run.Child(context.Background(), os.Args[2], testKinds(), run.LocalStreams()))
	}
	if dir := os.Getenv("PIPE_TEST_PARENT"); dir != "" {
		parentMain(dir)
	}
	os.Exit(m.Run())
}

// badParams say how a step of kind "bad" misbehaves.
type badParams struct {
	Do   string `json:"do"`
	Path string `json:"path"`
}

func testKinds() pipeline.Kinds {
	bad := pipeline.Define("bad", 1, misbehave)
	bad.HostTools = true
	frugal := pipeline.Define("frugal", 1, misbehave)
	frugal.Garbage = 20
	foretold := pipeline.Define("foretold", 1, misbehave)
	foretold.Estimate = func(context.Context, *pipeline.EstimateRequest) (*pipeline.Estimate, error) { return nil, nil }
	return pipeline.NewKinds(bad, frugal, foretold)
}

func misbehave(ctx context.Context, p badParams, t *pipeline.Task) error {
	t.Log.Info("doing", "what", p.Do)
	switch p.Do {
	case "well":
		t.Emit(pipeline.Metric{Name: "threads", Value: float64(t.Threads)})
		return os.WriteFile(filepath.Join(t.Out["out"], "data"), []byte("fine"), 0o666)
	case "collect":
		t.Log.Info("garbage", "percent", debug.SetGCPercent(100), "told", os.Getenv("GOGC"))
		return os.WriteFile(filepath.Join(t.Out["out"], "data"), nil, 0o666)
	case "tell":
		v, _ := t.Secret("PIPE_TEST_SECRET")
		t.Log.Info("got " + v)
		fmt.Fprintln(os.Stderr, "plain", v)
		t.Emit(pipeline.Log{Level: "warn", Message: "event " + v})
		t.Emit(pipeline.Retry{Attempt: 1, Message: "again " + v})
		return errors.New("denied: " + v)
	case "babble":
		t.Emit(pipeline.Log{Level: "warn", Message: strings.Repeat("x", 2<<20)})
		return os.WriteFile(filepath.Join(t.Out["out"], "data"), nil, 0o666)
	case "complain":
		return errors.New("too much: " + strings.Repeat("ä", 2<<20))
	case "diverge":
		t.Emit(pipeline.Metric{Name: "train/loss", Value: math.NaN()})
		t.Emit(pipeline.Retry{Delay: math.Inf(1)})
		return os.WriteFile(filepath.Join(t.Out["out"], "data"), nil, 0o666)
	case "empty-file":
		return os.WriteFile(filepath.Join(t.Out["out"], "done"), nil, 0o666)
	case "closed-folder":
		dir := filepath.Join(t.Tmp, "closed")
		err := errors.Join(os.Mkdir(dir, 0o777), os.WriteFile(filepath.Join(dir, "file"), nil, 0o444), os.Chmod(dir, 0o555))
		return errors.Join(err, os.WriteFile(filepath.Join(t.Out["out"], "data"), nil, 0o666))
	case "nothing":
		return nil
	case "fail":
		return &pipeline.FieldError{Field: "do", Err: errors.New("asked to fail"), Hint: "ask for something else"}
	case "panic":
		var none []int
		_ = none[len(p.Do)]
	case "exit":
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(7)
	case "write-input":
		return tamper(filepath.Join(t.In["in"], "data.json"))
	case "write-outside":
		return os.WriteFile(p.Path, []byte("escaped"), 0o666)
	case "remember":
		file := filepath.Join(t.State, "seen")
		if _, err := os.Stat(file); err == nil {
			return os.WriteFile(filepath.Join(t.Out["out"], "data"), []byte("resumed"), 0o666)
		}
		if err := os.WriteFile(file, nil, 0o666); err != nil {
			return err
		}
		os.Exit(9)
	case "piece", "spoil-piece", "steal-piece":
		return misbehaveInPieces(ctx, p, t)
	case "hang":
		cmd := exec.Command("sleep", "600")
		if err := cmd.Start(); err != nil {
			return err
		}
		pids := fmt.Sprintf("%d %d", os.Getpid(), cmd.Process.Pid)
		if err := os.WriteFile(filepath.Join(t.State, "pids"), []byte(pids), 0o666); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// tamper writes into a file however it is protected.
func tamper(path string) error {
	os.Chmod(path, 0o666)
	return os.WriteFile(path, []byte("tampered"), 0o666)
}

// A place is a disk store with a Local on it.
type place struct {
	store *disk.Store
	local *run.Local

	mu   sync.Mutex // guards logs
	logs []string
}

func newPlace(t *testing.T, dir string) *place {
	t.Helper()
	store, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &place{store: store, local: &run.Local{Kinds: testKinds(), Store: store, Secret: os.LookupEnv}}
}

func badAction(do, path string) *pipeline.Action {
	params, _ := json.Marshal(badParams{do, path})
	n := &pipeline.Node{Name: "x", Kind: "bad", Params: params, Full: params}
	return &pipeline.Action{
		Node: n, Kind: "bad", Version: 1, Params: params,
		Inputs: map[string]pipeline.Artifact{}, Outputs: map[string]string{"out": "files"},
	}
}

func (p *place) execute(ctx context.Context, a *pipeline.Action) (*pipeline.Result, error) {
	return p.local.Execute(ctx, a, 3, func(e pipeline.Event) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if f, ok := e.Fact.(pipeline.Log); ok {
			p.logs = append(p.logs, f.Level+": "+f.Message)
		}
	})
}

func TestLocalRuns(t *testing.T) {
	p := newPlace(t, t.TempDir())
	r, err := p.execute(t.Context(), badAction("well", ""))
	if err != nil {
		t.Fatal(err)
	}
	files, err := p.store.FS(r.Outputs["out"].Root)
	if err != nil {
		t.Fatal(err)
	}
	f, err := files.Open("data")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if b.ReadFrom(f); b.String() != "fine" {
		t.Errorf("output is %q", &b)
	}
	if r.Usage.PeakMemory < 1<<20 || r.Usage.Seconds <= 0 {
		t.Errorf("usage %+v", r.Usage)
	}
	if len(p.logs) != 1 || p.logs[0] != "info: doing what=well" {
		t.Errorf("logs %q", p.logs)
	}
	if r.Log.IsZero() {
		t.Error("the log was not stored")
	}
}

// TestGarbage: how much garbage a process gathers is what its kind says, whether or
// not it foretells its memory; no trace of the start is left.
func TestGarbage(t *testing.T) {
	for kind, percent := range map[string]string{"bad": "100", "frugal": "20", "foretold": "100"} {
		p := newPlace(t, t.TempDir())
		a := badAction("collect", "")
		a.Kind, a.Node.Kind = kind, kind
		if _, err := p.execute(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if want := "info: garbage percent=" + percent + " told="; !slices.Contains(p.logs, want) {
			t.Errorf("%s: %q, want %q", kind, p.logs, want)
		}
	}
}

// TestLocalHidesSecrets: what a step says of its secrets is said to nobody.
func TestLocalHidesSecrets(t *testing.T) {
	const secret = "s3cr3t-\"quoted\""
	t.Setenv("PIPE_TEST_SECRET", secret)
	p := newPlace(t, t.TempDir())
	a := badAction("tell", "")
	a.Node.Secrets = []string{"PIPE_TEST_SECRET"}
	var mu sync.Mutex
	var said []string
	var kept pipeline.Digest
	p.local.Logged = func(_ string, d pipeline.Digest) { kept = d }
	_, err := p.local.Execute(t.Context(), a, 1, func(e pipeline.Event) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprint(e.Fact))
	})
	blob, getErr := p.store.Get(t.Context(), kept)
	if err == nil || getErr != nil {
		t.Fatal(err, getErr)
	}
	defer blob.Close()
	log, readErr := io.ReadAll(blob)
	if readErr != nil {
		t.Fatal(readErr)
	}
	all := strings.Join(append(said, err.Error(), string(log)), "\n")
	if strings.Contains(all, "s3cr3t") || strings.Count(all, "***") < 7 {
		t.Errorf("%s", all)
	}
}

// TestLocalLongLines: a step that says too much at once is heard all the same.
func TestLocalLongLines(t *testing.T) {
	p := newPlace(t, t.TempDir())
	if _, err := p.execute(t.Context(), badAction("babble", "")); err != nil {
		t.Errorf("a long event spoils the step: %v", err)
	}
	if _, err := p.execute(t.Context(), badAction("complain", "")); err == nil || !strings.HasPrefix(err.Error(), "too much: ä") {
		t.Errorf("a long error got lost: %.100v", err)
	}
}

// TestLocalClosesPipes: a step that is over holds no descriptor.
func TestLocalClosesPipes(t *testing.T) {
	p := newPlace(t, t.TempDir())
	count := func() int {
		open, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Skip("this system does not list open descriptors: ", err)
		}
		return len(open)
	}
	var before int
	for i := range 3 {
		if i == 1 { // the first opens what stays open
			before = count()
		}
		if _, err := p.execute(t.Context(), badAction("well", "")); err != nil {
			t.Fatal(err)
		}
	}
	if after := count(); after > before+1 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// TestLocalNotFinite: what JSON cannot say does not vanish without a trace.
func TestLocalNotFinite(t *testing.T) {
	p := newPlace(t, t.TempDir())
	var mu sync.Mutex
	var got []pipeline.Fact
	_, err := p.local.Execute(t.Context(), badAction("diverge", ""), 1, func(e pipeline.Event) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, e.Fact)
	})
	if err != nil {
		t.Fatal(err)
	}
	var metric, lost bool
	for _, f := range got {
		switch f := f.(type) {
		case pipeline.Metric:
			metric = math.IsNaN(f.Value)
		case pipeline.Log:
			lost = lost || strings.Contains(f.Message, "an event was lost")
		}
	}
	if !metric || !lost {
		t.Errorf("metric %v, word of the lost event %v: %+v", metric, lost, got)
	}
}

// TestLocalEmptyFile: a file without bytes is an output all the same.
func TestLocalEmptyFile(t *testing.T) {
	p := newPlace(t, t.TempDir())
	r, err := p.execute(t.Context(), badAction("empty-file", ""))
	if err != nil {
		t.Fatal(err)
	}
	files, err := p.store.FS(r.Outputs["out"].Root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat(files, "done"); err != nil {
		t.Error(err)
	}
}

// TestLocalClosedFolder: folders that a step has closed do not spoil its work.
func TestLocalClosedFolder(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("no folder is closed to root")
	}
	p := newPlace(t, t.TempDir())
	a := badAction("closed-folder", "")
	if _, err := p.execute(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(p.store.Dir(), "work", a.Key().String())); err == nil {
		t.Error("its folder is still there")
	}
}

func TestLocalFailures(t *testing.T) {
	for _, c := range []struct{ do, want string }{
		{"nothing", "left nothing in its output out"},
		{"fail", "do: asked to fail"},
		{"panic", "internal error: runtime error: index out of range"},
		{"exit", "last words"},
	} {
		p := newPlace(t, t.TempDir())
		_, err := p.execute(t.Context(), badAction(c.do, ""))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.do, err, c.want)
		}
	}
	p := newPlace(t, t.TempDir())
	_, err := p.execute(t.Context(), badAction("fail", ""))
	var field *pipeline.FieldError
	if !errors.As(err, &field) || field.Field != "do" || field.Hint == "" {
		t.Errorf("the parameter to blame got lost: %v", err)
	}
}

// TestLocalProtectsInputs checks that a step which writes into its input
// fails, and that the store does not serve what it wrote.
func TestLocalProtectsInputs(t *testing.T) {
	p := newPlace(t, t.TempDir())
	root, err := putTree(t.Context(), p.store, "precious")
	if err != nil {
		t.Fatal(err)
	}
	a := badAction("write-input", "")
	a.Inputs["in"] = pipeline.Artifact{Type: "files", Root: root}
	if _, err := p.execute(t.Context(), a); err == nil {
		t.Error("a step that wrote into its input succeeded")
	}
	files, err := p.store.FS(root)
	if errors.Is(err, pipeline.ErrNotFound) {
		return // dropped: the next run makes it again
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := files.Open("data.json")
	if errors.Is(err, pipeline.ErrNotFound) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if b.ReadFrom(f); b.String() != `"precious"` {
		t.Errorf("the store serves %q", &b)
	}
}

func TestLocalWritesOutside(t *testing.T) {
	if !run.Confined() {
		t.Skip("this system cannot confine a step: " + run.Confinement())
	}
	path := filepath.Join(t.TempDir(), "escaped")
	p := newPlace(t, t.TempDir())
	if _, err := p.execute(t.Context(), badAction("write-outside", path)); err == nil {
		t.Error("a step that wrote outside succeeded")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it wrote outside")
	}
}

func TestLocalKeepsState(t *testing.T) {
	p := newPlace(t, t.TempDir())
	a := badAction("remember", "")
	if _, err := p.execute(t.Context(), a); err == nil {
		t.Fatal("the first attempt was to die")
	}
	if _, err := p.execute(t.Context(), a); err != nil {
		t.Fatalf("the second attempt did not find the state of the first: %v", err)
	}
}

func TestLocalStopsWhenAsked(t *testing.T) {
	p := newPlace(t, t.TempDir())
	a := badAction("hang", "")
	ctx, cancel := context.WithCancel(t.Context())
	var pids []int
	go func() {
		pids = waitForPIDs(t, p.store, a)
		cancel()
	}()
	_, err := p.execute(ctx, a)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	waitGone(t, pids)
}

// TestLocalKeepsStateUntilDone checks that what a step saved outlives its
// success until its result is recorded: a kill in between loses nothing.
func TestLocalKeepsStateUntilDone(t *testing.T) {
	p := newPlace(t, t.TempDir())
	a := badAction("remember", "")
	p.execute(t.Context(), a) // dies after saving
	if _, err := p.execute(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	dir, err := p.store.Work(a.Key())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state", "seen")); err != nil {
		t.Errorf("the state is gone before the result is recorded: %v", err)
	}
	if err := p.local.Done(a); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the work folder is still there: %v", err)
	}
}

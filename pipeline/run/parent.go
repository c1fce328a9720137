package run

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

const (
	// stopGrace is how long a child may take to save its state and stop.
	stopGrace = 20 * time.Second
	// maxLog bounds the log that is kept of one step, in bytes.
	maxLog = 64 << 20
	// maxEventLine bounds one line of a child's events, in bytes.
	maxEventLine = 1 << 20
	// tailLines is how much of a log an error repeats.
	tailLines = 12
	// tailWidth is how many bytes of a line it repeats.
	tailWidth = 1000
)

// child starts the process, passes its events and log on, and waits for it.
func (l *Local) child(ctx context.Context, dir string, kind pipeline.Kind, a *pipeline.Action, emit func(pipeline.Event)) (pipeline.Usage, error) {
	log, err := os.Create(filepath.Join(dir, logFile))
	if err != nil {
		return pipeline.Usage{}, err
	}
	defer log.Close()
	cmd, err := l.command(dir, kind, a)
	if err != nil {
		return pipeline.Usage{}, err
	}
	p, err := startChild(cmd)
	if err != nil {
		return pipeline.Usage{}, fmt.Errorf("starting the step's process: %w", err)
	}
	start := time.Now()
	var readers sync.WaitGroup
	var report *childReport
	tail := &tail{}
	hide := newMask(a.Node, l.Secret)
	k := &keeper{l: l, dir: dir, node: a.Node, kind: kind}
	readers.Go(func() {
		report = readEvents(p.events, hide, emit, func(line []byte) {
			if l.keeps() {
				k.serve(ctx, line, p.control)
			}
		})
	})
	readers.Go(func() { copyLog(p.stderr, log, tail, hide, emit) })
	err = p.wait(ctx)
	readers.Wait()
	p.close()
	usage := usageOf(cmd.ProcessState)
	usage.Seconds = time.Since(start).Seconds()
	if report != nil {
		err := report.err()
		if err != nil && kind.HostTools && !report.Interrupted {
			err = tail.onto(err)
		}
		return usage, err
	}
	if ctx.Err() != nil {
		return usage, ctx.Err()
	}
	if err == nil {
		err = errors.New("its process ended without a word")
	} else {
		err = explainExit(cmd.ProcessState, err)
	}
	return usage, tail.onto(err)
}

// command builds the child's command line and environment.
func (l *Local) command(dir string, kind pipeline.Kind, a *pipeline.Action) (*exec.Cmd, error) {
	program := l.Program
	if len(program) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		program = []string{self, "exec-step"}
	}
	args := append(program[1:len(program):len(program)], dir)
	cmd := exec.Command(program[0], args...)
	cmd.Dir = dir
	cmd.Env = append(childEnv(kind, dir), lateGC)
	for _, name := range a.Node.Secrets {
		v, ok := l.Secret(name)
		if !ok {
			return nil, fmt.Errorf("the secret %s is not set in the environment of this run", name)
		}
		cmd.Env = append(cmd.Env, name+"="+v)
	}
	return cmd, nil
}

// A process is a started child: a process group of its own that dies when
// this process does, since the write end of its control pipe closes then.
type process struct {
	cmd     *exec.Cmd
	control *os.File // closing it kills; writing to it asks for a stop
	events  *os.File
	stderr  *os.File
	late    *time.Timer // closes events and stderr, whoever holds their other ends
}

func startChild(cmd *exec.Cmd) (_ *process, err error) {
	var pipes []*os.File
	defer func() {
		if err != nil {
			for _, f := range pipes {
				f.Close()
			}
		}
	}()
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
			pipes = append(pipes, r, w)
		}
		return r, w
	}
	eventsR, eventsW := pipe()
	controlR, controlW := pipe()
	stderrR, stderrW := pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{eventsW, controlR} // descriptors 3 and 4
	cmd.Stderr = stderrW
	cmd.SysProcAttr = ownGroup()
	if err = cmd.Start(); err != nil {
		return nil, err
	}
	eventsW.Close()
	controlR.Close()
	stderrW.Close()
	return &process{cmd: cmd, control: controlW, events: eventsR, stderr: stderrR}, nil
}

// wait returns when the child has ended and nothing of its group is left.
// When ctx ends it asks the child to stop, and kills it after stopGrace.
func (p *process) wait(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		p.control.Write([]byte(stopLine + "\n"))
		select {
		case err = <-ended:
		case <-killRequested(ctx):
			killGroup(p.cmd.Process.Pid)
			err = <-ended
		case <-time.After(stopGrace):
			killGroup(p.cmd.Process.Pid)
			err = <-ended
		}
	}
	killGroup(p.cmd.Process.Pid)
	p.control.Close()
	// Descendants that left the group may hold the pipes open; give what is
	// in flight a moment, then stop listening.
	p.late = time.AfterFunc(2*time.Second, p.closePipes)
	return err
}

// close frees what is left of a child whose readers have come to an end.
func (p *process) close() {
	p.late.Stop()
	p.closePipes()
}

func (p *process) closePipes() {
	p.events.Close()
	p.stderr.Close()
}

// readEvents passes events on, and requests for pieces to piece. It returns the
// child's final report, if any.
func readEvents(r io.Reader, hide mask, emit func(pipeline.Event), piece func(line []byte)) *childReport {
	var report *childReport
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEventLine)
	for lines.Scan() {
		line := lines.Bytes()
		if bytes.HasPrefix(line, []byte(`{"event":"child-end"`)) {
			var end childReport
			if json.Unmarshal(line, &end) == nil {
				hide.report(&end)
				report = &end
			}
			continue
		}
		if bytes.HasPrefix(line, []byte(`{"event":"piece"`)) {
			piece(line)
			continue
		}
		var e pipeline.Event
		if json.Unmarshal(line, &e) != nil {
			continue // half a line of a killed child
		}
		switch e.Fact.(type) {
		case pipeline.Progress, pipeline.Metric, pipeline.Log, pipeline.Retry:
			e.Fact = hide.fact(e.Fact)
			emit(e)
		}
	}
	io.Copy(io.Discard, r)
	return report
}

// copyLog keeps the child's stderr, without secrets, and passes its lines on.
func copyLog(r io.Reader, log io.Writer, t *tail, hide mask, emit func(pipeline.Event)) {
	in := bufio.NewReaderSize(r, 64<<10)
	left := maxLog
	for {
		raw, err := in.ReadSlice('\n')
		if len(raw) > 0 {
			line := hide.Replace(string(raw))
			if len(line) <= left {
				io.WriteString(log, line)
				left -= len(line)
			}
			text := strings.ToValidUTF8(strings.TrimRight(line, "\r\n"), "�")
			t.add(text)
			level, text := splitLevel(text)
			emit(pipeline.Event{Time: time.Now(), Fact: pipeline.Log{Level: level, Message: text}})
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// splitLevel takes the level off a line that the child's logger wrote.
func splitLevel(line string) (level, text string) {
	for prefix, level := range map[string]string{"INFO ": "info", "WARN ": "warn", "ERROR ": "error"} {
		if text, ok := strings.CutPrefix(line, prefix); ok {
			return level, text
		}
	}
	return "info", line
}

// A tail keeps the last lines of a log.
type tail struct{ lines []string }

func (t *tail) add(line string) {
	if len(t.lines) == tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	if len(line) > tailWidth {
		line = strings.ToValidUTF8(line[:tailWidth], "") + "…"
	}
	t.lines = append(t.lines, line)
}

// onto adds the last lines of the log to an error.
func (t *tail) onto(err error) error {
	if len(t.lines) == 0 {
		return err
	}
	return fmt.Errorf("%w; the last lines of its log:\n\t%s", err, strings.Join(t.lines, "\n\t"))
}

package view

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// capture collects what is drawn on a terminal until done is called.
func capture(t *testing.T) (slave *os.File, done func() string) {
	master, slave := openPTY(t)
	text := make(chan string)
	go func() {
		var all strings.Builder
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			all.Write(b[:n])
			if err != nil { // the last writer is gone
				text <- all.String()
				return
			}
		}
	}()
	return slave, func() string { slave.Close(); return <-text }
}

// screen is what a terminal shows after raw, line by line. It knows what
// progress bars use: line feeds, carriage returns, cursor up and erasing.
func screen(t *testing.T, raw string) []string {
	t.Helper()
	lines, row := []string{""}, 0
	fresh := true // the next character begins its line anew
	for len(raw) > 0 {
		switch {
		case raw[0] == '\n':
			if row++; row == len(lines) {
				lines = append(lines, "")
			}
			raw, fresh = raw[1:], true
		case raw[0] == '\r':
			raw, fresh = raw[1:], true
		case strings.HasPrefix(raw, "\x1b["):
			end := strings.IndexFunc(raw[2:], func(r rune) bool { return r >= '@' })
			if end < 0 {
				t.Fatalf("half an escape: %q", raw)
			}
			n, _ := strconv.Atoi(raw[2 : 2+end])
			switch raw[2+end] {
			case 'A':
				row = max(0, row-max(n, 1))
			case 'J':
				lines = append(lines[:row], "")
			case 'K', 'm', 'G', 'h', 'l':
			default:
				t.Fatalf("unknown escape %q", raw[:3+end])
			}
			raw = raw[3+end:]
		default:
			if fresh {
				lines[row], fresh = "", false
			}
			lines[row] += raw[:1]
			raw = raw[1:]
		}
	}
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// Bars are drawn while steps run, and none is left when the run has ended.
func TestTerminal(t *testing.T) {
	slave, done := capture(t)
	v := Terminal(slave)
	say := func(step string, f pipeline.Fact) { v.Event(pipeline.Event{Time: time.Now(), Step: step, Fact: f}) }
	say("", pipeline.RunStart{ID: "x", Name: "demo", Steps: 3})
	say("base", pipeline.StepEnd{Status: pipeline.Cached})
	say("lora", pipeline.StepStart{Kind: "train", Reason: "never run"})
	say("other", pipeline.StepStart{Kind: "convert", Reason: "never run"})
	for i := range 5 {
		say("lora", pipeline.Progress{Done: int64(i + 1), Total: 10, Unit: "updates"})
		say("lora", pipeline.Metric{Name: "train/loss", Value: 2.5})
		say("lora", pipeline.Metric{Name: "train/tokensPerSecond", Value: 1200})
		time.Sleep(120 * time.Millisecond)
	}
	say("lora", pipeline.StepEnd{Status: pipeline.Ran, Usage: pipeline.Usage{Seconds: 1.5}})
	say("other", pipeline.StepEnd{Status: pipeline.Interrupted, Reason: "interrupted"})
	say("", pipeline.RunEnd{Ran: 1, Cached: 1, Interrupted: 1, Seconds: 2})
	v.Close()
	raw := done()
	for _, want := range []string{"of 10 updates", "loss 2.5000", "1200 tokens/s", "ETA "} {
		if !strings.Contains(raw, want) {
			t.Errorf("no %q was drawn", want)
		}
	}
	got := screen(t, raw)
	for i, line := range got {
		got[i] = strings.TrimRight(line, " ")
	}
	want := []string{
		"base  cached",
		"lora  running: never run",
		"other  running: never run",
		"lora   ran in 1.5s",
		"other  interrupted: interrupted",
		"demo: 1 ran, 1 cached, 1 interrupted in 2.0s",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the screen is left with\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A run that stops in the middle leaves no bar either.
func TestTerminalCut(t *testing.T) {
	slave, done := capture(t)
	v := Terminal(slave)
	for i := range 20 {
		v.Event(pipeline.Event{Time: time.Now(), Step: fmt.Sprint("s", i), Fact: pipeline.StepStart{Reason: "never run"}})
	}
	time.Sleep(250 * time.Millisecond)
	v.Close()
	got := screen(t, done())
	for _, line := range got {
		if !strings.Contains(line, "running: never run") {
			t.Errorf("left on the screen: %q", line)
		}
	}
	if len(got) != 20 {
		t.Errorf("%d lines are left, want 20", len(got))
	}
}

// What 10,000 cached steps print is bounded on a terminal too.
func TestTerminalMany(t *testing.T) {
	slave, done := capture(t)
	manyCached(Terminal(slave))
	if raw := done(); len(raw) > 1000 || strings.Join(screen(t, raw), "\n") != "many: 10000 cached in 100ms" {
		t.Errorf("%d bytes: %.200q", len(raw), raw)
	}
}

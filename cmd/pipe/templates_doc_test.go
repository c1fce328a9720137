package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/pipe-run/pipe/pipeline/modules/registrytest"
)

var fence = regexp.MustCompile("(?ms)^```(sh|cue)(?: file=(\\S+))?\n(.*?)^```$")

// TestTemplatesPage writes the files and runs the commands of
// docs/templates.md, one after the other, against a registry. Afterwards the
// registry is gone, and what was fetched still compiles.
func TestTemplatesPage(t *testing.T) {
	host := registrytest.Start(t)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "templates.md"))
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(exe, filepath.Join(bin, "pipe")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CUE_CACHE_DIR="+t.TempDir(), "PIPE_CACHE="+t.TempDir())
	sh := func(registry, script string) string {
		t.Helper()
		cmd := exec.Command("sh", "-e", "-c", script)
		cmd.Dir, cmd.Env = dir, append(env, "CUE_REGISTRY="+registry)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\nof\n%s", err, out, script)
		}
		return string(out)
	}
	where := ""
	commands := 0
	for _, m := range fence.FindAllStringSubmatch(string(page), -1) {
		if m[2] != "" {
			name := filepath.Join(dir, m[2])
			if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(m[3]), 0o666); err != nil {
				t.Fatal(err)
			}
			continue
		}
		commands++
		out := sh(host+"+insecure", "cd ./"+where+"\n"+m[3]+"pwd >"+bin+"/where\n")
		t.Log(out)
		b, err := os.ReadFile(filepath.Join(bin, "where"))
		if err != nil {
			t.Fatal(err)
		}
		if where, err = filepath.Rel(dir, string(b[:len(b)-1])); err != nil {
			t.Fatal(err)
		}
	}
	if commands < 8 {
		t.Fatalf("%d blocks of commands: the page is not what it was", commands)
	}
	sh("127.0.0.1:1+insecure", "cd support; pipe vet both.cue; pipe graph both.cue >one; pipe graph both.cue >two; cmp one two")
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeTemplates runs the commands of README's section on templates as
// they stand, from an empty folder, with the binary alone: the registry that
// the environment names answers nobody.
func TestReadmeTemplates(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Templates\n")
	section, _, _ = strings.Cut(section, "\n## ")
	commands := regexp.MustCompile(`(?m)^    (pipe .*)$`).FindAllStringSubmatch(section, -1)
	if len(commands) < 3 {
		t.Fatalf("README's section on templates has %d commands", len(commands))
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(exe, filepath.Join(bin, "pipe")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+t.TempDir(), "PIPE_CACHE="+t.TempDir(),
		"CUE_CACHE_DIR="+t.TempDir(), "CUE_REGISTRY=127.0.0.1:1+insecure")
	for _, c := range commands {
		cmd := exec.Command("sh", "-e", "-c", c[1])
		cmd.Dir, cmd.Env = dir, env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c[1], err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "finetune.cue")); err != nil {
		t.Error(err)
	}
}

package modules

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-run/pipe/pipeline/modules/registrytest"
)

// env is the environment of a test: its registry, a cache and a home of its own.
func env(t *testing.T, host string) []string {
	return []string{"CUE_REGISTRY=" + host + "+insecure", "CUE_CACHE_DIR=" + t.TempDir(), "HOME=" + t.TempDir()}
}

// write writes files, by name and text, below dir.
func write(t *testing.T, dir string, files ...string) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, dir string) *Main {
	t.Helper()
	m, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// publish publishes a module of one package.
func publish(t *testing.T, env []string, version, text string) (*Publication, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "cue.mod/module.cue", "module: \"example.com/base@"+version[:2]+"\"\nlanguage: version: \"v0.12.0\"\nsource: kind: \"self\"\n", "base.cue", text)
	return New(t.Context(), env).Publish(open(t, dir), version, false)
}

// hint returns the text of an error with what to do.
func hint(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message + "\n" + e.Hint
	}
	return err.Error()
}

func TestRegistryPublishGetTidy(t *testing.T) {
	host := registrytest.Start(t)
	env := env(t, host)
	for _, v := range []string{"v0.1.0", "v0.2.0", "v1.0.0"} {
		if _, err := publish(t, env, v, "package base\n\nversion: \""+v+"\"\n"); err != nil {
			t.Fatal(v, hint(err))
		}
	}
	if p, err := publish(t, env, "v0.1.0", "package base\n\nversion: \"v0.1.0\"\n"); err != nil || !p.Existed {
		t.Errorf("the same again: %+v, %v", p, err)
	}
	if _, err := publish(t, env, "v0.1.0", "package base\n\nversion: \"other\"\n"); err == nil || !strings.Contains(hint(err), "v0.1.1") {
		t.Errorf("other content under the same version: %v", err)
	}

	dir := t.TempDir()
	write(t, dir, "cue.mod/module.cue", "// ours\nmodule: \"example.com/user@v0\"\nlanguage: version: \"v0.12.0\"\nsource: kind: \"self\"\n",
		"a.cue", "package a\n\nimport \"example.com/base@v0\"\n\nx: base.version\n")
	c, err := New(t.Context(), env).Tidy(open(t, dir))
	if err != nil || len(c.Deps) != 1 || c.Deps[0].New != "v0.2.0" {
		t.Fatalf("tidy: %+v, %v", c, err)
	}
	if err := c.Write(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "cue.mod/module.cue")); !strings.HasPrefix(string(b), "// ours\n") {
		t.Errorf("the comment is gone: %s", b)
	}
	_, err = New(t.Context(), env).Get(open(t, dir), []string{"example.com/base@v0.9.0"}, false)
	if err == nil || !strings.Contains(hint(err), "v0.1.0, v0.2.0, v1.0.0") {
		t.Errorf("a missing version: %v", err)
	}
	if m, err := New(t.Context(), env).Resolve(t.Context(), "example.com/base"); err != nil || m.Name() != "example.com/base@v1.0.0" {
		t.Errorf("the latest: %v, %v", m, err)
	}

	// Offline, what was fetched is there, and a change of it is found out.
	offline := append(env[1:len(env):len(env)], "CUE_REGISTRY=127.0.0.1:1+insecure")
	m, err := New(t.Context(), offline).Resolve(t.Context(), "example.com/base@v0.2.0")
	if err != nil {
		t.Fatal(hint(err))
	}
	if p, ok := New(t.Context(), offline).Locate(filepath.Join(m.Dir, "base.cue")); !ok || p.String() != "example.com/base@v0.2.0:base.cue" {
		t.Errorf("located %v, %v", p, ok)
	}
	if err := os.Chmod(filepath.Join(m.Dir, "base.cue"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, m.Dir, "base.cue", "package base\n\nversion: \"evil\"\n")
	if _, err := New(t.Context(), offline).Resolve(t.Context(), "example.com/base@v0.2.0"); err == nil || !strings.Contains(hint(err), "--fresh") {
		t.Errorf("a changed copy: %v", err)
	}
	if _, err := New(t.Context(), offline).Resolve(t.Context(), "example.com/base@v0.3.0"); err == nil || !strings.Contains(hint(err), "connection refused") {
		t.Errorf("an unreachable registry: %v", err)
	}
}

func TestRegistryPassword(t *testing.T) {
	host := registrytest.StartLocked(t)
	env := env(t, host)
	if _, err := publish(t, env, "v0.1.0", "package base\n"); err == nil || !strings.Contains(hint(err), "docker login "+host) {
		t.Fatalf("without a password: %v", err)
	}
	dir := t.TempDir()
	env = append(env, "DOCKER_CONFIG="+dir)
	registrytest.Login(t, dir, host, registrytest.User, "wrong")
	if _, err := publish(t, env, "v0.1.0", "package base\n"); err == nil || !strings.Contains(err.Error(), "refuses the password of "+dir) {
		t.Errorf("with a wrong password: %v", err)
	}
	registrytest.Login(t, dir, host, registrytest.User, registrytest.Password)
	if _, err := publish(t, env, "v0.1.0", "package base\n"); err != nil {
		t.Errorf("with the password: %v", err)
	}
}

func TestBuiltinVersions(t *testing.T) {
	r := New(t.Context(), []string{"CUE_REGISTRY=none", "CUE_CACHE_DIR=" + t.TempDir()})
	if _, err := r.Resolve(t.Context(), SchemaImport+"@v0.0.1"); err != nil {
		t.Error("an older schema:", err)
	}
	if _, err := r.Resolve(t.Context(), SchemaImport+"@v0.99.0"); err == nil || !strings.Contains(err.Error(), "newer than this pipe") {
		t.Errorf("a newer schema: %v", err)
	}
}

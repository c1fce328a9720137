// Package shareddata finds the real models, tokenizers, datasets and torture
// files that tests use when they are present. They are not part of this
// repository: a test that needs them skips, saying what is missing.
package shareddata

import (
	"os"
	"path/filepath"
	"testing"
)

// Env overrides where the data is looked for.
const Env = "PIPE_SHARED_DATA"

// RequireEnv, when set to "1", turns a missing file into a failure, so that
// CI cannot silently skip what it is able to run.
const RequireEnv = "PIPE_REQUIRE_SHARED_DATA"

// Dir returns the folder of shared data, and whether it is there: $PIPE_SHARED_DATA,
// else shared/data beside the checkout this test runs in.
func Dir() (string, bool) {
	if dir := os.Getenv(Env); dir != "" {
		return dir, isDir(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
	dir = filepath.Join(filepath.Dir(dir), "shared", "data")
	return dir, isDir(dir)
}

// Path returns the path of one shared file or folder, named with slashes.
// The test is skipped when it is absent, or fails when RequireEnv asks for it.
func Path(tb testing.TB, name string) string {
	tb.Helper()
	dir, ok := Dir()
	if ok {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if os.Getenv(RequireEnv) == "1" {
		tb.Fatalf("shared data %s is missing (looked in %s); %s=1 demands it", name, dir, RequireEnv)
	}
	tb.Skipf("shared data %s is missing: set %s to the folder that holds it", name, Env)
	return ""
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pipe-run/pipe/pipeline/modules/registrytest"
)

// TestRegistryScript runs the scripts that want a registry: $REGISTRY takes
// anybody, $LOCKED the user team with the password that the folder $LOGIN
// holds as docker login writes it.
func TestRegistryScript(t *testing.T) {
	open, locked, login := registrytest.Start(t), registrytest.StartLocked(t), t.TempDir()
	registrytest.Login(t, login, locked, registrytest.User, registrytest.Password)
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "registry"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PIPE_CACHE", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("CUE_CACHE_DIR", filepath.Join(env.WorkDir, "modules"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("REGISTRY", open)
			env.Setenv("LOCKED", locked)
			env.Setenv("LOGIN", login)
			env.Setenv("CUE_REGISTRY", open+"+insecure")
			return nil
		},
		RequireExplicitExec: true,
	})
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

// recipes is where the files are that docs/ci.md explains.
const recipes = "../../examples/ci"

// TestRecipes runs the shell parts of the recipes for CI systems, taken out of
// their files, in what looks like a fresh clone.
func TestRecipes(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "recipes"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			for name, shell := range map[string]string{
				"github.sh": githubShell(t), "gitlab.sh": gitlabShell(t), "jenkins.sh": jenkinsShell(t),
				"pipe.sh": string(recipe(t, "pipe.sh")),
			} {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(shell), 0o666); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"code": code},
		RequireExplicitExec: true,
	})
}

func recipe(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(recipes, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, name string, v any) {
	t.Helper()
	if err := yaml.Unmarshal(recipe(t, name), v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// program is a script of which the first command that fails is the last.
func program(env map[string]string, lines ...string) string {
	var b strings.Builder
	b.WriteString("set -e\n")
	for name, value := range env {
		fmt.Fprintf(&b, "export %s=\"%s\"\n", name, value)
	}
	return b.String() + strings.Join(lines, "\n") + "\n"
}

// githubShell is what the steps of the workflow run, one after the other.
// After each, the paths that it noted are in effect, as on a runner.
func githubShell(t *testing.T) string {
	var w struct {
		On   any
		Jobs map[string]struct {
			Env   map[string]string
			Steps []struct {
				Uses, Run, If string
				Env, With     map[string]string
			}
		}
	}
	parse(t, "github.yml", &w)
	job := w.Jobs["pipe"]
	var lines []string
	uses := 0
	for _, s := range job.Steps {
		if s.Uses != "" {
			uses++
			continue
		}
		lines = append(lines, s.Run, `for dir in $(cat "$GITHUB_PATH"); do PATH="$dir:$PATH"; done`)
	}
	if w.On == nil || len(lines) < 4 || uses < 3 {
		t.Fatalf("github.yml: %d commands, %d actions", len(lines)/2, uses)
	}
	for name, value := range job.Env {
		job.Env[name] = strings.ReplaceAll(value, "${{ github.workspace }}", "$GITHUB_WORKSPACE")
	}
	return program(job.Env, lines...)
}

// gitlabShell is what the job runs.
func gitlabShell(t *testing.T) string {
	var f struct {
		Pipe struct {
			Variables map[string]string
			Before    []string `yaml:"before_script"`
			Script    []string
			Cache     struct{ Paths []string }
			Artifacts struct{ Reports map[string]string }
		}
	}
	parse(t, "gitlab.yml", &f)
	if len(f.Pipe.Script) == 0 || f.Pipe.Artifacts.Reports["junit"] != "junit.xml" || len(f.Pipe.Cache.Paths) == 0 {
		t.Fatalf("gitlab.yml: %+v", f.Pipe)
	}
	return program(f.Pipe.Variables, append(f.Pipe.Before, f.Pipe.Script...)...)
}

var (
	jenkinsStep = regexp.MustCompile(`(?m)^\s*sh '([^']*)'$`)
	jenkinsEnv  = regexp.MustCompile(`(?m)^\s*([A-Z_]+) = "([^"]*)"$`)
)

// jenkinsShell is what the stages run.
func jenkinsShell(t *testing.T) string {
	text := string(recipe(t, "Jenkinsfile"))
	if strings.Count(text, "{") != strings.Count(text, "}") || strings.Count(text, "(") != strings.Count(text, ")") {
		t.Fatal("Jenkinsfile: brackets do not match")
	}
	var lines []string
	for _, m := range jenkinsEnv.FindAllStringSubmatch(text, -1) {
		lines = append(lines, fmt.Sprintf("export %s=\"%s\"", m[1], strings.ReplaceAll(m[2], "${env.", "${")))
	}
	for _, m := range jenkinsStep.FindAllStringSubmatch(text, -1) {
		lines = append(lines, m[1])
	}
	if len(lines) != 5 {
		t.Fatalf("Jenkinsfile: %q", lines)
	}
	return program(nil, lines...)
}

package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// git runs git in dir. Its messages are in English, and it asks nothing.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return nil, &Error{
			Message: `the module's source is "git", and git is not installed`,
			Hint:    `install git, or say source: kind: "self" in cue.mod/module.cue to publish the folder as it is`,
		}
	case err != nil:
		return nil, &Error{Message: "git " + args[0] + ": " + strings.TrimPrefix(oneLine(errors.New(errs.String())), "fatal: ")}
	}
	return out, nil
}

// A checkout is the state of a git work tree, as far as a module needs it.
type checkout struct {
	root   string // of the work tree
	commit string
	time   time.Time
	files  []string // of the module, relative to it
}

// readGit lists what git has of the folder of a module. What differs from the
// commit is refused.
func readGit(ctx context.Context, dir string) (*checkout, error) {
	c := &checkout{}
	b, err := git(ctx, dir, "rev-parse", "--show-toplevel")
	var e *Error
	if errors.As(err, &e) && strings.Contains(e.Message, "not a git repository") {
		return nil, &Error{
			Message: fmt.Sprintf(`the module's source is "git", and %s is in no git work tree`, dir),
			Hint:    `git init, or say source: kind: "self" in cue.mod/module.cue to publish the folder as it is`,
		}
	}
	if err != nil {
		return nil, err
	}
	c.root = strings.TrimSpace(string(b))
	if b, err = git(ctx, dir, "log", "-1", "--format=%H %cI"); err != nil {
		return nil, &Error{Message: "there is no commit to publish", Hint: "git add and git commit what belongs to the module", Err: err}
	}
	hash, when, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	if c.commit = hash; c.commit == "" {
		return nil, &Error{Message: "there is no commit to publish", Hint: "git add and git commit what belongs to the module"}
	}
	if c.time, err = time.Parse(time.RFC3339, when); err != nil {
		return nil, err
	}
	if err := refuseDirty(ctx, dir); err != nil {
		return nil, err
	}
	if b, err = git(ctx, dir, "ls-files", "-z"); err != nil {
		return nil, err
	}
	for _, f := range strings.Split(string(b), "\x00") {
		if f != "" {
			c.files = append(c.files, f)
		}
	}
	return c, nil
}

// refuseDirty names files that differ from the commit, or are not in it.
func refuseDirty(ctx context.Context, paths ...string) error {
	b, err := git(ctx, filepath.Clean(dirOf(paths[0])), append([]string{"status", "--porcelain", "-z", "--"}, paths...)...)
	if err != nil {
		return err
	}
	var dirty []string
	for _, f := range strings.Split(string(b), "\x00") {
		if len(f) > 3 {
			dirty = append(dirty, f[3:])
		}
	}
	if len(dirty) == 0 {
		return nil
	}
	what := dirty[0]
	if n := len(dirty); n > 1 {
		what += fmt.Sprintf(" and %d more", n-1)
	}
	return &Error{
		Message: "the work tree is not committed: " + what,
		Hint:    "commit it: what is published can then be found again by its commit",
	}
}

// dirOf returns the folder of a path that may be one.
func dirOf(path string) string {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return path
	}
	return filepath.Dir(path)
}

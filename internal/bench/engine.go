package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// start measures pipe version against an empty Go program.
func start(l *lab) []Result {
	const name = "start/version"
	empty := l.path("empty")
	err := l.write("empty.go", "package main\n\nfunc main() {}\n")
	if err == nil {
		err = build(empty, l.path("empty.go"))
	}
	if err != nil {
		return []Result{missing(name, "ms", "lower", "empty Go program", err)}
	}
	a, b, ratio, err := l.pair(l.cmd(l.dir, l.pipe, "version").time, l.cmd(l.dir, empty).time)
	if err != nil {
		return []Result{missing(name, "ms", "lower", "empty Go program", err)}
	}
	return []Result{{
		Name: name, Value: 1000 * (a - b), Unit: "ms", Better: "lower",
		Reference: "empty Go program", ReferenceValue: 1000 * b, Ratio: ratio, Budget: 20, BudgetOn: "value",
		Note: "",
	}}
}

func build(out, target string) error {
	cmd := exec.Command("go", "build", "-o", out, target)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, b)
	}
	return nil
}

// many writes a pipeline of n steps that each fetch a small file, and the same
// work for ninja and make.
func (l *lab) many(n int) (dir string, err error) {
	dir = l.path(fmt.Sprintf("many-%d", n))
	var cue, ninja, mk strings.Builder
	cue.WriteString("name: \"many\"\nsteps: {\n")
	ninja.WriteString("rule cp\n  command = cp $in $out\n")
	mk.WriteString("all:")
	for i := range n {
		fmt.Fprintf(&mk, " out/%d", i)
	}
	mk.WriteString("\n")
	for i := range n {
		if err := l.write(fmt.Sprintf("many-%d/in/%d", n, i), fmt.Sprintln(i)); err != nil {
			return "", err
		}
		fmt.Fprintf(&cue, "\ts%d: {kind: \"fetch\", source: file: path: \"in/%d\"}\n", i, i)
		fmt.Fprintf(&ninja, "build out/%d: cp in/%d\n", i, i)
		fmt.Fprintf(&mk, "out/%d: in/%d\n\tcp $< $@\n", i, i)
	}
	cue.WriteString("}\n")
	for name, text := range map[string]string{"p.cue": cue.String(), "build.ninja": ninja.String(), "Makefile": mk.String(), "out/.keep": ""} {
		if err := l.write(fmt.Sprintf("many-%d/%s", n, name), text); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// runs measures runs in which all is cached, beside ninja and make, and what
// pipe adds to a step that executes.
func runs(l *lab) []Result {
	var results []Result
	for n, budget := range map[int]float64{1000: 30, 10000: 150} {
		results = append(results, l.noop(n, budget)...)
	}
	if len(results) == 4 && results[0].Name > results[2].Name {
		results = append(results[2:], results[:2]...)
	}
	return append(results, l.perStep())
}

func (l *lab) noop(n int, budget float64) []Result {
	name := fmt.Sprintf("run/noop-%d", n)
	dir, err := l.many(n)
	if err == nil {
		_, err = l.cmd(dir, l.pipe, "run", "p.cue", "--json").time()
	}
	if err != nil {
		return []Result{missing(name, "ms", "lower", "ninja", err)}
	}
	var results []Result
	for _, peer := range []string{"ninja", "make"} {
		r := Result{Name: name + "/" + peer, Unit: "ms", Better: "lower", Reference: peer, Budget: budget, BudgetOn: "value"}
		if err := absent(peer); err != nil {
			r.Note = err.Error()
			results = append(results, r)
			continue
		}
		cmd := l.cmd(dir, peer)
		if peer == "make" {
			cmd.args = append(cmd.args, "-s")
		}
		if _, err = cmd.time(); err == nil {
			r.Value, r.ReferenceValue, r.Ratio, err = l.pair(l.cmd(dir, l.pipe, "run", "p.cue", "--json").time, cmd.time)
		}
		if err != nil {
			r.Note = err.Error()
		}
		r.Value, r.ReferenceValue = 1000*r.Value, 1000*r.ReferenceValue
		results = append(results, r)
	}
	return results
}

// steps is how many steps perStep executes.
const steps = 40

// perStep measures what a step costs that does nothing but cp, beyond cp.
func (l *lab) perStep() Result {
	const name = "run/step-overhead"
	var cue strings.Builder
	cue.WriteString("name: \"chain\"\nsteps: {\n\tsrc: {kind: \"fetch\", source: file: path: \"x\"}\n")
	for i := range steps {
		fmt.Fprintf(&cue, "\ts%d: {kind: \"exec\", command: [\"cp\", \"in/x/x\", \"out/x/x\"], env: N: \"%d\", in: x: steps.src.out.files, outputs: x: \"files\"}\n", i, i)
	}
	cue.WriteString("}\n")
	err := l.write("chain/p.cue", cue.String())
	if err == nil {
		err = l.write("chain/x", "x\n")
	}
	if err != nil {
		return missing(name, "ms", "lower", "fork and exec", err)
	}
	dir := l.path("chain")
	run := func() (float64, error) {
		os.RemoveAll(l.path("chain-cache"))
		c := command{dir: dir, env: []string{"PIPE_CACHE=" + l.path("chain-cache")}, args: []string{l.pipe, "run", "p.cue", "-j", "1"}}
		t, err := c.time()
		return 1000 * t / (steps + 1), err
	}
	peer := func() (float64, error) {
		t, err := l.cmd(dir, "sh", "-c", fmt.Sprintf("for i in $(seq %d); do cp x y; done", steps)).time()
		return 1000 * t / steps, err
	}
	a, b, ratio, err := l.pair(run, peer)
	if err != nil {
		return missing(name, "ms", "lower", "fork and exec", err)
	}
	return Result{
		Name: name, Value: a - b, Unit: "ms", Better: "lower", Reference: "fork and exec of cp", ReferenceValue: b, Ratio: ratio,
		Budget: 30, BudgetOn: "value",
	}
}

// plans measures planning a graph of which nothing is cached.
func plans(l *lab) []Result {
	const name = "plan/uncached-10000"
	dir, err := l.many(10000)
	if err != nil {
		return []Result{missing(name, "s", "lower", "", err)}
	}
	v, err := l.alone(func() (float64, error) {
		cache := l.path("plan-cache")
		os.RemoveAll(cache)
		return command{dir: dir, env: []string{"PIPE_CACHE=" + cache}, args: []string{l.pipe, "plan", "p.cue", "--json"}}.time()
	})
	if err != nil {
		return []Result{missing(name, "s", "lower", "", err)}
	}
	return []Result{{Name: name, Value: v, Unit: "s", Better: "lower", Budget: 4, BudgetOn: "value"}}
}

package pipe

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pipe-run/pipe/"

// owners says which packages may import each large dependency, tests aside.
var owners = map[string][]string{
	"cuelang.org/go":                      {"pipeline/compile"},
	"github.com/dominikbraun/graph":       {"pipeline/compile"},
	"github.com/spf13/cobra":              {"cmd/pipe/internal/cli"},
	"github.com/vbauerster/mpb":           {"cmd/pipe/internal/view"},
	"github.com/apache/arrow":             {"steps/internal/dataset"},
	"gorgonia.org":                        {"steps/internal/autograd"},
	"github.com/chewxy/hm":                {"steps/internal/autograd"},
	"go4.org/unsafe/assume-no-moving-gc":  {"steps/internal/autograd"},
	"github.com/nikolalohinski/gonja":     {"steps/internal/chat"},
	"modernc.org/sqlite":                  {"pipeline/history"},
	"github.com/landlock-lsm/go-landlock": {"pipeline/run"},
	"github.com/bazelbuild/remote-apis":   {},
	"google.golang.org/grpc":              {},
	"github.com/rogpeppe/go-internal":     {},
}

// TestLayers keeps the import rules of ARCHITECTURE.md. The compiler keeps
// the rest: steps/internal is out of reach for everything outside steps.
func TestLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		seen++
		pkg := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Imports {
			if why := forbidden(pkg, imp); why != "" {
				t.Errorf("%s imports %s: %s", pkg, imp, why)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("go list found only %d packages", seen)
	}
}

// forbidden says why pkg may not import imp, or "".
func forbidden(pkg, imp string) string {
	own, isOwn := strings.CutPrefix(imp, module)
	isStep := strings.HasPrefix(pkg, "steps/")
	switch {
	case pkg == "pipeline" && strings.Contains(strings.Split(imp, "/")[0], "."):
		return "the vocabulary imports only the standard library"
	case strings.HasPrefix(pkg, "pipeline/") && isOwn && strings.HasPrefix(own, "steps"):
		return "the engine knows no step"
	case strings.HasPrefix(pkg, "pipeline") && isOwn && strings.HasPrefix(own, "cmd"):
		return "imports go only downwards"
	case isStep && isOwn && (strings.HasPrefix(own, "pipeline/") || strings.HasPrefix(own, "cmd")):
		return "a step knows only the vocabulary"
	case isStep && isOwn && siblings(pkg, own):
		return "steps do not import each other"
	}
	for dep, only := range owners {
		if (imp == dep || strings.HasPrefix(imp, dep+"/")) && !owned(pkg, only) {
			return "only " + strings.Join(only, ", ") + " may"
		}
	}
	return ""
}

func owned(pkg string, only []string) bool {
	return slices.ContainsFunc(only, func(o string) bool { return pkg == o || strings.HasPrefix(pkg, o+"/") })
}

// siblings reports whether both are steps, and not the same one.
func siblings(pkg, own string) bool {
	step := func(p string) string {
		parts := strings.Split(p, "/")
		if len(parts) < 2 || parts[0] != "steps" || parts[1] == "internal" || parts[1] == "steptest" {
			return ""
		}
		return parts[1]
	}
	a, b := step(pkg), step(own)
	return a != "" && b != "" && a != b
}

// TestForbidden shows that the rules bite.
func TestForbidden(t *testing.T) {
	for _, c := range [][2]string{
		{"pipeline", "golang.org/x/sys/unix"},
		{"pipeline/run", module + "steps"},
		{"steps/train", module + "pipeline/store/disk"},
		{"steps/train", module + "steps/fetch"},
		{"steps/train", "gorgonia.org/gorgonia"},
		{"cmd/pipe/internal/view", "github.com/spf13/cobra"},
	} {
		if forbidden(c[0], c[1]) == "" {
			t.Errorf("%s may import %s", c[0], c[1])
		}
	}
	for _, c := range [][2]string{
		{"pipeline", "encoding/json"},
		{"steps/train", module + "pipeline"},
		{"steps/train", module + "steps/internal/autograd"},
		{"steps/internal/autograd", "gorgonia.org/gorgonia"},
	} {
		if why := forbidden(c[0], c[1]); why != "" {
			t.Errorf("%s may not import %s: %s", c[0], c[1], why)
		}
	}
}

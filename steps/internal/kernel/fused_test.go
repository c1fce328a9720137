package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// numeric are the packages whose numbers reach artifacts, beside this one.
var numeric = []string{"kernel", "tensor", "quant", "decoder", "lora", "metric", "optim", "weights", "tiny", "tied", "autograd"}

// counts is a file of numbers of operations, which are estimates that no artifact holds.
const counts = "decoder/flops.go:"

// targets are those for which the compiler fuses x*y + z where the language lets it.
var targets = map[string][]string{
	"arm64":    {"GOARCH=arm64"},
	"amd64-v3": {"GOARCH=amd64", "GOAMD64=v3"},
}

// fused matches one line of the compiler's listing with a fused multiply-add. Assembly files are not in the listing:
// the kernels in them fuse on purpose.
var fused = regexp.MustCompile(`\((\S+)\)\t(V?FN?M(?:ADD|SUB)\w*)\t`)

// listing compiles packages for a target in dir and returns where fused instructions stand.
func listing(t *testing.T, dir string, env []string, packages ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"build", "-gcflags=-S"}, packages...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "\t") { // an error, not a listing
				t.Log(strings.TrimSpace(line))
			}
		}
		t.Fatalf("building %v: %v", packages, err)
	}
	if !strings.Contains(string(out), "TEXT") {
		t.Fatalf("building %v gave no listing", packages)
	}
	var found []string
	for _, m := range fused.FindAllStringSubmatch(string(out), -1) {
		found = append(found, m[1]+": "+m[2])
	}
	return found
}

// No compiler may turn x*y + z into a fused operation: results would differ between machines. Every product that feeds
// a sum has to be wrapped, float32(x*y), or be FMA.
func TestCompilerFusesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the numeric packages for two targets")
	}
	var packages []string
	for _, name := range numeric {
		if files, _ := filepath.Glob("../" + name + "/*.go"); len(files) > 0 {
			packages = append(packages, "../"+name)
		}
	}
	for target, env := range targets {
		t.Run(target, func(t *testing.T) {
			for _, where := range listing(t, ".", env, packages...) {
				if !strings.Contains(where, counts) {
					t.Errorf("%s: wrap the product in a conversion", where)
				}
			}
		})
	}
}

// The test above must see what it looks for.
func TestFusedInstructionsAreSeen(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for two targets")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module fused\n\ngo 1.26\n",
		"a.go": `package fused

func Single(x, y, z float32) float32 { return x*y + z }
func Double(x, y, z float64) float64 { return x*y + z }
func Wrapped(x, y, z float64) float64 { return float64(x*y) + z }
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for target, env := range targets {
		// On amd64 the compiler may fuse float64 only.
		want := 2
		if target == "amd64-v3" {
			want = 1
		}
		if found := listing(t, dir, env, "."); len(found) < want || strings.Contains(strings.Join(found, " "), "a.go:5:") {
			t.Errorf("%s: found %q", target, found)
		}
	}
}

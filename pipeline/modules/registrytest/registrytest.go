// Package registrytest runs a real OCI registry, Debian's docker-registry, on
// the loopback interface for tests.
package registrytest

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The user that a registry with a password lets in.
const (
	User     = "team"
	Password = "open sesame"
)

// hashed is Password as bcrypt has it, of the lowest cost docker-registry
// takes.
const hashed = "$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW"

//go:embed testdata/config.yml
var config string

//go:embed testdata/auth.yml
var auth string

// Start runs a registry until the test ends and returns its host:port. The
// test is skipped where docker-registry is not installed.
func Start(t testing.TB) string { return start(t, config) }

// StartLocked is Start, with a registry that wants the password.
func StartLocked(t testing.TB) string { return start(t, config+auth) }

// Program returns the path of docker-registry, or skips the test.
func Program(t testing.TB) string {
	t.Helper()
	exe, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed; on Debian: apt-get install docker-registry")
	}
	return exe
}

func start(t testing.TB, config string) string {
	t.Helper()
	exe := Program(t)
	dir := t.TempDir()
	passwords := filepath.Join(dir, "htpasswd")
	if err := os.WriteFile(passwords, []byte(User+":"+hashed+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 5 { // another program may take the port meanwhile
		if addr := run(t, exe, dir, strings.NewReplacer("ROOT", filepath.Join(dir, "store"), "HTPASSWD", passwords).Replace(config)); addr != "" {
			return addr
		}
	}
	t.Fatal("docker-registry does not start")
	return ""
}

// run starts the registry on a free port; "" if it does not come up.
func run(t testing.TB, exe, dir, config string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	name := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(name, []byte(strings.ReplaceAll(config, "ADDR", addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(exe, "serve", name)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	for range 500 {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			resp.Body.Close()
			return addr
		}
		select {
		case <-ended:
			return ""
		case <-time.After(20 * time.Millisecond):
		}
	}
	b, _ := os.ReadFile(log.Name())
	t.Logf("docker-registry: %s", b)
	return ""
}

// Login writes a docker config.json with the password for host into dir, which
// DOCKER_CONFIG then names.
func Login(t testing.TB, dir, host, user, password string) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"auths": map[string]any{
		host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

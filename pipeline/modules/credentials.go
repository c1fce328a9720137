package modules

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelabs.dev/go/oci/ociregistry/ociauth"
)

// Passwords come from where container clients keep them, in this order:
// $REGISTRY_AUTH_FILE (podman, skopeo), $DOCKER_AUTH_CONFIG (the JSON itself),
// $DOCKER_CONFIG/config.json or ~/.docker/config.json with its helpers, and
// $XDG_RUNTIME_DIR/containers/auth.json. CUE's client reads all but the first,
// which it is given as if it were the second.

// clientEnv returns the environment that CUE's client looks for passwords in.
func clientEnv(env []string) ([]string, error) {
	file := getenv(env, "REGISTRY_AUTH_FILE")
	if file == "" || getenv(env, "DOCKER_AUTH_CONFIG") != "" {
		return env, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, &Error{Message: "the passwords of registries cannot be read: " + oneLine(err), Hint: "REGISTRY_AUTH_FILE names the file"}
	}
	if env == nil {
		env = os.Environ()
	}
	return append(slices.Clone(env), "DOCKER_AUTH_CONFIG="+string(b)), nil
}

// A credential tells where the password of a host was looked for.
type credential struct {
	file string   // that has it, as a user would name it
	seen []string // all that were looked at
}

func (c credential) found() bool { return c.file != "" }

// said names the file that has the password, or all that might have.
func (c credential) said() string {
	if c.found() {
		return c.file
	}
	if len(c.seen) == 0 {
		return "any file: neither DOCKER_CONFIG nor HOME is set"
	}
	return strings.Join(c.seen, ", ")
}

// credentialsOf looks for the password of a host, without reading it.
func credentialsOf(env []string, host string) credential {
	var c credential
	for _, src := range credentialSources(env) {
		c.seen = append(c.seen, src.name)
		b := src.text
		if src.path != "" {
			b, _ = os.ReadFile(src.path)
		}
		if c.file == "" && holds(b, host) {
			c.file = src.name
		}
	}
	return c
}

type credentialSource struct {
	name, path string
	text       []byte
}

func credentialSources(env []string) []credentialSource {
	var all []credentialSource
	if f := getenv(env, "REGISTRY_AUTH_FILE"); f != "" {
		all = append(all, credentialSource{name: f, path: f})
	}
	if s := getenv(env, "DOCKER_AUTH_CONFIG"); s != "" {
		all = append(all, credentialSource{name: "$DOCKER_AUTH_CONFIG", text: []byte(s)})
	}
	if d := getenv(env, "DOCKER_CONFIG"); d != "" {
		p := filepath.Join(d, "config.json")
		all = append(all, credentialSource{name: p, path: p})
	} else if h := getenv(env, "HOME"); h != "" {
		all = append(all, credentialSource{name: "~/.docker/config.json", path: filepath.Join(h, ".docker", "config.json")})
	}
	if d := getenv(env, "XDG_RUNTIME_DIR"); d != "" {
		p := filepath.Join(d, "containers", "auth.json")
		all = append(all, credentialSource{name: p, path: p})
	}
	return all
}

// holds reports whether a client's configuration has a password, or a helper
// to ask, for host.
func holds(b []byte, host string) bool {
	var f struct {
		Auths       map[string]json.RawMessage `json:"auths"`
		CredHelpers map[string]string          `json:"credHelpers"`
	}
	if json.Unmarshal(b, &f) != nil {
		return false
	}
	if f.CredHelpers[host] != "" {
		return true
	}
	for name := range f.Auths {
		name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
		if name, _, _ = strings.Cut(name, "/"); name == host {
			return true
		}
	}
	return false
}

// helperFailed are the words by which CUE's client tells that a credential
// helper, or a file of passwords, is at fault.
var helperFailed = []string{"cannot acquire auth info for registry", "cannot load OCI auth configuration"}

func isHelper(err error) bool {
	return errors.Is(err, ociauth.ErrHelperNotFound) ||
		slices.ContainsFunc(helperFailed, func(s string) bool { return strings.Contains(err.Error(), s) })
}

// plainHelper leaves out what a client says before the cause.
func plainHelper(err error) string {
	s := oneLine(err)
	for _, words := range helperFailed {
		if _, rest, ok := strings.Cut(s, words); ok {
			if _, rest, ok = strings.Cut(rest, ": "); ok {
				return rest
			}
		}
	}
	return s
}

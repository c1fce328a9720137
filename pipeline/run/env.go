package run

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// networkEnv are the variables by which a machine says how it reaches the
// network.
var networkEnv = []string{
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
	"HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HOME", "HF_HUB_CACHE",
}

// hostEnv are the variables, or prefixes ending in *, that programs of this
// machine need to run as their user configured them.
var hostEnv = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LD_LIBRARY_PATH", "DYLD_*", "XDG_*",
	"VIRTUAL_ENV", "PYTHON*", "CONDA_*", "PYENV_*", "NVM_*", "CUDA_*", "NVIDIA_*",
	"PIP_*", "UV_*", "NPM_CONFIG_*", "npm_config_*", "NODE_*",
}

// childEnv is the environment of a step of this kind: an allow-list, so that
// what a machine happens to have set cannot change a result unnoticed.
func childEnv(kind pipeline.Kind, dir string) []string {
	env := []string{
		"TMPDIR=" + filepath.Join(dir, tmpDir), "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TZ=UTC",
	}
	var allow []string
	if kind.Network || kind.HostTools {
		allow = append(allow, networkEnv...)
	}
	if kind.HostTools {
		allow = append(allow, hostEnv...)
	}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		for _, a := range allow {
			prefix, isPrefix := strings.CutSuffix(a, "*")
			if name == a || isPrefix && strings.HasPrefix(name, prefix) {
				env = append(env, kv)
				break
			}
		}
	}
	return env
}

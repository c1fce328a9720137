package modules

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

const goodModFile = "module: \"example.com/base@v0\"\nlanguage: version: \"v0.12.0\"\n"

// A fakeRegistry is an OCI registry of example.com/base@v0.1.0 alone, which
// can be made to misbehave.
type fakeRegistry struct {
	zip, mod []byte
	manifest func(map[string]any)                             // changes what is served, or nil
	blob     func(http.ResponseWriter, *http.Request, []byte) // serves the archive, or nil
	archives atomic.Int32                                     // how often the archive was asked for
}

func (f *fakeRegistry) start(t *testing.T) string {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// ServeHTTP implements http.Handler.
func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const repo = "/v2/example.com/base/"
	switch p := r.URL.Path; {
	case p == "/v2/":
	case p == repo+"tags/list":
		fmt.Fprint(w, `{"name":"example.com/base","tags":["v0.1.0"]}`)
	case p == repo+"manifests/v0.1.0":
		send(w, "application/vnd.oci.image.manifest.v1+json", f.encodeManifest())
	case p == repo+"blobs/"+digest.FromBytes(f.mod).String():
		send(w, "application/octet-stream", f.mod)
	case strings.HasPrefix(p, repo+"blobs/"):
		f.archives.Add(1)
		if f.blob != nil {
			f.blob(w, r, f.zip)
			return
		}
		send(w, "application/octet-stream", f.zip)
	default:
		http.NotFound(w, r)
	}
}

func send(w http.ResponseWriter, kind string, b []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(b).String())
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	w.Write(b)
}

func (f *fakeRegistry) encodeManifest() []byte {
	layer := func(kind string, b []byte) map[string]any {
		return map[string]any{"mediaType": kind, "digest": digest.FromBytes(b).String(), "size": len(b)}
	}
	m := map[string]any{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"config":        layer("application/vnd.cue.module.v1+json", []byte("{}")),
		"layers":        []any{layer("application/zip", f.zip), layer("application/vnd.cue.modulefile.v1", f.mod)},
	}
	if f.manifest != nil {
		f.manifest(m)
	}
	b, _ := json.Marshal(m)
	return b
}

// zipped makes an archive of files, by name and text.
func zipped(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func goodZip(t *testing.T, more ...string) []byte {
	return zipped(t, append([]string{"cue.mod/module.cue", goodModFile, "base.cue", "package base\n\nx: 1\n"}, more...)...)
}

// kept lists what the module cache in a folder has of modules: archives, module
// files, extracted files and digests. Lock files say nothing of a module.
func kept(t *testing.T, dir string) (names []string) {
	t.Helper()
	filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasSuffix(name, ".lock") {
			names = append(names, name)
		}
		return nil
	})
	return names
}

func fetchBase(t *testing.T, env []string) error {
	_, err := New(t.Context(), env).Resolve(t.Context(), "example.com/base@v0.1.0")
	return err
}

func TestFaultyGoodOne(t *testing.T) {
	f := &fakeRegistry{zip: goodZip(t), mod: []byte(goodModFile)}
	env := env(t, f.start(t))
	if err := fetchBase(t, env); err != nil {
		t.Fatal(hint(err))
	}
	if len(kept(t, getenv(env, "CUE_CACHE_DIR"))) == 0 {
		t.Error("a good module is not kept")
	}
}

func TestFaultyArchives(t *testing.T) {
	liar := strings.Replace(goodModFile, "example.com/base@v0", "example.com/other@v0", 1)
	major := strings.Replace(goodModFile, "@v0", "@v1", 1)
	bomb := goodZip(t, "bomb.cue", "// "+strings.Repeat("a", 40<<20))
	for _, c := range []struct {
		name, want string
		f          *fakeRegistry
	}{
		{"lies about its path", "lies about itself", &fakeRegistry{zip: zipped(t, "cue.mod/module.cue", liar, "base.cue", "package base\n"), mod: []byte(liar)}},
		{"lies about its major version", "lies about itself", &fakeRegistry{zip: zipped(t, "cue.mod/module.cue", major, "base.cue", "package base\n"), mod: []byte(major)}},
		{"two module files", "lies about itself", &fakeRegistry{zip: goodZip(t), mod: []byte("// other\n" + goodModFile)}},
		{"parent folder", "is refused", &fakeRegistry{zip: goodZip(t, "../evil.cue", "package evil\n"), mod: []byte(goodModFile)}},
		{"absolute path", "is refused", &fakeRegistry{zip: goodZip(t, "/evil.cue", "package evil\n"), mod: []byte(goodModFile)}},
		{"backslash", "is refused", &fakeRegistry{zip: goodZip(t, `a\..\evil.cue`, "package evil\n"), mod: []byte(goodModFile)}},
		{"the same twice", "is refused", &fakeRegistry{zip: goodZip(t, "base.cue", "package base\n"), mod: []byte(goodModFile)}},
		{"equal but for case", "is refused", &fakeRegistry{zip: goodZip(t, "BASE.cue", "package base\n"), mod: []byte(goodModFile)}},
		{"no archive", "is refused", &fakeRegistry{zip: []byte("PK? no"), mod: []byte(goodModFile)}},
		{"understated bomb", "is refused", &fakeRegistry{zip: understate(bomb, 40<<20), mod: []byte(goodModFile)}},
		{"too much", "256 MiB", &fakeRegistry{zip: restate(bomb, 3+40<<20, 300<<20), mod: []byte(goodModFile)}},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, c.f, c.want) })
	}
}

// refused demands that a module is refused with a sentence that holds want and
// what to do, and that nothing of it stays. Where the registry only failed to
// send the archive, its module file, which was checked, may stay.
func refused(t *testing.T, f *fakeRegistry, want string, more ...string) {
	t.Helper()
	env := append(env(t, f.start(t)), more...)
	err := fetchBase(t, env)
	if err == nil {
		t.Fatal("it is taken")
	}
	if !strings.Contains(hint(err), want) || !strings.Contains(hint(err), "example.com/base@v0.1.0") || strings.HasSuffix(hint(err), "\n") {
		t.Errorf("it says: %s\nwanted: %s", hint(err), want)
	}
	names := kept(t, getenv(env, "CUE_CACHE_DIR"))
	if !strings.Contains(hint(err), "nothing of it was kept") {
		names = slices.DeleteFunc(names, func(s string) bool { return strings.HasSuffix(s, ".mod") })
	}
	if len(names) > 0 {
		t.Errorf("it keeps %v", names)
	}
}

// understate makes an archive say that a file of size bytes, and 3, has 10.
func understate(b []byte, size uint32) []byte { return restate(b, size+3, 10) }

// restate replaces a size wherever an archive says it.
func restate(b []byte, old, size uint32) []byte {
	le := func(n uint32) []byte { return []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)} }
	return bytes.ReplaceAll(b, le(old), le(size))
}

func TestFaultyAnswers(t *testing.T) {
	half := func(w http.ResponseWriter, _ *http.Request, b []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.Write(b[:len(b)/2])
	}
	wrong := func(w http.ResponseWriter, _ *http.Request, b []byte) {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.Write(b)
	}
	long := func(w http.ResponseWriter, _ *http.Request, b []byte) { w.Write(append(bytes.Clone(b), "more"...)) }
	broken := func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusBadGateway) }
	for _, c := range []struct {
		name, want string
		manifest   func(map[string]any)
		blob       func(http.ResponseWriter, *http.Request, []byte)
	}{
		{name: "truncated", want: " bytes\nnothing of it was kept", blob: half},
		{name: "wrong bytes", want: "whose digest is not the one", blob: wrong},
		{name: "more bytes", want: "sent more than the", blob: long},
		{name: "bad gateway", want: "try again later", blob: broken},
		{name: "image", want: "such as a container image", manifest: func(m map[string]any) {
			m["config"].(map[string]any)["mediaType"] = "application/vnd.oci.image.config.v1+json"
		}},
		{name: "huge", want: "bigger than", manifest: func(m map[string]any) {
			m["layers"].([]any)[0].(map[string]any)["size"] = int64(1) << 40
		}},
		{name: "no layers", want: "such as a container image", manifest: func(m map[string]any) { m["layers"] = []any{} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, &fakeRegistry{zip: goodZip(t), mod: []byte(goodModFile), manifest: c.manifest, blob: c.blob}, c.want)
		})
	}
}

func TestFaultyStalls(t *testing.T) {
	for _, sent := range []int{0, 40} {
		t.Run(fmt.Sprint(sent), func(t *testing.T) {
			f := &fakeRegistry{zip: goodZip(t), mod: []byte(goodModFile)}
			f.blob = func(w http.ResponseWriter, r *http.Request, b []byte) {
				if sent > 0 {
					w.Header().Set("Content-Length", fmt.Sprint(len(b)))
					w.Write(b[:sent])
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			}
			began := time.Now()
			refused(t, f, "PIPE_REGISTRY_TIMEOUT", "PIPE_REGISTRY_TIMEOUT=200ms")
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
	t.Run("no duration", func(t *testing.T) {
		env := append(env(t, "127.0.0.1:1"), "PIPE_REGISTRY_TIMEOUT=soon")
		if err := fetchBase(t, env); err == nil || !strings.Contains(hint(err), "90s") {
			t.Errorf("it says %v", err)
		}
	})
}

// Several registries that share a cache fetch a module once and all have it.
func TestFetchAtOnce(t *testing.T) {
	f := &fakeRegistry{zip: goodZip(t), mod: []byte(goodModFile)}
	env := env(t, f.start(t))
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() { errs[i] = fetchBase(t, env) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(hint(err))
		}
	}
	if n := f.archives.Load(); n != 1 {
		t.Errorf("the archive was fetched %d times", n)
	}
}

package fetch

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

const commit1 = "0123456789abcdef0123456789abcdef01234567"

// A fakeHub behaves as the Hugging Face Hub does: large files are redirected
// to another host, listings come in pages, answers name their errors.
type fakeHub struct {
	*web                    // the API and small files
	cdn      *web           // large files
	repos    map[string]any // "models/org/name" → nothing of interest
	files    map[string][]byte
	large    map[string]bool
	gated    bool
	token    string // that it wants, if gated
	pageSize int
	foreign  bool // its links lead to another host, as those of a mirror do
}

func newFakeHub(t *testing.T, files map[string][]byte, large ...string) *fakeHub {
	h := &fakeHub{
		web: newWeb(t), cdn: newWeb(t), repos: map[string]any{"models/org/name": nil}, files: files,
		large: map[string]bool{}, pageSize: 2,
	}
	for _, name := range large {
		h.large[name] = true
		h.cdn.put("/blobs/"+hexOf(files[name]), files[name])
	}
	h.Config.Handler = http.HandlerFunc(h.serve)
	return h
}

func gitSum(b []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(b))
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

func (h *fakeHub) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(r.URL.EscapedPath(), "/")
	kind, rest, api := "models", path, strings.HasPrefix(path, "api/")
	if api {
		kind, rest, _ = strings.Cut(strings.TrimPrefix(path, "api/"), "/")
	} else if d, ok := strings.CutPrefix(path, "datasets/"); ok {
		kind, rest = "datasets", d
	}
	part := strings.SplitN(rest, "/", 5) // org name verb revision path
	for i, p := range part {
		part[i], _ = url.PathUnescape(p)
	}
	if _, ok := h.repos[kind+"/"+strings.Join(part[:min(2, len(part))], "/")]; !ok {
		h.refuse(w, http.StatusUnauthorized, "RepoNotFound", "Invalid username or password.")
		return
	}
	if h.gated && len(part) > 2 && r.Header.Get("Authorization") != "Bearer "+h.token {
		h.refuse(w, http.StatusUnauthorized, "GatedRepo", "Access to model org/name is restricted.")
		return
	}
	if len(part) > 3 && !slices.Contains([]string{"main", commit1, "refs/convert/parquet"}, part[3]) {
		h.refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+part[3])
		return
	}
	switch {
	case api && len(part) == 2, api && part[2] == "revision":
		h.record(r)
		json.NewEncoder(w).Encode(map[string]any{"id": "org/name", "sha": commit1})
	case api && part[2] == "tree":
		h.record(r)
		h.tree(w, r)
	case part[2] == "resolve" && h.large[part[4]]:
		h.record(r)
		file := h.files[part[4]]
		w.Header().Set("X-Repo-Commit", commit1)
		w.Header().Set("X-Linked-Etag", `"`+hexOf(file)+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(file)))
		http.Redirect(w, r, h.cdn.URL+"/blobs/"+hexOf(file)+"?X-Signature=secret", http.StatusFound)
	default:
		h.web.put(r.URL.Path, h.files[part[4]])
		w.Header().Set("X-Repo-Commit", commit1)
		h.web.ServeHTTP(w, r)
	}
}

func (h *fakeHub) record(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, r)
}

func (h *fakeHub) refuse(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("X-Error-Code", reason)
	w.Header().Set("X-Error-Message", message)
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"error": %q}`, message)
}

func (h *fakeHub) tree(w http.ResponseWriter, r *http.Request) {
	var all []map[string]any
	for name, b := range h.files {
		item := map[string]any{"type": "file", "path": name, "size": len(b), "oid": gitSum(b)}
		if h.large[name] {
			item["oid"] = gitSum([]byte("pointer"))
			item["lfs"] = map[string]any{"oid": hexOf(b), "size": len(b), "pointerSize": 134}
			item["xetHash"] = strings.Repeat("e", 64)
		}
		all = append(all, item)
	}
	all = append(all, map[string]any{"type": "directory", "path": "sub", "size": 0, "oid": gitSum(nil)})
	slices.SortFunc(all, func(a, b map[string]any) int { return strings.Compare(a["path"].(string), b["path"].(string)) })
	start := 0
	fmt.Sscanf(r.URL.Query().Get("cursor"), "c%d", &start)
	end := min(start+h.pageSize, len(all))
	if end < len(all) {
		host := h.URL
		if h.foreign {
			host = h.cdn.URL
		}
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?recursive=true&expand=false&cursor=c%d>; rel="next"`, host, r.URL.Path, end))
	}
	json.NewEncoder(w).Encode(all[start:end])
}

// hubParams is a source of org/name on h.
func hubParams(h *fakeHub, as, more string) string {
	return fmt.Sprintf(`{"as": %q, "source": {"huggingface": {"repo": "org/name", "type": "model", "revision": "main", "endpoint": %q%s}}}`, as, h.URL, more)
}

func modelFiles(t *testing.T) map[string][]byte {
	return map[string][]byte{
		".gitattributes": []byte("x"), "README.md": []byte("---\nlicense: mit\n---\n"), "config.json": []byte("{}"),
		"model.safetensors": []byte(tensors(t, "model.norm.weight")), "onnx/model.onnx": noise(5000), "pytorch_model.bin": noise(100),
		"sub/ü ?.txt": []byte("odd name"),
	}
}

func TestHub(t *testing.T) {
	t.Parallel()
	h := newFakeHub(t, modelFiles(t), "model.safetensors", "onnx/model.onnx")
	m := newMachine(t)
	m.secrets["HF_TOKEN"] = "hf_s3cret"
	text := hubParams(h, "model", `, "token": {"secret": "HF_TOKEN"}`)
	if _, err := m.pin(text, false); !errors.Is(err, pipeline.ErrNotPinned) {
		t.Fatalf("pinned without the network: %v", err)
	}
	out, err := m.fetch(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 4 || out["model.safetensors"] != string(h.files["model.safetensors"]) {
		t.Errorf("%d files", len(out))
	}
	for _, want := range []string{`"repo": "org/name"`, commit1, `"license": "mit"`} {
		if !strings.Contains(out["pipe.json"], want) {
			t.Errorf("pipe.json has no %s", want)
		}
	}
	for _, r := range h.seen() {
		if r.Header.Get("Authorization") != "Bearer hf_s3cret" {
			t.Errorf("%s came without the token", r.URL)
		}
	}
	for _, r := range h.cdn.seen() {
		if r.Header.Get("Authorization") != "" {
			t.Error("the other host saw the token")
		}
	}
	if len(h.cdn.seen()) != 1 {
		t.Errorf("%d large files fetched, want 1", len(h.cdn.seen()))
	}
	pin, err := m.pin(text, false)
	if err != nil || pin.From != "huggingface:models/org/name@main" || !strings.HasPrefix(pin.ID, "hf:"+commit1+":") {
		t.Errorf("pin %+v, %v", pin, err)
	}
	for _, f := range m.events {
		if b, _ := json.Marshal(f); strings.Contains(string(b), "s3cret") {
			t.Errorf("event %s tells the token", b)
		}
	}
}

func TestHubAllFiles(t *testing.T) {
	t.Parallel()
	h := newFakeHub(t, modelFiles(t), "model.safetensors")
	h.repos, h.foreign = map[string]any{"datasets/org/name": nil}, true
	text := strings.ReplaceAll(hubParams(h, "files", `, "exclude": ["*.bin"]`), `"model"`, `"dataset"`)
	text = strings.ReplaceAll(text, `"main"`, `"refs/convert/parquet"`)
	m := newMachine(t)
	out, err := m.fetch(text)
	want := []string{"README.md", "config.json", "model.safetensors", "onnx/model.onnx", "sub/ü ?.txt"}
	if err != nil || len(out) != len(want) {
		t.Fatalf("%d files, %v", len(out), err)
	}
	for _, name := range want {
		if out[name] != string(h.files[name]) {
			t.Errorf("%s is not the file", name)
		}
	}
	if !strings.HasSuffix(h.seen()[0].URL.EscapedPath(), "refs%2Fconvert%2Fparquet") {
		t.Errorf("asked for %s", h.seen()[0].URL.EscapedPath())
	}
}

// Without what pinning left behind, the step lists the files itself, and finds
// out a hub that has others.
func TestHubFromLock(t *testing.T) {
	t.Parallel()
	h, m := newFakeHub(t, modelFiles(t), "model.safetensors"), newMachine(t)
	text := hubParams(h, "model", "")
	pin, err := m.pin(text, true)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := newMachine(t).run(t.Context(), text, pin.ID); err != nil || len(out) != 4 {
		t.Errorf("%d files, %v", len(out), err)
	}
	h.files["config.json"] = []byte(`{"tampered": 1}`)
	_, err = newMachine(t).run(t.Context(), text, pin.ID)
	wantField(t, err, "source.huggingface.repo", "not those that were pinned")

	// The list is as pinned, the bytes are not.
	_, err = m.run(t.Context(), text, pin.ID)
	wantField(t, err, "source.huggingface.repo", "config.json is not the file", "tampered")
	h.files["config.json"] = []byte("{}")
	large := h.files["model.safetensors"]
	bad := append([]byte(nil), large...)
	bad[len(bad)-1] ^= 1
	h.cdn.put("/blobs/"+hexOf(large), bad)
	m.work = t.TempDir()
	_, err = m.run(t.Context(), text, pin.ID)
	wantField(t, err, "source.huggingface.repo", "model.safetensors is not the file", hexOf(large), hexOf(bad))
}

func TestHubFaults(t *testing.T) {
	t.Parallel()
	files := modelFiles(t)
	files["data.bin"] = noise(3 << 20)
	h := newFakeHub(t, files, "data.bin")
	m := newMachine(t)
	text := hubParams(h, "files", `, "include": ["data.bin"]`)
	pin, err := m.pin(text, true)
	if err != nil {
		t.Fatal(err)
	}
	h.cdn.fail(status(500), short(1<<20), status(403)) // the last: a signed URL that expired
	out, err := m.run(t.Context(), text, pin.ID)
	if err != nil || out["data.bin"] != string(files["data.bin"]) {
		t.Fatalf("%d files, %v", len(out), err)
	}
	all := h.cdn.seen()
	if got := all[len(all)-1].Header.Get("Range"); got != "bytes=1048576-" {
		t.Errorf("last request for %q, want the rest", got)
	}

	// Killed in the middle, the step goes on there.
	ctx, kill := context.WithCancel(t.Context())
	h.cdn.fail(func(w http.ResponseWriter, r *http.Request, file []byte) bool {
		w.Write(file[:2<<20])
		w.(http.Flusher).Flush()
		time.Sleep(100 * time.Millisecond)
		kill()
		<-r.Context().Done()
		return true
	})
	if _, err := m.run(ctx, text, pin.ID); !errors.Is(err, context.Canceled) {
		t.Fatalf("killed: %v", err)
	}
	if out, err := m.run(t.Context(), text, pin.ID); err != nil || out["data.bin"] != string(files["data.bin"]) {
		t.Fatalf("%d files, %v", len(out), err)
	}
	all = h.cdn.seen()
	if got := all[len(all)-1].Header.Get("Range"); got == "" {
		t.Error("after the kill, the whole file was asked for")
	}
}

func TestHubRefusals(t *testing.T) {
	h := newFakeHub(t, modelFiles(t))
	h.repos["datasets/org/data"] = nil
	repo := func(from, to string) string { return strings.ReplaceAll(hubParams(h, "files", ""), from, to) }
	const at = "source.huggingface"
	for _, c := range []struct {
		name, text, field string
		words             []string
	}{
		{"no such repository", repo("org/name", "org/nome"), at + ".repo", []string{`no model "org/nome"`, "spelling", "HF_TOKEN"}},
		{"a dataset", repo("org/name", "org/data"), at + ".repo", []string{`did you mean type: "dataset"`}},
		{"no such revision", repo(`"main"`, `"v9"`), at + ".revision", []string{`"v9"`, "Invalid rev id"}},
		{"another commit", repo(`"main"`, `"`+strings.Repeat("a", 40)+`"`), at + ".revision", []string{"no branch, tag or commit"}},
		{"include matches nothing", hubParams(h, "files", `, "include": ["*.parquet"]`), at + ".include", []string{"*.parquet", "config.json"}},
		{"exclude leaves nothing", hubParams(h, "files", `, "exclude": ["*"]`), at + ".exclude", []string{"no file"}},
		{"no token", hubParams(h, "files", `, "token": {"secret": "HF_TOKEN"}`), at + ".token", []string{"HF_TOKEN is not set"}},
		{"too large", strings.Replace(hubParams(h, "files", ""), "{", `{"maxSize": "1KB", `, 1), "maxSize", []string{"more than 1KB"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newMachine(t).fetch(c.text)
			wantField(t, err, c.field, c.words...)
		})
	}

	h.gated, h.token = true, "hf_right"
	_, err := newMachine(t).fetch(hubParams(h, "files", ""))
	wantField(t, err, at+".repo", "gated", "accept its licence at "+h.URL+"/org/name", "HF_TOKEN")
	m := newMachine(t)
	m.secrets["HF_TOKEN"] = "hf_wrong"
	_, err = m.fetch(hubParams(h, "files", `, "token": {"secret": "HF_TOKEN"}`))
	wantField(t, err, at+".repo", "gated", "account that the token belongs to")
	if strings.Contains(err.Error(), "hf_wrong") {
		t.Error("the error tells the token")
	}

	t.Setenv("HF_HUB_OFFLINE", "1")
	_, err = newMachine(t).fetch(hubParams(h, "files", ""))
	wantField(t, err, at+".repo", "HF_HUB_OFFLINE")
}

// The endpoint may come from the environment, and is not part of the pin.
func TestHubMirror(t *testing.T) {
	h := newFakeHub(t, modelFiles(t))
	t.Setenv("HF_ENDPOINT", h.URL+"/")
	m := newMachine(t)
	a, err := m.pin(strings.Replace(hubParams(h, "model", ""), h.URL, "", 1), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HF_ENDPOINT", "http://127.0.0.1:1")
	if b, err := newMachine(t).pin(hubParams(h, "model", ""), true); err != nil || a != b {
		t.Errorf("pins %+v and %+v, %v", a, b, err)
	}
	t.Setenv("HF_ENDPOINT", "mirror")
	_, err = newMachine(t).pin(strings.Replace(hubParams(h, "model", ""), h.URL, "", 1), true)
	wantField(t, err, "source.huggingface", `"mirror" is no URL`)
}

// What the hub's own clients have is not downloaded again, if it is sound.
func TestHubLocalCache(t *testing.T) {
	h, m := newFakeHub(t, modelFiles(t), "model.safetensors"), newMachine(t)
	home := t.TempDir()
	t.Setenv("HF_HUB_CACHE", "")
	t.Setenv("HF_HOME", home)
	blobs := home + "/hub/models--org--name/blobs/"
	large := h.files["model.safetensors"]
	writeTestFile(t, blobs+hexOf(large), string(large))
	writeTestFile(t, blobs+gitSum(h.files["config.json"]), "damaged")
	out, err := m.fetch(hubParams(h, "model", ""))
	if err != nil || out["model.safetensors"] != string(large) || out["config.json"] != "{}" {
		t.Fatalf("%d files, %v", len(out), err)
	}
	if n := len(h.cdn.seen()); n != 0 {
		t.Errorf("%d large files were downloaded", n)
	}
}

func TestHubHostileList(t *testing.T) {
	t.Parallel()
	for words, name := range map[string]string{
		"leads out": "../../evil", "absolute": "/etc/evil", "backslash": `a\b`, "ignore case": "CONFIG.json",
		"both a file": "config.json/x",
	} {
		files := modelFiles(t)
		files[name] = []byte("x")
		h := newFakeHub(t, files)
		_, err := newMachine(t).fetch(hubParams(h, "files", `, "include": ["*"]`))
		wantField(t, err, "source.huggingface.repo", words)
		if _, err := newMachine(t).fetch(hubParams(h, "files", `, "include": ["*.md"]`)); err != nil {
			t.Errorf("%s: what is not asked for does no harm: %v", name, err)
		}
	}
	for words, answer := range map[string]string{
		"JSON": "<html>", "malformed": `[{"type": "file", "path": "a", "size": -1, "oid": "` + commit1 + `"}]`,
		`"a"`:   `[{"type": "file", "path": "a", "size": 1, "oid": "x"}]`,
		"twice": `[{"type": "file", "path": "a", "size": 1, "oid": "` + commit1 + `"}, {"type": "file", "path": "a", "size": 1, "oid": "` + commit1 + `"}]`,
	} {
		w := newWeb(t)
		w.put("/api/models/org/name/revision/main", []byte(`{"sha": "`+commit1+`"}`))
		w.put("/api/models/org/name/tree/"+commit1, []byte(answer))
		_, err := newMachine(t).pin(hubParams(&fakeHub{web: w}, "files", ""), true)
		wantField(t, err, "source.huggingface.repo", words)
	}
}

func TestUsualFiles(t *testing.T) {
	list := func(names ...string) (l hubList) {
		for _, n := range names {
			l = append(l, hubFile{path: n})
		}
		return l
	}
	for _, c := range []struct {
		as   string
		list hubList
		want string
	}{
		{"model", list("m.gguf", "config.json", ".x", "README.md", "a/config.json"), "m.gguf config.json README.md"},
		{"model", list("m.gguf", "config.json", "model.safetensors"), "config.json model.safetensors"},
		{"model", list("a.gguf", "b.gguf", "LICENSE"), "LICENSE"},
		{"model", list("tokenizer.model", "merges.txt", "chat_template.jinja", "tf_model.h5"), "tokenizer.model merges.txt chat_template.jinja"},
		{"adapter", list("adapter_config.json", "x.gguf", "adapter_model.safetensors", "optimizer.pt"), "adapter_config.json adapter_model.safetensors"},
		{"files", list("a/b", "a/.b", ".c/d", "e"), "a/b e"},
	} {
		var got []string
		usual := usualFiles(c.as, c.list)
		for _, f := range c.list {
			if usual(f.path) {
				got = append(got, f.path)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s of %v: %v, want %s", c.as, c.list, got, c.want)
		}
	}
}

// Weights that pipe does not read are no reason to call a model blank.
func TestHubWeights(t *testing.T) {
	for _, c := range []struct{ as, field, words, names string }{
		{"model", "repo", "runs code", "config.json pytorch_model.bin"},
		{"adapter", "repo", "runs code", "adapter_config.json adapter_model.bin"},
		{"model", "include", `include: ["a.gguf"]`, "a.gguf b.gguf LICENSE"},
	} {
		files := map[string][]byte{}
		for _, n := range strings.Fields(c.names) {
			files[n] = []byte("{}")
		}
		_, err := newMachine(t).pin(hubParams(newFakeHub(t, files), c.as, ""), true)
		wantField(t, err, "source.huggingface."+c.field, c.words)
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		glob, path string
		want       bool
	}{
		{"*.json", "a.json", true}, {"*.json", "sub/a.json", true}, {"*.json", "a.jsonl", false},
		{"sub/", "sub/a/b", true}, {"sub/", "other/sub/a", false}, {"sub/*", "sub/a/b", true},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"[ab].txt", "b.txt", true}, {"[!ab].txt", "b.txt", false},
		{"[!ab].txt", "c.txt", true}, {"a.b", "axb", false}, {"(a|b)", "a", false}, {"a[", "a[", true}, {"[]", "[]", true},
		{"[z-a]", "[z-a]", true}, {"x\n*", "x\ny", true}, {"é*", "éa", true},
	} {
		if got := globRegexp(c.glob).MatchString(c.path); got != c.want {
			t.Errorf("%q matches %q: %v", c.glob, c.path, got)
		}
	}
}

func TestListCodec(t *testing.T) {
	l := hubList{{"a \"b\"\n", sum{"git", commit1, 0}}, {"c", sum{"sha256", hexOf(nil), 1 << 40}}}
	got, err := decodeList(l.encode())
	if err != nil || !slices.Equal(got, l) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"x\n", "git a 1\n", "git a x \"p\"\n", "git a 1 p\n"} {
		if _, err := decodeList([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

package modules

import (
	"io/fs"
	"path/filepath"
	"strings"
)

// A Place is a file inside a module.
type Place struct {
	Module string // path@version, without the major version in the path: example.com/chat@v0.2.0
	File   string // inside the module, with slashes
}

func (p Place) String() string { return p.Module + ":" + p.File }

// Locate tells which module a file belongs to: a built-in one or one of the
// cache. ok is false for files of the user.
func (r *Registry) Locate(file string) (place Place, ok bool) {
	for _, m := range embeddedModules() {
		if rest, ok := strings.CutPrefix(filepath.ToSlash(file), m.root+"/"); ok {
			return Place{m.base + "@" + m.version, rest}, true
		}
	}
	if r == nil || !filepath.IsAbs(file) || r.open() != nil {
		return Place{}, false
	}
	rel, err := filepath.Rel(filepath.Join(r.dir, "mod", "extract"), file)
	if err != nil || !filepath.IsLocal(rel) {
		return Place{}, false
	}
	rel = filepath.ToSlash(rel)
	at := strings.Index(rel, "@")
	if at < 0 {
		return Place{}, false
	}
	slash := strings.Index(rel[at:], "/")
	if slash < 0 {
		return Place{}, false
	}
	p := Place{unescape(rel[:at+slash]), rel[at+slash+1:]}
	return p, fs.ValidPath(p.File)
}

// unescape undoes module.EscapePath and module.EscapeVersion, which write
// capital letters as "!" and the small letter.
func unescape(s string) string {
	if !strings.Contains(s, "!") {
		return s
	}
	b := []byte(nil)
	for i := 0; i < len(s); i++ {
		if s[i] == '!' && i+1 < len(s) {
			i++
			b = append(b, strings.ToUpper(s[i:i+1])...)
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

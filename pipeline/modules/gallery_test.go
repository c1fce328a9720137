package modules

import (
	"strings"
	"testing"
)

// TestGallery finds the gallery, and packages of it, without a registry; a
// newer version than this program has is refused, and so is publishing one.
func TestGallery(t *testing.T) {
	for _, registry := range []string{"none", "localhost:1+insecure"} { // the second answers nobody
		t.Run(registry, func(t *testing.T) { testGallery(t, registry) })
	}
}

func testGallery(t *testing.T, registry string) {
	r := New(t.Context(), []string{"CUE_REGISTRY=" + registry, "CUE_CACHE_DIR=" + t.TempDir()})
	for _, name := range []string{"", "/chat", "/qlora@v0", "/code@" + GalleryVersion, "@latest"} {
		m, err := r.Resolve(t.Context(), GalleryImport+name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if m.Name() != GalleryImport+"@"+GalleryVersion {
			t.Errorf("%s is %s", name, m.Name())
		}
	}
	for name, want := range map[string]string{
		"@v0.99.0": "newer than this pipe, which has " + GalleryVersion,
		"@v1":      "has no version v1",
		"/none":    "has no package none",
	} {
		if _, err := r.Resolve(t.Context(), GalleryImport+name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; wanted %q", name, err, want)
		}
	}
	if _, err := Init(t.TempDir(), GalleryImport); err == nil {
		t.Error("a module of the user's may be called " + GalleryImport)
	}
}

// TestGalleryNeedsThisSchema: the module file says which schema the templates
// were written for, and it is one that this program serves.
func TestGalleryNeedsThisSchema(t *testing.T) {
	m, ok := embeddedAt(GalleryImport + "@v0")
	if !ok {
		t.Fatal("no gallery")
	}
	f, err := m.file()
	if err != nil {
		t.Fatal(err)
	}
	dep := f.Deps[SchemaPath]
	if dep == nil || compareVersions(dep.Version, SchemaVersion) > 0 {
		t.Errorf("the gallery needs %v; this program has %s", dep, SchemaVersion)
	}
	if f.QualifiedModule() != m.path() {
		t.Errorf("its file calls it %s", f.QualifiedModule())
	}
}

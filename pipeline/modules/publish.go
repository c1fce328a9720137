package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelang.org/go/mod/modregistry"
	"cuelang.org/go/mod/module"
	"cuelang.org/go/mod/modzip"
	"github.com/opencontainers/go-digest"
	"golang.org/x/mod/semver"
)

// A Publication is a module in a registry.
type Publication struct {
	Module  string          `json:"module"` // path@version
	Ref     string          `json:"ref"`    // host/repository:tag
	Digest  string          `json:"digest"` // of the manifest
	Bytes   int64           `json:"bytes"`  // of the archive
	Files   []PublishedFile `json:"files"`
	Commit  string          `json:"commit,omitempty"`
	Existed bool            `json:"existed"` // with the same content; nothing was sent
	DryRun  bool            `json:"dryRun"`
	License bool            `json:"license"` // there is a LICENSE
}

// A PublishedFile is a file of a published module.
type PublishedFile struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// Publish sends m to its registry as version. What depends on it must be tidy
// and compile; a version that is published already is never changed. With dry,
// all is checked and nothing sent.
func (r *Registry) Publish(m *Main, version string, dry bool) (*Publication, error) {
	mv, err := m.publishVersion(version)
	if err != nil {
		return nil, err
	}
	c, err := r.Tidy(m)
	if err != nil {
		return nil, err
	}
	if !c.Empty() {
		return nil, &Error{Module: named(mv), Message: m.name + " is not tidy: " + c.Deps[0].String(), Hint: "pipe mod tidy, and commit what it changes"}
	}
	if err := r.Check(m); err != nil {
		return nil, err
	}
	zip, meta, err := m.archive(r.ctx, mv)
	if err != nil {
		return nil, err
	}
	content, err := checkZip(zip, mv.BasePath(), mv.Version())
	if err != nil {
		return nil, err
	}
	p := &Publication{Module: named(mv), Bytes: int64(len(zip)), DryRun: dry, Digest: ""}
	for _, name := range slices.Sorted(maps.Keys(content.digests)) {
		p.Files = append(p.Files, PublishedFile{name, content.sizes[name]})
		p.License = p.License || name == "LICENSE"
	}
	if meta != nil {
		p.Commit = meta.VCSCommit
	}
	return p, r.send(p, mv, zip, content, meta)
}

// send uploads the archive, unless the registry has it.
func (r *Registry) send(p *Publication, mv module.Version, zip []byte, content *checkedZip, meta *modregistry.Metadata) error {
	to, err := newResolver(r.env)
	if err != nil {
		return err
	}
	to.write = true
	loc, ok := to.ResolveToLocation(mv.BasePath(), mv.Version())
	at := to.remote(mv.BasePath(), mv.Version())
	if !ok {
		return &Error{Module: p.Module, Message: "there is no registry for " + p.Module, Hint: at.where()}
	}
	p.Ref = loc.Host + "/" + loc.Repository + ":" + loc.Tag
	pusher := &pushResolver{resolver: to, dry: p.DryRun}
	client := modregistry.NewClientWithResolver(pusher)
	if err := r.compare(p, client, mv, content); err != nil || p.Existed {
		return err
	}
	err = client.PutModuleWithMetadata(r.ctx, mv, bytes.NewReader(zip), int64(len(zip)), meta)
	if err != nil {
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		return at.failed(err)
	}
	p.Digest = pusher.digest.String()
	return nil
}

// compare looks for the version in the registry: with the same content it is
// published already, and with another it must stay as it is.
func (r *Registry) compare(p *Publication, client *modregistry.Client, mv module.Version, content *checkedZip) error {
	old, err := client.GetModule(r.ctx, mv)
	if errors.Is(err, modregistry.ErrNotFound) {
		return nil
	}
	if err != nil {
		return errorOf(err)
	}
	z, err := old.GetZip(r.ctx)
	if err != nil {
		return errorOf(err)
	}
	defer z.Close()
	b, err := io.ReadAll(z) // bounded by the guard
	if err != nil {
		return err
	}
	had, err := checkZip(b, mv.BasePath(), mv.Version())
	if err != nil {
		return err
	}
	if had.tree == content.tree {
		p.Existed, p.Digest = true, old.ManifestDigest().String()
		return nil
	}
	return &Error{
		Module:  p.Module,
		Message: fmt.Sprintf("%s is published already with other content: %s (%s)", p.Module, had.differs(content), old.ManifestDigest()),
		Hint:    "a version never changes, for others may use it: publish this as a new one, such as " + next(mv.Version()),
	}
}

// errorOf returns the *Error inside of err, which CUE wraps.
func errorOf(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return err
}

// publishVersion checks a version against the module file.
func (m *Main) publishVersion(version string) (module.Version, error) {
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		hint := "write it like v0.1.0"
		if c := semver.Canonical("v" + version); c != "" {
			hint += ", here " + c
		} else if c := semver.Canonical(version); c != "" {
			hint = "write it in full: " + c
		}
		return module.Version{}, &Error{Message: fmt.Sprintf("%q is no version to publish", version), Hint: hint}
	}
	mv, err := module.NewVersion(m.base(), version)
	if err != nil {
		return mv, &Error{Message: fmt.Sprintf("%s cannot be published: %s", m.base(), plainPath(err)), Hint: "the module's name in " + m.name + " must be like example.com/team/chat"}
	}
	if mv.Path() != m.Path() {
		return mv, &Error{
			Module:  named(mv),
			Message: fmt.Sprintf("%s is not a version of %s, which %s says this module is", version, m.Path(), m.name),
			Hint:    fmt.Sprintf(`a new major version is a new module: write module: "%s" there, or publish a version of %s`, mv.Path(), semver.Major(m.Path()[len(m.base())+1:])),
		}
	}
	if m.base() == "pipeline.local" || isBuiltin(m.Path()) {
		return mv, &Error{Module: named(mv), Message: m.base() + " is no name to publish under", Hint: "name the module in " + m.name + " after a name of the internet that is yours, like example.com/team/chat"}
	}
	return mv, nil
}

// archive packs the files of m: what git has of it, or all there is.
func (m *Main) archive(ctx context.Context, mv module.Version) ([]byte, *modregistry.Metadata, error) {
	var b bytes.Buffer
	if m.File.Source == nil {
		return nil, nil, &Error{
			Message: m.name + " does not say what is published",
			Hint:    `add source: kind: "git" to it for what is committed, or "self" for the folder as it is`,
		}
	}
	if m.File.Source.Kind == "self" {
		err := modzip.CreateFromDir(&b, mv, m.Dir)
		return b.Bytes(), nil, archiveFailed(mv, err)
	}
	c, err := readGit(ctx, m.Dir)
	if err != nil {
		return nil, nil, err
	}
	files := make([]archiveFile, 0, len(c.files)+1)
	for _, f := range c.files {
		files = append(files, archiveFile{f, filepath.Join(m.Dir, filepath.FromSlash(f))})
	}
	if license, err := c.license(ctx, m.Dir); err != nil {
		return nil, nil, err
	} else if license != "" {
		files = append(files, archiveFile{"LICENSE", license})
	}
	//lint:ignore SA1019 nothing else packs a chosen list of files with a licence from elsewhere, as CUE's own publish does
	err = modzip.Create(&b, mv, files, archiveIO{})
	return b.Bytes(), &modregistry.Metadata{VCSType: "git", VCSCommit: c.commit, VCSCommitTime: c.time}, archiveFailed(mv, err)
}

func archiveFailed(mv module.Version, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Module: named(mv), Message: fmt.Sprintf("%s cannot be packed: %s", named(mv), plainZip(err)), Err: err}
}

// license returns the LICENSE of the repository when the module has none.
func (c *checkout) license(ctx context.Context, dir string) (string, error) {
	if slices.Contains(c.files, "LICENSE") {
		return "", nil
	}
	name := filepath.Join(c.root, "LICENSE")
	st, err := os.Lstat(name)
	if err != nil || !st.Mode().IsRegular() {
		return "", nil
	}
	return name, refuseDirty(ctx, name)
}

// An archiveFile is a file to pack, and where it stands.
type archiveFile struct{ path, file string }

type archiveIO struct{}

func (archiveIO) Path(f archiveFile) string                 { return path.Clean(f.path) }
func (archiveIO) Lstat(f archiveFile) (fs.FileInfo, error)  { return os.Lstat(f.file) }
func (archiveIO) Open(f archiveFile) (io.ReadCloser, error) { return os.Open(f.file) }

// A pushResolver notes the digest of what is pushed; dry, it pushes nothing.
type pushResolver struct {
	*resolver
	dry bool

	mu     sync.Mutex // guards digest
	digest digest.Digest
}

// ResolveToRegistry implements modregistry.Resolver.
func (r *pushResolver) ResolveToRegistry(mpath, version string) (modregistry.RegistryLocation, error) {
	loc, err := r.resolver.ResolveToRegistry(mpath, version)
	if err == nil {
		loc.Registry = pusher{loc.Registry, r}
	}
	return loc, err
}

type pusher struct {
	ociregistry.Interface
	r *pushResolver
}

func (p pusher) PushBlob(ctx context.Context, repo string, desc ociregistry.Descriptor, r io.Reader) (ociregistry.Descriptor, error) {
	if p.r.dry {
		return desc, nil
	}
	return p.Interface.PushBlob(ctx, repo, desc, r)
}

func (p pusher) PushManifest(ctx context.Context, repo, tag string, b []byte, mediaType string) (ociregistry.Descriptor, error) {
	p.r.mu.Lock()
	p.r.digest = digest.FromBytes(b)
	p.r.mu.Unlock()
	if p.r.dry {
		return ociregistry.Descriptor{Digest: p.r.digest, Size: int64(len(b)), MediaType: mediaType}, nil
	}
	return p.Interface.PushManifest(ctx, repo, tag, b, mediaType)
}

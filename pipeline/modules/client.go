package modules

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelang.org/go/mod/modconfig"
	"cuelang.org/go/mod/modregistry"
	"cuelang.org/go/mod/module"
	"github.com/opencontainers/go-digest"

	"github.com/pipe-run/pipe/pipeline"
)

// What a registry may send. Modules hold text; these are far above any.
const (
	maxManifest = 1 << 20
	maxModFile  = 1 << 20
	maxZip      = 100 << 20 // compressed
	maxContent  = 256 << 20 // of all files of a module
	maxFiles    = 20000
)

// A resolver finds the registry of a module and puts a guard before it.
type resolver struct {
	*modconfig.Resolver
	env   []string
	write bool // for publishing

	mu        sync.Mutex // guards what follows, by path@version
	sums      map[string]sums
	manifests map[string]*ociregistry.Manifest
}

func newResolver(env []string) (*resolver, error) {
	t, err := newTransport(env)
	if err != nil {
		return nil, err
	}
	clientEnv, err := clientEnv(env)
	if err != nil {
		return nil, err
	}
	next, err := modconfig.NewResolver(&modconfig.Config{ClientType: "pipe", Env: clientEnv, Transport: t})
	if err != nil {
		return nil, &Error{Message: "CUE_REGISTRY is wrong: " + oneLine(err), Hint: "write it like registry.example.com/modules, or localhost:5000+insecure for one without HTTPS"}
	}
	return &resolver{Resolver: next, env: env, sums: map[string]sums{}, manifests: map[string]*ociregistry.Manifest{}}, nil
}

// remote describes where a module is looked for.
func (r *resolver) remote(mpath, version string) remote {
	m := remote{env: r.env, module: mpath, write: r.write}
	if version != "" {
		m.module += "@" + version
	}
	if loc, ok := r.ResolveToLocation(mpath, version); ok {
		m.host, m.plain = loc.Host, loc.Insecure
	}
	return m
}

// ResolveToRegistry implements modregistry.Resolver.
func (r *resolver) ResolveToRegistry(mpath, version string) (modregistry.RegistryLocation, error) {
	loc, err := r.Resolver.ResolveToRegistry(mpath, version)
	if err != nil {
		if errors.Is(err, modregistry.ErrRegistryNotFound) {
			return loc, err
		}
		return loc, &Error{Module: mpath, Message: "the registry of " + mpath + " cannot be told: " + oneLine(err), Hint: r.remote(mpath, version).where()}
	}
	loc.Registry = &guard{Interface: loc.Registry, remote: r.remote(mpath, version), resolver: r, mpath: mpath, version: version}
	return loc, nil
}

// checked returns the digests of a module that was fetched and found good.
func (r *resolver) checked(mv module.Version) (sums, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.sums[named(mv)]
	return s, ok
}

// A guard stands before the registry of one module. It hands on only what is
// complete, has the digest it should have and is what was asked for, so that
// nobody behind it keeps half a module or a wrong one.
type guard struct {
	ociregistry.Interface
	remote         remote
	resolver       *resolver
	mpath, version string
}

// GetTag implements ociregistry.Reader: the manifest of the module.
func (g *guard) GetTag(ctx context.Context, repo, tag string) (ociregistry.BlobReader, error) {
	r, err := g.Interface.GetTag(ctx, repo, tag)
	if err != nil {
		return nil, g.remote.failed(err)
	}
	defer r.Close()
	b, err := readAll(r, maxManifest)
	if err != nil {
		return nil, g.remote.failed(err)
	}
	var m ociregistry.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, g.strange("sends a manifest that is not JSON")
	}
	switch {
	case m.Config.MediaType != "application/vnd.cue.module.v1+json" || len(m.Layers) != 2:
		return nil, g.strange("holds something else than a CUE module there, such as a container image")
	case m.Layers[0].Size > maxZip || m.Layers[0].Size < 0 || m.Layers[1].Size > maxModFile || m.Layers[1].Size < 0:
		return nil, g.strange(fmt.Sprintf("says that the module is bigger than the %d MiB there may be", maxZip>>20))
	}
	for _, l := range m.Layers {
		if l.Digest.Validate() != nil || l.Digest.Algorithm() != digest.SHA256 {
			return nil, g.strange("sends a manifest whose digests are not SHA-256")
		}
	}
	g.resolver.mu.Lock()
	g.resolver.manifests[g.remote.module] = &m
	g.resolver.mu.Unlock()
	return blob{io.NopCloser(bytes.NewReader(b)), r.Descriptor()}, nil
}

// GetBlob implements ociregistry.Reader: the module file, or the archive.
func (g *guard) GetBlob(ctx context.Context, repo string, d ociregistry.Digest) (ociregistry.BlobReader, error) {
	g.resolver.mu.Lock()
	m := g.resolver.manifests[g.remote.module]
	g.resolver.mu.Unlock()
	if m == nil {
		return nil, g.strange("was asked for a layer before its manifest")
	}
	which := 0
	if d == m.Layers[1].Digest {
		which = 1
	}
	b, err := g.layer(ctx, repo, m.Layers[which])
	if err != nil {
		return nil, err
	}
	if which == 1 {
		_, err = checkModFile(b, g.mpath, g.version)
	} else {
		err = g.checkArchive(b, m)
	}
	if err != nil {
		return nil, err
	}
	return blob{io.NopCloser(bytes.NewReader(b)), m.Layers[which]}, nil
}

// layer fetches a layer and holds it against what the manifest says of it.
func (g *guard) layer(ctx context.Context, repo string, want ociregistry.Descriptor) ([]byte, error) {
	r, err := g.Interface.GetBlob(ctx, repo, want.Digest)
	if err != nil {
		return nil, g.remote.failed(err)
	}
	defer r.Close()
	b, err := readAll(r, want.Size)
	switch {
	case errors.Is(err, errTooLong):
		return nil, g.wrong(fmt.Sprintf("sent more than the %d bytes its manifest says", want.Size))
	case int64(len(b)) < want.Size && (err == nil || !isStall(err) && ctx.Err() == nil):
		return nil, g.wrong(fmt.Sprintf("sent %d of %d bytes", len(b), want.Size))
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && isStall(err):
		return nil, g.remote.failed(err)
	case digest.FromBytes(b) != want.Digest:
		return nil, g.wrong("sent bytes whose digest is not the one its manifest says")
	}
	return b, nil // an error of the reader's own check is settled by ours
}

// checkArchive checks the archive and remembers what was in it.
func (g *guard) checkArchive(b []byte, m *ociregistry.Manifest) error {
	s, err := checkZip(b, g.mpath, g.version)
	if err != nil {
		return err
	}
	if s.mod != pipeline.SumBytes(s.modFile) || digest.FromBytes(s.modFile) != m.Layers[1].Digest {
		return &Error{
			Module:  g.remote.module,
			Message: fmt.Sprintf("%s lies about itself: the module file inside it is not the one its registry shows", g.remote.module),
			Hint:    "tell whoever published it; nothing of it was kept",
			refused: true,
		}
	}
	g.resolver.mu.Lock()
	defer g.resolver.mu.Unlock()
	g.resolver.sums[g.remote.module] = s.sums
	return nil
}

// Tags implements ociregistry.Lister.
func (g *guard) Tags(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for tag, err := range g.Interface.Tags(ctx, repo, after) {
			if !yield(tag, g.remote.failed(err)) {
				return
			}
		}
	}
}

// strange blames the registry for an answer that makes no sense.
func (g *guard) strange(what string) error {
	return &Error{
		Module:  g.remote.module,
		Message: fmt.Sprintf("registry %s, asked for %s, %s", g.remote.host, g.remote.module, what),
		Hint:    g.remote.where(),
	}
}

// wrong blames the registry, or what lies between, for damaged bytes.
func (g *guard) wrong(what string) error {
	return &Error{
		Module:  g.remote.module,
		Message: fmt.Sprintf("registry %s, asked for %s, %s", g.remote.host, g.remote.module, what),
		Hint:    "nothing of it was kept; try again, and when it stays so, have the module published anew",
		refused: true,
	}
}

// blob is bytes at hand as an ociregistry.BlobReader.
type blob struct {
	io.ReadCloser
	desc ociregistry.Descriptor
}

func (b blob) Descriptor() ociregistry.Descriptor { return b.desc }

var errTooLong = errors.New("longer than it may be")

// readAll reads at most max bytes; errTooLong if there are more.
func readAll(r io.Reader, max int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if int64(len(b)) > max {
		return nil, errTooLong
	}
	return b, err
}

func isStall(err error) bool {
	var s *stalledError
	return errors.As(err, &s)
}

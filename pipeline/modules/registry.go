package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"cuelang.org/go/mod/modcache"
	"cuelang.org/go/mod/modconfig"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/modregistry"
	"cuelang.org/go/mod/module"
)

// A Registry finds modules: the built-in one in this program, all others in
// the cache or, when missing there, in the registries that CUE_REGISTRY names.
// It is a modconfig.CachedRegistry, may be used by many goroutines, and costs
// nothing until a module that is not built in is asked for. Its errors are
// *Error, or that of its context.
type Registry struct {
	ctx context.Context
	env []string

	once     sync.Once // guards what follows
	cache    *modcache.Cache
	resolver *resolver
	dir      string
	err      error

	verified par[module.Version] // extracted folders

	mu       sync.Mutex // guards what follows
	failures []Failure
	needs    map[module.Version]module.Version // who asked for a module first
}

var _ modconfig.CachedRegistry = (*Registry)(nil)

// A Failure is a module that could not be had, and why.
type Failure struct {
	Module string // path, with the major version if that is known
	Err    error
}

// New returns a registry that works by the environment env, that of this
// program if nil. Everything it does ends with ctx: callers such as CUE's
// loader have contexts of their own that nobody cancels.
func New(ctx context.Context, env []string) *Registry {
	return &Registry{ctx: ctx, env: env, needs: map[module.Version]module.Version{}}
}

// open prepares what is needed for modules that are not built in.
func (r *Registry) open() error {
	r.once.Do(func() {
		if r.dir, r.err = CacheDir(r.env); r.err != nil {
			return
		}
		if r.resolver, r.err = newResolver(r.env); r.err != nil {
			return
		}
		r.cache, r.err = modcache.New(modregistry.NewClientWithResolver(r.resolver), r.dir)
	})
	return r.err
}

// ModFile implements modconfig.Registry.
func (r *Registry) ModFile(_ context.Context, mv module.Version) (*modfile.File, error) {
	f, err := r.modFile(mv)
	if err != nil {
		return nil, r.failed(mv, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, dep := range f.DepVersions() {
		if _, known := r.needs[dep]; !known {
			r.needs[dep] = mv
		}
	}
	return f, nil
}

func (r *Registry) modFile(mv module.Version) (*modfile.File, error) {
	if isBuiltin(mv.Path()) {
		return builtinFile(mv)
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	f, err := await(r.ctx, func() (*modfile.File, error) { return r.cache.ModFile(r.ctx, mv) })
	if err == nil {
		err = r.verifyMod(mv)
	}
	return f, r.explain(mv, err)
}

// Fetch implements modconfig.Registry.
func (r *Registry) Fetch(_ context.Context, mv module.Version) (module.SourceLoc, error) {
	loc, err := r.fetch(mv)
	return loc, r.failed(mv, err)
}

func (r *Registry) fetch(mv module.Version) (module.SourceLoc, error) {
	if isBuiltin(mv.Path()) {
		return builtinSource(mv)
	}
	if err := r.open(); err != nil {
		return module.SourceLoc{}, err
	}
	loc, err := await(r.ctx, func() (module.SourceLoc, error) { return r.cache.Fetch(r.ctx, mv) })
	if err == nil {
		err = r.verified.do(mv, func() error { return r.verify(mv) })
	} else {
		r.dropMod(mv, err)
	}
	return loc, r.explain(mv, err)
}

// FetchFromCache implements modconfig.CachedRegistry.
func (r *Registry) FetchFromCache(mv module.Version) (module.SourceLoc, error) {
	if isBuiltin(mv.Path()) {
		return builtinSource(mv)
	}
	if err := r.open(); err != nil {
		return module.SourceLoc{}, err
	}
	loc, err := r.cache.FetchFromCache(mv)
	if err == nil {
		err = r.verified.do(mv, func() error { return r.verify(mv) })
	}
	return loc, err
}

// ModuleVersions implements modconfig.Registry. Of a built-in module it
// lists the one version there is.
func (r *Registry) ModuleVersions(_ context.Context, path string) ([]string, error) {
	if m, ok := embeddedAt(path); ok {
		if path == m.path() || path == m.base {
			return []string{m.version}, nil
		}
		return nil, nil
	}
	vs, err := r.versions(path)
	if err != nil {
		r.note(Failure{path, err})
	}
	return vs, err
}

func (r *Registry) versions(path string) ([]string, error) {
	if err := r.open(); err != nil {
		return nil, err
	}
	vs, err := await(r.ctx, func() ([]string, error) { return r.cache.ModuleVersions(r.ctx, path) })
	if err != nil {
		base, _, _ := strings.Cut(path, "@")
		err = r.resolver.remote(base, "").failed(err)
	}
	return vs, err
}

// explain turns what CUE says about a module into an *Error.
func (r *Registry) explain(mv module.Version, err error) error {
	var known *Error
	var path *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case errors.Is(err, modregistry.ErrNotFound):
		return r.missing(mv)
	case errors.As(err, &path):
		return &Error{
			Module:  named(mv),
			Message: fmt.Sprintf("%s cannot be kept in the module cache: %s", named(mv), oneLine(err)),
			Hint:    "CUE_CACHE_DIR names another folder for it",
			Err:     err,
		}
	case strings.Contains(err.Error(), "unzip") || strings.Contains(err.Error(), "cannot parse module file"):
		return r.tampered(mv, oneLine(err))
	}
	return r.resolver.remote(mv.BasePath(), mv.Version()).failed(err)
}

// missing says which versions of a module there are instead of mv.
func (r *Registry) missing(mv module.Version) error {
	at := r.resolver.remote(mv.BasePath(), mv.Version())
	e := &Error{Module: named(mv), Err: modregistry.ErrNotFound}
	if at.host == "" {
		e.Message = fmt.Sprintf("there is no registry for %s", named(mv))
		e.Hint = at.where()
		return e
	}
	vs, err := r.versions(mv.BasePath())
	switch {
	case err != nil:
		return err
	case len(vs) == 0:
		e.Message = fmt.Sprintf("registry %s has no module %s", at.host, mv.BasePath())
		e.Hint = fmt.Sprintf("is its name right? %s; a registry also hides what you may not read: docker login %s", at.where(), at.host)
	default:
		e.Message = fmt.Sprintf("there is no %s in registry %s", named(mv), at.host)
		e.Hint = fmt.Sprintf("there %s %s: pipe mod get %s@%s", isOrAre(len(vs)), listVersions(vs), mv.BasePath(), latest(vs))
	}
	return e
}

// failed notes and returns err, saying who needs the module unless it was the
// user who named it.
func (r *Registry) failed(mv module.Version, err error) error {
	if err != nil {
		r.note(Failure{mv.Path(), err})
	}
	return err
}

func (r *Registry) note(f Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.failures, func(o Failure) bool { return o.Module == f.Module && o.Err.Error() == f.Err.Error() }) {
		r.failures = append(r.failures, f)
	}
}

// Failures returns what could not be had so far. Loaders turn errors into
// words; here they still have their types.
func (r *Registry) Failures() []Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.failures)
}

// NeededBy returns the modules by which a module path is needed, the one that
// the user's module names first. It is empty when the user's module names path
// itself.
func (r *Registry) NeededBy(path string) []module.Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	var chain []module.Version
	for len(chain) < 100 {
		var by module.Version
		for dep, m := range r.needs {
			if dep.Path() == path && (!by.IsValid() || m.Compare(by) < 0) {
				by = m
			}
		}
		if !by.IsValid() || slices.Contains(chain, by) {
			break
		}
		chain = append(chain, by)
		path = by.Path()
	}
	slices.Reverse(chain)
	return chain
}

// CacheDir returns the folder of CUE's caches, by CUE_CACHE_DIR or where the
// system keeps such things.
func CacheDir(env []string) (string, error) {
	if dir := getenv(env, "CUE_CACHE_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", errNoCache
	}
	return filepath.Join(dir, "cue"), nil
}

// getenv looks a variable up in env, or in the program's environment if nil.
func getenv(env []string, key string) string {
	if env == nil {
		return os.Getenv(key)
	}
	for _, e := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(e, key+"="); ok {
			return v
		}
	}
	return ""
}

package modules

import (
	"context"
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
// nothing until a module that is not built in is asked for.
type Registry struct {
	ctx context.Context
	env []string

	once  sync.Once // guards what follows
	cache *modcache.Cache
	dir   string
	err   error

	mu       sync.Mutex // guards failures
	failures []Failure
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
	return &Registry{ctx: ctx, env: env}
}

// open prepares what is needed for modules that are not built in.
func (r *Registry) open() error {
	r.once.Do(func() {
		if r.dir, r.err = CacheDir(r.env); r.err != nil {
			return
		}
		var resolver *modconfig.Resolver
		resolver, r.err = modconfig.NewResolver(&modconfig.Config{ClientType: "pipe", Env: r.env})
		if r.err != nil {
			return
		}
		r.cache, r.err = modcache.New(modregistry.NewClientWithResolver(resolver), r.dir)
	})
	return r.err
}

// ModFile implements modconfig.Registry.
func (r *Registry) ModFile(_ context.Context, mv module.Version) (*modfile.File, error) {
	if isBuiltin(mv.Path()) {
		f, err := builtinFile(mv)
		return f, r.failed(mv.Path(), err)
	}
	if err := r.open(); err != nil {
		return nil, r.failed(mv.Path(), err)
	}
	f, err := r.cache.ModFile(r.ctx, mv)
	return f, r.failed(mv.Path(), err)
}

// Fetch implements modconfig.Registry.
func (r *Registry) Fetch(_ context.Context, mv module.Version) (module.SourceLoc, error) {
	if isBuiltin(mv.Path()) {
		loc, err := builtinSource(mv)
		return loc, r.failed(mv.Path(), err)
	}
	if err := r.open(); err != nil {
		return module.SourceLoc{}, r.failed(mv.Path(), err)
	}
	loc, err := r.cache.Fetch(r.ctx, mv)
	return loc, r.failed(mv.Path(), err)
}

// FetchFromCache implements modconfig.CachedRegistry.
func (r *Registry) FetchFromCache(mv module.Version) (module.SourceLoc, error) {
	if isBuiltin(mv.Path()) {
		return builtinSource(mv)
	}
	if err := r.open(); err != nil {
		return module.SourceLoc{}, err
	}
	return r.cache.FetchFromCache(mv)
}

// ModuleVersions implements modconfig.Registry. Of the built-in module it
// lists the one version there is.
func (r *Registry) ModuleVersions(_ context.Context, path string) ([]string, error) {
	if path == SchemaPath || path == SchemaImport {
		return []string{SchemaVersion}, nil
	}
	if err := r.open(); err != nil {
		return nil, r.failed(path, err)
	}
	vs, err := r.cache.ModuleVersions(r.ctx, path)
	return vs, r.failed(path, err)
}

// failed notes and returns err.
func (r *Registry) failed(path string, err error) error {
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := Failure{path, err}
	if !slices.ContainsFunc(r.failures, func(o Failure) bool { return o.Module == path && o.Err.Error() == err.Error() }) {
		r.failures = append(r.failures, f)
	}
	return err
}

// Failures returns what could not be had so far. Loaders turn errors into
// words; here they still have their types.
func (r *Registry) Failures() []Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.failures)
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

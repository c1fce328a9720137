package modules

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelang.org/go/mod/modregistry"
	"cuelang.org/go/mod/module"
)

// An Error says why a module cannot be had or published, and what to do.
type Error struct {
	Module  string // path@version, or the path alone
	Message string // a sentence that names the module
	Hint    string
	Err     error // behind it, or nil

	refused bool // what was sent is wrong; nothing of it may stay
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause only where callers ask for it: CUE takes some
// causes, such as a refused password, for a module that does not exist.
func (e *Error) Unwrap() error { return e.Err }

var errNoCache = &Error{
	Message: "there is no folder to keep modules in",
	Hint:    "set CUE_CACHE_DIR, or HOME",
}

// tooNew refuses a version of a built-in module that a newer pipe serves.
func tooNew(mv module.Version, has string) error {
	return &Error{
		Module:  mv.String(),
		Message: fmt.Sprintf("%s is newer than this pipe, which has %s", named(mv), has),
		Hint:    "install a newer pipe (this one is told by pipe version), or use a version of the module that needs no newer schema",
	}
}

// named writes a module version as users write it: path@version.
func named(mv module.Version) string {
	if mv.Version() == "" {
		return mv.BasePath()
	}
	return mv.BasePath() + "@" + mv.Version()
}

// A remote is where a module is looked for, as messages name it.
type remote struct {
	env    []string
	module string // what is asked for
	host   string
	plain  bool // over HTTP
	write  bool // it is to be published
}

// failed explains what a registry answered. What is explained already stays.
func (r remote) failed(err error) error {
	var known *Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled):
		return err
	}
	e := &Error{Module: r.module, Err: err}
	var stalled *stalledError
	var status ociregistry.HTTPError
	switch {
	case errors.As(err, &stalled):
		e.Message = fmt.Sprintf("registry %s, asked for %s, %s", r.host, r.module, stalled.Error())
		e.Hint = "try again, or set PIPE_REGISTRY_TIMEOUT to wait longer, such as 5m"
	case errors.As(err, &status):
		return r.answered(status)
	case errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "size mismatch"):
		e.Message = fmt.Sprintf("registry %s ended the answer too early while sending %s", r.host, r.module)
		e.Hint = "nothing of it was kept; try again"
	case isHelper(err):
		e.Message = fmt.Sprintf("no password for registry %s could be had: %s", r.host, plainHelper(err))
		e.Hint = "this is what " + credentialsOf(r.env, r.host).said() + " asks for"
	case isUnreachable(err):
		return r.unreachable(err)
	default:
		e.Message = fmt.Sprintf("registry %s answered a question about %s strangely: %s", r.host, r.module, oneLine(err))
		e.Hint = "is it an OCI registry? " + r.where()
	}
	return e
}

// answered explains an HTTP status.
func (r remote) answered(err ociregistry.HTTPError) error {
	e := &Error{Module: r.module}
	does, to := "give", "read"
	if r.write {
		does, to = "take", "write"
	}
	creds := credentialsOf(r.env, r.host)
	switch code := err.StatusCode(); {
	case code == http.StatusUnauthorized && creds.found():
		e.Err = errDenied
		e.Message = fmt.Sprintf("registry %s does not %s %s: it refuses the password of %s", r.host, does, r.module, creds.said())
		e.Hint = "log in again: docker login " + r.host
	case code == http.StatusUnauthorized:
		e.Err = errDenied
		e.Message = fmt.Sprintf("registry %s does not %s %s without a password", r.host, does, r.module)
		e.Hint = fmt.Sprintf("log in: docker login %s (no password for it in %s)", r.host, creds.said())
	case code == http.StatusForbidden:
		e.Err = errDenied
		e.Message = fmt.Sprintf("registry %s forbids to %s %s", r.host, to, r.module)
		e.Hint = fmt.Sprintf("ask its owner for the right to %s it, or log in as someone else: docker login %s", to, r.host)
	case code == http.StatusTooManyRequests:
		e.Message = fmt.Sprintf("registry %s was asked too often to %s %s now", r.host, does, r.module)
		e.Hint = "try again in a minute; after logging in more is allowed: docker login " + r.host
	case code == http.StatusNotFound:
		e.Message = fmt.Sprintf("registry %s does not have %s", r.host, r.module)
		e.Hint = r.where()
		e.Err = err
	case code == http.StatusMethodNotAllowed && r.write:
		e.Message = fmt.Sprintf("registry %s does not take %s: it is read-only", r.host, r.module)
		e.Hint = r.where()
	case code >= 500:
		e.Message = fmt.Sprintf("registry %s failed on %s: %d %s", r.host, r.module, code, http.StatusText(code))
		e.Hint = "try again later; the mistake is the registry's"
	default:
		e.Message = fmt.Sprintf("registry %s answered a question about %s with %d %s", r.host, r.module, code, http.StatusText(code))
		e.Hint = "is it an OCI registry? " + r.where()
	}
	return e
}

// unreachable explains a connection that did not come about.
func (r remote) unreachable(err error) error {
	e := &Error{Module: r.module, Err: err}
	why := "there is no connection"
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &dns):
		why = "its name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "connection refused"
	case errors.Is(err, os.ErrDeadlineExceeded) || isTimeout(err):
		why = "it does not answer"
	case errors.As(err, &unknown):
		why = "its certificate is signed by an unknown authority"
		e.Hint = "add your company's authority to the system's certificates, or name it in SSL_CERT_FILE"
	case strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		why = "it speaks HTTP, not HTTPS"
		e.Hint = fmt.Sprintf("when that is meant to be, write %s+insecure in CUE_REGISTRY", r.host)
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		why = "it closed the connection"
	}
	if e.Hint == "" {
		e.Hint = r.where() + "; modules fetched once need no registry"
	}
	verb := "fetch"
	if r.write {
		verb = "publish"
	}
	e.Message = fmt.Sprintf("registry %s cannot be reached to %s %s: %s", r.host, verb, r.module, why)
	return e
}

// where says why this registry is asked and no other.
func (r remote) where() string {
	if v := getenv(r.env, "CUE_REGISTRY"); v != "" {
		return "CUE_REGISTRY is " + v
	}
	return "CUE_REGISTRY, which says where modules are, is not set"
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func isUnreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &op) || errors.As(err, &dns) || errors.As(err, &unknown) || isTimeout(err) ||
		errors.Is(err, io.EOF) || strings.Contains(err.Error(), "HTTP response to HTTPS client") ||
		strings.Contains(err.Error(), "tls: ")
}

// oneLine returns the text of an error without line breaks, cut to a length
// that a terminal shows.
func oneLine(err error) string {
	s := strings.Join(strings.Fields(err.Error()), " ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}

// errDenied is behind errors of registries that want another password. It does
// not carry the HTTP status, by which CUE would call the module missing.
var errDenied = errors.New("not authorised")

// errMissing is behind errors that say that there is no such module or version.
var errMissing = modregistry.ErrNotFound

func isMissing(err error) bool { return errors.Is(err, errMissing) }

package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/pipe-run/pipe/pipeline"
)

// A hub speaks the Hugging Face Hub's protocol about one repository.
type hub struct {
	repo     *HuggingFace
	endpoint string // without a slash at its end
	header   http.Header
	client   *client
}

// api is the address of the repository in the API.
func (h *hub) api(kind string) string { return h.endpoint + "/api/" + kind + "s/" + h.repo.Repo }

// resolve is the address of a file. It mostly redirects to another host.
func (h *hub) resolve(commit, path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	prefix := h.endpoint + "/"
	if h.repo.Type == "dataset" {
		prefix += "datasets/"
	}
	return prefix + h.repo.Repo + "/resolve/" + commit + "/" + strings.Join(parts, "/")
}

var commitHex = regexp.MustCompile(`^[0-9a-f]{40}$`)

// commit asks what commit the revision is.
func (h *hub) commit(ctx context.Context) (string, error) {
	var info struct {
		SHA string `json:"sha"`
	}
	at := h.api(h.repo.Type) + "/revision/" + url.PathEscape(h.repo.Revision)
	if _, err := h.client.json(ctx, at, h.header, &info); err != nil {
		return "", err
	}
	if !commitHex.MatchString(info.SHA) {
		return "", fmt.Errorf("%s names no commit", at)
	}
	if commitHex.MatchString(h.repo.Revision) && info.SHA != h.repo.Revision {
		return "", fmt.Errorf("%s answers with another commit, %s", at, info.SHA)
	}
	return info.SHA, nil
}

// treeItem is an entry of a tree listing.
type treeItem struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Size int64  `json:"size"`
	OID  string `json:"oid"` // SHA-1 of the git blob
	LFS  *struct {
		OID  string `json:"oid"` // SHA-256 of the file
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// list asks for all files of a commit, page by page.
func (h *hub) list(ctx context.Context, commit string) (hubList, error) {
	base := h.api(h.repo.Type) + "/tree/" + commit
	query := "recursive=true&expand=false"
	asked := map[string]bool{}
	var list hubList
	for query != "" {
		if asked[query] {
			return nil, fmt.Errorf("%s lists its pages in a circle", base)
		}
		asked[query] = true
		var items []treeItem
		header, err := h.client.json(ctx, base+"?"+query, h.header, &items)
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			if it.Type != "file" {
				continue
			}
			f, err := it.file()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", base, err)
			}
			list = append(list, f)
		}
		if len(list) > maxFiles || len(asked) > maxFiles {
			return nil, fmt.Errorf("%s lists more than %d files", base, maxFiles)
		}
		query = nextQuery(header.Values("Link"))
	}
	return list, list.sort()
}

func (it *treeItem) file() (hubFile, error) {
	f := hubFile{it.Path, sum{"git", it.OID, it.Size}}
	ok := commitHex.MatchString(it.OID)
	if it.LFS != nil {
		f.sum = sum{"sha256", it.LFS.OID, it.LFS.Size}
		_, err := pipeline.ParseDigest(it.LFS.OID)
		ok = err == nil
	}
	if !ok || f.sum.size < 0 || len(it.Path) > maxName {
		return f, fmt.Errorf("the entry of %q is malformed", printable(it.Path))
	}
	return f, nil
}

// nextQuery returns the query of the next page. Mirrors pass on links to the
// hub itself, so that its host is not followed: the token stays at home.
func nextQuery(links []string) string {
	for _, link := range strings.Split(strings.Join(links, ","), ",") {
		target, params, ok := strings.Cut(strings.TrimSpace(link), ">")
		if !ok || !strings.HasPrefix(target, "<") || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			continue
		}
		if u, err := url.Parse(target[1:]); err == nil {
			return u.RawQuery
		}
	}
	return ""
}

// explain turns an answer of the hub into what the user can do about it.
func (h *hub) explain(ctx context.Context, err error) error {
	var named *pipeline.FieldError
	var status *statusError
	switch {
	case err == nil || errors.As(err, &named) || errors.Is(err, context.Canceled) || ofThisMachine(err):
		return err
	case !errors.As(err, &status):
		return &pipeline.FieldError{Field: hubField + ".repo", Err: err}
	}
	page := h.endpoint + "/" + h.repo.Repo
	if h.repo.Type == "dataset" {
		page = h.endpoint + "/datasets/" + h.repo.Repo
	}
	e := &pipeline.FieldError{Field: hubField + ".repo", Err: err}
	anonymous := h.header.Get("Authorization") == ""
	switch {
	case status.reason == "GatedRepo":
		e.Err = fmt.Errorf("%s is gated: %w", h.repo.Repo, err)
		e.Hint = "accept its licence at " + page
		if anonymous {
			e.Hint += ` and name a token: token: secret: "HF_TOKEN"`
		} else {
			e.Hint += " with the account that the token belongs to"
		}
	case status.reason == "EntryNotFound":
		e.Hint = "a commit never loses a file: ask who runs " + h.endpoint
	case status.reason == "RevisionNotFound":
		e.Field, e.Err = hubField+".revision", fmt.Errorf("%s has no branch, tag or commit %q: %w", h.repo.Repo, h.repo.Revision, err)
	case status.code == http.StatusUnauthorized && !anonymous && status.reason != "RepoNotFound":
		e.Field, e.Err = hubField+".token", fmt.Errorf("the token in %s is not accepted: %w", h.repo.Token.Name, err)
	case status.code == http.StatusForbidden:
		e.Err = fmt.Errorf("%s may not be read: %w", h.repo.Repo, err)
		e.Hint = "accept its licence at " + page + ", and give the token the right to read it"
	case status.code == http.StatusNotFound || status.code == http.StatusUnauthorized:
		h.notFound(ctx, e, anonymous)
	}
	return e
}

// notFound looks whether the repository is of the other type.
func (h *hub) notFound(ctx context.Context, e *pipeline.FieldError, anonymous bool) {
	e.Err = fmt.Errorf("there is no %s %q: %w", h.repo.Type, h.repo.Repo, e.Err)
	other := "dataset"
	if h.repo.Type == "dataset" {
		other = "model"
	}
	var info struct{}
	if _, err := h.client.json(ctx, h.api(other), h.header, &info); err == nil {
		e.Hint = fmt.Sprintf("did you mean type: %q? That is what it is", other)
		return
	}
	if anonymous {
		e.Hint = `check its spelling; if it is private, name a token: token: secret: "HF_TOKEN"`
	} else {
		e.Hint = "check its spelling, and that the token may read it"
	}
}

package fetch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/steps/internal/artifact"
)

// HuggingFace is a repository of the Hugging Face Hub or of a mirror of it.
// Its pin is "hf:COMMIT:DIGEST", where DIGEST names the list of all files of
// that commit with their checksums: a mirror that has others is found out.
type HuggingFace struct {
	Repo     string   `json:"repo"`
	Type     string   `json:"type"`
	Revision string   `json:"revision"`
	Include  []string `json:"include"`
	Exclude  []string `json:"exclude"`
	Token    *Secret  `json:"token"`
	Endpoint string   `json:"endpoint"`
}

const (
	hubField    = "source.huggingface"
	hubParallel = 4 // files at once
)

func (s *HuggingFace) origin(pin string) artifact.Source {
	commit, _, _ := splitHub(pin)
	return artifact.Source{Kind: "huggingface", Repo: s.Repo, Commit: commit}
}

// from is the name in pipe.lock. A mirror has the same files, so that it is
// no part of it.
func (s *HuggingFace) from() string {
	return "huggingface:" + s.Type + "s/" + s.Repo + "@" + s.Revision
}

func (s *HuggingFace) pin(ctx context.Context, p *Params, q *pipeline.PinRequest) (pipeline.Pin, error) {
	if err := s.checkGlobs(); err != nil {
		return pipeline.Pin{}, err
	}
	pin := pipeline.Pin{From: s.from(), Lock: true}
	if id, ok := q.Locked(pin.From); ok {
		pin.ID = id
		if _, _, err := splitHub(id); err != nil {
			return pin, &pipeline.FieldError{Field: hubField + ".repo", Err: err}
		}
		return pin, nil
	}
	if !q.Network {
		return pin, pipeline.ErrNotPinned
	}
	h, err := s.hub(p, q.Secret, q.Emit)
	if err != nil {
		return pin, err
	}
	defer h.client.close()
	commit, err := h.commit(ctx)
	if err != nil {
		return pin, h.explain(ctx, err)
	}
	list, err := h.list(ctx, commit)
	if err != nil {
		return pin, h.explain(ctx, err)
	}
	if _, err := s.choose(p.As, list); err != nil {
		return pin, err
	}
	encoded := list.encode()
	pin.ID = "hf:" + commit + ":" + pipeline.SumBytes(encoded).String()
	if q.Downloads != "" {
		err = leave(filepath.Join(q.Downloads, key(pin.ID)), encoded)
	}
	return pin, err
}

// leave writes a file for the step, whole or not at all.
func leave(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "list-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

var hubPin = regexp.MustCompile(`^hf:([0-9a-f]{40}):([0-9a-f]{64})$`)

func splitHub(id string) (commit, list string, err error) {
	m := hubPin.FindStringSubmatch(id)
	if m == nil {
		return "", "", fmt.Errorf("its pin %q is malformed", id)
	}
	return m[1], m[2], nil
}

func (s *HuggingFace) fetch(ctx context.Context, p *Params, t *pipeline.Task, dir string) error {
	h, err := s.hub(p, t.Secret, t.Emit)
	if err != nil {
		return err
	}
	defer h.client.close()
	commit, list, err := h.pinned(ctx, t)
	if err != nil {
		return h.explain(ctx, err)
	}
	files, err := s.choose(p.As, list)
	if err != nil {
		return err
	}
	b, err := newBudget(p.MaxSize)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := b.take(f.sum.size); err != nil {
			return err
		}
	}
	if err := h.download(ctx, commit, files, b, t); err != nil {
		return h.explain(ctx, err)
	}
	for _, f := range files {
		dst := filepath.Join(dir, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
			return err
		}
		if err := os.Rename(hubState(t, f), dst); err != nil {
			return err
		}
	}
	return nil
}

// hubState is where a file comes to, so that a killed step finds it again.
func hubState(t *pipeline.Task, f hubFile) string { return filepath.Join(t.State, key(f.path)) }

// pinned returns the commit and the list that t.Pin names: what pinning left
// behind, or else what the hub says.
func (h *hub) pinned(ctx context.Context, t *pipeline.Task) (commit string, list hubList, err error) {
	commit, digest, err := splitHub(t.Pin)
	if err != nil {
		return "", nil, err
	}
	if t.Downloads != "" {
		if b, err := head(filepath.Join(t.Downloads, key(t.Pin)), maxList); err == nil && pipeline.SumBytes(b).String() == digest {
			list, err = decodeList(b)
			return commit, list, err
		}
	}
	if list, err = h.list(ctx, commit); err != nil {
		return "", nil, err
	}
	if got := pipeline.SumBytes(list.encode()).String(); got != digest {
		return "", nil, &pipeline.FieldError{
			Field: hubField + ".repo",
			Err:   fmt.Errorf("the files of %s at commit %s are not those that were pinned: %w", h.repo.Repo, commit[:12], &mismatch{digest, got}),
			Hint:  "a commit never changes: ask who runs " + h.endpoint + " before you pin it anew",
		}
	}
	return commit, list, nil
}

// download brings all files, a few at once.
func (h *hub) download(ctx context.Context, commit string, files []hubFile, b *budget, t *pipeline.Task) error {
	var total int64
	for _, f := range files {
		total += f.sum.size
	}
	done := make([]atomic.Int64, len(files))
	progress := func() {
		var sum int64
		for i := range done {
			sum += done[i].Load()
		}
		t.Emit(pipeline.Progress{Done: sum, Total: total, Unit: "bytes"})
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(hubParallel)
	for i, f := range files {
		g.Go(func() error {
			x := &transfer{
				client: h.client, url: h.resolve(commit, f.path), header: h.header, path: hubState(t, f),
				want: f.sum, budget: b, charged: true,
				progress: func(n, _ int64) { done[i].Store(n); progress() },
			}
			if _, err := os.Stat(x.path); err != nil && h.repo.fromCache(x.path, f) {
				done[i].Store(f.sum.size)
				return nil
			}
			_, err := x.run(ctx)
			var wrong *mismatch
			if errors.As(err, &wrong) {
				return &pipeline.FieldError{
					Field: hubField + ".repo", Err: fmt.Errorf("%s is not the file that the commit names: %w", f.path, wrong),
					Hint: "what " + h.endpoint + " sends was damaged or tampered with",
				}
			}
			if err != nil {
				return fmt.Errorf("%s: %w", f.path, err)
			}
			done[i].Store(f.sum.size)
			return nil
		})
	}
	err := g.Wait()
	progress()
	return err
}

// hub returns the hub to ask.
func (s *HuggingFace) hub(p *Params, secret func(string) (string, bool), emit func(pipeline.Fact)) (*hub, error) {
	if v := strings.ToUpper(os.Getenv("HF_HUB_OFFLINE")); v == "1" || v == "TRUE" || v == "YES" || v == "ON" {
		return nil, &pipeline.FieldError{
			Field: hubField + ".repo", Err: fmt.Errorf("%s must be fetched, but HF_HUB_OFFLINE forbids it", s.Repo),
		}
	}
	token, err := s.Token.read(hubField+".token", secret)
	if err != nil {
		return nil, err
	}
	endpoint, field := s.Endpoint, hubField+".endpoint"
	if endpoint == "" {
		endpoint, field = os.Getenv("HF_ENDPOINT"), hubField
	}
	if endpoint == "" {
		endpoint = "https://huggingface.co"
	}
	endpoint = strings.TrimRight(endpoint, "/")
	if !strings.HasPrefix(endpoint, "https://") && !strings.HasPrefix(endpoint, "http://") {
		return nil, &pipeline.FieldError{Field: field, Err: fmt.Errorf("the endpoint %q is no URL", display(endpoint)), Hint: "it may come from HF_ENDPOINT"}
	}
	return &hub{repo: s, endpoint: endpoint, header: bearer(token), client: newClient(p.Retries, emit)}, nil
}

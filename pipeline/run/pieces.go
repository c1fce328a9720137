package run

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/store/disk"
)

// A child asks for pieces in its stream of events and is answered, one line of
// JSON each, on its control pipe. Directories are relative to the folder that
// it works in.

// pieceRequest is what a child asks.
type pieceRequest struct {
	Event string          `json:"event"` // "piece"
	ID    int             `json:"id"`
	Key   json.RawMessage `json:"key"`
	// Dir is what to save; empty to find.
	Dir string `json:"dir,omitempty"`
}

// pieceReply answers the request of the same ID. An empty Dir without an Error
// says that there is no such piece.
type pieceReply struct {
	ID    int    `json:"id"`
	Dir   string `json:"dir,omitempty"`
	Error string `json:"error,omitempty"`
}

// pieces is a child's side.
type pieces struct {
	dir string // of the child
	w   *eventWriter

	mu      sync.Mutex
	last    int
	waiting map[int]chan pieceReply
}

func newPieces(dir string, w *eventWriter) *pieces {
	return &pieces{dir: dir, w: w, waiting: map[int]chan pieceReply{}}
}

// Find implements pipeline.Pieces.
func (p *pieces) Find(ctx context.Context, key json.RawMessage) (string, error) {
	return p.ask(ctx, pieceRequest{Key: key})
}

// Save implements pipeline.Pieces.
func (p *pieces) Save(ctx context.Context, key json.RawMessage, dir string) (string, error) {
	rel, err := filepath.Rel(p.dir, dir)
	if err != nil {
		return "", err
	}
	return p.ask(ctx, pieceRequest{Key: key, Dir: filepath.ToSlash(rel)})
}

func (p *pieces) ask(ctx context.Context, q pieceRequest) (string, error) {
	reply := make(chan pieceReply, 1)
	p.mu.Lock()
	p.last++
	q.Event, q.ID = "piece", p.last
	p.waiting[q.ID] = reply
	p.mu.Unlock()
	p.w.write(q)
	select {
	case r := <-reply:
		switch {
		case r.Error != "":
			return "", errors.New(r.Error)
		case r.Dir == "":
			return "", pipeline.ErrNotFound
		}
		return filepath.Join(p.dir, filepath.FromSlash(r.Dir)), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// answer passes a reply to whom it is for.
func (p *pieces) answer(line []byte) {
	var r pieceReply
	if json.Unmarshal(line, &r) != nil {
		return
	}
	p.mu.Lock()
	reply, ok := p.waiting[r.ID]
	delete(p.waiting, r.ID)
	p.mu.Unlock()
	if ok {
		reply <- r
	}
}

// stopLine, on the control pipe, asks the child to save its state and stop.
const stopLine = "stop"

// obey does what the lines of control say: cancel, or an answer about a piece.
// Its end means that the parent is gone: this process and those it started die.
func obey(control io.Reader, cancel func(), answer func(line []byte)) {
	lines := bufio.NewScanner(control)
	for lines.Scan() {
		if lines.Text() == stopLine {
			cancel()
			continue
		}
		answer(lines.Bytes())
	}
	killOwnGroup()
	os.Exit(1)
}

// keeper is the parent's side: it serves the pieces of one execution.
type keeper struct {
	l    *Local
	dir  string
	node *pipeline.Node
	kind pipeline.Kind
	n    int // directories made
}

// keeps says whether anything remembers pieces.
func (l *Local) keeps() bool { return l.Lookup != nil && l.Record != nil }

// serve answers one request.
func (k *keeper) serve(ctx context.Context, line []byte, control io.Writer) {
	var q pieceRequest
	if json.Unmarshal(line, &q) != nil {
		return
	}
	reply := pieceReply{ID: q.ID}
	dir, err := k.piece(ctx, q)
	switch {
	case err == nil:
		reply.Dir = filepath.ToSlash(dir)
	case !errors.Is(err, pipeline.ErrNotFound):
		reply.Error = err.Error()
	}
	if b, err := json.Marshal(reply); err == nil {
		control.Write(append(b, '\n')) // a child that is gone needs no answer
	}
}

// piece saves or finds one, and returns where it lies now.
func (k *keeper) piece(ctx context.Context, q pieceRequest) (string, error) {
	a, err := pipeline.PieceAction(k.kind.Name, k.kind.Version, q.Key)
	if err != nil {
		return "", err
	}
	a.Node = k.node
	if q.Dir != "" {
		if err := k.save(ctx, a, q.Dir); err != nil {
			return "", fmt.Errorf("saving a piece: %w", err)
		}
	}
	r, err := k.l.Lookup(ctx, a)
	if err != nil {
		return "", err
	}
	k.n++
	rel := filepath.Join(piecesDir, strconv.Itoa(k.n))
	dir := filepath.Join(k.dir, rel)
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return "", err
	}
	if err := k.l.Store.Checkout(ctx, r.Outputs[pipeline.PieceOutput].Root, dir, disk.CheckoutOptions{}); err != nil {
		return "", fmt.Errorf("a piece: %w", err)
	}
	return rel, nil
}

// save stores what the child left below tmp/.
func (k *keeper) save(ctx context.Context, a *pipeline.Action, rel string) error {
	rel = filepath.FromSlash(rel)
	if !filepath.IsLocal(rel) || !strings.HasPrefix(rel, tmpDir+string(filepath.Separator)) {
		return fmt.Errorf("%s does not lie in %s", rel, tmpDir)
	}
	root, size, err := k.l.Store.Commit(ctx, filepath.Join(k.dir, rel), disk.CommitOptions{})
	if err != nil {
		return err
	}
	return k.l.Record(ctx, a, &pipeline.Result{Outputs: map[string]pipeline.Artifact{
		pipeline.PieceOutput: {Type: pipeline.TypeFiles, Root: root, Size: size},
	}})
}

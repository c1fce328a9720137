package cli

import (
	"bytes"
	"context"
	"fmt"

	"github.com/pipe-run/pipe/pipeline"
)

// keepPreimage stores what a key was made from, under the key.
func (s *session) keepPreimage(ctx context.Context, a *pipeline.Action) error {
	d, _, err := s.store.Put(ctx, bytes.NewReader(a.Canonical()))
	if err == nil && d != a.Key().Preimage() {
		err = fmt.Errorf("the action of step %s changed while it ran", a.Node.Name)
	}
	return err
}

package mem_test

import (
	"testing"

	"github.com/pipe-run/pipe/pipeline"
	"github.com/pipe-run/pipe/pipeline/store/mem"
	"github.com/pipe-run/pipe/pipeline/store/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t,
		func(*testing.T) *mem.Store { return mem.New() },
		func(_ *testing.T, s *mem.Store, d pipeline.Digest) { s.Delete(d) })
}

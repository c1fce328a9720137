package train

import (
	"context"

	"github.com/pipe-run/pipe/pipeline"
)

func estimate(ctx context.Context, q *pipeline.EstimateRequest) (*pipeline.Estimate, error) {
	return nil, nil
}

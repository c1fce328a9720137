package dataset

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
)

// Unsupervised is the label of a position that takes no part in the loss, as in
// PyTorch's cross-entropy.
const Unsupervised = -100

// maxRowTokens bounds one row of tokens.
const maxRowTokens = 1 << 24

// shardBytes ends a shard: Hugging Face datasets' default of 500 MB.
const shardBytes = 500_000_000

// Row is one row of tokens. All slices have one length; PositionIDs is nil
// unless the rows are packed, and starts again at 0 with every document;
// LossWeights is nil unless the rows are weighted.
type Row struct {
	InputIDs      []int32
	AttentionMask []int8  // 1 for a token, 0 for padding
	Labels        []int64 // Unsupervised or an id
	PositionIDs   []int32
	LossWeights   []float32 // 0 to 1: what the loss of the token counts
}

// check reports what makes the row unfit, in either direction.
func (r Row) check(o TokenOptions) error {
	n := len(r.InputIDs)
	switch {
	case n > maxRowTokens:
		return fmt.Errorf("%d tokens; at most %d are supported", n, maxRowTokens)
	case len(r.AttentionMask) != n:
		return fmt.Errorf("%d input_ids but %d values of attention_mask", n, len(r.AttentionMask))
	case len(r.Labels) != n:
		return fmt.Errorf("%d input_ids but %d labels", n, len(r.Labels))
	case o.Packed && len(r.PositionIDs) != n:
		return fmt.Errorf("%d input_ids but %d position_ids", n, len(r.PositionIDs))
	case !o.Packed && len(r.PositionIDs) != 0:
		return fmt.Errorf("position_ids in rows that are not packed")
	case o.Weighted && len(r.LossWeights) != n:
		return fmt.Errorf("%d input_ids but %d loss_weights", n, len(r.LossWeights))
	case !o.Weighted && len(r.LossWeights) != 0:
		return fmt.Errorf("loss_weights in rows that are not weighted")
	}
	for i, id := range r.InputIDs {
		switch {
		case id < 0:
			return fmt.Errorf("input_ids[%d] is %d", i, id)
		case r.Labels[i] < 0 && r.Labels[i] != Unsupervised || r.Labels[i] > 1<<31-1:
			return fmt.Errorf("labels[%d] is %d", i, r.Labels[i])
		case r.AttentionMask[i] != 0 && r.AttentionMask[i] != 1:
			return fmt.Errorf("attention_mask[%d] is %d", i, r.AttentionMask[i])
		case o.Packed && (r.PositionIDs[i] < 0 || int(r.PositionIDs[i]) > i):
			return fmt.Errorf("position_ids[%d] is %d", i, r.PositionIDs[i])
		case o.Weighted && !(r.LossWeights[i] >= 0 && r.LossWeights[i] <= 1):
			return fmt.Errorf("loss_weights[%d] is %v", i, r.LossWeights[i])
		}
	}
	return nil
}

// tokenColumn is one column of a tokens artifact, a list of numbers.
type tokenColumn struct {
	name  string
	dtype string // as Hugging Face datasets names it
	item  arrow.DataType
}

// tokenColumns returns the columns in the order they are written.
func tokenColumns(o TokenOptions) []tokenColumn {
	columns := []tokenColumn{
		{"input_ids", "int32", arrow.PrimitiveTypes.Int32},
		{"attention_mask", "int8", arrow.PrimitiveTypes.Int8},
		{"labels", "int64", arrow.PrimitiveTypes.Int64},
	}
	if o.Packed {
		columns = append(columns, tokenColumn{"position_ids", "int32", arrow.PrimitiveTypes.Int32})
	}
	if o.Weighted {
		columns = append(columns, tokenColumn{"loss_weights", "float32", arrow.PrimitiveTypes.Float32})
	}
	return columns
}

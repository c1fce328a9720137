package tokenize

import (
	"github.com/pipe-run/pipe/steps/internal/chat"
	"github.com/pipe-run/pipe/steps/internal/dataset"
)

// weighs says whether a message that is trained on has a weight between 0 and 1,
// so that rows need a column for it. It reads all records, which is little beside
// encoding them.
func weighs(dir string, train chat.Train) (bool, error) {
	records, err := dataset.OpenRecords(dir)
	if err != nil {
		return false, err
	}
	defer records.Close()
	if records.Shape() != dataset.Messages {
		return false, nil
	}
	for r, err := range records.All() {
		if err != nil {
			return false, err
		}
		for _, m := range r.Messages {
			if m.Weight != nil && *m.Weight > 0 && *m.Weight < 1 && train.Chooses(m.Role) {
				return true, nil
			}
		}
	}
	return false, nil
}

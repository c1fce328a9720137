package train

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/pipe-run/pipe/steps/internal/optim"
)

// bestPath is where the weights after an update lie while they have the lowest
// validation loss: the trained tensors, then the SHA-256 of that.
func bestPath(dir string, update int) string {
	return filepath.Join(dir, "best-"+strconv.Itoa(update))
}

func (tr *trainer) bestState(update *int) optim.State {
	return optim.State{Kind: "best", Updates: update, Tensors: tr.net.params}
}

// saveBest keeps the present weights as the best ones, in place of those of
// update before. A checkpoint may still need these: then it drops them.
func (tr *trainer) saveBest(before int) error {
	update := tr.done
	err := writeSummed(bestPath(tr.task.State, update), func(w io.Writer) error {
		_, err := tr.bestState(&update).WriteTo(w)
		return err
	})
	if err != nil {
		return fmt.Errorf("keeping the best weights: %w", err)
	}
	if before != tr.savedBest {
		os.Remove(bestPath(tr.task.State, before))
	}
	return nil
}

// dropBest removes the weights of an update that are no longer the best ones.
func (tr *trainer) dropBest(update int) {
	if update != tr.standing.Best {
		os.Remove(bestPath(tr.task.State, update))
	}
}

// verifyBest makes sure that the best weights in dir are whole.
func verifyBest(dir string, update int) error {
	f, err := os.Open(bestPath(dir, update))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the weights of update %d that it names are missing", update)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = verify(f, sha256.New())
	return err
}

// loadBest makes the best weights the present ones.
func (tr *trainer) loadBest() error {
	f, err := os.Open(bestPath(tr.task.State, tr.standing.Best))
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := verify(f, sha256.New())
	if err != nil {
		return err
	}
	var update int
	_, err = tr.bestState(&update).ReadFrom(bufio.NewReaderSize(io.NewSectionReader(f, 0, end), 1<<20))
	if err == nil && update != tr.standing.Best {
		err = errDamaged
	}
	return err
}

// finish chooses the weights that come out.
func (tr *trainer) finish() error {
	tr.kept = tr.done
	end := endLine{}
	if tr.done < tr.total {
		end.StoppedAfter = tr.done
		tr.task.Log.Info(fmt.Sprintf("stopped after update %d of %d: the validation loss no longer falls", tr.done, tr.total))
	}
	if tr.p.Keep == keepBest {
		tr.kept, end.KeptLoss = tr.standing.Best, tr.standing.Loss
		if err := tr.loadBest(); err != nil {
			return fmt.Errorf("reading the best weights again: %w", err)
		}
		tr.task.Log.Info(fmt.Sprintf("the weights after update %d have the lowest validation loss, %.4f", tr.kept, end.KeptLoss))
	}
	if end == (endLine{}) {
		return nil
	}
	end.KeptUpdate = tr.kept
	return tr.line(end)
}

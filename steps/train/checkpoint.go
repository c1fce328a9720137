package train

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pipe-run/pipe/steps/internal/optim"
)

// A checkpoint file is
//
//	magic (8 bytes), length of the header (8 bytes, little-endian), header (JSON),
//	training.jsonl so far, the trained tensors, the optimizer's state,
//	SHA-256 of all that.
//
// It is written beside its place, synced and renamed, so that a kill leaves the
// one before it. Rows and random numbers need no cursor: they are functions of
// the seed and the number of the update. The weights with the lowest validation
// loss, where they are kept, lie in a file of their own that the header names.
const (
	checkpointFile  = "checkpoint"
	checkpointMagic = "pipeckp1"
	maxHeader       = 1 << 20
	maxLog          = 1 << 32
)

// checkpointHeader says what a checkpoint holds.
type checkpointHeader struct {
	Params    Params   `json:"params"`
	Tensors   []string `json:"tensors"`
	Done      int      `json:"done"`
	Validated int      `json:"validated"`
	Standing  standing `json:"standing"`
	Log       int64    `json:"log"` // bytes
}

// header describes the present state. What cannot change a byte of the result
// does not matter to it.
func (tr *trainer) header() checkpointHeader {
	return checkpointHeader{
		Params: tr.p.keyed(), Tensors: tr.net.names,
		Done: tr.done, Validated: tr.validated, Standing: tr.standing, Log: int64(len(tr.log)),
	}
}

func (tr *trainer) tensors() optim.State {
	return optim.State{Kind: "tensors", Updates: &tr.done, Tensors: tr.net.params}
}

// save writes a checkpoint.
func (tr *trainer) save() error {
	start := time.Now()
	if err := writeSummed(filepath.Join(tr.task.State, checkpointFile), tr.write); err != nil {
		return fmt.Errorf("writing a checkpoint: %w", err)
	}
	tr.saved = time.Now()
	tr.saving = tr.saved.Sub(start)
	tr.dropBest(tr.savedBest)
	tr.savedBest = tr.standing.Best
	return nil
}

// writeSummed writes a file that ends with the SHA-256 of what fill writes, so
// that a kill leaves the file that was there before.
func writeSummed(path string, fill func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	sum := sha256.New()
	buf := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)
	err = errors.Join(fill(buf), buf.Flush())
	if err == nil {
		_, err = f.Write(sum.Sum(nil))
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func (tr *trainer) write(w io.Writer) error {
	header, err := json.Marshal(tr.header())
	if err != nil {
		return err
	}
	head := append([]byte(checkpointMagic), binary.LittleEndian.AppendUint64(nil, uint64(len(header)))...)
	for _, b := range [][]byte{head, header, tr.log} {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	if _, err := tr.tensors().WriteTo(w); err != nil {
		return err
	}
	_, err = tr.opt.WriteTo(w)
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// resume continues from the checkpoint, if there is one that is whole and of
// this training. Any other is reported and ignored: then a state that a shorter
// training left may serve.
func (tr *trainer) resume(ctx context.Context) error {
	err := tr.load(tr.task.State, tr.fits)
	if errors.Is(err, fs.ErrNotExist) {
		return tr.findPrefix(ctx)
	}
	if err != nil {
		tr.task.Log.Warn(fmt.Sprintf("the checkpoint is ignored: %v", err))
		if err := tr.reset(); err != nil {
			return err
		}
		return tr.findPrefix(ctx)
	}
	tr.savedBest = tr.standing.Best
	tr.tidy()
	tr.task.Log.Info(fmt.Sprintf("continuing after update %d of %d", tr.done, tr.total))
	return nil
}

// tidy removes what kills left of files that were being written, and best
// weights that the checkpoint does not name. What cannot be removed goes with
// the step.
func (tr *trainer) tidy() {
	keep := bestPath(tr.task.State, tr.standing.Best)
	for _, pattern := range []string{checkpointFile + "-*", "best-*"} {
		files, _ := filepath.Glob(filepath.Join(tr.task.State, pattern)) // the pattern is well formed
		for _, f := range files {
			if f != keep {
				os.Remove(f)
			}
		}
	}
}

// load reads the checkpoint in dir if fits finds nothing against its header. The
// state is unspecified after an error other than fs.ErrNotExist.
func (tr *trainer) load(dir string, fits func(h checkpointHeader, size int64) error) error {
	f, err := os.Open(filepath.Join(dir, checkpointFile))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := tr.read(f, fits); err != nil {
		return err
	}
	if err := tr.guard.replay(tr.log); err != nil {
		return err
	}
	if tr.p.Keep == keepBest && tr.standing.Best > 0 {
		return verifyBest(dir, tr.standing.Best)
	}
	return nil
}

// errDamaged is a checkpoint whose bytes are not those that were written.
var errDamaged = errors.New("it is damaged")

func (tr *trainer) read(f *os.File, fits func(h checkpointHeader, size int64) error) error {
	end, err := verify(f, sha256.New())
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, end), 1<<20)
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:8]) != checkpointMagic {
		return errDamaged
	}
	n := binary.LittleEndian.Uint64(head[8:])
	if n > maxHeader {
		return errDamaged
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return errDamaged
	}
	var h checkpointHeader
	if err := json.Unmarshal(raw, &h); err != nil {
		return errDamaged
	}
	if err := fits(h, end); err != nil {
		return err
	}
	tr.log = make([]byte, h.Log)
	if _, err := io.ReadFull(r, tr.log); err != nil {
		return errDamaged
	}
	if _, err := tr.tensors().ReadFrom(r); err != nil {
		return err
	}
	if _, err := tr.opt.ReadFrom(r); err != nil {
		return err
	}
	if _, err := r.ReadByte(); err != io.EOF || tr.done != h.Done || tr.opt.Updates() != h.Done {
		return errDamaged
	}
	tr.validated, tr.standing = h.Validated, h.Standing
	return nil
}

// fits makes sure that a checkpoint of size bytes belongs to this training.
func (tr *trainer) fits(h checkpointHeader, size int64) error {
	if h.Done < 0 || h.Done > tr.total || h.Standing.Best > h.Done || h.Log < 0 || h.Log > min(size, maxLog) {
		return errDamaged
	}
	want := tr.header()
	same, err := equalJSON(want.Params, h.Params)
	if err == nil && !(same && slices.Equal(want.Tensors, h.Tensors)) {
		err = errors.New("it belongs to another training")
	}
	return err
}

// equalJSON says that two values have the same JSON.
func equalJSON(x, y any) (bool, error) {
	a, err := json.Marshal(x)
	if err != nil {
		return false, err
	}
	b, err := json.Marshal(y)
	return bytes.Equal(a, b), err
}

// verify compares a checkpoint with the checksum at its end and returns where
// that begins.
func verify(f *os.File, sum hash.Hash) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	end := info.Size() - sha256.Size
	if end < 0 || !info.Mode().IsRegular() {
		return 0, errDamaged
	}
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, end)); err != nil {
		return 0, err
	}
	want := make([]byte, sha256.Size)
	if _, err := f.ReadAt(want, end); err != nil {
		return 0, err
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return 0, errDamaged
	}
	return end, nil
}

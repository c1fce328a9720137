package train

import (
	"bufio"
	"bytes"
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
// the seed and the number of the update.
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
	Log       int64    `json:"log"` // bytes
}

// header describes the present state. How often checkpoints are written does
// not matter to it.
func (tr *trainer) header() checkpointHeader {
	h := checkpointHeader{Params: tr.p, Tensors: tr.net.names, Done: tr.done, Validated: tr.validated, Log: int64(len(tr.log))}
	h.Params.CheckpointEvery = 0
	return h
}

func (tr *trainer) tensors() optim.State {
	return optim.State{Kind: "tensors", Updates: &tr.done, Tensors: tr.net.params}
}

// save writes a checkpoint.
func (tr *trainer) save() error {
	f, err := os.CreateTemp(tr.task.State, checkpointFile+"-*")
	if err != nil {
		return fmt.Errorf("writing a checkpoint: %w", err)
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	err = errors.Join(tr.write(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(tr.task.State, checkpointFile))
	}
	if err == nil {
		err = syncDir(tr.task.State)
	}
	if err != nil {
		return fmt.Errorf("writing a checkpoint: %w", err)
	}
	tr.saved = time.Now()
	return nil
}

func (tr *trainer) write(w io.Writer) error {
	sum := sha256.New()
	buf := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<20)
	header, err := json.Marshal(tr.header())
	if err != nil {
		return err
	}
	buf.WriteString(checkpointMagic)
	buf.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(header))))
	buf.Write(header)
	buf.Write(tr.log)
	if _, err := tr.tensors().WriteTo(buf); err != nil {
		return err
	}
	if _, err := tr.opt.WriteTo(buf); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	_, err = w.Write(sum.Sum(nil))
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
// this training. Any other is reported and ignored.
func (tr *trainer) resume() error {
	f, err := os.Open(filepath.Join(tr.task.State, checkpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer f.Close()
		err = tr.read(f)
	}
	if err != nil {
		tr.task.Log.Warn(fmt.Sprintf("the checkpoint is ignored: %v", err))
		return tr.reset()
	}
	tr.task.Log.Info(fmt.Sprintf("continuing after update %d of %d", tr.done, tr.total))
	return nil
}

// errDamaged is a checkpoint whose bytes are not those that were written.
var errDamaged = errors.New("it is damaged")

func (tr *trainer) read(f *os.File) error {
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
	if err := tr.fits(h, end); err != nil {
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
	tr.validated = h.Validated
	return nil
}

// fits makes sure that a checkpoint of size bytes belongs to this training.
func (tr *trainer) fits(h checkpointHeader, size int64) error {
	if h.Done < 0 || h.Done > tr.total || h.Log < 0 || h.Log > min(size, maxLog) {
		return errDamaged
	}
	want := tr.header()
	want.Done, want.Validated, want.Log = h.Done, h.Validated, h.Log
	a, err := json.Marshal(want)
	if err != nil {
		return err
	}
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return errors.New("it belongs to another training")
	}
	return nil
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

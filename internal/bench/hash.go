package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pipe-run/pipe/pipeline/store/disk"
)

const (
	hashFiles = 8
	hashSize  = 32 << 20 // bytes of each
)

// hashes measures storing a step's outputs, hashing included, beside sha256sum
// on all cores.
func hashes(l *lab) []Result {
	const name = "hash/outputs-8x32MiB"
	peer := fmt.Sprintf("sha256sum on %d cores", runtime.NumCPU())
	r := Result{Name: name, Unit: "GB/s", Better: "higher", Reference: peer, Budget: 0.8, BudgetOn: "ratio"}
	ours, theirs, ratio, err := l.hashPair()
	if err != nil {
		r.Note = err.Error()
		return []Result{r}
	}
	const total = hashFiles * hashSize / 1e9
	r.Value, r.ReferenceValue, r.Ratio = total/ours, total/theirs, 1/ratio
	return []Result{r}
}

func (l *lab) hashPair() (ours, theirs, ratio float64, err error) {
	if err := absent("sha256sum"); err != nil {
		return 0, 0, 0, err
	}
	store, err := disk.Open(l.path("hash-cache"), disk.Options{})
	if err != nil {
		return 0, 0, 0, err
	}
	defer store.Close()
	dir := l.path("hash-files")
	return l.pair(func() (float64, error) {
		if err := fill(dir); err != nil {
			return 0, err
		}
		start := time.Now()
		_, _, err := store.Commit(context.Background(), dir, disk.CommitOptions{})
		return time.Since(start).Seconds(), err
	}, func() (float64, error) {
		if err := fill(dir); err != nil {
			return 0, err
		}
		cmd := exec.Command("sh", "-c", fmt.Sprintf("ls | xargs -n 1 -P %d sha256sum", runtime.NumCPU()))
		cmd.Dir = dir
		start := time.Now()
		err := cmd.Run()
		return time.Since(start).Seconds(), err
	})
}

// fill writes new files of random bytes, so that none is in the store, and
// waits until the disk has them, so that neither side pays for that.
func fill(dir string) error {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o777)); err != nil {
		return err
	}
	b := make([]byte, hashSize)
	rand.Read(b)
	for i := range hashFiles {
		rand.Read(b[:64])
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

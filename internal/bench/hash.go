package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/pipe-run/pipe/pipeline/store/disk"
)

const (
	hashFiles = 8
	hashSize  = 32 << 20 // bytes of each
)

// hashes measures storing a step's outputs, hashing included, beside sha256sum
// and beside nothing but SHA-256 over the same bytes in memory, each on all
// cores. The budget is on the latter: it is what the processor can do.
func hashes(l *lab) []Result {
	cores := runtime.NumCPU()
	return []Result{
		l.hash("hash/outputs-8x32MiB", fmt.Sprintf("SHA-256 in memory on %d cores", cores), inMemory),
		l.hash("hash/outputs-8x32MiB/sha256sum", fmt.Sprintf("sha256sum on %d cores", cores), sha256sum),
	}
}

func (l *lab) hash(name, reference string, peer func(dir string) (float64, error)) Result {
	r := Result{Name: name, Unit: "GB/s", Better: "higher", Reference: reference, Budget: 0.8, BudgetOn: "ratio"}
	store, err := disk.Open(l.path("hash-cache"), disk.Options{})
	if err != nil {
		r.Note = err.Error()
		return r
	}
	defer store.Close()
	dir := l.path("hash-files")
	ours, theirs, ratio, err := l.pair(func() (float64, error) {
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
		return peer(dir)
	})
	if err != nil {
		r.Note = err.Error()
		return r
	}
	const total = hashFiles * hashSize / 1e9
	r.Value, r.ReferenceValue, r.Ratio = total/ours, total/theirs, 1/ratio
	return r
}

func sha256sum(dir string) (float64, error) {
	if err := absent("sha256sum"); err != nil {
		return 0, err
	}
	cmd := exec.Command("sh", "-c", fmt.Sprintf("ls | xargs -n 1 -P %d sha256sum", runtime.NumCPU()))
	cmd.Dir = dir
	start := time.Now()
	err := cmd.Run()
	return time.Since(start).Seconds(), err
}

// inMemory hashes the files' bytes, read beforehand.
func inMemory(dir string) (float64, error) {
	var blobs [][]byte
	for i := range hashFiles {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return 0, err
		}
		blobs = append(blobs, b)
	}
	start := time.Now()
	var wg sync.WaitGroup
	for core := range runtime.NumCPU() {
		wg.Go(func() {
			for i := core; i < len(blobs); i += runtime.NumCPU() {
				sha256.Sum256(blobs[i])
			}
		})
	}
	wg.Wait()
	return time.Since(start).Seconds(), nil
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

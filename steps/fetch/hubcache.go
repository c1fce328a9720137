package fetch

import (
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// hubCache is the folder in which the hub's own clients keep this repository,
// or "" if nobody can tell.
func (s *HuggingFace) hubCache() string {
	base := os.Getenv("HF_HUB_CACHE")
	if home := os.Getenv("HF_HOME"); base == "" && home != "" {
		base = filepath.Join(home, "hub")
	}
	if base == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if home := os.Getenv("HOME"); cache == "" && home != "" {
			cache = filepath.Join(home, ".cache")
		}
		if cache == "" {
			return ""
		}
		base = filepath.Join(cache, "huggingface", "hub")
	}
	return filepath.Join(base, s.Type+"s--"+strings.ReplaceAll(s.Repo, "/", "--"))
}

// fromCache copies a file out of the cache of the hub's own clients, which is
// only read, and reports whether it was there with the right content.
func (s *HuggingFace) fromCache(dst string, f hubFile) bool {
	dir := s.hubCache()
	if dir == "" {
		return false
	}
	in, err := os.Open(filepath.Join(dir, "blobs", f.sum.hex))
	if err != nil {
		return false
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return false
	}
	h := f.sum.hash()
	n, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(in, f.sum.size+1))
	if closed := out.Close(); err == nil && closed == nil && n == f.sum.size && hex.EncodeToString(h.Sum(nil)) == f.sum.hex {
		return true
	}
	os.Remove(dst)
	return false
}

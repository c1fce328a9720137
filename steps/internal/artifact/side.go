package artifact

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// SideFiles are the files of a Hugging Face model directory that describe the
// model rather than hold its weights, in the order they are copied.
func SideFiles() []string {
	return []string{
		"config.json",
		"generation_config.json",
		"tokenizer.json",
		"tokenizer.model",
		"tokenizer_config.json",
		"special_tokens_map.json",
		"added_tokens.json",
		"vocab.json",
		"merges.txt",
		"chat_template.jinja",
		"LICENSE",
		"LICENSE.txt",
		"LICENSE.md",
		"NOTICE",
		"USE_POLICY.md",
	}
}

// CopySideFiles copies the side files that src has into dst, which must exist.
// A file that dst already has is left alone, so that a step can write its own
// config.json first. Links are not followed.
func CopySideFiles(src, dst string) error {
	for _, name := range SideFiles() {
		err := copyFile(filepath.Join(src, name), filepath.Join(dst, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("copying %s: %w", name, err)
		}
	}
	return nil
}

// copyFile copies a regular file to a new one.
func copyFile(src, dst string) error {
	info, err := os.Lstat(src)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("not a regular file")
	}
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

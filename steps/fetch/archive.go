package fetch

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

const tarBlock = 512

// isTar knows a POSIX or GNU tar by the magic in its first header.
func isTar(head []byte) bool { return len(head) == tarBlock && string(head[257:262]) == "ustar" }

// sniffGz tells a compressed tar from another compressed file.
func sniffGz(r io.Reader) string {
	z, err := gzip.NewReader(r)
	if err != nil {
		return "gz"
	}
	head := make([]byte, tarBlock)
	if n, _ := io.ReadFull(z, head); isTar(head[:n]) {
		return "tar.gz"
	}
	return "gz"
}

func (a *archive) zip(ctx context.Context) error {
	z, err := zip.OpenReader(a.src)
	if err != nil {
		return fmt.Errorf("reading zip: %w", err)
	}
	defer z.Close()
	for _, f := range z.File {
		mode := f.Mode()
		name, err := a.place(f.Name, mode.IsDir())
		if err != nil {
			return err
		}
		switch {
		case mode.IsDir():
			continue
		case !mode.IsRegular():
			return fmt.Errorf("entry %q is %s, which is not unpacked", printable(f.Name), special(mode))
		case f.Flags&1 != 0:
			return fmt.Errorf("entry %q is encrypted", printable(f.Name))
		case name == "":
			continue
		}
		if err := a.zipped(ctx, f, name, mode); err != nil {
			return err
		}
	}
	return nil
}

func (a *archive) zipped(ctx context.Context, f *zip.File, name string, mode fs.FileMode) error {
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	defer r.Close()
	return a.write(ctx, name, r, mode&0o111 != 0)
}

func (a *archive) tarGz(ctx context.Context) error {
	return a.open(func(f io.Reader) error {
		z, err := gzip.NewReader(f)
		if err != nil {
			return fmt.Errorf("reading gzip: %w", err)
		}
		if err := a.tar(ctx, z); err != nil {
			return err
		}
		// The checksum comes after the tar's end.
		_, err = io.Copy(io.Discard, a.bounded(ctx, z))
		return err
	})
}

func (a *archive) tar(ctx context.Context, r io.Reader) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading tar: %w", err)
		}
		mode := h.FileInfo().Mode()
		switch h.Typeflag {
		case tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg, tar.TypeDir:
		case tar.TypeLink:
			return fmt.Errorf("entry %q is a hard link, which is not unpacked", printable(h.Name))
		default:
			return fmt.Errorf("entry %q is %s, which is not unpacked", printable(h.Name), special(mode))
		}
		dir := h.Typeflag == tar.TypeDir
		name, err := a.place(h.Name, dir)
		if err != nil {
			return err
		}
		if dir {
			continue
		}
		if name == "" {
			if _, err := io.Copy(io.Discard, a.bounded(ctx, t)); err != nil {
				return fmt.Errorf("entry %q: %w", printable(h.Name), err)
			}
			continue
		}
		if err := a.write(ctx, name, t, mode&0o111 != 0); err != nil {
			return err
		}
	}
}

// gz unpacks one compressed file, which keeps its name without .gz.
func (a *archive) gz(ctx context.Context) error {
	return a.open(func(f io.Reader) error {
		z, err := gzip.NewReader(f)
		if err != nil {
			return fmt.Errorf("reading gzip: %w", err)
		}
		base := filepath.Base(a.src)
		name := strings.TrimSuffix(base, ".gz")
		if name == "" {
			return errors.New("the file is called .gz and nothing else")
		}
		return a.write(ctx, name, z, false)
	})
}

// special says what an entry is that is neither file nor folder.
func special(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeDevice != 0:
		return "a device"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a special file"
}

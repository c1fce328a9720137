package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pipe-run/pipe/pipeline"
)

// A Mode is how the files of a checkout come to be.
type Mode int

const (
	// Link makes clones where the file system can, else hard links, else
	// copies. The files are read only; whoever can write to them all the
	// same must be kept from it, or is found out by Release.
	Link Mode = iota
	// Clone makes clones where the file system can, else copies: files that
	// share nothing with the store.
	Clone
	// Copy copies bytes.
	Copy
)

// CheckoutOptions say how a tree is written to a directory.
type CheckoutOptions struct {
	Mode     Mode
	Writable bool // files and directories may be changed by their owner; not with Link
}

// maxEntries bounds the files and directories of a tree that is checked out.
const maxEntries = 4 << 20

// A place is where a blob goes.
type place struct {
	path   string
	digest pipeline.Digest
	size   int64
	exec   bool
}

// Checkout writes the tree root to the directory dir, which is made and must
// be empty. Executable files are never links, since the mode belongs to the
// file. After an error dir holds a part of the tree. A directory made with
// Link is removed by [Store.Release].
func (s *Store) Checkout(ctx context.Context, root pipeline.Digest, dir string, o CheckoutOptions) error {
	if err := s.checkout(ctx, root, dir, o); err != nil {
		return fmt.Errorf("checking out %s: %w", root, err)
	}
	return nil
}

func (s *Store) checkout(ctx context.Context, root pipeline.Digest, dir string, o CheckoutOptions) error {
	if o.Writable && o.Mode == Link {
		return errors.New("links cannot be writable")
	}
	if err := emptyDir(dir); err != nil {
		return err
	}
	c := &checkout{store: s}
	if err := c.plan(ctx, root, dir, 0); err != nil {
		return err
	}
	copies := c.places
	if o.Mode == Link && len(copies) > 0 {
		var err error
		if copies, err = c.link(ctx); err != nil {
			return err
		}
	}
	return parallel(ctx, len(copies), func(i int) error {
		return s.fill(ctx, copies[i], o)
	})
}

func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if names, err := d.Readdirnames(1); err != io.EOF {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s is not empty: it holds %s", dir, names[0])
	}
	return nil
}

// A checkout collects the files of a tree.
type checkout struct {
	store   *Store
	places  []place
	entries int
}

// plan makes the directories of the tree d in dir and lists its files. The
// names are safe: DecodeDirectory accepts no others.
func (c *checkout) plan(ctx context.Context, d pipeline.Digest, dir string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("tree has more than %d levels", maxDepth)
	}
	if ctx.Err() != nil {
		return canceled(ctx)
	}
	tree, _, err := c.store.directory(d)
	if err != nil {
		return err
	}
	if c.entries += len(tree.Files) + len(tree.Dirs); c.entries > maxEntries {
		return fmt.Errorf("tree has more than %d entries", maxEntries)
	}
	for _, f := range tree.Files {
		c.places = append(c.places, place{filepath.Join(dir, f.Name), f.Digest, f.Size, f.Executable})
	}
	for _, sub := range tree.Dirs {
		path := filepath.Join(dir, sub.Name)
		if err := os.Mkdir(path, 0o777); err != nil {
			return err
		}
		if err := c.plan(ctx, sub.Digest, path, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// link makes hard links, unless clones work, and returns what is left to be
// cloned or copied.
func (c *checkout) link(ctx context.Context) (rest []place, err error) {
	if c.store.canClone(filepath.Dir(c.places[0].path)) {
		return c.places, nil
	}
	var todo []place
	for _, p := range c.places {
		if p.exec {
			rest = append(rest, p)
		} else {
			todo = append(todo, p)
		}
	}
	for try := 0; len(todo) > 0; try++ {
		blobs := make([]sized, len(todo))
		for i, p := range todo {
			blobs[i] = sized{p.digest, p.size}
		}
		if err := c.store.checkAll(ctx, blobs); err != nil {
			return nil, err
		}
		if try == 10 { // others keep linking the same blobs without a memo
			return append(rest, todo...), nil
		}
		left, copies, err := c.store.linkAll(todo)
		if err != nil {
			return nil, err
		}
		todo, rest = left, append(rest, copies...)
	}
	return rest, nil
}

// linkAll links each place to its blob. It returns those whose blob has to be
// checked again first, and those that have to be copies.
func (s *Store) linkAll(places []place) (again, copies []place, err error) {
	err = s.memo.update(func(note func(pipeline.Digest, stat)) error {
		for _, p := range places {
			blob := s.path("cas", p.digest.String())
			before, err := lstat(blob)
			if known, ok := s.memo.current(p.digest); err != nil || !ok || known != before {
				again = append(again, p)
				continue
			}
			s.hook("link")
			if os.Link(blob, p.path) != nil { // another device, too many links, …
				copies = append(copies, p)
				continue
			}
			if after, err := lstat(blob); err == nil && relinked(before, after) {
				note(p.digest, after)
			}
		}
		return nil
	})
	return again, copies, err
}

// relinked reports whether nothing but links changed between two stats.
func relinked(before, after stat) bool {
	before.Ctime = after.Ctime
	return before == after
}

// fill clones or copies one blob to its place.
func (s *Store) fill(ctx context.Context, p place, o CheckoutOptions) error {
	src, err := s.open(p.digest)
	if err != nil {
		return fmt.Errorf("blob %s: %w", p.digest, err)
	}
	defer src.Close()
	mode := os.FileMode(0o444)
	if o.Writable {
		mode = 0o666
	}
	if p.exec {
		mode |= 0o111
	}
	dst, err := os.OpenFile(p.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	n := p.size
	if o.Mode == Copy || cloneFile(dst, src) != nil {
		n, err = io.Copy(dst, reader{ctx, src})
	}
	if err == nil && n != p.size {
		err = fmt.Errorf("blob %s has %d bytes, not %d", p.digest, n, p.size)
	}
	if err := errors.Join(err, dst.Close()); err != nil {
		return s.explain(err)
	}
	return nil
}

// canClone reports whether files of the store can be cloned into dir.
func (s *Store) canClone(dir string) bool {
	if s.prepare() != nil {
		return false
	}
	src, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "clone-")
	if err != nil {
		return false
	}
	defer os.Remove(src.Name())
	defer src.Close()
	dst, err := os.CreateTemp(dir, ".pipe-clone-")
	if err != nil {
		return false
	}
	defer os.Remove(dst.Name())
	defer dst.Close()
	_, err = src.WriteString("x")
	return err == nil && cloneFile(dst, src) == nil
}

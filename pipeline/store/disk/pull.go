package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pipe-run/pipe/pipeline"
)

// Pull brings the result under k out of src into s: blobs first, each checked
// against its digest, and the result last. When src does not have all of it,
// or some of it is damaged, the error is [pipeline.ErrNotFound].
func (s *Store) Pull(ctx context.Context, src *Source, k pipeline.Key) (*pipeline.Result, error) {
	raw, _, w, err := src.find(ctx, k)
	if err != nil {
		return nil, src.miss(k, err)
	}
	err = parallel(ctx, len(w.blobs), func(i int) error { return s.pullBlob(ctx, src, w.blobs[i].digest, w.blobs[i].size) })
	if err == nil {
		// What the key was made from says why other keys differ: good to
		// have, and no part of the result.
		err = s.pullBlob(ctx, src, k.Preimage(), -1)
		if errors.Is(err, errSource) {
			err = nil
		}
	}
	if errors.Is(err, errSource) {
		return nil, src.miss(k, err)
	}
	if err == nil {
		err = s.keepResult(k, raw)
	}
	if err != nil {
		return nil, fmt.Errorf("taking result %s from %s: %w", k, src.name, err)
	}
	return s.Lookup(ctx, k)
}

// keepResult stores an encoded result whose blobs are there.
func (s *Store) keepResult(k pipeline.Key, raw []byte) error {
	path := s.path("ac", k.String())
	if err := s.makeFanout(path); err != nil {
		return err
	}
	if err := s.writeFile(path, 0o444, raw); err != nil {
		return err
	}
	s.noteUse([]pipeline.Key{k})
	return nil
}

// errSource reports a blob of a source that is absent or wrong.
var errSource = errors.New("it is of no use")

// pullBlob copies the blob d of size bytes, or of any size when that is
// negative, out of src, unless s has it.
func (s *Store) pullBlob(ctx context.Context, src *Source, d pipeline.Digest, size int64) error {
	if st, err := s.check(d); err == nil && (size < 0 || st.Size == size) {
		return nil
	} else if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
		return err
	}
	in, err := openRegular(src.blob(d))
	if err != nil {
		return sourceError{fmt.Sprintf("blob %s cannot be read: %v", d, err)}
	}
	defer in.Close()
	if info, err := in.Stat(); err == nil && size >= 0 && info.Size() != size {
		return sourceError{fmt.Sprintf("blob %s is damaged: it has %d bytes, not %d", d, info.Size(), size)}
	}
	if err := s.prepare(); err != nil {
		return err
	}
	f, err := s.temp()
	if err != nil {
		return err
	}
	defer s.discard(f)
	got, n, err := s.copyBlob(ctx, f, in)
	if err != nil {
		return err
	}
	if got != d {
		return sourceError{fmt.Sprintf("blob %s is damaged: its %d bytes have the SHA-256 %s", d, n, got)}
	}
	return s.keep(f, d)
}

// copyBlob fills f with the bytes of in, sharing them where the file system
// can, and returns their digest as they are in f.
func (s *Store) copyBlob(ctx context.Context, f, in *os.File) (pipeline.Digest, int64, error) {
	s.hook("pull")
	if cloneFile(f, in) != nil {
		if _, err := io.Copy(f, struct{ io.Reader }{reader{ctx, in}}); err != nil {
			return pipeline.Digest{}, 0, s.explain(err)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return pipeline.Digest{}, 0, err
	}
	return sum(ctx, f)
}

// A sourceError says what is wrong with a blob of a source; it is errSource.
type sourceError struct{ message string }

func (e sourceError) Error() string        { return e.message }
func (e sourceError) Is(target error) bool { return target == errSource }

package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pipe-run/pipe/pipeline"
)

// A Tag is a name for a run that others are compared with. It holds what
// comparing needs, so that it means the same where the run is not on record.
type Tag struct {
	Format   int                `json:"format"` // of this file: 1
	Name     string             `json:"name"`
	Pipeline string             `json:"pipeline"` // its name: each pipeline has tags of its own
	Run      string             `json:"run"`
	File     string             `json:"file"` // of the pipeline, where it ran
	Started  time.Time          `json:"started"`
	Seconds  float64            `json:"seconds"`
	Status   Status             `json:"status"`
	Version  string             `json:"version"` // of pipe
	Steps    map[string]TagStep `json:"steps"`
}

// A TagStep is a step that had a result in a tagged run.
type TagStep struct {
	Kind    string                     `json:"kind"`
	Key     pipeline.Key               `json:"key"`
	Outputs map[string]pipeline.Digest `json:"outputs"`
	Metrics map[string]float64         `json:"metrics,omitempty"` // of the artifacts that hold metrics
}

// Keys are the results of t, in no order.
func (t *Tag) Keys() []pipeline.Key {
	var keys []pipeline.Key
	for _, s := range t.Steps {
		keys = append(keys, s.Key)
	}
	return keys
}

const (
	tagFormat = 1
	maxTag    = 64 << 20 // bytes of a file
)

var tagNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$`)

// CheckTagName refuses what cannot be the name of a tag: "last" and what looks
// like the name of a run too, since both stand where runs are named.
func CheckTagName(name string) error {
	switch {
	case name == "last":
		return errors.New(`"last" is the latest run; choose another name`)
	case !tagNames.MatchString(name):
		return fmt.Errorf("%q is no name for a tag: it begins with a letter or digit, and holds letters, digits and . _ / - only", name)
	case len(name) == 12 && strings.Trim(name, idAlphabet) == "" && name[0] >= '0' && name[0] <= '9':
		return fmt.Errorf("%q looks like the name of a run; choose another name", name)
	}
	return nil
}

// Tags are kept in a folder, one small file each, named by a digest of the
// names of pipeline and tag. Files are replaced whole, so that readers need no
// lock; of two processes that set one tag, the later one has its way.
type Tags struct{ dir string }

// OpenTags returns the tags in dir, which is made by what first needs it.
func OpenTags(dir string) *Tags { return &Tags{dir} }

func (t *Tags) path(pipe, name string) string {
	sum := sha256.Sum256([]byte(pipe + "\x00" + name))
	return filepath.Join(t.dir, hex.EncodeToString(sum[:])+".json")
}

// Get returns a tag of the pipeline called pipe, or ErrNotFound. A damaged one
// is another error.
func (t *Tags) Get(pipe, name string) (*Tag, error) {
	tag, err := readTag(t.path(pipe, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no run of pipeline %s is tagged %s", ErrNotFound, pipe, name)
	}
	if err == nil && (tag.Pipeline != pipe || tag.Name != name) {
		err = errors.New("its file holds another one")
	}
	if err != nil {
		return nil, fmt.Errorf("tag %s of pipeline %s is damaged: %w; pipe tag records it anew, pipe tag --delete forgets it", name, pipe, err)
	}
	return tag, nil
}

func readTag(path string) (*Tag, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxTag+1))
	if err != nil {
		return nil, err
	}
	return DecodeTag(raw)
}

// List returns all tags, by pipeline and name. What cannot be read is left
// out; damaged says what is wrong with it.
func (t *Tags) List() (tags []*Tag, damaged []error, err error) {
	entries, err := os.ReadDir(t.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("listing tags: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue // being written
		}
		path := filepath.Join(t.dir, e.Name())
		tag, err := readTag(path)
		if err == nil && t.path(tag.Pipeline, tag.Name) != path {
			err = errors.New("it has the name of another tag")
		}
		if err != nil {
			damaged = append(damaged, fmt.Errorf("tag file %s is damaged: %w", path, err))
			continue
		}
		tags = append(tags, tag)
	}
	slices.SortFunc(tags, func(a, b *Tag) int {
		return strings.Compare(a.Pipeline+"\x00"+a.Name, b.Pipeline+"\x00"+b.Name)
	})
	return tags, damaged, nil
}

// Set keeps a tag, in place of the one that its pipeline had under its name.
func (t *Tags) Set(tag *Tag) error {
	raw, err := EncodeTag(tag)
	if err == nil {
		err = t.write(t.path(tag.Pipeline, tag.Name), raw)
	}
	if err != nil {
		return fmt.Errorf("tagging %s: %w", tag.Run, err)
	}
	return nil
}

func (t *Tags) write(path string, raw []byte) error {
	if err := os.MkdirAll(t.dir, 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(t.dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(raw)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Delete forgets a tag, a damaged one too, or returns ErrNotFound.
func (t *Tags) Delete(pipe, name string) error {
	err := os.Remove(t.path(pipe, name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: no run of pipeline %s is tagged %s", ErrNotFound, pipe, name)
	}
	return err
}

// EncodeTag returns the file of a tag: one line of JSON, the same for equal
// tags.
func EncodeTag(tag *Tag) ([]byte, error) {
	tag.Format = tagFormat
	if err := tag.check(); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(tag)
	if err != nil {
		return nil, err
	}
	return append(raw, '\n'), nil
}

// DecodeTag reads what EncodeTag wrote, and nothing else.
func DecodeTag(raw []byte) (*Tag, error) {
	if len(raw) > maxTag {
		return nil, fmt.Errorf("it has more than %d bytes", maxTag)
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, err
	}
	if head.Format != tagFormat {
		return nil, fmt.Errorf("it has format %d, this pipe knows format %d", head.Format, tagFormat)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	tag := &Tag{}
	if err := dec.Decode(tag); err != nil {
		return nil, err
	}
	return tag, tag.check()
}

// check refuses a tag that no run can have.
func (t *Tag) check() error {
	if err := CheckTagName(t.Name); err != nil {
		return err
	}
	switch {
	case t.Pipeline == "" || len(t.Pipeline) > 1000:
		return errors.New("it names no pipeline")
	case !validID(t.Run):
		return fmt.Errorf("%q is not the name of a run", t.Run)
	case len(t.Steps) == 0:
		return errors.New("it has no steps")
	}
	for name, s := range t.Steps {
		if name == "" || s.Kind == "" || s.Key.IsZero() {
			return fmt.Errorf("its step %q has no kind or key", name)
		}
		for metric, v := range s.Metrics {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("metric %s of its step %s is %v", metric, name, v)
			}
		}
	}
	return nil
}

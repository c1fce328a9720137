package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// A Digest names bytes: their SHA-256.
type Digest [sha256.Size]byte

// A Key names an action: the SHA-256 of its canonical JSON (see [Action]). It
// is a type of its own so that keys and digests can never be mixed up.
type Key [sha256.Size]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }
func (k Key) String() string    { return hex.EncodeToString(k[:]) }

// IsZero reports whether d is unset.
func (d Digest) IsZero() bool { return d == Digest{} }

// IsZero reports whether k is unset.
func (k Key) IsZero() bool { return k == Key{} }

// Preimage is the digest of the blob that holds the action behind k.
func (k Key) Preimage() Digest { return Digest(k) }

// ParseDigest reads 64 lower-case hex digits.
func ParseDigest(s string) (d Digest, err error) {
	err = parseHex(d[:], s)
	return d, err
}

// ParseKey reads 64 lower-case hex digits.
func ParseKey(s string) (k Key, err error) {
	err = parseHex(k[:], s)
	return k, err
}

func (d Digest) MarshalText() ([]byte, error)  { return []byte(d.String()), nil }
func (k Key) MarshalText() ([]byte, error)     { return []byte(k.String()), nil }
func (d *Digest) UnmarshalText(b []byte) error { return parseHex(d[:], string(b)) }
func (k *Key) UnmarshalText(b []byte) error    { return parseHex(k[:], string(b)) }

func parseHex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("invalid SHA-256 %q: want %d hex digits", s, 2*len(dst))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("invalid SHA-256 %q: want lower-case hex digits", s)
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

// SumBytes returns the digest of b.
func SumBytes(b []byte) Digest { return sha256.Sum256(b) }

// Sum reads r to its end and returns the digest and the number of bytes.
func Sum(r io.Reader) (d Digest, size int64, err error) {
	h := sha256.New()
	size, err = io.Copy(h, r)
	return Digest(h.Sum(nil)), size, err
}

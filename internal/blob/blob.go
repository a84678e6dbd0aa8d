// Package blob keeps the zips of module versions, each under the SHA-256 of its bytes.
//
// A store is a directory on a local file system or a bucket at a cloud provider. Both hold the same
// keys (see [Key]), so a tree can be copied from one to the other with any tool. Blobs never change:
// a key names its content, writing one twice is harmless, and whoever can open a blob sees all of it.
//
// The package does not hash what it is given (package modzip verifies a zip before it comes here),
// and knows neither modules nor events nor the database.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrNotFound is wrapped by the errors of Open and Stat for a blob that the store does not hold.
var ErrNotFound = errors.New("no such blob")

// Options are the settings of a store that its URL does not carry.
type Options struct {
	// TempDir is where downloads are staged for a store in a bucket; the system's directory for
	// temporary files if empty. A store in a directory stages inside itself and ignores it.
	TempDir string
}

// Store is a blob store. Its methods may be called concurrently, also by several processes that
// opened the same URL.
type Store struct {
	backend backend
	scheme  string
	tempDir string
}

// backend holds blobs by key. Its errors name neither the store nor the key: Store adds both.
type backend interface {
	// put stores size bytes of f under key, whole or not at all, in place of what was there.
	put(ctx context.Context, key string, f io.Reader, size int64) error
	open(ctx context.Context, key string) (*Blob, error)
	stat(ctx context.Context, key string) (size int64, modTime time.Time, err error)
	remove(ctx context.Context, key string) error
	list(ctx context.Context, prefix string, each func(key string, size int64, modTime time.Time) error) error // blobs only
	// create stores a small object under a key, or returns ErrExists and leaves what is there.
	create(ctx context.Context, key string, content []byte) error
	keys(ctx context.Context, prefix string) ([]string, error)
	check(ctx context.Context) error
	space(ctx context.Context) (free int64, known bool, err error)
	close() error
}

// Open opens the store at rawURL: file:///absolute/path (created, readable by its owner only, if it
// is missing), s3://bucket, gs://bucket or azblob://container, with the query parameters of the Go
// CDK's drivers. Errors never show the parameters or a password.
func Open(ctx context.Context, rawURL string, o Options) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The parser's error quotes the whole URL, credentials included.
		return nil, errors.New("open blob store: malformed URL")
	}
	s := &Store{scheme: u.Scheme, tempDir: o.TempDir}
	if s.tempDir == "" {
		s.tempDir = os.TempDir()
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return nil, fmt.Errorf("open blob store file://%s%s: want file:///absolute/path", u.Host, u.Path)
		}
		d, err := openDirectory(filepath.Clean(u.Path))
		if err != nil {
			return nil, fmt.Errorf("open blob store %s://%s: %w", u.Scheme, u.Path, err)
		}
		s.backend, s.tempDir = d, d.tempDir()
	case "s3", "gs", "azblob":
		b, err := openBucket(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("open blob store %s://%s: %w", u.Scheme, u.Host, err)
		}
		s.backend = b
	default:
		return nil, fmt.Errorf("open blob store: unknown scheme %q, want file, s3, gs or azblob", u.Scheme)
	}
	s.backend = measure(s.backend)
	return s, nil
}

// Young is the age up to which a blob that is wanted again is left as it is by Put. Whoever removes
// blobs that nobody refers to leaves alone those that are not twice as old.
const Young = 12 * time.Hour

// Put stores size bytes, read from the start of f, as the blob with this hash. When it returns nil
// the blob is durable; until then nobody sees any of it. A blob of that size already there is left as
// it is unless it is older than Young; one of another size is damaged, since the hash names the bytes,
// and is replaced.
//
// A file made by [Store.Temp] is moved instead of copied where the store can. Either way it stays
// the caller's, to be given to [Discard].
func (s *Store) Put(ctx context.Context, sha256 string, f io.ReadSeeker, size int64) error {
	key, err := Key(sha256)
	if err != nil {
		return err
	}
	if held, stored, err := s.backend.stat(ctx, key); err == nil && held == size && time.Since(stored) < Young {
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("store blob %s: rewind: %w", sha256, err)
	}
	if err := s.backend.put(ctx, key, f, size); err != nil {
		return fmt.Errorf("store blob %s in the %s store: %w", sha256, s.scheme, err)
	}
	return nil
}

// Open opens the blob with this hash for reading. The context bounds all reading from the blob.
func (s *Store) Open(ctx context.Context, sha256 string) (*Blob, error) {
	key, err := Key(sha256)
	if err != nil {
		return nil, err
	}
	b, err := s.backend.open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open blob %s in the %s store: %w", sha256, s.scheme, err)
	}
	return b, nil
}

// Stat returns the size in bytes of the blob with this hash, and when it was stored.
func (s *Store) Stat(ctx context.Context, sha256 string) (size int64, stored time.Time, err error) {
	key, err := Key(sha256)
	if err != nil {
		return 0, time.Time{}, err
	}
	if size, stored, err = s.backend.stat(ctx, key); err != nil {
		return 0, time.Time{}, fmt.Errorf("look up blob %s in the %s store: %w", sha256, s.scheme, err)
	}
	return size, stored, nil
}

// Delete removes the blob with this hash. Those who have it open can read on. A blob that is not
// there is no error.
func (s *Store) Delete(ctx context.Context, sha256 string) error {
	key, err := Key(sha256)
	if err != nil {
		return err
	}
	if err := s.backend.remove(ctx, key); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("delete blob %s from the %s store: %w", sha256, s.scheme, err)
	}
	return nil
}

// Entry is a blob in a list.
type Entry struct {
	SHA256 string
	Size   int64     // bytes
	Stored time.Time // when
}

// List calls each for every blob whose hash begins with a prefix of up to two digits, in the order of their hashes, until it returns
// an error, which is returned.
func (s *Store) List(ctx context.Context, prefix string, each func(Entry) error) error {
	if len(prefix) > 2 || strings.Trim(prefix, hexDigits) != "" {
		return fmt.Errorf("list blobs: prefix %.80q is not up to two lower-case hexadecimal digits", prefix)
	}
	err := s.backend.list(ctx, keyPrefix+prefix, func(key string, size int64, stored time.Time) error {
		if sum, ok := sumOf(key); ok {
			return each(Entry{sum, size, stored})
		}
		return nil // not ours: somebody keeps other things in the bucket
	})
	if err != nil {
		return fmt.Errorf("list blobs of the %s store: %w", s.scheme, err)
	}
	return nil
}

// Check reports whether what is in the store can be read.
func (s *Store) Check(ctx context.Context) error {
	if err := s.backend.check(ctx); err != nil {
		return fmt.Errorf("check the %s store: %w", s.scheme, err)
	}
	return nil
}

// Close releases what the store holds open. Blobs must be closed before.
func (s *Store) Close() error { return s.backend.close() }

// Blob is an open blob. It must be closed.
type Blob struct {
	content io.ReadSeekCloser
	size    int64
	modTime time.Time
}

// Read reads the next bytes of the blob.
func (b *Blob) Read(p []byte) (int, error) { return b.content.Read(p) }

// Seek moves to another place in the blob.
func (b *Blob) Seek(offset int64, whence int) (int64, error) { return b.content.Seek(offset, whence) }

// Close closes the blob.
func (b *Blob) Close() error { return b.content.Close() }

// Size is the length of the blob in bytes.
func (b *Blob) Size() int64 { return b.size }

// ModTime is when the blob was stored.
func (b *Blob) ModTime() time.Time { return b.modTime }

// Content is what Read and Seek work on: an *os.File for a store in a directory. Give it, rather than
// the blob, to http.ServeContent and io.Copy: they let the kernel send a file without copying it.
func (b *Blob) Content() io.ReadSeeker { return b.content }

// Key is the name under which the blob with this hash is stored: zips/ab/cdef….zip. The hash must be
// 64 lower-case hexadecimal digits: anything else could name a file outside the store.
func Key(sha256 string) (string, error) {
	if !isSum(sha256) {
		return "", fmt.Errorf("blob hash %.80q is not 64 lower-case hexadecimal digits", sha256)
	}
	return keyPrefix + sha256[:2] + "/" + sha256[2:] + keySuffix, nil
}

const (
	keyPrefix = "zips/"
	keySuffix = ".zip"
	hexDigits = "0123456789abcdef"
)

// sumOf is the inverse of Key.
func sumOf(key string) (sum string, ok bool) {
	rest, hasPrefix := strings.CutPrefix(key, keyPrefix)
	rest, hasSuffix := strings.CutSuffix(rest, keySuffix)
	if !hasPrefix || !hasSuffix || len(rest) != 65 || rest[2] != '/' {
		return "", false
	}
	sum = rest[:2] + rest[3:]
	return sum, isSum(sum)
}

func isSum(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/tlog"
)

// maxChecksum is the size of the largest answer of a checksum database taken, in bytes. Its tiles have 8 KiB.
const maxChecksum = 1 << 20

// checksumOps is what sumdb.Client needs of the world, for one lookup. It keeps the errors that matter, because the
// client passes on only their text.
type checksumOps struct {
	ctx context.Context
	db  *checksumDB

	mu       sync.Mutex // the client reads tiles concurrently
	failed   error      // the first that kept an answer from coming
	unknown  error      // the record does not exist
	evidence string     // the database contradicts itself
}

// explain is the error of a lookup.
func (o *checksumOps) explain(path, version string, err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.evidence != "":
		return &ChecksumError{Path: path, Version: version, Reason: o.evidence}
	case o.unknown != nil:
		return &NotFoundError{
			Path: path, Version: version,
			Reason: fmt.Sprintf("the checksum database does not know it, and it is not private: %v", o.unknown),
		}
	case o.failed != nil:
		return fmt.Errorf("check %s@%s against the checksum database: %w", path, version, o.failed)
	}
	// Nothing failed, so an answer came that does not prove what it says.
	return &ChecksumError{Path: path, Version: version, Reason: fmt.Sprintf("checksum database %s: %v", o.db.name, err)}
}

// note keeps an error.
func (o *checksumOps) note(kept *error, err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if *kept == nil {
		*kept = err
	}
	return err
}

// ReadRemote asks the database.
func (o *checksumOps) ReadRemote(path string) ([]byte, error) {
	base, err := o.db.locate(o.ctx)
	if err != nil {
		return nil, o.note(&o.failed, err)
	}
	data, err := base.read(o.ctx, path, maxChecksum)
	if isMissing(err) && strings.HasPrefix(path, "/lookup/") {
		return nil, o.note(&o.unknown, err)
	}
	if err == nil && !isAnswer(path, data) {
		// A page of whoever stands between, not a forgery.
		err = &FailedError{URL: base.base.JoinPath(path).String(), Err: errors.New("not what a checksum database answers")}
	}
	if err != nil {
		return nil, o.note(&o.failed, err)
	}
	return data, nil
}

// isAnswer is true if data has the form of what is at a path of the database. Whether it is true is for the client to
// check.
func isAnswer(path string, data []byte) bool {
	if tile, err := tlog.ParseTilePath(strings.TrimPrefix(path, "/")); err == nil {
		return len(data) == tile.W*tlog.HashSize
	}
	_, _, _, err := tlog.ParseRecord(data)
	return err == nil
}

// ReadConfig reads the key, or the latest tree head known.
func (o *checksumOps) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(o.db.key), nil
	}
	data, err := o.db.cache.Get(o.ctx, file)
	if err != nil {
		return nil, o.note(&o.failed, fmt.Errorf("read the latest tree head: %w", err))
	}
	return data, nil
}

// WriteConfig replaces the latest tree head.
func (o *checksumOps) WriteConfig(file string, old, new []byte) error {
	swapped, err := o.db.cache.CompareAndSwap(o.ctx, file, old, new)
	if err != nil {
		return o.note(&o.failed, fmt.Errorf("write the latest tree head: %w", err))
	}
	if !swapped {
		return sumdb.ErrWriteConflict
	}
	return nil
}

// ReadCache reads what WriteCache wrote.
func (o *checksumOps) ReadCache(file string) ([]byte, error) {
	if data, ok := o.db.memory.Get(file); ok {
		return data, nil
	}
	if isKept(file) {
		if data, err := o.db.cache.Get(o.ctx, file); err == nil && len(data) > 0 {
			o.db.memory.Add(file, data)
			return data, nil
		}
	}
	return nil, errors.New("not in the cache")
}

// WriteCache writes a record or a tile that the client has proved.
func (o *checksumOps) WriteCache(file string, data []byte) {
	o.db.memory.Add(file, data)
	if isKept(file) {
		// The next one fetches the tile again if this fails.
		_ = o.db.cache.Put(o.ctx, file, data)
	}
}

// isKept is true for full tiles. A record is of no use once its version is filled, and a tile that is not full is
// replaced with the next tree head: kept, they would fill the disk.
func isKept(file string) bool {
	return strings.Contains(file, "/tile/") && !strings.Contains(file, ".p/")
}

// Log is for progress, which nobody follows here.
func (o *checksumOps) Log(string) {}

// SecurityError keeps the proof that the database contradicts itself.
func (o *checksumOps) SecurityError(msg string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.evidence = msg
}

// memoryCache is a ChecksumCache for those who have none.
type memoryCache struct {
	mu    sync.Mutex
	files map[string][]byte
}

func newMemoryCache() *memoryCache { return &memoryCache{files: make(map[string][]byte)} }

func (c *memoryCache) Get(_ context.Context, file string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files[file], nil
}

func (c *memoryCache) Put(_ context.Context, file string, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files[file] = data
	return nil
}

func (c *memoryCache) CompareAndSwap(_ context.Context, file string, old, new []byte) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !bytes.Equal(c.files[file], old) {
		return false, nil
	}
	c.files[file] = new
	return true, nil
}

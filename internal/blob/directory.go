package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// directory keeps blobs as files below a root. The Go CDK's own file driver does not sync what it
// writes, so that a power loss could take back a blob that the event log already points to.
type directory string

// openDirectory creates what is missing of the tree, all 256 shards included: with the shards there
// from the start, storing a blob has one directory to sync, and no race about who created it.
func openDirectory(root string) (directory, error) {
	d := directory(root)
	zips := filepath.Join(root, keyPrefix)
	for _, dir := range []string{zips, d.tempDir()} {
		if err := makeDir(dir); err != nil {
			return "", err
		}
	}
	for i := range 256 {
		err := os.Mkdir(filepath.Join(zips, fmt.Sprintf("%02x", i)), 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	// Also if nothing was created here: another process may have created the shards a moment ago
	// and not have come to this line yet.
	if err := syncDir(zips); err != nil {
		return "", err
	}
	// Better told now than at the first fill. A full disk is no reason not to start: what is held can be served.
	f, err := os.CreateTemp(d.tempDir(), tempPattern)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return d, nil
	}
	if err != nil {
		return "", err
	}
	Discard(f)
	return d, nil
}

// makeDir is os.MkdirAll with every new level made durable.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // if it is not a directory, the next step says so
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// tempDir is inside the root, so that a staged file is moved into place within one file system.
func (d directory) tempDir() string { return filepath.Join(string(d), "tmp") }

func (d directory) path(key string) string { return filepath.Join(string(d), filepath.FromSlash(key)) }

func (d directory) put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, staged := r.(*os.File)
	staged = staged && filepath.Dir(f.Name()) == d.tempDir()
	if !staged {
		var err error
		if f, err = os.CreateTemp(d.tempDir(), tempPattern); err != nil {
			return err
		}
		defer Discard(f)
		if _, err := io.Copy(f, io.LimitReader(r, size+1)); err != nil {
			return err
		}
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != size {
		return fmt.Errorf("got %d bytes, want %d", info.Size(), size)
	}
	// The order is what makes it atomic and durable: content, then name, then the name's directory.
	if err := f.Sync(); err != nil {
		return err
	}
	path := d.path(key)
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func (d directory) open(_ context.Context, key string) (*Blob, error) {
	f, err := os.Open(d.path(key))
	if err != nil {
		return nil, d.notFound(key, err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // the error of Stat says more
		return nil, err
	}
	return &Blob{content: f, size: info.Size(), modTime: info.ModTime()}, nil
}

func (d directory) stat(_ context.Context, key string) (int64, time.Time, error) {
	info, err := os.Stat(d.path(key))
	if err != nil {
		return 0, time.Time{}, d.notFound(key, err)
	}
	return info.Size(), info.ModTime(), nil
}

func (d directory) remove(_ context.Context, key string) error {
	path := d.path(key)
	if err := os.Remove(path); err != nil {
		return d.notFound(key, err)
	}
	return syncDir(filepath.Dir(path))
}

// list reads one shard after the other, so that the names of one at a time are in memory.
func (d directory) list(ctx context.Context, prefix string, each func(key string, size int64, modTime time.Time) error) error {
	for i := range 256 {
		shard := fmt.Sprintf("%s%02x/", keyPrefix, i)
		if !strings.HasPrefix(shard, prefix) {
			continue
		}
		entries, err := os.ReadDir(d.path(shard))
		if errors.Is(err, fs.ErrNotExist) && d.check(ctx) == nil {
			continue // a tree that was copied without its empty directories
		}
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
				continue // deleted since the directory was read, or nothing of ours
			}
			if err != nil {
				return err
			}
			if err := each(shard+entry.Name(), info.Size(), info.ModTime()); err != nil {
				return err
			}
		}
	}
	return nil
}

// check looks at the directory that every blob is in.
func (d directory) check(context.Context) error {
	_, err := os.ReadDir(d.path(keyPrefix))
	return err
}

// space is what the file system leaves to ordinary users.
func (d directory) space(context.Context) (int64, bool, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(string(d), &stat); err != nil {
		return 0, false, err
	}
	return int64(stat.Bavail) * int64(stat.Bsize), true, nil
}

func (d directory) close() error { return nil }

// notFound makes ErrNotFound of the error of a file that is not there. Where not even its directory is, all that was stored is out of
// reach, as when a file system is not mounted: that says nothing of any one blob.
func (d directory) notFound(key string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, gone := os.Stat(filepath.Dir(d.path(key))); gone != nil {
		return gone
	}
	return ErrNotFound
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

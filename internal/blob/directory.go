package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	return d, d.check(context.Background())
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
		return nil, notFound(err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // the error of Stat says more
		return nil, err
	}
	return &Blob{content: f, size: info.Size(), modTime: info.ModTime()}, nil
}

func (d directory) stat(_ context.Context, key string) (int64, error) {
	info, err := os.Stat(d.path(key))
	if err != nil {
		return 0, notFound(err)
	}
	return info.Size(), nil
}

func (d directory) remove(_ context.Context, key string) error {
	path := d.path(key)
	if err := os.Remove(path); err != nil {
		return notFound(err)
	}
	return syncDir(filepath.Dir(path))
}

func (d directory) list(ctx context.Context, each func(key string, size int64) error) error {
	root := os.DirFS(string(d))
	return fs.WalkDir(root, keyPrefix[:len(keyPrefix)-1], func(key string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted since the directory was read
		}
		if err != nil {
			return err
		}
		return each(key, info.Size())
	})
}

// check creates a file and removes it: permission bits alone do not tell of a file system that is
// mounted read-only or has no inode left.
func (d directory) check(context.Context) error {
	f, err := os.CreateTemp(d.tempDir(), tempPattern)
	if err != nil {
		return err
	}
	Discard(f)
	_, err = os.Stat(filepath.Join(string(d), keyPrefix))
	return err
}

func (d directory) close() error { return nil }

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

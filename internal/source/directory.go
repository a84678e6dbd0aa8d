package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/mod/module"

	"olympus/internal/protocol"
	"olympus/internal/upstream"
)

const (
	// maxName bounds the names of files that are looked at: that of the longest version, every letter of it escaped.
	maxName = 2*(protocol.MaxPathBytes+protocol.MaxVersionBytes) + 64
	// dirEntries is how many entries of a directory are read at a time.
	dirEntries = 512
)

// Directory is a tree of files. Its versions are laid out as in a GOPROXY that is a file tree, which the cache of goproxy and the download
// cache of the go command are too,
//
//	<escaped module>/@v/<escaped version>.info, .mod, .zip
//
// or as Athens does it on a disk:
//
//	<module>/<version>/go.mod, <version>.info, source.zip
//
// A version is what has a zip. Links are not followed.
type Directory struct {
	root   *os.Root
	maxZip int64
}

// OpenDirectory opens a tree, of which it takes zips of up to maxZip bytes. It must be closed.
func OpenDirectory(dir string, maxZip int64) (*Directory, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory to import: %w", err)
	}
	if info, err := root.Stat("cache/download"); err == nil && info.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s looks like a module cache: give its cache/download", dir), root.Close())
	}
	return &Directory{root: root, maxZip: maxZip}, nil
}

// Close closes the tree.
func (d *Directory) Close() error { return d.root.Close() }

// Countable is true: the names of files are read quickly.
func (d *Directory) Countable() bool { return true }

// Walk implements Source. Of a directory it keeps a few hundred entries in memory, however many there are.
func (d *Directory) Walk(ctx context.Context, each func(Version) error, bad func(*Error)) error {
	w := &walk{ctx: ctx, root: d.root, each: each, bad: bad}
	return w.directory(".", w.entry)
}

type walk struct {
	ctx  context.Context
	root *os.Root
	each func(Version) error
	bad  func(*Error)
}

// directory calls do for the entries of a directory.
func (w *walk) directory(dir string, do func(dir string, entry fs.DirEntry) error) error {
	f, err := w.root.Open(dir)
	if err != nil {
		return w.unreadable(dir, err)
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(dirEntries)
		for _, entry := range entries {
			if err := w.ctx.Err(); err != nil {
				return err
			}
			name := path.Join(dir, entry.Name())
			switch {
			case len(name) > maxName:
				w.bad(&Error{name, errors.New("its name is too long")})
			case entry.Type()&fs.ModeSymlink != 0:
				w.bad(&Error{name, errors.New("a symbolic link, which is not followed")})
			default:
				if err := do(dir, entry); err != nil {
					return err
				}
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return w.unreadable(dir, err)
		}
	}
}

// unreadable goes on after a directory that cannot be read, unless it is all that there is.
func (w *walk) unreadable(dir string, err error) error {
	if dir == "." {
		return fmt.Errorf("read the directory to import: %w", err)
	}
	w.bad(&Error{dir, err})
	return w.ctx.Err()
}

// entry looks at an entry of a directory that may be a part of a module path, or a version of Athens.
func (w *walk) entry(dir string, entry fs.DirEntry) error {
	name := path.Join(dir, entry.Name())
	switch {
	case entry.IsDir() && entry.Name() == "@v":
		if _, err := module.UnescapePath(dir); err != nil {
			w.bad(&Error{name, err})
			return nil
		}
		return w.directory(name, w.zip)
	case entry.IsDir():
		return w.directory(name, w.entry)
	case entry.Name() == "source.zip":
		modulePath, last := path.Split(dir)
		version := last
		if strings.Contains(last, "!") { // early releases did not undo the escaping of a version
			version, _ = module.UnescapeVersion(last)
		}
		return w.version(name, Version{
			Module: strings.TrimSuffix(modulePath, "/"), Version: version,
			info: path.Join(dir, last+".info"), mod: path.Join(dir, "go.mod"), zip: name,
		})
	}
	return nil
}

// zip looks at an entry of an @v directory.
func (w *walk) zip(dir string, entry fs.DirEntry) error {
	escaped, ok := strings.CutSuffix(entry.Name(), ".zip")
	if !ok {
		return nil
	}
	name := path.Join(dir, escaped)
	version, err := module.UnescapeVersion(escaped)
	if err != nil {
		w.bad(&Error{name + ".zip", err})
		return nil
	}
	modulePath, _ := module.UnescapePath(path.Dir(dir)) // checked by entry
	return w.version(name+".zip", Version{Module: modulePath, Version: version, info: name + ".info", mod: name + ".mod", zip: name + ".zip"})
}

func (w *walk) version(name string, v Version) error {
	if err := check(v.Module, v.Version); err != nil {
		w.bad(&Error{name, err})
		return nil
	}
	return w.each(v)
}

// Metadata implements Source.
func (d *Directory) Metadata(_ context.Context, v *Version) (info, mod []byte, err error) {
	if info, err = d.read(v.info, protocol.MaxInfoBytes); err != nil {
		return nil, nil, err
	}
	if mod, err = d.read(v.mod, protocol.MaxModBytes); err != nil {
		return nil, nil, err
	}
	if err := upstream.CheckFiles(v.Module, v.Version, info, mod); err != nil {
		return nil, nil, &Error{v.info, err}
	}
	return info, mod, nil
}

// Zip implements Source.
func (d *Directory) Zip(ctx context.Context, v *Version, file *os.File) error {
	f, err := d.open(v.zip, d.maxZip)
	if err != nil {
		return err
	}
	defer f.Close()
	in := &reader{ctx: ctx, from: io.LimitReader(f, d.maxZip+1)}
	_, err = io.Copy(file, in)
	switch {
	case in.err != nil && ctx.Err() == nil:
		return &Error{v.zip, in.err}
	case err != nil:
		return fmt.Errorf("stage a zip: %w", err)
	}
	return nil
}

func (d *Directory) read(name string, limit int64) ([]byte, error) {
	f, err := d.open(name, limit)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1)) // the size is looked at again with the event
	if err != nil {
		return nil, &Error{name, err}
	}
	return b, nil
}

// open opens a regular file of up to limit bytes, and nothing that could be waited for, such as a pipe.
func (d *Directory) open(name string, limit int64) (*os.File, error) {
	info, err := d.root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, &Error{name, reason(err)}
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, &Error{name, reason(err)}
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil && info.Size() > limit {
		err = fmt.Errorf("%d bytes, more than the limit of %d", info.Size(), limit)
	}
	if err != nil {
		return nil, errors.Join(&Error{name, err}, f.Close())
	}
	return f, nil
}

// reason is why a file could not be opened, without its name.
func reason(err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return inner.Err
	}
	return err
}

// reader remembers whether reading failed: a full disk on our side is not the fault of the source.
type reader struct {
	ctx  context.Context
	from io.Reader
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	err := r.ctx.Err()
	n := 0
	if err == nil {
		n, err = r.from.Read(p)
	}
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

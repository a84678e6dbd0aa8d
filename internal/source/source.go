// Package source reads the module versions that other module proxies keep, so that they can be imported: from a directory (see Directory)
// or over the module download protocol (see Remote).
//
// Nothing in a source is trusted. What is read is bounded, and only a regular file inside the directory is ever opened. Whether a zip is
// that of its version is for the caller to find out.
package source

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/module"

	"olympus/internal/protocol"
)

// Version is a module version that a source says it has.
type Version struct {
	Module, Version string
	// Sum is the "h1:" hash that its zip must have, empty if nobody has said.
	Sum string

	info, mod, zip string // names in a Directory
}

func (v *Version) String() string { return v.Module + "@" + v.Version }

// Source is where versions are read from. Metadata and Zip may be called concurrently, also while Walk runs. What is the fault of the
// source is an *Error, or of the errors of package upstream.
type Source interface {
	// Walk calls each for every version, in any order and not concurrently, until it returns an error, which is returned. It calls bad for
	// what it cannot take for a version, and goes on.
	Walk(ctx context.Context, each func(Version) error, bad func(*Error)) error
	// Countable is true if Walk can be called once more, and costs little, to count.
	Countable() bool
	// Metadata returns the .info and .mod of a version.
	Metadata(ctx context.Context, v *Version) (info, mod []byte, err error)
	// Zip writes the zip of a version to an empty file.
	Zip(ctx context.Context, v *Version, file *os.File) error
}

// Error says that a part of a source cannot be used.
type Error struct {
	Name string // of a file, or as it stands in a list
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%.300q: %v", e.Name, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// check returns why there can be no such version in the log.
func check(path, version string) error {
	if len(path) > protocol.MaxPathBytes || len(version) > protocol.MaxVersionBytes {
		return errors.New("the module path or the version is too long")
	}
	if err := module.Check(path, version); err != nil {
		return err
	}
	if module.CanonicalVersion(version) != version {
		return fmt.Errorf("version %q is not canonical", version)
	}
	return nil
}

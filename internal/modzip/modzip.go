// Package modzip decides whether a file is the zip of a module version, and computes the hashes that
// the event log records for it.
//
// Zips come from peers and upstreams, neither of which is trusted: whatever a file declares about
// itself, checking it costs memory and time in proportion to the limits here, not to what it claims.
// The package reads files and nothing else: it knows no store, no network and no database.
package modzip

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/mod/module"
)

// ErrInvalid is wrapped by every error that is the file's fault. An error that does not wrap it comes
// from reading the file, and says nothing about the bytes.
var ErrInvalid = errors.New("invalid module zip")

// Sums are the hashes of one zip.
type Sums struct {
	H1      string // "h1:" hash of the files in the zip, as in go.sum
	SHA256  string // of the zip itself, 64 lower-case hexadecimal digits
	Size    int64  // of the zip itself, in bytes
	ModHash string // "h1:" hash of the go.mod in the zip, as in go.sum; empty if it has none
}

// Want is what the event log says about a zip.
type Want struct {
	H1      string // as in Sums
	SHA256  string // as in Sums
	Size    int64  // as in Sums
	ModHash string // "h1:" hash of the .mod file; not compared if the zip has no go.mod
}

// MismatchError says that a zip is not the one that the log records. It wraps [ErrInvalid].
type MismatchError struct {
	What string // "size", "sha256", "h1" or "go.mod"
	Want string
	Got  string
}

// Error names what differs, with both values.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s of the zip is %s, want %s", e.What, e.Got, e.Want)
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *MismatchError) Unwrap() error { return ErrInvalid }

// Verify checks the zip of m at path as [Check] does, and that it is the wanted one. A difference is
// a *[MismatchError].
func Verify(m module.Version, path string, want Want, limit int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("verify zip of %s: %w", m, err)
	}
	// The size alone tells most truncated downloads, before anything is read.
	if info.Size() != want.Size {
		return mismatch(m, "size", fmt.Sprint(want.Size), fmt.Sprint(info.Size()))
	}
	got, err := Check(m, path, limit)
	if err != nil {
		return err
	}
	switch {
	case got.SHA256 != want.SHA256:
		return mismatch(m, "sha256", want.SHA256, got.SHA256)
	case got.H1 != want.H1:
		return mismatch(m, "h1", want.H1, got.H1)
	case got.ModHash != "" && got.ModHash != want.ModHash:
		// A module older than go.mod files has a made-up .mod, which no file in its zip can confirm.
		return mismatch(m, "go.mod", want.ModHash, got.ModHash)
	}
	return nil
}

func mismatch(m module.Version, what, want, got string) error {
	return fmt.Errorf("verify zip of %s: %w", m, &MismatchError{What: what, Want: want, Got: got})
}

// refuse wraps err as the file's fault, unless it comes from the file system.
func refuse(m module.Version, err error) error {
	var file *fs.PathError
	if errors.As(err, &file) {
		return fmt.Errorf("check zip of %s: %w", m, err)
	}
	return fmt.Errorf("check zip of %s: %w: %w", m, ErrInvalid, err)
}

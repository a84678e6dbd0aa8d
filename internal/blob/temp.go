package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// TempDir is the directory in which Temp creates files.
func (s *Store) TempDir() string { return s.tempDir }

// Temp files carry a name of their own, since a bucket's are staged in a directory that others use.
const tempPattern = "olympus-*.partial"

// Temp creates a file to stage a download in. The caller gives it to [Discard] in the end, whether
// it was stored or not; [Store.CollectTemp] removes what a killed process left behind.
func (s *Store) Temp() (*os.File, error) {
	f, err := os.CreateTemp(s.tempDir, tempPattern)
	if err != nil {
		return nil, fmt.Errorf("stage a download: %w", err)
	}
	return f, nil
}

// Discard closes a file made by [Store.Temp] and removes it, unless Put has moved it.
func Discard(f *os.File) {
	// Neither error matters: the file is not needed any more, and CollectTemp is the second chance.
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// CollectTemp removes the staged files that nobody has written to for longer than olderThan, and
// returns how many. A file still in use survives if olderThan is longer than any pause in a download.
func (s *Store) CollectTemp(ctx context.Context, olderThan time.Duration) (n int, err error) {
	entries, err := os.ReadDir(s.tempDir)
	if err != nil {
		return 0, fmt.Errorf("collect staged files: %w", err)
	}
	deadline := time.Now().Add(-olderThan)
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		if ours, _ := filepath.Match(tempPattern, entry.Name()); !ours || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err == nil && info.ModTime().After(deadline) {
			continue
		}
		if err == nil {
			err = os.Remove(filepath.Join(s.tempDir, entry.Name()))
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // its owner was faster
		case err != nil:
			return n, fmt.Errorf("collect staged files: %w", err)
		default:
			n++
		}
	}
	return n, nil
}

// probeBytes is enough to need a block of a file system, and to be refused by one that is full.
const probeBytes = 64 << 10

// CheckWritable reports whether there is room to store anything: permission bits alone do not tell of a file system that is full,
// mounted read-only or has no inode left. It writes a small file where downloads are staged, which for a store in a directory is
// its own file system, and removes it.
func (s *Store) CheckWritable() error {
	f, err := s.Temp()
	if err != nil {
		return err
	}
	defer Discard(f)
	_, err = f.Write(make([]byte, probeBytes))
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return fmt.Errorf("stage a download: %w", err)
	}
	return nil
}

// Space returns the bytes that are left for blobs; known is false for a store that has no such bound.
func (s *Store) Space(ctx context.Context) (free int64, known bool, err error) {
	free, known, err = s.backend.space(ctx)
	if err != nil {
		return 0, false, fmt.Errorf("measure the room of the %s store: %w", s.scheme, err)
	}
	return free, known, nil
}

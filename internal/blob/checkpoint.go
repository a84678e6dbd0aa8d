package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// ErrExists is wrapped by the error of SaveCheckpoint when another checkpoint of that epoch and size is there.
var ErrExists = errors.New("there already")

const (
	checkpointPrefix = "checkpoints/"
	// maxCheckpoint bounds what is read of one, in bytes.
	maxCheckpoint = 64 << 10
)

// checkpointKey sorts as epoch and size do.
func checkpointKey(epoch, size int64) string {
	return fmt.Sprintf("%s%019d-%019d", checkpointPrefix, epoch, size)
}

// SaveCheckpoint keeps a signed checkpoint of the event log, outside the database that the log is in. It never replaces one: of two
// writers that have different logs of one epoch and size the second gets ErrExists, unless both notes are the same and still the last. When it returns
// nil the checkpoint is durable, and those before it are gone.
func (s *Store) SaveCheckpoint(ctx context.Context, epoch, size int64, note []byte) error {
	key := checkpointKey(epoch, size)
	err := s.backend.create(ctx, key, note)
	if errors.Is(err, ErrExists) {
		var old []byte
		old, err = s.readSmall(ctx, key)
		if errors.Is(err, ErrNotFound) || err == nil && !bytes.Equal(old, note) {
			err = ErrExists // another one, or superseded since and removed
		}
	}
	if err != nil {
		return fmt.Errorf("keep checkpoint %d of epoch %d in the %s store: %w", size, epoch, s.scheme, err)
	}
	keys, err := s.backend.keys(ctx, checkpointPrefix)
	if err != nil {
		return fmt.Errorf("list the checkpoints in the %s store: %w", s.scheme, err)
	}
	for _, old := range keys {
		if old < key {
			if err := s.backend.remove(ctx, old); err != nil && !errors.Is(err, ErrNotFound) {
				return fmt.Errorf("remove an old checkpoint from the %s store: %w", s.scheme, err)
			}
		}
	}
	return nil
}

// LastCheckpoint returns the checkpoint of the highest epoch and size that was saved; ErrNotFound if there is none.
func (s *Store) LastCheckpoint(ctx context.Context) ([]byte, error) {
	// Whoever saves a newer one removes the one that was found: look again.
	for range 10 {
		keys, err := s.backend.keys(ctx, checkpointPrefix)
		if err != nil {
			return nil, fmt.Errorf("list the checkpoints in the %s store: %w", s.scheme, err)
		}
		if len(keys) == 0 {
			return nil, fmt.Errorf("read the last checkpoint from the %s store: %w", s.scheme, ErrNotFound)
		}
		note, err := s.readSmall(ctx, slices.Max(keys))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the last checkpoint from the %s store: %w", s.scheme, err)
		}
		return note, nil
	}
	return nil, fmt.Errorf("read the last checkpoint from the %s store: others replace it faster than it can be read", s.scheme)
}

func (s *Store) readSmall(ctx context.Context, key string) ([]byte, error) {
	b, err := s.backend.open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }()
	return io.ReadAll(io.LimitReader(b, maxCheckpoint))
}

// create links a synced file into place: a name that is taken stays as it is, also when two do so at once.
func (d directory) create(_ context.Context, key string, content []byte) error {
	path := d.path(key)
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := os.CreateTemp(d.tempDir(), tempPattern)
	if err != nil {
		return err
	}
	defer Discard(f)
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return ErrExists
	} else if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func (d directory) keys(_ context.Context, prefix string) ([]string, error) {
	entries, err := os.ReadDir(d.path(prefix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, entry := range entries {
		keys = append(keys, prefix+entry.Name())
	}
	return keys, nil
}

func (b bucket) create(ctx context.Context, key string, content []byte) error {
	err := b.WriteAll(ctx, key, content, &blob.WriterOptions{ContentType: "text/plain; charset=utf-8", IfNotExist: true})
	if code := gcerrors.Code(err); code == gcerrors.FailedPrecondition || code == gcerrors.AlreadyExists {
		return ErrExists
	}
	return err
}

func (b bucket) keys(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	objects := b.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := objects.Next(ctx)
		if err == io.EOF {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(object.Key, prefix) {
			keys = append(keys, object.Key)
		}
	}
}

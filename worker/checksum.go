package worker

import (
	"context"

	"github.com/gobuffalo/pop/v6"

	"olympus/models"
)

// ChecksumCache keeps in the database what the client of the checksum database must remember, so that all processes of a deployment
// share one view of its signed tree.
type ChecksumCache struct{ DB *pop.Connection }

// Get returns a file, nil when there is none.
func (c ChecksumCache) Get(ctx context.Context, file string) ([]byte, error) {
	return models.ChecksumFile(c.DB.WithContext(ctx), file)
}

// Put keeps a file that never changes.
func (c ChecksumCache) Put(ctx context.Context, file string, content []byte) error {
	return models.SaveChecksumFile(c.DB.WithContext(ctx), file, content)
}

// CompareAndSwap replaces a file if it still is old (nil: not there), and reports whether it did.
func (c ChecksumCache) CompareAndSwap(ctx context.Context, file string, old, new []byte) (bool, error) {
	return models.SwapChecksumFile(c.DB.WithContext(ctx), file, old, new)
}

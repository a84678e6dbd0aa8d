package blob

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func TestCheckpoints(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		_, err := s.LastCheckpoint(ctx)
		require.ErrorIs(t, err, ErrNotFound)
		last := func() string {
			note, err := s.LastCheckpoint(ctx)
			require.NoError(t, err)
			return string(note)
		}
		require.NoError(t, s.SaveCheckpoint(ctx, 1, 9, []byte("nine")))
		require.Equal(t, "nine", last())
		require.NoError(t, s.SaveCheckpoint(ctx, 1, 10, []byte("ten")), "numbers, not words, are compared")
		require.Equal(t, "ten", last())
		require.NoError(t, s.SaveCheckpoint(ctx, 1, 10, []byte("ten")), "again")
		require.ErrorIs(t, s.SaveCheckpoint(ctx, 1, 10, []byte("another ten")), ErrExists)
		require.Equal(t, "ten", last())
		require.NoError(t, s.SaveCheckpoint(ctx, 2, 3, []byte("a new epoch")))
		require.Equal(t, "a new epoch", last())
		keys, err := s.backend.keys(ctx, checkpointPrefix)
		require.NoError(t, err)
		require.Len(t, keys, 1, "what is superseded is removed")
		require.Empty(t, sums(t, s), "a checkpoint is no blob")
		require.Empty(t, staged(t, s))
	})
}

// Of many that save different checkpoints of one size at once, one is the first; the others find out.
func TestCheckpointsCompareAndSet(t *testing.T) {
	eachAtomic(t, func(t *testing.T, s *Store) {
		var saved atomic.Int32
		var g errgroup.Group
		for i := range 16 {
			g.Go(func() error {
				err := s.SaveCheckpoint(t.Context(), 1, 5, []byte(fmt.Sprint(i)))
				if err == nil {
					saved.Add(1)
					return nil
				}
				require.ErrorIs(t, err, ErrExists)
				return nil
			})
		}
		require.NoError(t, g.Wait())
		require.EqualValues(t, 1, saved.Load())
	})
}

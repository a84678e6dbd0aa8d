package worker_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
	"olympus/models"
)

// A blob that no version holds goes once it is old, as what a process left that was killed between the blob and its row. What is held
// stays, however old, and so does what is young.
func TestCollectBlobs(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.fill()
	long := time.Now().Add(-48 * time.Hour)
	orphan := func(content string) string {
		raw := sha256.Sum256([]byte(content))
		sum := hex.EncodeToString(raw[:])
		require.NoError(t, l.Store.Put(t.Context(), sum, bytes.NewReader([]byte(content)), int64(len(content))))
		return sum
	}
	old, young := orphan("old"), orphan("young")
	require.NoError(t, os.Chtimes(l.path(old), long, long))
	require.NoError(t, os.Chtimes(l.blob(held), long, long))

	removed, err := l.CollectBlobs(t.Context(), 24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	require.NoFileExists(t, l.path(old))
	require.FileExists(t, l.path(young))
	require.FileExists(t, l.blob(held))

	// A download that ends with bytes that an earlier one left behind makes them its own again.
	raw := sha256.Sum256(testmod.Zip(t, remote))
	sum := hex.EncodeToString(raw[:])
	zip := testmod.Zip(t, remote)
	put := func() { require.NoError(t, l.Store.Put(t.Context(), sum, bytes.NewReader(zip), int64(len(zip)))) }
	put()
	require.NoError(t, os.Chtimes(l.path(sum), long, long))
	put()
	removed, err = l.CollectBlobs(t.Context(), 24*time.Hour)
	require.NoError(t, err)
	require.Zero(t, removed)
	require.FileExists(t, l.path(sum))
}

// Of several processes one does a chore, once per interval.
func TestChore(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	taken := make(chan bool, 8)
	for range cap(taken) {
		go func() {
			got, err := models.TakeChore(l.DB, "sweep", time.Hour)
			taken <- got && err == nil
		}()
	}
	n := 0
	for range cap(taken) {
		if <-taken {
			n++
		}
	}
	require.Equal(t, 1, n)
	require.NoError(t, models.ReturnChore(l.DB, "sweep", 0))
	got, err := models.TakeChore(l.DB, "sweep", time.Hour)
	require.NoError(t, err)
	require.True(t, got)
}

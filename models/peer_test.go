package models_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/models"
)

const peerKey, otherKey = "om.example.com+aaaaaaaa+AAAA", "om.example.com+bbbbbbbb+BBBB"

// A pull pointer belongs to one log: it outlives whatever is done to the peer except another key.
func TestPeerKeepsItsPullPointer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	pointer := func() int64 {
		p, err := models.FindPeer(db, "om.example.com")
		require.NoError(t, err)
		return p.PullPosition
	}
	move := func(from, to int64) bool {
		p, err := models.FindPeer(db, "om.example.com")
		require.NoError(t, err)
		moved, err := models.MovePullPointer(db, p, from, to, to)
		require.NoError(t, err)
		return moved
	}
	require.NoError(t, models.SavePeer(db, "om.example.com", "https://a.example.com", peerKey))
	require.True(t, move(0, 7))
	require.False(t, move(0, 9), "it is not there any more")
	require.NoError(t, models.SavePeer(db, "om.example.com", "https://b.example.com", peerKey))
	require.EqualValues(t, 7, pointer())
	for _, state := range []string{models.PeerPaused, models.PeerRemoved} {
		require.NoError(t, models.SetPeerState(db, "om.example.com", state))
		require.False(t, move(7, 8), "it is %s", state)
	}
	require.ErrorIs(t, models.SetPeerState(db, "om.example.com", models.PeerActive), models.ErrNotFound)
	require.NoError(t, models.SavePeer(db, "om.example.com", "https://b.example.com", peerKey))
	require.EqualValues(t, 7, pointer())
	require.True(t, move(7, 8))
	require.NoError(t, models.RewindPullPointer(db, "om.example.com", 3))
	require.EqualValues(t, 3, pointer())
	require.Error(t, models.RewindPullPointer(db, "om.example.com", 4), "forward is not back")
	require.NoError(t, models.SavePeer(db, "om.example.com", "https://b.example.com", otherKey))
	require.Zero(t, pointer(), "another key is another log")

	found, err := models.FindPeerByKeyID(db, "om.example.com+bbbbbbbb")
	require.NoError(t, err)
	require.Equal(t, "om.example.com", found.Name)
	for _, keyID := range []string{"om.example.com+aaaaaaaa", "om.example.com+bbbbbbb", "om.example.com", "%+bbbbbbbb", ""} {
		_, err := models.FindPeerByKeyID(db, keyID)
		require.ErrorIs(t, err, models.ErrNotFound, keyID)
	}
}

// A key that was revoked, or whose time is over, does not come to count again.
func TestOldKeyOfPeer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	require.NoError(t, models.SavePeer(db, "om.example.com", "https://a.example.com", peerKey))
	change := func(key string, overlap time.Duration) []string {
		require.NoError(t, models.ChangePeerKey(db, "om.example.com", key, overlap))
		p, err := models.FindPeer(db, "om.example.com")
		require.NoError(t, err)
		return p.Keys()
	}
	known := func(keyID string) bool {
		_, err := models.FindPeerByKeyID(db, keyID)
		return err == nil
	}
	require.Equal(t, []string{otherKey, peerKey}, change(otherKey, time.Hour))
	require.True(t, known("om.example.com+aaaaaaaa") && known("om.example.com+bbbbbbbb"))
	require.Equal(t, []string{otherKey, peerKey}, change(otherKey, 2*time.Hour), "the overlap may be changed")
	require.Equal(t, []string{otherKey}, change(otherKey, 0))
	require.False(t, known("om.example.com+aaaaaaaa"))
	require.Equal(t, []string{otherKey}, change(otherKey, time.Hour), "it was revoked")
	require.Equal(t, []string{peerKey, otherKey}, change(peerKey, time.Hour))
	require.NoError(t, db.RawQuery("UPDATE peers SET old_key_until = now() - interval '1 second'").Exec())
	require.False(t, known("om.example.com+bbbbbbbb"))
	require.Equal(t, []string{peerKey}, change(peerKey, time.Hour), "its time was over")
	require.NoError(t, models.SetPeerState(db, "om.example.com", models.PeerRemoved))
	require.ErrorIs(t, models.ChangePeerKey(db, "om.example.com", otherKey, 0), models.ErrNotFound)
}

// An announced key counts for nothing, and is gone once a key is taken.
func TestAnnouncedKeyOfPeer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	require.NoError(t, models.SavePeer(db, "om.example.com", "https://a.example.com", peerKey))
	found := func() *models.Peer {
		p, err := models.FindPeer(db, "om.example.com")
		require.NoError(t, err)
		return p
	}
	require.NoError(t, models.AnnounceKey(db, "om.example.com", otherKey))
	require.Equal(t, otherKey, found().AnnouncedKey)
	require.Equal(t, []string{peerKey}, found().Keys())
	_, err := models.FindPeerByKeyID(db, "om.example.com+bbbbbbbb")
	require.ErrorIs(t, err, models.ErrNotFound)
	require.NoError(t, models.ChangePeerKey(db, "om.example.com", otherKey, time.Hour))
	require.Empty(t, found().AnnouncedKey)
	require.NoError(t, models.AnnounceKey(db, "om.example.com", peerKey))
	require.NoError(t, models.SavePeer(db, "om.example.com", "https://a.example.com", peerKey))
	require.Empty(t, found().AnnouncedKey)
	require.NoError(t, models.SetPeerState(db, "om.example.com", models.PeerPaused))
	require.NoError(t, models.AnnounceKey(db, "om.example.com", otherKey))
	require.Empty(t, found().AnnouncedKey, "it is paused")
}

// Of all who come with a nonce at once, one is the first.
func TestNonceIsUsedOnce(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	var first atomic.Int32
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			fresh, err := models.UseNonce(db, "om.example.com+aaaaaaaa", "n", time.Now().Add(time.Minute))
			if err != nil {
				t.Errorf("use a nonce: %v", err)
			}
			if fresh {
				first.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, first.Load())
	fresh, err := models.UseNonce(db, "og.example.com+aaaaaaaa", "n", time.Now().Add(-time.Second))
	require.NoError(t, err)
	require.True(t, fresh, "of another key")
	require.NoError(t, models.ForgetNonces(db))
	fresh, err = models.UseNonce(db, "og.example.com+aaaaaaaa", "n", time.Now())
	require.NoError(t, err)
	require.True(t, fresh, "expired")
	fresh, err = models.UseNonce(db, "om.example.com+aaaaaaaa", "n", time.Now())
	require.NoError(t, err)
	require.False(t, fresh, "not expired")
}

// A tick takes each peer that is due once, however many processes tick.
func TestDuePullsAreTakenOnce(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for _, name := range []string{"a", "b", "paused"} {
		require.NoError(t, models.SavePeer(db, name, "https://"+name, name+"+aaaaaaaa+AAAA"))
	}
	require.NoError(t, models.SetPeerState(db, "paused", models.PeerPaused))
	names, err := models.TakeDuePulls(db, time.Hour)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a", "b"}, names)
	names, err = models.TakeDuePulls(db, time.Hour)
	require.NoError(t, err)
	require.Empty(t, names)
}

package models_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/models"
)

// ask asks to join in a transaction of its own.
func ask(db *pop.Connection, name, url, key string) (p *models.Peer, err error) {
	err = db.Transaction(func(tx *pop.Connection) error {
		p, err = models.AskToJoin(tx, name, url, key)
		return err
	})
	return p, err
}

// Who asks is pending, is found by nothing that looks for peers, and becomes what an operator makes of it.
func TestPendingPeer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const name = "om.example.com"
	p, err := ask(db, name, "https://a.example.com", peerKey)
	require.NoError(t, err)
	require.Equal(t, models.PeerPending, p.State)
	require.WithinDuration(t, time.Now(), *p.AskedAt, time.Minute)
	p, err = ask(db, name, "https://b.example.com", peerKey)
	require.NoError(t, err)
	require.Equal(t, "https://b.example.com", p.URL, "the holder of the key may have moved")
	_, err = ask(db, name, "https://c.example.com", otherKey)
	require.ErrorIs(t, err, models.ErrOtherKey)

	found, err := models.FindPeer(db, name)
	require.NoError(t, err)
	require.Equal(t, [3]string{models.PeerPending, "https://b.example.com", peerKey}, [3]string{found.State, found.URL, found.Key})
	listed, err := models.Peers(db)
	require.NoError(t, err)
	require.Len(t, listed, 1)
	active, err := models.ActivePeers(db)
	require.NoError(t, err)
	require.Empty(t, active)
	due, err := models.TakeDuePulls(db, time.Hour)
	require.NoError(t, err)
	require.Empty(t, due)
	pull, _, err := models.WorkDue(db)
	require.NoError(t, err)
	require.False(t, pull)
	_, err = models.FindPeerByKeyID(db, "om.example.com+aaaaaaaa")
	require.ErrorIs(t, err, models.ErrNotFound)
	moved, err := models.MovePullPointer(db, found, 0, 1, 1)
	require.NoError(t, err)
	require.False(t, moved)
	require.Error(t, models.RewindPullPointer(db, name, 0))
	require.ErrorIs(t, models.AcceptPeer(db, name), models.ErrNotFound)
	require.ErrorIs(t, models.ChangePeerKey(db, name, otherKey, time.Hour), models.ErrNotFound)
	for _, state := range []string{models.PeerActive, models.PeerPaused, models.PeerRemoved} {
		require.ErrorIs(t, models.SetPeerState(db, name, state), models.ErrNotFound)
	}
	for keyID, want := range map[string]bool{"om.example.com+aaaaaaaa": true, "om.example.com+bbbbbbbb": false, "om.example.com": false, "": false, "%+aaaaaaaa": false} {
		pending, err := models.IsPending(db, keyID)
		require.NoError(t, err)
		require.Equal(t, want, pending, keyID)
	}

	require.NoError(t, models.SavePeer(db, name, "https://b.example.com", peerKey))
	pending, err := models.IsPending(db, "om.example.com+aaaaaaaa")
	require.NoError(t, err)
	require.False(t, pending)
	p, err = ask(db, name, "https://elsewhere.example.com", peerKey)
	require.NoError(t, err)
	require.Equal(t, [2]string{models.PeerActive, "https://b.example.com"}, [2]string{p.State, p.URL}, "a peer that asks changes nothing")
	due, err = models.TakeDuePulls(db, time.Hour)
	require.NoError(t, err)
	require.Equal(t, []string{name}, due, "it is pulled at once")
}

// Whoever asks under the name of a removed peer takes nothing from what is on record of that one.
func TestRemovedPeerAsksAgain(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const name = "om.example.com"
	require.NoError(t, models.SavePeer(db, name, "https://a.example.com", peerKey))
	require.NoError(t, db.RawQuery(`UPDATE peers SET pull_position = 7, head = 7, epoch = 1, checkpoint = 'a note'`).Exec())
	require.NoError(t, models.SetPeerState(db, name, models.PeerRemoved))

	p, err := ask(db, name, "https://c.example.com", otherKey)
	require.NoError(t, err)
	require.Equal(t, [2]string{models.PeerPending, "a note"}, [2]string{p.State, foundNote(t, db, name)})
	require.NoError(t, models.RefuseToJoin(db, name))
	require.ErrorIs(t, models.RefuseToJoin(db, name), models.ErrNotFound)
	p, err = models.FindPeer(db, name)
	require.NoError(t, err)
	require.Equal(t, [2]string{models.PeerRemoved, peerKey}, [2]string{p.State, p.Key})

	for _, again := range []struct {
		key      string
		position int64
	}{{peerKey, 7}, {otherKey, 0}} {
		_, err = ask(db, name, "https://c.example.com", again.key)
		require.NoError(t, err)
		require.NoError(t, models.SavePeer(db, name, "https://c.example.com", again.key))
		p, err = models.FindPeer(db, name)
		require.NoError(t, err)
		require.Equal(t, models.PeerActive, p.State)
		require.Equal(t, again.position, p.PullPosition)
		require.NoError(t, models.SetPeerState(db, name, models.PeerRemoved))
	}
}

func foundNote(t *testing.T, db *pop.Connection, name string) string {
	t.Helper()
	p, err := models.FindPeer(db, name)
	require.NoError(t, err)
	return p.Checkpoint
}

// However many ask at once, a bounded number waits, and not for ever.
func TestPendingPeersAreBounded(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	var all sync.WaitGroup
	var refused atomic.Int32
	for i := range 110 {
		all.Go(func() {
			name := fmt.Sprintf("p%d.example.com", i)
			_, err := ask(db, name, "https://"+name, name+"+aaaaaaaa+AAAA")
			switch {
			case err == nil:
			case errors.Is(err, models.ErrTooManyPending):
				refused.Add(1)
			default:
				t.Errorf("ask: %v", err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 10, refused.Load())
	pending, err := models.PendingPeers(db)
	require.NoError(t, err)
	require.Len(t, pending, 100)
	_, err = ask(db, pending[0].Name, "https://moved.example.com", pending[0].Key)
	require.NoError(t, err, "who is there already may ask again")

	require.NoError(t, db.RawQuery(`UPDATE join_requests SET asked_at = now() - interval '31 days' WHERE name <> ?`, pending[0].Name).Exec())
	require.NoError(t, models.ForgetPending(db))
	pending, err = models.PendingPeers(db)
	require.NoError(t, err)
	require.Len(t, pending, 1)
}

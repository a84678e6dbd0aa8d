package actions_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/models"
)

// announces returns a key that comes after another, and the proof of it.
func (n *newcomer) announces(present string) (key, proof string) {
	n.t.Helper()
	next := newNewcomer(n.t, n.join.Name, n.join.URL)
	proof, err := next.signer.ProveNewKey(present)
	require.NoError(n.t, err)
	return next.join.Key, proof
}

// A key is announced by the present one, for that, and by nobody else.
func TestAnnounceKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	oa := newNewcomer(t, "oa.example.com", "https://oa.example.com")
	s.knows(oa.join.Name, oa.join.URL, oa.join.Key)
	announce := func(by *newcomer, key, proof string) answerOf {
		return s.send(by.sign(s, "/peer/key", string(protocol.AppendNewKey(nil, protocol.NewKey{Key: key, Proof: proof}))))
	}
	key, proof := oa.announces(oa.join.Key)
	later, laterProof := oa.announces(oa.join.Key)
	foreign, foreignProof := newNewcomer(t, "om.example.com", "").announces(oa.join.Key)
	_, proofForOther := oa.announces(later)
	ownProof, err := oa.signer.ProveNewKey(oa.join.Key)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		key, proof string
		status     int
		named      string
	}{
		"no key":                {"", proof, 400, "key"},
		"no proof":              {key, "", 400, "proof"},
		"nonsense":              {"nonsense", proof, 400, "invalid key"},
		"another name":          {foreign, foreignProof, 400, "it is the key of om.example.com"},
		"the proof of another":  {key, laterProof, 400, "proof"},
		"proof for another key": {key, proofForOther, 400, "proof"},
		"proof by the present":  {key, ownProof, 400, "proof"},
		"a proof that is none":  {key, "olympus new signing key\n", 400, "proof"},
	} {
		got := announce(oa, c.key, c.proof)
		require.Equal(t, c.status, got.status, "%s: %s", name, got.body)
		require.Contains(t, got.body, c.named, name)
	}
	require.Equal(t, http.StatusUnauthorized, announce(newNewcomer(t, "oa.example.com", ""), key, proof).status, "by a stranger")
	for body, named := range map[string]string{`{"key":1}`: "key", `{"Key":"x"}`: "Key", `{"key":"x","key":"x"}`: "key", `[]`: "announcement"} {
		got := s.send(oa.sign(s, "/peer/key", body))
		require.Equal(t, http.StatusBadRequest, got.status, body)
		require.Contains(t, got.body, named)
	}
	p, err := models.FindPeer(s.DB, "oa.example.com")
	require.NoError(t, err)
	require.Empty(t, p.AnnouncedKey)
	require.Equal(t, [3]int{1, 0, 0}, s.rows())

	require.Equal(t, http.StatusAccepted, announce(oa, later, laterProof).status)
	require.Equal(t, http.StatusAccepted, announce(oa, key, proof).status, "the newest is kept")
	var one map[string]any
	s.json("/peers/oa.example.com", &one)
	require.Equal(t, key, one["announced_key"])
	again := oa.sign(s, "/peer/key", string(protocol.AppendNewKey(nil, protocol.NewKey{Key: key, Proof: proof})))
	replay := again.Clone(t.Context())
	replay.Body, _ = again.GetBody()
	require.Equal(t, http.StatusAccepted, s.send(again).status)
	require.Equal(t, http.StatusUnauthorized, s.send(replay).status, "a replay")

	// Once it is taken, the old key still tells so, and announces nothing else.
	require.NoError(t, models.ChangePeerKey(s.DB, "oa.example.com", key, time.Hour))
	got := announce(oa, key, proof)
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, `{"state":"accepted"}`, got.body)
	got = announce(oa, later, laterProof)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.body, "only that announces another")
	require.NoError(t, models.SetPeerState(s.DB, "oa.example.com", models.PeerPaused))
	require.Equal(t, http.StatusForbidden, announce(oa, key, proof).status)
}

// While as many are being worked as may be at a time, another is told to come again.
func TestIntroductionsAtATime(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	var answers sync.WaitGroup
	require.NoError(t, s.DB.Transaction(func(tx *pop.Connection) error {
		require.NoError(t, tx.RawQuery(`LOCK TABLE join_requests IN ACCESS EXCLUSIVE MODE`).Exec())
		for i := range 2 {
			n := newNewcomer(t, fmt.Sprintf("n%d.example.com", i), "https://n.example.com")
			answers.Go(func() {
				if got := n.asks(s); got.status != http.StatusAccepted {
					t.Errorf("%s: %d %s", n.join.Name, got.status, got.body)
				}
			})
		}
		require.Eventually(t, func() bool {
			var waiting int
			err := tx.RawQuery(`SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'join_requests'::regclass`).First(&waiting)
			return err == nil && waiting == 2
		}, 10*time.Second, 10*time.Millisecond)
		for _, path := range []string{"/peer/join", "/peer/key"} {
			got := s.send(newNewcomer(t, "oa.example.com", "https://oa.example.com").sign(s, path, `{}`))
			require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
			require.NotEmpty(t, got.header.Get("Retry-After"))
		}
		return nil
	}))
	answers.Wait()
	require.Equal(t, [3]int{0, 2, 2}, s.rows())
}

package federation

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/signature"
	"olympus/models"
)

// A deployment changes its key without losing a push, and nobody takes its log from the start. When the overlap is over, or the old key is
// revoked, what it signs counts for nothing.
func TestChangeOfKey(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	oa := start(t, "oa.example.com", options{lazy: true, noJobs: true, admin: adminToken})
	befriend(om, oa)
	om.hears(deletes(10, "early", om.Name)...)
	oa.pull(om)

	newKey, newVerifier, err := signature.GenerateKey(om.Name)
	require.NoError(t, err)
	rekey := func(status int, body string) string {
		req, err := http.NewRequest(http.MethodPost, oa.url+"/peers/"+om.Name+"/rekey", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+adminToken)
		got := oa.send(req)
		require.Equal(t, status, got.status, got.body)
		return got.body
	}
	answer := rekey(http.StatusOK, `{"key":"`+newVerifier+`"}`)
	require.Contains(t, answer, `"old_key":"`+om.signer.VerifierKey())
	push := func(d *deployment, seed string) error {
		return d.Peers.Push(t.Context(), oa.target(), deletes(1, seed, om.Name))
	}

	// Announced, and not in use yet.
	require.NoError(t, push(om, "old-key"))
	om.hears(deletes(5, "more", om.Name)...)
	require.EqualValues(t, 15, oa.pull(om).PullPosition)

	// In use by one process of two.
	next := om.another(func(o *options) { o.key, o.url = newKey, "" })
	require.NoError(t, push(next, "new-key"))
	require.NoError(t, push(om, "old-key-still"))
	require.NoError(t, models.SavePeer(oa.DB, om.Name, next.url, newVerifier))
	om.hears(deletes(5, "later", om.Name)...)
	pulled := oa.pull(next)
	require.EqualValues(t, 20, pulled.PullPosition)
	require.Equal(t, 5, pulled.Pulled, "the log goes on where it was")
	p, err := models.FindPeer(oa.DB, om.Name)
	require.NoError(t, err)
	require.EqualValues(t, 20, p.VerifiedSize)
	require.Equal(t, []string{newVerifier, om.signer.VerifierKey()}, p.Keys())

	// Revoked, while a pull waits for news.
	waiting, err := models.FindPeer(oa.DB, om.Name)
	require.NoError(t, err)
	rekey(http.StatusOK, `{"key":"`+newVerifier+`","overlap":"0s"}`)
	moved, err := models.MovePullPointer(oa.DB, waiting, 20, 21, 21)
	require.NoError(t, err)
	require.False(t, moved, "its page was checked with a key that counts no more")
	var refused *peer.StatusError
	require.ErrorAs(t, push(om, "stolen"), &refused)
	require.Equal(t, http.StatusUnauthorized, refused.Status)
	require.NoError(t, push(next, "new-key-again"))
	require.NoError(t, models.SavePeer(oa.DB, om.Name, om.url, newVerifier))
	om.hears(deletes(1, "last", om.Name)...)
	_, err = oa.Pull(t.Context(), om.Name, 0)
	require.ErrorContains(t, err, "should have signed")
	require.NoError(t, models.SavePeer(oa.DB, om.Name, next.url, newVerifier))
	require.EqualValues(t, 21, oa.pull(next).PullPosition)

	for body, want := range map[string]string{
		`{"key":"nonsense"}`:                               "invalid key",
		`{"key":"` + oa.signer.VerifierKey() + `"}`:        "it is the key of oa.example.com",
		`{"key":"` + newVerifier + `","overlap":"a week"}`: "a week",
		`{"key":"` + newVerifier + `","overlap":"-1h"}`:    "-1h",
	} {
		require.Contains(t, rekey(http.StatusBadRequest, body), want, body)
	}
}

// While the old key signs checkpoints beside the new one, those who know only one of the two can read them.
func TestOldKeySignsBeside(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	om.hears(deletes(3, "m", om.Name)...)
	newKey, newVerifier, err := signature.GenerateKey(om.Name)
	require.NoError(t, err)
	signer, err := signature.NewSigner(newKey)
	require.NoError(t, err)
	require.ErrorContains(t, signer.AndOld(newKey), "not an earlier key")
	other, _, err := signature.GenerateKey("oa.example.com")
	require.NoError(t, err)
	require.ErrorContains(t, signer.AndOld(other), "not an earlier key")
	next := om.another(func(o *options) { o.key, o.oldKey = newKey, om.made.key })
	for _, path := range []string{"/checkpoint", "/sumdb/" + om.Name + "/latest"} {
		note := []byte(next.mustGet(path))
		for _, key := range []string{newVerifier, om.signer.VerifierKey()} {
			text, err := signature.OpenNote(note, key)
			require.NoError(t, err, path)
			require.Contains(t, text, "\n3\n")
		}
	}
}

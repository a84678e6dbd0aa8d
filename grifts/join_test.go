package grifts

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/signature"
)

func (o *other) introduced(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if r.PathValue("what") == "join" {
		o.asked, _ = protocol.ParseJoin(body)
	} else {
		o.newKey, _ = protocol.ParseNewKey(body)
	}
	if o.status == 0 {
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(o.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"state": o.state})
}

func TestJoinPeer(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	s.settings.URL = "http://om.example.com:3000"
	signer, err := signature.NewSigner(s.settings.SigningKey)
	require.NoError(t, err)
	oa := newOther(t, "oa.example.com")

	// Nobody is asked before the key was compared.
	oa.set(func() { oa.status, oa.state = http.StatusAccepted, "pending" })
	_, _, err = s.run("peers:join", oa.URL)
	require.ErrorContains(t, err, "run again with it: olympus task peers:join "+oa.URL+" "+oa.key)
	require.Empty(t, oa.asked)
	out := s.must("peers:join", oa.URL, oa.key)
	require.Contains(t, out, "peer oa.example.com added")
	require.Contains(t, out, "its operator approves with: olympus task peers:approve om.example.com\n")
	require.Contains(t, out, signature.Fingerprint(signer.VerifierKey()))
	require.Equal(t, protocol.Join{Name: "om.example.com", URL: s.settings.URL, Key: signer.VerifierKey()}, oa.asked)
	oa.set(func() { oa.status, oa.state = http.StatusOK, "paused" })
	require.Equal(t, "paused", s.object("peers:join", oa.URL, oa.key)["state_there"])
	require.Contains(t, s.must("peers:join", oa.URL, oa.key), "which is paused there")

	for status, want := range map[int]string{
		0: "its operator runs: olympus task peers:add http://om.example.com:3000 " + signer.VerifierKey(), http.StatusConflict: "409", http.StatusTooManyRequests: "429",
	} {
		oa.set(func() { oa.status = status })
		_, _, err = s.run("peers:join", oa.URL, oa.key)
		require.ErrorContains(t, err, "oa.example.com is a peer here, but could not be asked")
		require.ErrorContains(t, err, want)
	}
	for _, state := range []string{"", "Pending", "a b", "\x1b[2J"} {
		oa.set(func() { oa.status, oa.state = http.StatusOK, state })
		_, _, err = s.run("peers:join", oa.URL, oa.key)
		require.ErrorContains(t, err, "parse the answer", state)
	}
}

func TestApprovePeer(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	oa, og := newOther(t, "oa.example.com"), newOther(t, "og.example.com")
	d, done, err := s.open(t.Context())
	require.NoError(t, err)
	for _, o := range []*other{oa, og} {
		_, err = d.AskToJoin(t.Context(), protocol.Join{Name: o.name, URL: o.URL, Key: o.key}, func(*pop.Connection) error { return nil })
		require.NoError(t, err)
	}
	require.NoError(t, done())

	out := s.must("peers:list")
	require.Contains(t, out, "oa.example.com asks to become a peer, with the fingerprint "+signature.Fingerprint(oa.key)+":\nolympus task peers:approve oa.example.com "+oa.key+"\n")
	listed := parse[[]map[string]any](t, s.must("peers:list", "--json"))
	require.Equal(t, "pending", listed[0]["state"])
	require.NotEmpty(t, listed[0]["asked_at"])

	// Without a key and without somebody to ask, it is only shown.
	out, _, err = s.run("peers:approve", oa.name)
	require.ErrorContains(t, err, "oa.example.com is not approved yet: compare its key, and run again with it: olympus task peers:approve oa.example.com "+oa.key)
	require.Contains(t, out, signature.Fingerprint(oa.key))
	_, _, err = s.run("peers:approve", oa.name, otherKeyOf(t, oa.name))
	require.ErrorContains(t, err, oa.key)
	s.terminal, s.input = true, "no\n"
	_, _, err = s.run("peers:approve", oa.name)
	require.ErrorContains(t, err, "is not approved")
	s.input = "yes\n"
	require.Contains(t, s.must("peers:approve", oa.name), "peer oa.example.com is active: "+oa.URL)
	s.terminal = false
	require.Contains(t, s.must("peers:approve", oa.name, oa.key), "is active", "again")
	require.Equal(t, true, s.object("peers:approve", og.name, og.key)["added"])
	s.must("peers:pause", og.name)
	_, _, err = s.run("peers:approve", og.name)
	require.ErrorContains(t, err, "peer og.example.com is paused, not pending")
	_, _, err = s.run("peers:approve", "x.example.com")
	require.ErrorContains(t, err, "not found")
}

func otherKeyOf(t *testing.T, name string) string {
	t.Helper()
	_, key, err := signature.GenerateKey(name)
	require.NoError(t, err)
	return key
}

// A key is announced to every peer, and takes its place when all have accepted it.
func TestRotateKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	file := filepath.Join(t.TempDir(), "olympus.key")
	present := s.settings.SigningKey
	require.NoError(t, os.WriteFile(file, []byte(present), 0o600))
	s.settings.SigningKeyFile = file
	signer, err := signature.NewSigner(present)
	require.NoError(t, err)
	oa, og, paused := newOther(t, "oa.example.com"), newOther(t, "og.example.com"), newOther(t, "paused.example.com")
	for _, o := range []*other{oa, og, paused} {
		s.must("peers:add", o.URL, o.key)
	}
	s.must("peers:pause", paused.name)

	oa.set(func() { oa.status, oa.state = http.StatusAccepted, "announced" })
	out, _, err := s.run("key:rotate", "--json")
	require.ErrorContains(t, err, "og.example.com could not be told: its release takes no announcements")
	first := parse[rotated](t, out)
	require.NotContains(t, out, "PRIVATE")
	require.False(t, first.Rotated)
	require.Equal(t, []string{"announced", "not told", "not told"}, []string{first.Peers[0].State, first.Peers[1].State, first.Peers[2].State})
	require.Contains(t, first.Peers[2].Error, "is paused here: its operator runs: olympus task peers:rekey om.example.com "+first.Key)
	require.NoError(t, signature.CheckNewKey(signer.VerifierKey(), first.Key, oa.newKey.Proof))
	require.Empty(t, paused.newKey)

	og.set(func() { og.status, og.state = http.StatusOK, "accepted" })
	require.Contains(t, s.must("key:rotate"), "oa.example.com: announced\nog.example.com: accepted\npaused.example.com: not told; it is paused here")
	require.Equal(t, first.Key, oa.newKey.Key, "it is the same one")
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, present, string(kept))

	oa.set(func() { oa.status, oa.state = http.StatusOK, "accepted" })
	last := s.object("key:rotate")
	require.Equal(t, []any{true, file, first.Key}, []any{last["rotated"], last["file"], last["key"]})
	kept, err = os.ReadFile(file)
	require.NoError(t, err)
	next, err := signature.NewSigner(string(kept[:len(kept)-1]))
	require.NoError(t, err)
	require.Equal(t, first.Key, next.VerifierKey())
	s.settings.SigningKey, s.settings.OldSigningKey = string(kept[:len(kept)-1]), present
	kept, err = os.ReadFile(file + ".old")
	require.NoError(t, err)
	require.Equal(t, present+"\n", string(kept))

	// With the settings as they are read then, nothing is to be done but what is said.
	require.Contains(t, s.must("key:rotate"), "restart the processes one by one")
	require.NoFileExists(t, file+".new")
}

// Where the key is not in a file that could be written, the operator is told what to do.
func TestRotateKeyByHand(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	s.settings.DataDir = t.TempDir()
	answer := s.object("key:rotate")
	require.Equal(t, false, answer["rotated"])
	require.Contains(t, answer["signing_key"], "PRIVATE+KEY+om.example.com+")
	require.Equal(t, filepath.Join(s.settings.DataDir, "signing.key.new"), answer["file"])
	require.Contains(t, answer["do"], "OLYMPUS_OLD_SIGNING_KEY")
	require.Equal(t, answer, s.object("key:rotate"))
	s.settings.SigningKey = answer["signing_key"].(string)
	_, _, err := s.run("key:rotate")
	require.ErrorContains(t, err, "is the present one already: remove that file")
}

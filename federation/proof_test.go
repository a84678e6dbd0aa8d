package federation

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/internal/transparency"
	"olympus/models"
)

// through lets a test stand between a deployment and whoever asks it: while a handler is stored, it answers.
type through struct {
	instead atomic.Pointer[http.HandlerFunc]
}

func (m *through) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := m.instead.Load(); h != nil {
			(*h)(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (m *through) put(h http.HandlerFunc) { m.instead.Store(&h) }
func (m *through) remove()                { m.instead.Store(nil) }

// altering changes the pages of a log on the way.
func altering(d *deployment, change func(p *protocol.Page)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		inner := httptest.NewRecorder()
		r.Header.Del("Accept-Encoding")
		d.app.ServeHTTP(inner, r)
		if r.URL.Path != "/eventlog" || inner.Code != http.StatusOK {
			for name, values := range inner.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(inner.Code)
			_, _ = w.Write(inner.Body.Bytes())
			return
		}
		after, _ := json.Number(r.URL.Query().Get("after")).Int64()
		page, err := protocol.ReadPage(inner.Body, after, protocol.MaxPageEvents)
		if err != nil { // whoever asked has gone
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if len(page.Events) > 1 { // not the one event with which a puller makes sure of what it has
			change(page)
		}
		var b []byte
		for i := range page.Events {
			b = protocol.AppendLine(b, &page.Events[i])
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = w.Write(protocol.AppendTail(b, page.Head, page.Next, page.Checkpoint))
	}
}

// A page that leaves out, alters or moves anything, or whose checkpoint is not what it should be, is refused whole: the pull pointer
// stays, nothing of it is recorded, and the next honest page is taken. That holds at the beginning of a log as well as further on.
func TestPagesAreProved(t *testing.T) {
	t.Parallel()
	var between through
	om := start(t, "om.example.com", options{noJobs: true, wrap: between.wrap})
	oa := start(t, "oa.example.com", options{lazy: true, noJobs: true})
	og := start(t, "og.example.com", options{noJobs: true})
	oa.knows(om, og)
	otherKey, _, err := signature.GenerateKey("om.example.com")
	require.NoError(t, err)
	forger, err := signature.NewSigner(otherKey)
	require.NoError(t, err)

	all := deletes(150, "m", om.Name)
	for round, upTo := range []int{100, 150} {
		from := len(om.log())
		om.hears(all[from:upTo]...)
		old, err := om.Checkpoint(t.Context(), int64(from))
		require.NoError(t, err)
		text := func(p *protocol.Page) string {
			text, err := signature.OpenNote([]byte(p.Checkpoint), om.signer.VerifierKey())
			if err != nil {
				panic(err)
			}
			return text
		}
		for name, change := range map[string]func(p *protocol.Page){
			"an event altered": func(p *protocol.Page) { p.Events[len(p.Events)/2].Reason = "something else" },
			"one left out": func(p *protocol.Page) {
				half := len(p.Events) / 2
				for i := half; i < len(p.Events)-1; i++ {
					p.Events[i].Event = p.Events[i+1].Event
				}
			},
			"two swapped": func(p *protocol.Page) {
				a, b := &p.Events[len(p.Events)/2], &p.Events[len(p.Events)/2+1]
				a.Event, b.Event = b.Event, a.Event
			},
			"cut short under the checkpoint of the whole": func(p *protocol.Page) {
				p.Events = p.Events[:len(p.Events)-1]
				p.Next--
			},
			"signed with another key": func(p *protocol.Page) {
				note, err := forger.SignNote(text(p))
				if err != nil {
					panic(err)
				}
				p.Checkpoint = string(note)
			},
			"an old checkpoint":       func(p *protocol.Page) { p.Checkpoint = string(old) },
			"a checkpoint of nothing": func(p *protocol.Page) { p.Checkpoint = "nonsense" },
			"of another deployment": func(p *protocol.Page) {
				note, err := om.signer.SignNote(strings.Replace(text(p), "om.example.com", "og.example.com", 1))
				if err != nil {
					panic(err)
				}
				p.Checkpoint = string(note)
			},
			"a root of another tree": func(p *protocol.Page) {
				note, err := om.signer.SignNote(strings.Replace(text(p), "\n1", "\n2", 1))
				if err != nil {
					panic(err)
				}
				p.Checkpoint = string(note)
			},
		} {
			between.put(altering(om, change))
			_, err := oa.Pull(t.Context(), om.Name, 0)
			require.Error(t, err, name)
			require.EqualValues(t, from, oa.pointer(om), name)
			require.Len(t, oa.log(), from, name)
			p, err := models.FindPeer(oa.DB, om.Name)
			require.NoError(t, err)
			require.Equal(t, models.PeerActive, p.State, name)
			require.NotEmpty(t, p.LastError, name)
			require.EqualValues(t, upTo, p.Head, name)
			require.NotNil(t, p.BehindSince, "%s: that there is more is known all the same", name)
		}
		if round > 0 {
			between.put(altering(om, func(p *protocol.Page) { p.Checkpoint = "" }))
			_, err := oa.Pull(t.Context(), om.Name, 0)
			require.ErrorContains(t, err, "no checkpoint")
		}
		between.remove()
		oa.pull(om)
		require.Equal(t, om.log(), oa.log())
		p, err := models.FindPeer(oa.DB, om.Name)
		require.NoError(t, err)
		require.Nil(t, p.BehindSince)
		require.Equal(t, string(om.witnessed(oa)), string(mustCheckpoint(t, om)))
	}
	oa.pull(og)
}

func mustCheckpoint(t *testing.T, d *deployment) []byte {
	t.Helper()
	note, err := d.Checkpoint(t.Context(), -1)
	require.NoError(t, err)
	return note
}

// witnessed is what another deployment has verified of the log of this one.
func (d *deployment) witnessed(by *deployment) []byte {
	d.t.Helper()
	return []byte(by.mustGet("/peer/witness/" + d.Name))
}

// A peer that signs two histories is quarantined: nothing is pulled from it, both notes are kept, whoever asks sees them, and everything
// else goes on. An operator can accept the new history.
func TestForkedLogIsQuarantined(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"at the same size": 40, "longer": 50, "shorter": 35} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var between through
			om := start(t, "om.example.com", options{noJobs: true, wrap: between.wrap})
			twin := start(t, "om.example.com", options{noJobs: true, key: om.made.key, url: om.url})
			oa := start(t, "oa.example.com", options{lazy: true, noJobs: true})
			og := start(t, "og.example.com", options{noJobs: true})
			oa.knows(om, og)
			same, here, there := deletes(30, "same", om.Name), deletes(10, "here", om.Name), deletes(size-30, "there", om.Name)
			om.hears(append(same, here...)...)
			twin.hears(append(same, there...)...)
			oa.pull(om)

			between.put(twin.app.ServeHTTP)
			_, err := oa.Pull(t.Context(), om.Name, 0)
			require.ErrorContains(t, err, "two histories")
			p, err := models.FindPeer(oa.DB, om.Name)
			require.NoError(t, err)
			require.Equal(t, models.PeerQuarantined, p.State)
			require.EqualValues(t, 40, p.PullPosition)
			require.Len(t, oa.log(), 40)
			var notes []*transparency.Checkpoint
			for _, note := range []string{p.EvidenceBefore, p.EvidenceAfter} {
				text, err := signature.OpenNote([]byte(note), om.signer.VerifierKey())
				require.NoError(t, err)
				c, err := transparency.ParseCheckpoint(text, om.Name)
				require.NoError(t, err)
				notes = append(notes, c)
			}
			require.False(t, notes[1].Extends(notes[0]), "the evidence proves it")

			_, err = oa.Pull(t.Context(), om.Name, 0)
			require.ErrorContains(t, err, "quarantined")
			require.Equal(t, http.StatusForbidden, om.envelope(oa, "a push", protocol.AppendPush(nil, there[:1])).sendTo(oa).status)
			og.hears(deletes(3, "other", og.Name)...)
			oa.pull(og)
			require.Len(t, oa.log(), 43, "other peers do not notice")

			// Nobody but an operator, or the peer's own word, ends it.
			require.NoError(t, oa.ReviewQuarantined(t.Context()))
			_, err = oa.Pull(t.Context(), om.Name, 0)
			require.ErrorContains(t, err, "quarantined")
			require.NoError(t, models.AcceptPeer(oa.DB, om.Name))
			oa.pull(om)
			require.Len(t, oa.log(), 43+size-30)
			require.True(t, bytes.Equal(mustCheckpoint(t, twin), om.witnessed(oa)))
		})
	}
}

// A peer that was restored from a backup and has signed on before it found out is taken back as soon as it declares a new epoch.
func TestLateEpochEndsQuarantine(t *testing.T) {
	t.Parallel()
	var between through
	om := start(t, "om.example.com", options{noJobs: true, wrap: between.wrap})
	restored := start(t, "om.example.com", options{noJobs: true, key: om.made.key, url: om.url})
	oa := start(t, "oa.example.com", options{lazy: true, noJobs: true})
	oa.knows(om)
	early := deletes(30, "early", om.Name)
	om.hears(append(early, deletes(10, "lost", om.Name)...)...)
	restored.hears(append(early, deletes(15, "later", om.Name)...)...)
	oa.pull(om)
	mustCheckpoint(t, restored) // it knows no peer that could have reminded it
	between.put(restored.app.ServeHTTP)
	_, err := oa.Pull(t.Context(), om.Name, 0)
	require.ErrorContains(t, err, "two histories")

	restored.knows(oa)
	restored.pull(oa) // now it is reminded, and gets back what it has lost
	require.EqualValues(t, 2, restored.epoch())
	require.Len(t, restored.log(), 55)
	require.NoError(t, oa.ReviewQuarantined(t.Context()))
	oa.pull(om)
	require.Len(t, oa.log(), 55)
}

// After the pull pointer was set back by hand, pages are proved against what was verified before, from the peer's tiles.
func TestPulledAgainFromTheMiddle(t *testing.T) {
	t.Parallel()
	var between through
	om := start(t, "om.example.com", options{noJobs: true, wrap: between.wrap})
	oa := start(t, "oa.example.com", options{lazy: true, noJobs: true})
	oa.knows(om)
	oa.PageSize = 100
	om.hears(deletes(700, "m", om.Name)...)
	oa.pull(om)
	verified := string(om.witnessed(oa))
	for _, from := range []int64{0, 1, 255, 256, 300, 699, 700} {
		require.NoError(t, models.RewindPullPointer(oa.DB, om.Name, from))
		pulled := oa.pull(om)
		require.EqualValues(t, 700-from, pulled.Pulled)
		require.Zero(t, pulled.Appended)
		require.Equal(t, verified, string(om.witnessed(oa)), "less than was verified before is no news")
	}
	require.NoError(t, models.RewindPullPointer(oa.DB, om.Name, 300))
	between.put(altering(om, func(p *protocol.Page) { p.Events[len(p.Events)-1].Reason = "something else" }))
	_, err := oa.Pull(t.Context(), om.Name, 0)
	require.Error(t, err)
	require.EqualValues(t, 300, oa.pointer(om))
	between.remove()
	om.hears(deletes(50, "more", om.Name)...)
	require.EqualValues(t, 450, oa.pull(om).Pulled)
	require.Equal(t, string(mustCheckpoint(t, om)), string(om.witnessed(oa)))
}

// A deployment that shows one history to one peer and another to the other is found out: they ask each other.
func TestPeersCompareWhatTheyWereShown(t *testing.T) {
	t.Parallel()
	for name, there := range map[string]int{"as long": 10, "longer": 30, "shorter": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var between through
			om := start(t, "om.example.com", options{noJobs: true, wrap: between.wrap})
			twin := start(t, "om.example.com", options{noJobs: true, key: om.made.key, url: om.url})
			oa := start(t, "oa.example.com", options{lazy: true, noJobs: true})
			og := start(t, "og.example.com", options{lazy: true, noJobs: true})
			same := deletes(20, "same", om.Name)
			om.hears(append(same, deletes(10, "here", om.Name)...)...)
			twin.hears(append(same, deletes(there, "there", om.Name)...)...)
			// Whoever is OG gets the other history.
			split := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.Header.Get("Signature-Input"), og.Name) {
					twin.app.ServeHTTP(w, r)
					return
				}
				om.app.ServeHTTP(w, r)
			})
			between.put(split)
			oa.knows(om)
			og.knows(om)
			oa.pull(om)
			og.pull(om)
			oa.pull(om) // there is nobody yet to compare with

			oa.knows(og)
			next := oa.another(nil)
			_, err := next.Pull(t.Context(), om.Name, 0)
			p, findErr := models.FindPeer(oa.DB, om.Name)
			require.NoError(t, findErr)
			if there > 10 {
				// OM cannot prove to OA what it has shown to OG: OA's own tree is the smaller one.
				require.NoError(t, err)
				require.Equal(t, models.PeerActive, p.State)
				// But OG, who has seen more, can ask for the beginning of its tree.
				og.knows(oa)
				_, err = og.another(nil).Pull(t.Context(), om.Name, 0)
				p, findErr = models.FindPeer(og.DB, om.Name)
				require.NoError(t, findErr)
			}
			require.ErrorContains(t, err, "two histories")
			require.Equal(t, models.PeerQuarantined, p.State)
			require.Len(t, p.Evidence(), 2)
			require.NotEqual(t, p.EvidenceBefore, p.EvidenceAfter)
		})
	}
}

// A log that an earlier release has written, without a tree, gets one.
func TestTreeOfAnOldLog(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	om.hears(deletes(2500, "m", om.Name)...)
	want, err := models.ReadTree(om.DB)
	require.NoError(t, err)
	rows := om.count("tiles")
	before := mustCheckpoint(t, om)
	for _, statement := range []string{
		"ALTER TABLE tiles DISABLE TRIGGER USER", "DELETE FROM tiles", "ALTER TABLE tiles ENABLE TRIGGER USER",
		"UPDATE event_log SET tree_size = 0",
	} {
		require.NoError(t, om.DB.RawQuery(statement).Exec())
	}
	require.NoError(t, models.GrowTree(om.DB))
	got, err := models.ReadTree(om.DB)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, rows, om.count("tiles"))
	require.Equal(t, before, mustCheckpoint(t, om.another(nil)))
}

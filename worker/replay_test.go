package worker_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
	"olympus/worker"
)

// row is all that a row of versions says, except when something was or will be tried.
type row struct {
	Module     string `db:"module"`
	Version    string `db:"version"`
	Add        int64  `db:"add_position"`
	Deprecated bool   `db:"deprecated"`
	Deleted    bool   `db:"deleted"`
	Conflict   bool   `db:"conflict"`
	Pinned     bool   `db:"pinned"`
	Held       bool   `db:"held"`
	Due        bool   `db:"due"`
}

func (l *ledger) rows() []row {
	l.t.Helper()
	var rows []row
	require.NoError(l.t, l.DB.RawQuery(`
		SELECT module, version, coalesce(add_position, 0) AS add_position, deprecated, deleted, conflict, pinned, held,
			fetch_due_at IS NOT NULL AS due
		FROM versions ORDER BY module, version`).All(&rows))
	return rows
}

func (l *ledger) replay() *worker.Replayed {
	l.t.Helper()
	r, err := l.Replay(l.t.Context())
	require.NoError(l.t, err)
	return r
}

func TestReplay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		damage func(l *ledger)
		want   worker.Replayed
	}{
		{"nothing to do", func(*ledger) {}, worker.Replayed{Held: 2}},
		// disputed is pinned to an add that only its zip in the store tells of.
		{"all rows lost", func(l *ledger) { l.exec("DELETE FROM versions") }, worker.Replayed{Rebuilt: 6, Held: 2, Found: 2}},
		{"every row wrong", func(l *ledger) {
			l.exec(`UPDATE versions SET deprecated = NOT deprecated, deleted = NOT deleted, conflict = NOT conflict, fetch_due_at = NULL`)
		}, worker.Replayed{Rebuilt: 6, Held: 2}},
		{"tombstone forgotten", func(l *ledger) { l.exec("UPDATE versions SET deleted = false") }, worker.Replayed{Rebuilt: 2, Held: 2}},
		{"another add served", func(l *ledger) { l.exec("UPDATE versions SET add_position = 4 WHERE module = 'example.com/remote'") },
			worker.Replayed{Rebuilt: 1, Held: 2}},
		{"no add served", func(l *ledger) {
			l.exec("UPDATE versions SET add_position = NULL, fetch_due_at = NULL WHERE module = 'example.com/remote'")
		}, worker.Replayed{Rebuilt: 1, Held: 2}},
		{"pinned to a stranger", func(l *ledger) { l.exec("UPDATE versions SET add_position = 2 WHERE module = 'example.com/held'") },
			worker.Replayed{Rebuilt: 1, Held: 2, Found: 1}},
		{"never to be fetched", func(l *ledger) { l.exec("UPDATE versions SET fetch_due_at = NULL") },
			worker.Replayed{Rebuilt: 2, Held: 2}},
		{"rows that no event speaks of", func(l *ledger) {
			l.exec(`INSERT INTO versions (module, version, deprecated, deleted, conflict) VALUES
				('example.com/ghost', 'v1.0.0', true, false, false), ('example.com/held', 'v1.0.1', true, true, false)`)
		}, worker.Replayed{Removed: 2, Held: 2}},
		{"a held zip taken for remote", func(l *ledger) {
			l.exec("UPDATE versions SET held = false, fetch_due_at = now() WHERE held")
		}, worker.Replayed{Held: 2, Found: 2}},
		{"zip of a deleted version left over", func(l *ledger) { l.hold(deleted, 0) }, worker.Replayed{Held: 2, Cleared: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			l.fill()
			live := l.rows()
			test.damage(l)
			test.want.Events, test.want.Versions = 9, 6
			require.Equal(t, &test.want, l.replay())
			require.Equal(t, live, l.rows())
			_, lines := l.verify()
			require.Empty(t, lines)

			again := worker.Replayed{Events: 9, Versions: 6, Held: 2}
			require.Equal(t, &again, l.replay(), "a second run must change nothing")
		})
	}
}

// The zips are looked at, too: what is held is what is there.
func TestReplayAgainstTheStore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		damage func(l *ledger)
		module testmod.Module
		held   bool
		want   worker.Replayed
	}{
		{"missing", func(l *ledger) { require.NoError(t, os.Remove(l.blob(held))) }, held, false, worker.Replayed{Held: 1, Lost: 1}},
		{"cut off", func(l *ledger) { l.change(held, cutOff) }, held, false, worker.Replayed{Held: 1, Lost: 1}},
		{"stored, but not recorded", func(l *ledger) { l.hold(remote, 0) }, remote, true, worker.Replayed{Held: 3, Found: 1}},
		{"stored damaged, and not recorded", func(l *ledger) {
			l.hold(remote, 0)
			l.change(remote, flipBit)
		}, remote, false, worker.Replayed{Held: 2}},
		{"stored, of the add that is not pinned", func(l *ledger) { l.hold(disputed, 0) }, disputed, true, worker.Replayed{Held: 2}},
		{"only the later of two adds stored", func(l *ledger) { l.exec("DELETE FROM versions WHERE conflict") },
			disputed, true, worker.Replayed{Rebuilt: 1, Held: 2, Found: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			l.fill()
			test.damage(l)
			test.want.Events, test.want.Versions = 9, 6
			require.Equal(t, &test.want, l.replay())
			v := l.find(test.module)
			require.Equal(t, test.held, v.Held)
			require.Equal(t, !test.held, v.FetchDueAt != nil)
			if !test.held {
				require.NoFileExists(t, l.blob(test.module), "a damaged zip would be taken for the good one")
			}
			_, lines := l.verify()
			require.Empty(t, lines)
			if test.module.Path == disputed.Path {
				require.EqualValues(t, disputedAdd2, v.AddPosition)
			}
		})
	}
}

// A version that has served one add never comes to hold the other, though it is there.
func TestReplayKeepsPins(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.fill()
	require.NoError(t, os.Remove(l.blob(disputed2)))
	l.hold(disputed, 0)
	require.Equal(t, &worker.Replayed{Events: 9, Versions: 6, Held: 1, Lost: 1}, l.replay())
	require.Equal(t, &worker.Replayed{Events: 9, Versions: 6, Held: 1}, l.replay())
	v := l.find(disputed)
	require.EqualValues(t, disputedAdd2, v.AddPosition)
	require.True(t, v.Pinned)
	require.False(t, v.Held)
	require.FileExists(t, l.blob(disputed))
}

// The state that merging arrives at step by step, in any order, is the one that the log as a whole gives.
func TestReplayIsTheLiveState(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	var adds [8]protocol.Event
	for i := range adds {
		adds[i] = testmod.Event(t, testmod.Module{
			Path: "example.com/m", Version: "v1.0.0", Files: map[string]string{"a.go": fmt.Sprintf("package a%d\n", i)},
		}, "oa.example.com")
	}
	for range 60 {
		batch := make([]protocol.Event, 1+random.IntN(8))
		for i := range batch {
			// Several adds at one time: the tie is broken by hash.
			e := adds[random.IntN(len(adds))]
			e.Time = time.Unix(int64(random.IntN(3)), 0).UTC()
			switch random.IntN(6) {
			case 0:
				e = protocol.Event{Kind: protocol.KindDeprecate, Origin: e.Origin, Time: e.Time}
			case 1:
				e = protocol.Event{Kind: protocol.KindDelete, Origin: e.Origin, Time: e.Time}
			}
			e.Module, e.Version = "example.com/m", fmt.Sprintf("v1.0.%d", random.IntN(40))
			batch[i] = e
		}
		l.merge(batch...)
	}
	live := l.rows()
	require.NotEmpty(t, live)
	require.Zero(t, l.replay().Rebuilt, "seed %d", seed)
	l.exec("DELETE FROM versions")
	require.EqualValues(t, len(live), l.replay().Rebuilt)
	require.Equal(t, live, l.rows(), "seed %d", seed)
}

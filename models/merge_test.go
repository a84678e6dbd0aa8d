package models_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/models"
)

// positions of the whole log, and the identity of each event.
func contents(t *testing.T, db *pop.Connection) []string {
	t.Helper()
	events, err := models.Events(db, 0, 10_000, 1<<30)
	require.NoError(t, err)
	lines := make([]string, len(events))
	for i, e := range events {
		require.EqualValues(t, i+1, e.Position, "a gap")
		lines[i] = fmt.Sprintf("%s %s@%s", e.Kind, e.Module, e.Version)
	}
	return lines
}

func TestMergeLeavesOutWhatIsLogged(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := add(t, "example.com/m", "v1.0.0", "a", now()), add(t, "example.com/m", "v1.0.0", "b", now())
	gone := say(protocol.KindDelete, "example.com/m", "v1.0.0")

	merged := merge(t, db, a, a, gone)
	require.EqualValues(t, 2, merged.Head)
	require.Len(t, merged.Appended, 2)

	// The same by another sender, at another time, with another reason, is the same event; other bytes are another.
	again, anew := gone, a
	again.Origin, again.Reason, again.Time = "oa.example.com", "another", now()
	anew.Origin, anew.Time = "oa.example.com", now()
	merged = merge(t, db, again, anew)
	require.EqualValues(t, 2, merged.Head)
	require.Empty(t, merged.Appended)
	merged = merge(t, db, again, b, say(protocol.KindDeprecate, "example.com/m", "v1.0.0"), anew)
	require.EqualValues(t, 4, merged.Head)
	require.Equal(t, b, merged.Appended[0].Event)
	require.EqualValues(t, 3, merged.Appended[0].Position)

	require.Empty(t, merge(t, db).Appended)
	require.Equal(t, []string{
		"add example.com/m@v1.0.0", "delete example.com/m@v1.0.0", "add example.com/m@v1.0.0", "deprecate example.com/m@v1.0.0",
	}, contents(t, db))
	// An echo of the add has not brought the deleted version back.
	v, err := models.FindVersion(db, "example.com/m", "v1.0.0")
	require.NoError(t, err)
	require.Equal(t, "deleted", v.State())
	require.False(t, v.Known())
	require.False(t, v.Conflict, "nobody needs to decide any more")
	require.Nil(t, v.FetchDueAt)
}

// Events come back from the database as they went in, to the microsecond and the byte.
func TestMergeKeepsEvents(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	events := []protocol.Event{
		add(t, "example.com/Upper/v2", "v2.0.0-RC.1", "ünïcödé \\ \t \" \u2028", time.Date(1, 2, 3, 4, 5, 6, 7000, time.UTC)),
		add(t, "example.com/m", "v0.0.0-20200102030405-abcdef123456", "x", time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)),
		say(protocol.KindDelete, "example.com/m", "v3.0.0+incompatible"),
	}
	merge(t, db, events...)
	got, err := models.Events(db, 0, 10, 1<<30)
	require.NoError(t, err)
	require.Len(t, got, len(events))
	for i := range got {
		got[i].Time = got[i].Time.UTC()
		require.Equal(t, events[i], got[i].Event)
	}
}

// A transaction that fails after merging, for whatever reason, takes its positions back with it: the next one begins where it began.
func TestMergeRolledBackLeavesNoGap(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	merge(t, db, say(protocol.KindDelete, "example.com/m", "v1.0.0"))
	broken := errors.New("something after the merge")
	for name, fail := range map[string]func(tx *pop.Connection) error{
		"an error":          func(*pop.Connection) error { return broken },
		"a bad statement":   func(tx *pop.Connection) error { return tx.RawQuery("SELECT 1/0").Exec() },
		"a second bad half": func(tx *pop.Connection) error { return tx.RawQuery("UPDATE event_log SET head = 7").Exec() },
	} {
		err := db.Transaction(func(tx *pop.Connection) error {
			merged, err := models.Merge(tx, []protocol.Event{say(protocol.KindDelete, "example.com/lost", "v1.0.0"), say(protocol.KindDelete, "example.com/lost", "v1.1.0")})
			require.NoError(t, err)
			require.EqualValues(t, 3, merged.Head)
			return fail(tx)
		})
		require.Error(t, err, name)
		require.Len(t, contents(t, db), 1, name)
		_, err = models.FindVersion(db, "example.com/lost", "v1.0.0")
		require.ErrorIs(t, err, models.ErrNotFound, name)
	}
	require.EqualValues(t, 2, merge(t, db, say(protocol.KindDelete, "example.com/next", "v1.0.0")).Head)
	require.Len(t, contents(t, db), 2)
}

// Merges at once, of the same and of different events, some of which roll back.
func TestMergesAtOnce(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	var all sync.WaitGroup
	for writer := range 8 {
		all.Go(func() {
			for i := range 10 {
				events := []protocol.Event{
					say(protocol.KindDelete, fmt.Sprintf("example.com/shared%d", i), "v1.0.0"),
					say(protocol.KindDelete, fmt.Sprintf("example.com/own%d", i), fmt.Sprintf("v1.%d.0", writer)),
				}
				rollBack := errors.New("roll back")
				for _, end := range []error{rollBack, nil} {
					err := db.Transaction(func(tx *pop.Connection) error {
						if _, err := models.Merge(tx, events); err != nil {
							return err
						}
						return end
					})
					if !errors.Is(err, end) {
						t.Errorf("merge: %v", err)
					}
				}
			}
		})
	}
	all.Wait()
	require.Len(t, contents(t, db), 10+8*10)
}

package models_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/models"
)

func find(t *testing.T, db *pop.Connection, path string) *models.Version {
	t.Helper()
	v, err := models.FindVersion(db, path, "v1.0.0")
	require.NoError(t, err)
	return v
}

// What nobody has tried yet does not wait behind what has failed and is due for longer, nor the other way round if so wished.
func TestFetchOrder(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	take := func(limit int, failedFirst bool) []string {
		due, err := models.TakeDue(db, limit, time.Minute, failedFirst)
		require.NoError(t, err)
		modules := make([]string, len(due))
		for i, d := range due {
			modules[i] = d.Module
		}
		slices.Sort(modules)
		return modules
	}
	path := func(i int) string { return fmt.Sprintf("example.com/m%d", i) }
	for i := range 6 {
		merge(t, db, add(t, path(i), "v1.0.0", "a", now()))
		if i < 3 {
			require.Equal(t, []string{path(i)}, take(1, false))
			require.NoError(t, models.MarkFetchFailed(db, path(i), "v1.0.0", "nobody has it", 0))
		}
	}
	require.Equal(t, []string{path(3), path(4)}, take(2, false))
	require.Equal(t, []string{path(0)}, take(1, true))
	require.Equal(t, []string{path(1), path(5)}, take(2, false), "who fails has the places that are left")
	require.Equal(t, []string{path(2)}, take(2, false))
	require.Empty(t, take(2, true))
}

// Who takes a version from the backlog has it alone until the lease ends; giving it back, failing and holding end it.
func TestFetchBacklog(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	events := make([]protocol.Event, 6)
	for i := range events {
		events[i] = add(t, fmt.Sprintf("example.com/m%d", i), "v1.0.0", "a", now())
	}
	merge(t, db, events...)
	merge(t, db, say(protocol.KindDelete, "example.com/m5", "v1.0.0"))

	taken := make(map[string]bool)
	for _, limit := range []int{2, 2, 2, 2} {
		due, err := models.TakeDue(db, limit, time.Minute, false)
		require.NoError(t, err)
		for _, d := range due {
			require.False(t, taken[d.Module], "%s is taken twice", d.Module)
			require.Equal(t, 1, d.Attempts)
			taken[d.Module] = true
		}
	}
	require.Len(t, taken, 5, "all but the deleted one")
	ok, err := models.TakeVersion(db, "example.com/m0", "v1.0.0", time.Minute)
	require.NoError(t, err)
	require.False(t, ok, "somebody has it")

	require.NoError(t, models.GiveBack(db, "example.com/m0", "v1.0.0"))
	require.NoError(t, models.MarkFetchFailed(db, "example.com/m1", "v1.0.0", "broken", time.Hour))
	held, err := models.MarkHeld(db, "example.com/m2", "v1.0.0", find(t, db, "example.com/m2").AddPosition, "here")
	require.NoError(t, err)
	require.True(t, held)
	merge(t, db, say(protocol.KindDelete, "example.com/m3", "v1.0.0"))

	due, err := models.TakeDue(db, 10, time.Minute, false)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, "example.com/m0", due[0].Module)
	require.Equal(t, 1, due[0].Attempts, "giving back is no attempt")
	require.Equal(t, "broken", find(t, db, "example.com/m1").FetchError)
	ok, err = models.TakeVersion(db, "example.com/m1", "v1.0.0", time.Minute)
	require.NoError(t, err)
	require.True(t, ok, "a client need not wait until it is due")
	for _, path := range []string{"example.com/m2", "example.com/m3", "example.com/m5"} {
		ok, err := models.TakeVersion(db, path, "v1.0.0", time.Minute)
		require.NoError(t, err)
		require.False(t, ok, path)
		// What comes late from whoever had it changes nothing.
		require.NoError(t, models.MarkFetchFailed(db, path, "v1.0.0", "late", 0))
		require.NoError(t, models.GiveBack(db, path, "v1.0.0"))
		require.NoError(t, models.ExtendLease(db, path, "v1.0.0", time.Minute))
		v := find(t, db, path)
		require.Nil(t, v.FetchDueAt, path)
		require.Empty(t, v.FetchError, path)
	}
	ok, err = models.MarkHeld(db, "example.com/m3", "v1.0.0", find(t, db, "example.com/m3").AddPosition, "here")
	require.NoError(t, err)
	require.False(t, ok, "deleted")

	// A lease that has ended gives the version back by itself.
	require.NoError(t, db.RawQuery("UPDATE versions SET fetch_leased_until = now(), fetch_due_at = now() WHERE module = 'example.com/m4'").Exec())
	due, err = models.TakeDue(db, 10, time.Minute, false)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, models.Due{Module: "example.com/m4", Version: "v1.0.0", Attempts: 2}, due[0])

	require.NoError(t, models.MarkLost(db, "example.com/m2", "v1.0.0", "gone"))
	v := find(t, db, "example.com/m2")
	require.False(t, v.Held)
	require.True(t, v.Pinned, "the bytes that were served are the ones to fetch")
	require.NotNil(t, v.FetchDueAt)
}

// Bytes that are held or were served stay those of the version, whatever adds come.
func TestPinnedAddStays(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	when := now()
	early, late, earliest := add(t, "example.com/m", "v1.0.0", "early", when), add(t, "example.com/m", "v1.0.0", "late", when.Add(time.Hour)), add(t, "example.com/m", "v1.0.0", "earliest", when.Add(-time.Hour))
	merge(t, db, late, early)
	v := find(t, db, "example.com/m")
	require.Equal(t, early.ZipHash, v.ZipHash)
	adds, err := models.Candidates(db, "example.com/m", "v1.0.0")
	require.NoError(t, err)
	require.Len(t, adds, 2)
	require.Equal(t, early.ZipHash, adds[0].ZipHash)

	pinned, err := models.Pin(db, "example.com/m", "v1.0.0", adds[1].Position)
	require.NoError(t, err)
	require.False(t, pinned, "not what it serves")
	pinned, err = models.Pin(db, "example.com/m", "v1.0.0", v.AddPosition)
	require.NoError(t, err)
	require.True(t, pinned)
	merge(t, db, earliest)
	v = find(t, db, "example.com/m")
	require.Equal(t, early.ZipHash, v.ZipHash)
	require.True(t, v.Conflict)
	held, err := models.MarkHeld(db, "example.com/m", "v1.0.0", adds[1].Position, "here")
	require.NoError(t, err)
	require.False(t, held, "other bytes than were served")
	adds, err = models.Candidates(db, "example.com/m", "v1.0.0")
	require.NoError(t, err)
	require.Len(t, adds, 1)
	held, err = models.HoldAdd(db, "example.com/m", "v1.0.0", early.ZipHash, early.ZipSHA256, "here")
	require.NoError(t, err)
	require.True(t, held)
	merge(t, db, say(protocol.KindDelete, "example.com/m", "v1.0.0"))
	v = find(t, db, "example.com/m")
	require.False(t, v.Known())
	require.True(t, v.Held, "until the zip is really gone")
	require.Equal(t, []string{"example.com/m"}, unremoved(t, db))
	require.NoError(t, models.MarkRemoved(db, "example.com/m", "v1.0.0"))
	require.False(t, find(t, db, "example.com/m").Held)
	require.Empty(t, unremoved(t, db))
}

func unremoved(t *testing.T, db *pop.Connection) (paths []string) {
	t.Helper()
	left, err := models.Unremoved(db, 10)
	require.NoError(t, err)
	for i := range left {
		paths = append(paths, left[i].Module)
	}
	return paths
}

// A download that was under way when its version was deleted may store the zip after it was removed: once nobody extends its lease any more,
// the zip is to be removed again.
func TestRemovedWhileDownloaded(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	merge(t, db, add(t, "example.com/m", "v1.0.0", "a", now()), add(t, "example.com/n", "v1.0.0", "a", now()))
	taken, err := models.TakeVersion(db, "example.com/m", "v1.0.0", time.Minute)
	require.NoError(t, err)
	require.True(t, taken)
	merge(t, db, say(protocol.KindDelete, "example.com/m", "v1.0.0"), say(protocol.KindDelete, "example.com/n", "v1.0.0"))
	require.Empty(t, unremoved(t, db), "nothing was held")

	for range 2 {
		require.NoError(t, models.MarkRemoved(db, "example.com/m", "v1.0.0"))
		require.NoError(t, models.ExtendLease(db, "example.com/m", "v1.0.0", time.Hour))
		v := find(t, db, "example.com/m")
		require.Nil(t, v.FetchDueAt)
		require.Greater(t, time.Until(*v.FetchLeasedUntil), 50*time.Minute, "the download lasts")
		require.Empty(t, unremoved(t, db))
	}
	require.NoError(t, models.ExtendLease(db, "example.com/m", "v1.0.0", 0))
	require.Equal(t, []string{"example.com/m"}, unremoved(t, db))
	require.NoError(t, models.MarkRemoved(db, "example.com/m", "v1.0.0"))
	require.Nil(t, find(t, db, "example.com/m").FetchLeasedUntil)
	require.Empty(t, unremoved(t, db))
}

// When there is room again, everything that waits for its next attempt is due, whatever has failed how often. What somebody is at stays his.
func TestWakeWaiting(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const waiting, taken, held, begun, failed = "example.com/waiting", "example.com/taken", "example.com/held", "example.com/begun", "example.com/failed"
	for _, path := range []string{waiting, taken, held} {
		merge(t, db, add(t, path, "v1.0.0", "a", now()))
	}
	ok, err := models.MarkHeld(db, held, "v1.0.0", find(t, db, held).AddPosition, "here")
	require.NoError(t, err)
	require.True(t, ok)
	due, err := models.TakeDue(db, 10, time.Minute, false)
	require.NoError(t, err)
	require.Len(t, due, 2)
	require.NoError(t, models.MarkFetchFailed(db, waiting, "v1.0.0", "no room", time.Hour))
	require.NoError(t, models.Beat(db, "p1", "web", "here"))
	for _, path := range []string{begun, failed} {
		_, claimed, err := models.ClaimFill(db, path, "v1.0.0", "p1", time.Second)
		require.NoError(t, err)
		require.True(t, claimed)
		require.NoError(t, models.RecordFill(db, path, "v1.0.0", "p1", "{}", "module "+path+"\n"))
	}
	require.NoError(t, models.FailFill(db, failed, "v1.0.0", "p1", "no room", time.Hour))

	none, err := models.TakeDue(db, 10, time.Minute, false)
	require.NoError(t, err)
	require.Empty(t, none)
	fills, err := models.AbandonedFills(db, time.Minute, 10)
	require.NoError(t, err)
	require.Empty(t, fills)
	leased := find(t, db, taken).FetchDueAt

	require.NoError(t, models.WakeWaiting(db))
	fills, err = models.AbandonedFills(db, time.Minute, 10)
	require.NoError(t, err)
	require.Len(t, fills, 1, "the other is being filled")
	require.Equal(t, failed, fills[0].Module)
	require.Equal(t, leased, find(t, db, taken).FetchDueAt)
	require.Nil(t, find(t, db, held).FetchDueAt)
	due, err = models.TakeDue(db, 10, time.Minute, false)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, waiting, due[0].Module)
}

// The trace of a push takes the place of a page's, not the other way round; what is held or deleted needs none, and who holds a row is not waited for.
func TestFollow(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	events := make([]protocol.Event, 5)
	for i := range events {
		events[i] = add(t, fmt.Sprintf("example.com/m%d", i), "v1.0.0", "a", now())
	}
	merge(t, db, events...)
	merge(t, db, say(protocol.KindDelete, "example.com/m3", "v1.0.0"))
	held, err := models.MarkHeld(db, "example.com/m4", "v1.0.0", find(t, db, "example.com/m4").AddPosition, "here")
	require.NoError(t, err)
	require.True(t, held)

	require.NoError(t, models.Follow(db, nil, "nothing", true))
	require.NoError(t, models.Follow(db, events[:1], "push", true))
	require.NoError(t, db.Transaction(func(tx *pop.Connection) error {
		require.NoError(t, tx.RawQuery(`SELECT FROM versions WHERE module = 'example.com/m2' FOR UPDATE`).Exec())
		return models.Follow(db, append(events, say(protocol.KindDeprecate, "example.com/other", "v1.0.0")), "page", false)
	}))
	due, err := models.TakeDue(db, 10, time.Minute, false)
	require.NoError(t, err)
	traces := make(map[string]string)
	for _, d := range due {
		traces[d.Module] = d.Trace
	}
	require.Equal(t, map[string]string{"example.com/m0": "push", "example.com/m1": "page", "example.com/m2": ""}, traces)
	require.NoError(t, models.Follow(db, events, "another push", true))
	require.NoError(t, models.GiveBack(db, "example.com/m1", "v1.0.0"))
	due, err = models.TakeDue(db, 10, time.Minute, false)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, "another push", due[0].Trace)
	var traced []string
	require.NoError(t, db.RawQuery(`SELECT module FROM versions WHERE trace <> '' ORDER BY module`).All(&traced))
	require.Equal(t, []string{"example.com/m0", "example.com/m1", "example.com/m2"}, traced)
}

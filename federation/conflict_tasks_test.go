package federation

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
	"olympus/models"
	"olympus/worker"
)

// A conflict is shown with both of its sides, wherever it is looked at, until a tombstone ends it.
func TestConflictsAreListed(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	oa := start(t, "oa.example.com", options{noJobs: true, lazy: true})
	oa.knows(om)
	early := testmod.Event(t, mx, "om.example.com")
	other := mx
	other.Files = map[string]string{"other.go": "package other\n"}
	late := testmod.Event(t, other, "far.example.com")
	late.Time = early.Time.Add(1000)
	om.hears(late, early)
	oa.pull(om)
	for _, d := range []*deployment{om, oa} {
		var found []worker.Conflict
		require.NoError(t, d.Conflicts(t.Context(), func(c *worker.Conflict) error { found = append(found, *c); return nil }))
		require.Len(t, found, 1)
		require.Equal(t, mx.Path, found[0].Module)
		require.Equal(t, "unknown", found[0].Checked)
		require.Len(t, found[0].Adds, 2)
		for _, side := range found[0].Adds {
			require.Equal(t, side.ZipHash == early.ZipHash, side.Served, "the earliest is served")
		}
	}
	om.hears(said(protocol.KindDelete, mx.Path, mx.Version, om.Name))
	require.NoError(t, om.Conflicts(t.Context(), func(*worker.Conflict) error { t.Error("still a conflict"); return nil }))
}

// A peer's log is verified from what it shows to everybody; one that has signed another log is found out.
func TestVerifyPeer(t *testing.T) {
	t.Parallel()
	var between through
	om := start(t, "om.example.com", options{noJobs: true, wrap: between.wrap})
	twin := start(t, "om.example.com", options{noJobs: true, key: om.made.key, url: om.url})
	oa := start(t, "oa.example.com", options{noJobs: true, lazy: true})
	oa.knows(om)
	om.hears(deletes(300, "m", om.Name)...)
	twin.hears(deletes(400, "other", om.Name)...)
	oa.pull(om)
	verified, err := oa.VerifyPeer(t.Context(), om.Name)
	require.NoError(t, err)
	require.Equal(t, &worker.VerifiedPeer{Name: om.Name, Epoch: 1, Events: 300, Problems: []worker.Problem{}}, verified)
	between.put(twin.app.ServeHTTP)
	verified, err = oa.VerifyPeer(t.Context(), om.Name)
	require.Error(t, err)
	require.Len(t, verified.Problems, 1, "%v", verified.Problems)
	require.Contains(t, verified.Problems[0].What, "first 300 events")
	_, err = oa.VerifyPeer(t.Context(), "nobody.example.com")
	require.ErrorIs(t, err, models.ErrNotFound)
	between.put(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/checkpoint" {
			om.app.ServeHTTP(w, r)
			return
		}
		twin.app.ServeHTTP(w, r)
	})
	_, err = oa.VerifyPeer(t.Context(), om.Name)
	require.Error(t, err, "entries and tiles of another log")
}

package federation

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/internal/transparency"
	"olympus/models"
)

// epoch is that of the log, as the deployment signs it.
func (d *deployment) epoch() int64 {
	d.t.Helper()
	tree, err := models.ReadTree(d.DB)
	require.NoError(d.t, err)
	return tree.Epoch
}

// A deployment whose database was restored from a backup begins a new epoch, says so, and everything that any live log holds is in the end
// in every log, without an operator, whatever became of the blob store. What was signed before the restore is not signed again otherwise.
func TestRestoredFromABackup(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(t *testing.T, kept, backup string) string{
		"blob store kept":     func(_ *testing.T, kept, _ string) string { return kept },
		"blob store restored": func(_ *testing.T, _, backup string) string { return backup },
		"blob store lost":     func(t *testing.T, _, _ string) string { return t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var between through
			om := start(t, "om.example.com", options{noJobs: true, wrap: between.wrap})
			oa := start(t, "oa.example.com", options{lazy: true, noJobs: true})
			og := start(t, "og.example.com", options{lazy: true, noJobs: true})
			befriend(om, oa, og)
			early, lost, fresh := deletes(60, "early", om.Name), deletes(40, "lost", om.Name), deletes(20, "fresh", om.Name)
			om.hears(early...)
			oa.pull(om)
			og.pull(om)
			om.pull(oa)
			require.NoError(t, om.KeepSigned(t.Context()))

			// The backup: the log as it is, the pull pointers as they are, the blob store as it is.
			database, backup := testdb.URL(t), t.TempDir()
			require.NoError(t, os.CopyFS(filepath.Join(backup, "store"), os.DirFS(om.made.store)))
			copied := testdb.Open(t, database)
			restore(t, copied, om)

			// Life goes on. OG does not hear of it.
			om.hears(lost...)
			oa.pull(om)
			oa.hears(deletes(5, "theirs", oa.Name)...)
			om.pull(oa)
			require.NoError(t, om.KeepSigned(t.Context()))
			before := mustCheckpoint(t, om)

			// The database is replaced by the backup, and new events come before anybody pulls.
			restored := start(t, "om.example.com", options{
				noJobs: true, database: database, store: store(t, om.made.store, filepath.Join(backup, "store")), key: om.made.key, url: om.url,
			})
			between.put(restored.app.ServeHTTP)
			restored.hears(fresh...)
			require.NotEqual(t, before, mustCheckpoint(t, restored))
			require.EqualValues(t, 2, restored.epoch())

			for range 2 {
				for _, pair := range [][2]*deployment{{oa, restored}, {og, restored}, {restored, oa}, {restored, og}, {og, oa}, {oa, og}} {
					_, err := pair[0].Pull(t.Context(), pair[1].Name, 0)
					require.NoError(t, err)
				}
			}
			want := slices.Sorted(slices.Values(restored.log()))
			require.Len(t, want, 60+40+5+20)
			for _, d := range []*deployment{oa, og} {
				require.Equal(t, want, slices.Sorted(slices.Values(d.log())))
				p, err := models.FindPeer(d.DB, om.Name)
				require.NoError(t, err)
				require.Equal(t, models.PeerActive, p.State, "a declared epoch is no fork")
				require.EqualValues(t, 2, p.Epoch)
			}
			// Who has seen the new epoch does not go back to the one before.
			between.remove()
			_, err := oa.Pull(t.Context(), om.Name, 0)
			require.Error(t, err)
		})
	}
}

// restore puts the log, the peers and the pull pointers of a deployment into an empty database.
func restore(t *testing.T, into *pop.Connection, from *deployment) {
	t.Helper()
	logged, err := models.Events(from.DB, 0, 1000, 1<<30)
	require.NoError(t, err)
	events := make([]protocol.Event, len(logged))
	for i := range logged {
		events[i] = logged[i].Event
	}
	peers, err := models.Peers(from.DB)
	require.NoError(t, err)
	require.NoError(t, into.Transaction(func(tx *pop.Connection) error {
		if _, err := models.Merge(tx, events); err != nil {
			return err
		}
		for _, p := range peers {
			if err := models.SavePeer(tx, p.Name, p.URL, p.Key); err != nil {
				return err
			}
			if _, err := models.MovePullPointer(tx, &p, 0, p.PullPosition, p.Head); err != nil || p.Checkpoint == "" {
				return err
			}
			edge, err := transparency.ParseEdge(p.VerifiedSize, p.Edge)
			if err != nil {
				return err
			}
			if err := models.SaveVerified(tx, p.Name, p.Epoch, edge, p.Checkpoint); err != nil {
				return err
			}
		}
		return nil
	}))
}

// A process that dies between the commit of an event and the signature over it leaves nothing that could be taken for a restored backup.
func TestUnsignedEventsAreNoRestore(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	om.hears(deletes(10, "signed", om.Name)...)
	require.NoError(t, om.KeepSigned(t.Context()))
	om.hears(deletes(10, "unsigned", om.Name)...)
	next := om.another(nil)
	require.Equal(t, mustCheckpoint(t, next), mustCheckpoint(t, om))
	require.EqualValues(t, 1, next.epoch())
}

// Many processes and readers that sign at once while the log grows agree, and see no restore.
func TestSigningWhileTheLogGrows(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	processes := []*deployment{om, om.another(nil), om.another(nil)}
	events := deletes(120, "m", om.Name)
	var g errgroup.Group
	for i, d := range processes {
		g.Go(func() error {
			for _, e := range events[i*40 : (i+1)*40] {
				if err := d.Append(false, []protocol.Event{e}, nil); err != nil {
					return err
				}
				if err := d.KeepSigned(t.Context()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 1, om.epoch())
	for _, d := range processes {
		require.Equal(t, mustCheckpoint(t, om), mustCheckpoint(t, d))
	}
}

package worker_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/worker"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	const lost = " (recorded as lost, to be fetched again)"
	for _, test := range []struct {
		name   string
		damage func(l *ledger)
		want   []string // beginnings of the lines; "…" stands for anything
	}{
		{"nothing is wrong", func(*ledger) {}, nil},
		{"an empty deployment", func(l *ledger) {
			l.exec("TRUNCATE versions")
			l.tamper("DELETE FROM events", "DELETE FROM tiles", "UPDATE event_log SET head = 0, tree_size = 0")
			require.NoError(t, os.RemoveAll(filepath.Join(l.dir, "zips")))
			require.NoError(t, os.Mkdir(filepath.Join(l.dir, "zips"), 0o700))
		}, nil},
		{"flipped bit", func(l *ledger) { l.change(held, flipBit) },
			[]string{"example.com/held@v1.0.0: its zip … is damaged: …" + lost}},
		{"bit flipped where no checksum of the zip looks", func(l *ledger) {
			l.change(held, func(b []byte) []byte { b[10] ^= 1; return b }) // time of the first file
		}, []string{"example.com/held@v1.0.0: its zip … is damaged: sha256 of the zip is …" + lost}},
		{"cut off", func(l *ledger) { l.change(held, cutOff) },
			[]string{"example.com/held@v1.0.0: its zip … is damaged: size of the zip is …" + lost}},
		{"emptied", func(l *ledger) { l.change(held, func([]byte) []byte { return nil }) },
			[]string{"example.com/held@v1.0.0: its zip … is damaged: size of the zip is 0, want …" + lost}},
		{"missing", func(l *ledger) { require.NoError(t, os.Remove(l.blob(held))) },
			[]string{"example.com/held@v1.0.0: its zip … is missing in the blob store" + lost}},
		{"not a file", func(l *ledger) {
			require.NoError(t, os.Remove(l.blob(held)))
			require.NoError(t, os.Mkdir(l.blob(held), 0o700))
		}, []string{"example.com/held@v1.0.0: its zip … is damaged: …" + lost}},
		{"both wrong", func(l *ledger) {
			l.change(held, flipBit)
			require.NoError(t, os.Remove(l.blob(disputed2)))
		}, []string{
			"example.com/disputed@v1.0.0: its zip … is missing in the blob store" + lost,
			"example.com/held@v1.0.0: its zip … is damaged: …" + lost,
		}},
		{"zip of a deleted version left over", func(l *ledger) { l.hold(deleted, 0) },
			[]string{"example.com/deleted@v1.0.0: it is deleted, and its zip … is still in the blob store"}},
		{"zip of a deleted version about to be removed", func(l *ledger) {
			l.hold(deleted, 0)
			l.exec("UPDATE versions SET pinned = true, held = true WHERE module = 'example.com/deleted'")
		}, nil},

		{"deprecated by hand", func(l *ledger) { l.exec("UPDATE versions SET deprecated = true WHERE module = 'example.com/held'") },
			[]string{"example.com/held@v1.0.0: deprecated is true, by the log false"}},
		{"deprecation forgotten", func(l *ledger) {
			l.exec("UPDATE versions SET deprecated = false WHERE module = 'example.com/deprecated'")
		}, []string{"example.com/deprecated@v1.0.0: deprecated is false, by the log true"}},
		{"tombstone forgotten", func(l *ledger) { l.exec("UPDATE versions SET deleted = false WHERE module = 'example.com/deleted'") },
			[]string{"example.com/deleted@v1.0.0: deleted is false, by the log true; its zip is remote and never due for fetch"}},
		{"conflict hidden", func(l *ledger) { l.exec("UPDATE versions SET conflict = false WHERE conflict") },
			[]string{"example.com/disputed@v1.0.0: conflict is false, by the log true"}},
		{"another add served, not pinned", func(l *ledger) {
			l.exec("UPDATE versions SET held = false, pinned = false, fetch_due_at = now() WHERE conflict")
		}, []string{"example.com/disputed@v1.0.0: it serves the add at position 9, by the log the one at 8"}},
		{"pinned to a stranger", func(l *ledger) {
			l.exec("UPDATE versions SET add_position = 2, pinned = true WHERE module = 'example.com/deprecated'")
		}, []string{"example.com/deprecated@v1.0.0: it serves position 2, which is no add of it"}},
		{"pinned to its own deprecation", func(l *ledger) {
			l.exec("UPDATE versions SET add_position = 3, pinned = true WHERE module = 'example.com/deprecated'")
		}, []string{"example.com/deprecated@v1.0.0: it serves position 3, which is no add of it"}},
		{"never to be fetched", func(l *ledger) { l.exec("UPDATE versions SET fetch_due_at = NULL") },
			[]string{
				"example.com/deprecated@v1.0.0: its zip is remote and never due for fetch",
				"example.com/remote@v1.0.0: its zip is remote and never due for fetch",
			}},
		{"row missing", func(l *ledger) { l.exec("DELETE FROM versions WHERE module = 'example.com/remote'") },
			[]string{"example.com/remote@v1.0.0: the log speaks of it, and it is missing among the versions"}},
		{"row too many", func(l *ledger) {
			l.exec("INSERT INTO versions (module, version, deprecated, deleted, conflict) VALUES ('example.com/ghost', 'v1.0.0', false, false, false)")
		}, []string{"example.com/ghost@v1.0.0: it is among the versions, and no event of the log speaks of it"}},

		{"gap", func(l *ledger) { l.tamper("DELETE FROM events WHERE position = 2") },
			[]string{
				"position 2: no event: a gap",
				"example.com/remote@v1.0.0: it is among the versions, and no event of the log speaks of it",
			}},
		{"gap at the beginning", func(l *ledger) {
			l.tamper("DELETE FROM events WHERE position <= 2")
			l.exec("DELETE FROM versions WHERE add_position <= 2")
		}, []string{"position 1: no event up to position 2: a gap"}},
		{"gap at the end", func(l *ledger) {
			l.tamper("DELETE FROM events WHERE position = 7")
			l.exec("DELETE FROM versions WHERE module = 'example.com/barred'")
			l.tamper("DELETE FROM events WHERE position >= 8")
			l.exec("DELETE FROM versions WHERE module = 'example.com/disputed'")
		}, []string{"position 7: no event up to position 9: a gap"}},
		{"head too low", func(l *ledger) { l.tamper("UPDATE event_log SET head = 8, tree_size = 8") },
			[]string{
				"event log: its head is 8, and its last event is at position 9",
				"event log: tile 0 of level 0 of the tree has 9 hashes, want 8",
			}},
		{"tree behind", func(l *ledger) { l.tamper("UPDATE event_log SET tree_size = 0", "DELETE FROM tiles") },
			[]string{"position 1 (…", "position 2 (…", "position 3 (…", "position 4 (…", "position 5 (…", "position 6 (…", "position 7 (…",
				"position 8 (…", "position 9 (…", "event log: the tree holds 0 of 9 events"}},
		{"hash in the tree altered", func(l *ledger) {
			l.tamper("UPDATE tiles SET hashes = overlay(hashes PLACING 'x' FROM 33 FOR 1)")
		}, []string{"position 2 (example.com/remote@v1.0.0): it is not the event that the tree holds"}},
		{"one tile too many", func(l *ledger) {
			l.tamper("INSERT INTO tiles (level, index, hashes) SELECT 1, 0, hashes FROM tiles")
		}, []string{"event log: there are 2 tiles, the tree has 1"}},
		{"logged out of time", func(l *ledger) { l.tamper("UPDATE events SET logged_at = 'epoch' WHERE position = 4") },
			[]string{"position 4: it was not logged after the event before it"}},
		{"logged twice", func(l *ledger) {
			l.exec("ALTER TABLE events DROP CONSTRAINT events_once")
			l.tamper("UPDATE events SET module = 'example.com/barred' WHERE position = 6")
		}, []string{
			"example.com/barred@v1.0.0: the same delete is logged at positions 6, 7",
			"position 6 (example.com/barred@v1.0.0): it is not the event that the tree holds",
			"example.com/deleted@v1.0.0: deleted is true, by the log false",
		}},
		{"go.mod altered", func(l *ledger) { l.tamper("UPDATE events SET mod = mod || '// x' WHERE position = 2") },
			[]string{"position 2 (example.com/remote@v1.0.0): malformed mod_hash"}},
		{"info altered", func(l *ledger) { l.tamper(`UPDATE events SET info = '{"Version":"v1.0.1"}' WHERE position = 2`) },
			[]string{
				"position 2 (example.com/remote@v1.0.0): malformed info",
				"position 2 (example.com/remote@v1.0.0): it is not the event that the tree holds",
			}},
		{"hash of a held zip altered", func(l *ledger) {
			l.tamper("UPDATE events SET zip_hash = (SELECT zip_hash FROM events WHERE position = 2) WHERE position = 1")
		}, []string{
			"position 1 (example.com/held@v1.0.0): it is not the event that the tree holds",
			"example.com/held@v1.0.0: its zip … is damaged: h1 of the zip is …",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			l.fill()
			test.damage(l)
			_, lines := l.verify()
			require.Len(t, lines, len(test.want), strings.Join(lines, "\n"))
			for i, want := range test.want {
				requireLine(t, want, lines[i])
			}
		})
	}
}

// requireLine compares the beginning of a line; each "…" stands for anything.
func requireLine(t *testing.T, want, line string) {
	t.Helper()
	rest := line
	for i, part := range strings.Split(want, "…") {
		at := strings.Index(rest, part)
		require.True(t, at == 0 || at > 0 && i > 0, "want %q\ngot  %q", want, line)
		rest = rest[at+len(part):]
	}
}

func TestVerifyCounts(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.fill()
	verified, _ := l.verify()
	require.Equal(t, &worker.Verified{Events: 9, Versions: 6, Blobs: 2}, verified)

	// A zip that no version holds is told of, and is no problem.
	l.hold(remote, 0)
	verified, lines := l.verify()
	require.Empty(t, lines)
	require.EqualValues(t, 1, verified.Orphans)
}

// A damaged zip must not be in the way of the good one, and not be served meanwhile.
func TestVerifyGivesUpDamagedZips(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{"flipped": flipBit, "cut off": cutOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			l.fill()
			l.change(held, damage)
			verified, lines := l.verify()
			require.Len(t, lines, 1)
			require.Zero(t, verified.Orphans, "it was nobody's only afterwards")

			v := l.find(held)
			require.False(t, v.Held)
			require.True(t, v.Pinned)
			require.NotNil(t, v.FetchDueAt)
			require.Contains(t, v.FetchError, "damaged")
			require.NoFileExists(t, l.blob(held))
			_, lines = l.verify()
			require.Empty(t, lines, "what was lost is remote again, which is no problem")

			l.hold(held, heldAdd)
			_, lines = l.verify()
			require.Empty(t, lines)
			require.True(t, l.find(held).Held)
		})
	}
}

// More problems than fit into a page of any of the queries.
func TestVerifyManyVersions(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	const n = 2500
	events := make([]protocol.Event, n)
	for i := range events {
		events[i] = protocol.Event{
			Kind: protocol.KindDelete, Module: "example.com/m", Version: "v1.0." + strconv.Itoa(i), Origin: "oa.example.com", Time: now(),
		}
	}
	l.merge(events...)
	verified, lines := l.verify()
	require.Empty(t, lines)
	require.Equal(t, &worker.Verified{Events: n, Versions: n}, verified)

	l.exec("UPDATE versions SET deprecated = true")
	_, lines = l.verify()
	require.Len(t, lines, n)
	l.tamper("DELETE FROM events WHERE position % 2 = 0")
	verified, _ = l.verify()
	require.EqualValues(t, n/2, verified.Events)
	require.EqualValues(t, n/2+n, verified.Problems)

	replayed, err := l.Replay(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, n/2, replayed.Rebuilt)
	require.EqualValues(t, n/2, replayed.Removed)
}

// A store that does not answer must not cost every zip.
func TestVerifyAndReplayNeedTheStore(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.fill()
	require.NoError(t, os.RemoveAll(l.dir))
	_, err := l.Verify(t.Context(), func(worker.Problem) {})
	require.ErrorContains(t, err, "check the file store")
	_, err = l.Replay(t.Context())
	require.ErrorContains(t, err, "check the file store")
	require.True(t, l.find(held).Held)
}

package worker_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/blob"
	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/internal/testmod"
	"olympus/models"
	"olympus/worker"
)

// ledger is a deployment that speaks to nobody, for tests of its log, versions and blobs.
type ledger struct {
	*worker.Deployment
	t   *testing.T
	dir string // of the blob store
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	url, dir := testdb.URL(t), t.TempDir()
	store, err := blob.Open(t.Context(), "file://"+dir, blob.Options{})
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	queue, err := worker.NewQueue(context.Background(), url, "test", log)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, queue.Stop()) })
	d, err := worker.New(&worker.Deployment{
		Options: worker.Options{Name: "om.example.com", Role: "web", MaxZip: 1 << 20},
		DB:      testdb.Open(t, url), Store: store, Queue: queue, Log: log, Follower: models.NewFollower(), Process: "test",
	})
	require.NoError(t, err)
	return &ledger{Deployment: d, t: t, dir: dir}
}

// modules of the tests, and what becomes of them in fill.
var (
	held       = testmod.Module{Path: "example.com/held", Version: "v1.0.0"}
	remote     = testmod.Module{Path: "example.com/remote", Version: "v1.0.0"}
	deprecated = testmod.Module{Path: "example.com/deprecated", Version: "v1.0.0"} // the deprecate came first
	deleted    = testmod.Module{Path: "example.com/deleted", Version: "v1.0.0"}
	barred     = testmod.Module{Path: "example.com/barred", Version: "v1.0.0"}   // deleted, and never added
	disputed   = testmod.Module{Path: "example.com/disputed", Version: "v1.0.0"} // pinned to the later of two adds
	disputed2  = testmod.Module{Path: "example.com/disputed", Version: "v1.0.0", Files: map[string]string{"a.go": "package a\n"}}
)

// positions of the events of fill.
const (
	heldAdd = iota + 1
	remoteAdd
	deprecatedFirst
	deprecatedAdd
	deletedAdd
	deletedLast
	barredDelete
	disputedAdd
	disputedAdd2
)

// fill puts one version of every sort into the log and the store.
func (l *ledger) fill() {
	l.add(held)
	l.hold(held, heldAdd)
	l.add(remote)
	l.say(protocol.KindDeprecate, deprecated)
	l.add(deprecated)
	l.add(deleted)
	l.say(protocol.KindDelete, deleted)
	l.say(protocol.KindDelete, barred)
	l.add(disputed)
	l.add(disputed2)
	l.hold(disputed2, 0)
	l.exec("UPDATE versions SET add_position = ?, pinned = true WHERE module = ?", disputedAdd2, disputed.Path)
	l.hold(disputed2, disputedAdd2)
}

func (l *ledger) merge(events ...protocol.Event) {
	l.t.Helper()
	require.NoError(l.t, l.DB.Transaction(func(tx *pop.Connection) error {
		_, err := models.Merge(tx, events)
		return err
	}))
}

func (l *ledger) add(m testmod.Module) { l.merge(testmod.Event(l.t, m, "oa.example.com")) }

func (l *ledger) say(kind protocol.Kind, m testmod.Module) {
	l.merge(protocol.Event{Kind: kind, Module: m.Path, Version: m.Version, Origin: "oa.example.com", Time: now()})
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// hold stores the zip of a module and, unless the position is 0, records it as held.
func (l *ledger) hold(m testmod.Module, position int64) {
	l.t.Helper()
	f, err := l.Store.Temp()
	require.NoError(l.t, err)
	defer blob.Discard(f)
	zip := testmod.Zip(l.t, m)
	_, err = f.Write(zip)
	require.NoError(l.t, err)
	require.NoError(l.t, l.Store.Put(l.t.Context(), testmod.Event(l.t, m, "x").ZipSHA256, f, int64(len(zip))))
	if position == 0 {
		return
	}
	ok, err := models.MarkHeld(l.DB, m.Path, m.Version, position, "here")
	require.NoError(l.t, err)
	require.True(l.t, ok)
}

// blob is the file of a module's zip.
func (l *ledger) blob(m testmod.Module) string { return l.path(testmod.Event(l.t, m, "x").ZipSHA256) }

// path is the file of the blob with a hash.
func (l *ledger) path(sum string) string {
	key, err := blob.Key(sum)
	require.NoError(l.t, err)
	return filepath.Join(l.dir, key)
}

// change rewrites the file of a module's zip.
func (l *ledger) change(m testmod.Module, change func([]byte) []byte) {
	l.t.Helper()
	content, err := os.ReadFile(l.blob(m))
	require.NoError(l.t, err)
	require.NoError(l.t, os.WriteFile(l.blob(m), change(content), 0o600))
}

func flipBit(b []byte) []byte { b[len(b)/3] ^= 1; return b }
func cutOff(b []byte) []byte  { return b[:len(b)/2] }

func (l *ledger) exec(statement string, args ...any) {
	l.t.Helper()
	require.NoError(l.t, l.DB.RawQuery(statement, args...).Exec())
}

// tamper changes the log as only its owner can, by taking its guards away.
func (l *ledger) tamper(statements ...string) {
	l.t.Helper()
	l.exec("ALTER TABLE events DISABLE TRIGGER USER")
	l.exec("ALTER TABLE event_log DISABLE TRIGGER USER")
	l.exec("ALTER TABLE tiles DISABLE TRIGGER USER")
	for _, s := range statements {
		l.exec(s)
	}
}

func (l *ledger) verify() (*worker.Verified, []string) {
	l.t.Helper()
	lines := []string{}
	verified, err := l.Verify(l.t.Context(), func(p worker.Problem) { lines = append(lines, p.String()) })
	require.NoError(l.t, err)
	require.EqualValues(l.t, len(lines), verified.Problems)
	return verified, lines
}

func (l *ledger) find(m testmod.Module) *models.Version {
	l.t.Helper()
	v, err := models.FindVersion(l.DB, m.Path, m.Version)
	require.NoError(l.t, err)
	return v
}

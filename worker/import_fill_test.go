package worker_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"

	"olympus/internal/source"
	"olympus/internal/testmod"
	"olympus/models"
	"olympus/worker"
)

// The checksum database has the last word, except on private modules, which it is not asked about.
func TestImportAsksTheChecksumDatabase(t *testing.T) {
	t.Parallel()
	known, altered := foreign[0], foreign[1]
	noMod := foreign[3] // whose .mod no file in its zip confirms
	unknown, private := testmod.Module{Path: "example.com/unknown", Version: "v1.0.0"}, testmod.Module{Path: "example.com/private/m", Version: "v1.0.0"}
	original := altered
	original.Files = map[string]string{"a.go": "package a\n"}
	records := map[string]string{}
	for _, m := range []testmod.Module{known, original, noMod} {
		records[m.Path+"@"+m.Version] = testmod.GoSum(t, m)
	}
	skey, key, err := note.GenerateKey(rand.Reader, "sum.example.com")
	require.NoError(t, err)
	asked := make(chan string, 100)
	server := httptest.NewServer(sumdb.NewServer(sumdb.NewTestServer(skey, func(path, version string) ([]byte, error) {
		asked <- path
		if record, ok := records[path+"@"+version]; ok {
			return []byte(record), nil
		}
		return nil, &fs.PathError{Op: "lookup", Path: path, Err: fs.ErrNotExist}
	})))
	defer server.Close()
	l := newImporter(t, key+" "+server.URL, "example.com/private")
	dir := t.TempDir()
	testmod.Tree(t, dir, known, altered, unknown, private, noMod)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "example.com/old/@v/v2.0.0+incompatible.mod"), []byte("module example.com/old\n\nrequire example.com/evil v1.0.0\n"), 0o644))
	outcomes, problems := l.imports(directory(t, dir), false)
	require.Equal(t, []string{
		"example.com/UPPER/Case@v1.0.0-RC.1 failed", "example.com/old@v2.0.0+incompatible failed", "example.com/plain@v1.0.0 imported",
		"example.com/private/m@v1.0.0 imported", "example.com/unknown@v1.0.0 failed",
	}, outcomes)
	require.Contains(t, problems["example.com/UPPER/Case@v1.0.0-RC.1"], "security error")
	require.Contains(t, problems["example.com/old@v2.0.0+incompatible"], "security error")
	require.Contains(t, problems["example.com/unknown@v1.0.0"], "not found")
	close(asked)
	for path := range asked {
		require.NotEqual(t, private.Path, path)
	}
	l.clean()
}

// A list that names hashes is held to them.
func TestImportOfAList(t *testing.T) {
	t.Parallel()
	l := newImporter(t, "off", "")
	good, altered, missing := foreign[0], foreign[1], testmod.Module{Path: "example.com/missing", Version: "v1.0.0"}
	original := altered
	original.Files = map[string]string{"a.go": "package a\n"}
	up := testmod.NewUpstream(t, good, altered)
	list := func(sums ...string) *source.Remote {
		r, err := source.NewRemote(source.RemoteOptions{URL: up.URL, MaxZip: 1 << 20, List: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(strings.Join(sums, ""))), nil
		}})
		require.NoError(t, err)
		return r
	}
	sum := testmod.GoSum(t, good)
	outcomes, problems := l.imports(list(sum, sum, testmod.GoSum(t, original), "example.com/missing@v1.0.0\n", "what\n"), false)
	require.Contains(t, outcomes, "example.com/plain@v1.0.0 imported")
	require.Contains(t, outcomes, "example.com/UPPER/Case@v1.0.0-RC.1 failed")
	require.Contains(t, problems["example.com/UPPER/Case@v1.0.0-RC.1"], "not the one that the list names")
	require.Contains(t, problems[missing.Path+"@v1.0.0"], "404")
	require.Contains(t, problems[`"what@"`], "malformed")
	require.Len(t, l.events(), 1)

	// Also where the log has the version already.
	requests := up.Total()
	original.Path, original.Version = good.Path, good.Version
	outcomes, _ = l.imports(list(testmod.GoSum(t, original)), false)
	require.Equal(t, all(worker.OutcomeConflict, good), outcomes)
	require.Equal(t, requests, up.Total(), "the log knew without asking")
	l.clean()
}

// A fill that another process is at may have been answered. The import waits for it, and finds what it has brought.
func TestImportWaitsForAFill(t *testing.T) {
	t.Parallel()
	l := newImporter(t, "off", "")
	dir, m := t.TempDir(), foreign[0]
	testmod.Tree(t, dir, m)
	src := directory(t, dir)
	require.NoError(t, models.Beat(l.DB, "other", "web", "host"))
	_, claimed, err := models.ClaimFill(l.DB, m.Path, m.Version, "other", time.Minute)
	require.NoError(t, err)
	require.True(t, claimed)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, l.Import(ctx, src, false, func(v worker.ImportedVersion) { t.Error(v) }), context.DeadlineExceeded)
	require.Empty(t, l.events())

	ended := make(chan []string)
	go func() {
		outcomes, _ := l.imports(src, false)
		ended <- outcomes
	}()
	changed := m
	changed.Files = map[string]string{"a.go": "package a\n"}
	l.add(changed)
	require.NoError(t, models.EndFill(l.DB, m.Path, m.Version))
	require.Equal(t, all(worker.OutcomeConflict, m), <-ended)
	require.Len(t, l.events(), 1)
}

// Of a fill whose process died the .info may have been answered: the event has that, and not the one of the source.
func TestImportEndsAnAbandonedFill(t *testing.T) {
	t.Parallel()
	l := newImporter(t, "off", "")
	dir, m := t.TempDir(), foreign[0]
	testmod.Tree(t, dir, m)
	_, claimed, err := models.ClaimFill(l.DB, m.Path, m.Version, "dead", time.Minute)
	require.NoError(t, err)
	require.True(t, claimed)
	const info = `{"Version":"v1.0.0"}`
	require.NoError(t, models.RecordFill(l.DB, m.Path, m.Version, "dead", info, m.Mod()))
	outcomes, _ := l.imports(directory(t, dir), false)
	require.Equal(t, all(worker.OutcomeImported, m), outcomes)
	require.Equal(t, info, l.find(m).Info)
	l.clean()
}

// racing is a source during whose reading something else happens.
type racing struct {
	source.Source
	happens func()
}

func (r *racing) Zip(ctx context.Context, v *source.Version, file *os.File) error {
	r.happens()
	return r.Source.Zip(ctx, v, file)
}

// A tombstone that comes while a zip is read wins.
func TestImportOfWhatIsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, added := range []bool{false, true} {
		l := newImporter(t, "off", "")
		dir, m := t.TempDir(), foreign[0]
		testmod.Tree(t, dir, m)
		if added {
			l.add(m)
		}
		outcomes, _ := l.imports(&racing{directory(t, dir), func() {
			_, err := l.Delete("test", m.Path, m.Version, "why")
			require.NoError(t, err)
		}}, false)
		if added {
			require.Equal(t, all(worker.OutcomePresent, m), outcomes) // as it was when it was looked at
		} else {
			require.Equal(t, all(worker.OutcomeDeleted, m), outcomes)
		}
		require.True(t, l.find(m).Deleted)
		require.False(t, l.find(m).Held)
		require.NoFileExists(t, l.blob(m))
	}
}

// A fault of our own ends the import: it would be that of every version to come.
func TestImportEndsWithoutAStore(t *testing.T) {
	t.Parallel()
	l := newImporter(t, "off", "")
	dir := t.TempDir()
	testmod.Tree(t, dir, foreign...)
	require.NoError(t, os.RemoveAll(filepath.Join(l.dir, "tmp")))
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "tmp"), nil, 0o600))
	err := l.Import(t.Context(), directory(t, dir), false, func(v worker.ImportedVersion) { t.Error(v) })
	require.ErrorContains(t, err, "import example.com/")
	require.Empty(t, l.events())

	l = newImporter(t, "off", "")
	require.NoError(t, l.DB.Transaction(func(tx *pop.Connection) error { return tx.RawQuery("DROP TABLE fills").Exec() }))
	err = l.Import(t.Context(), directory(t, dir), false, func(v worker.ImportedVersion) { t.Error(v) })
	require.ErrorContains(t, err, "claim the fill")
}

// stopping is a source that calls stop with the zip of a number.
type stopping struct {
	source.Source
	left chan struct{}
	stop context.CancelFunc
}

func (s *stopping) Zip(ctx context.Context, v *source.Version, file *os.File) error {
	select {
	case s.left <- struct{}{}:
		return s.Source.Zip(ctx, v, file)
	default:
		s.stop()
		<-ctx.Done()
		return ctx.Err()
	}
}

// An import that is broken off leaves nothing behind but what it reported, and the next one does the rest.
func TestImportInterruptedAndResumed(t *testing.T) {
	t.Parallel()
	l := newImporter(t, "off", "")
	dir := t.TempDir()
	var modules []testmod.Module
	for n := range 40 {
		modules = append(modules, testmod.Module{Path: fmt.Sprintf("example.com/m%d", n), Version: "v1.0.0"})
	}
	testmod.Tree(t, dir, modules...)
	src := directory(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	reported := []string{}
	err := l.Import(ctx, &stopping{src, make(chan struct{}, 11), cancel}, false, func(v worker.ImportedVersion) {
		reported = append(reported, fmt.Sprint(v.Name, " ", v.Outcome))
	})
	require.ErrorIs(t, err, context.Canceled)
	first := len(l.events())
	require.LessOrEqual(t, first, 11)
	require.Len(t, reported, first, "nothing but what is in the log")
	l.clean()

	outcomes, problems := l.imports(src, false)
	require.Empty(t, problems)
	require.Len(t, outcomes, len(modules))
	for _, r := range reported {
		require.Contains(t, outcomes, strings.Replace(r, " imported", " present", 1))
	}
	require.Len(t, l.events(), len(modules))
	l.clean()
}

package worker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/source"
	"olympus/internal/testmod"
	"olympus/internal/upstream"
	"olympus/models"
	"olympus/worker"
)

// foreign are modules of every sort that a path and a version can be.
var foreign = []testmod.Module{
	{Path: "example.com/plain", Version: "v1.0.0"},
	{Path: "example.com/UPPER/Case", Version: "v1.0.0-RC.1"},
	{Path: "example.com/pseudo", Version: "v0.0.0-20200102030405-abcdefabcdef"},
	{Path: "example.com/old", Version: "v2.0.0+incompatible", Files: map[string]string{"a.go": "package a\n"}},
	{Path: "example.com/major/v2", Version: "v2.1.0"},
}

// newImporter is a ledger that imports: nobody has the last word on its hashes unless sums is the setting of a checksum database.
func newImporter(t *testing.T, sums, private string) *ledger {
	t.Helper()
	l := newLedger(t)
	up, err := upstream.New(upstream.Options{Proxies: "off", ChecksumDB: sums, Private: private})
	require.NoError(t, err)
	l.Upstream = up
	return l
}

// directory is a source that is a directory.
func directory(t *testing.T, dir string) *source.Directory {
	t.Helper()
	d, err := source.OpenDirectory(dir, 1<<20)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// imports runs an import, and returns "name outcome" of each version and the problems by name.
func (l *ledger) imports(src source.Source, check bool) (outcomes []string, problems map[string]string) {
	l.t.Helper()
	problems = make(map[string]string)
	require.NoError(l.t, l.Import(l.t.Context(), src, check, func(v worker.ImportedVersion) {
		outcomes = append(outcomes, fmt.Sprint(v.Name, " ", v.Outcome))
		if v.Err != nil {
			problems[v.Name] = v.Err.Error()
		}
	}))
	slices.Sort(outcomes)
	return outcomes, problems
}

// all is what imports returns if every one of the modules has one outcome.
func all(outcome worker.Outcome, modules ...testmod.Module) []string {
	var all []string
	for _, m := range modules {
		all = append(all, fmt.Sprint(m.Path, "@", m.Version, " ", outcome))
	}
	slices.Sort(all)
	return all
}

// clean requires that the log, the versions and the blobs are sound and that no import left anything behind.
func (l *ledger) clean() {
	l.t.Helper()
	verified, problems := l.verify()
	require.Empty(l.t, problems)
	require.Zero(l.t, verified.Orphans)
	var fills struct {
		Count int `db:"count"`
	}
	require.NoError(l.t, l.DB.RawQuery("SELECT count(*) AS count FROM fills").First(&fills))
	require.Zero(l.t, fills.Count, "claims that were not let go of")
	staged, err := filepath.Glob(filepath.Join(l.dir, "tmp", "*"))
	require.NoError(l.t, err)
	require.Empty(l.t, staged)
}

func (l *ledger) events() []protocol.Logged {
	l.t.Helper()
	events, err := models.Events(l.DB, 0, 1000, protocol.MaxPageBytes)
	require.NoError(l.t, err)
	return events
}

func TestImport(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(dir string){
		"GOPROXY": func(dir string) { testmod.Tree(t, dir, foreign...) },
		"Athens":  func(dir string) { testmod.Athens(t, dir, foreign...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newImporter(t, "off", "")
			require.NoError(t, models.SavePeer(l.DB, "oa.example.com", "http://127.0.0.1:1", "key"))
			dir := t.TempDir()
			write(dir)
			outcomes, problems := l.imports(directory(t, dir), false)
			require.Equal(t, all(worker.OutcomeImported, foreign...), outcomes)
			require.Empty(t, problems)

			// The log tells of each as of a fill of our own, and it is held.
			events := l.events()
			require.Len(t, events, len(foreign))
			for _, m := range foreign {
				want := testmod.Event(t, m, l.Name)
				n := slices.IndexFunc(events, func(e protocol.Logged) bool { return e.Module == m.Path })
				got := events[n].Event
				want.Time = got.Time
				require.Equal(t, want, got)
				require.True(t, l.find(m).Held)
				require.FileExists(t, l.blob(m))
			}
			// The peer hears of all of them.
			var pushed struct {
				Count int `db:"count"`
			}
			require.NoError(t, l.DB.RawQuery(`SELECT coalesce(sum((args->>'last')::int - (args->>'first')::int + 1), 0) AS count
				FROM river_job WHERE kind = 'push' AND args->>'peer' = 'oa.example.com'`).First(&pushed))
			require.Equal(t, len(foreign), pushed.Count)
			l.clean()

			// Again: nothing is read, unless that is asked for.
			require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
				if strings.HasSuffix(path, ".zip") {
					return os.Truncate(path, 10)
				}
				return err
			}))
			outcomes, _ = l.imports(directory(t, dir), false)
			require.Equal(t, all(worker.OutcomePresent, foreign...), outcomes)
			outcomes, problems = l.imports(directory(t, dir), true)
			require.Equal(t, all(worker.OutcomeFailed, foreign...), outcomes)
			require.Len(t, problems, len(foreign))
			require.Len(t, l.events(), len(foreign))
			l.clean()
		})
	}
}

// What is wrong with one version is told, leaves no trace, and keeps no other from being imported.
func TestImportOfWhatIsBroken(t *testing.T) {
	t.Parallel()
	change := func(ext string, change func(name string) error) func(dir string) error {
		return func(dir string) error { return change(filepath.Join(dir, "example.com/broken/@v/v1.0.0."+ext)) }
	}
	write := func(content string) func(string) error {
		return func(name string) error { return os.WriteFile(name, []byte(content), 0o644) }
	}
	rewrite := func(edit func([]byte) []byte) func(string) error {
		return func(name string) error {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			return os.WriteFile(name, edit(b), 0o644)
		}
	}
	l := newImporter(t, "off", "")
	broken := testmod.Module{Path: "example.com/broken", Version: "v1.0.0"}
	for n, test := range []struct {
		name   string
		damage func(dir string) error
		want   string
	}{
		{"a bit of the zip is flipped", change("zip", rewrite(flipBit)), "invalid module zip"},
		{"the zip is cut off", change("zip", rewrite(cutOff)), "invalid module zip"},
		{"the zip is empty", change("zip", write("")), "invalid module zip"},
		{"the zip of another version", change("zip", write(string(testmod.Zip(t, foreign[0])))), "invalid module zip"},
		{"the zip is too large", change("zip", func(name string) error { return os.Truncate(name, 1<<20+1) }), "more than the limit"},
		{"the .mod of another", change("mod", write("module example.com/other\n")), "the go.mod in the zip of example.com/broken@v1.0.0 has hash"},
		{"the .mod is binary", change("mod", write("module example.com/broken\n\x00\xff")), "not a text"},
		{"the .info of another version", change("info", write(`{"Version":"v1.0.1"}`)), "it is about version"},
		{"the .info is no JSON", change("info", write(`v1.0.0`)), "not a JSON object"},
		{"the .info has no good time", change("info", write(`{"Version":"v1.0.0","Time":"yesterday"}`)), "malformed"},
		{"there is no .info", change("info", os.Remove), "no such file"},
		{"there is no .mod", change("mod", os.Remove), "no such file"},
		{"the .info cannot be read", change("info", func(name string) error {
			if err := os.Remove(name); err != nil {
				return err
			}
			return os.Mkdir(name, 0o700) // as root a file can always be read
		}), "not a regular file"},
	} {
		dir, good := t.TempDir(), testmod.Module{Path: fmt.Sprintf("example.com/good%d", n), Version: "v1.0.0"}
		testmod.Tree(t, dir, broken, good)
		require.NoError(t, test.damage(dir))
		outcomes, problems := l.imports(directory(t, dir), false)
		require.Equal(t, append(all(worker.OutcomeFailed, broken), all(worker.OutcomeImported, good)...), outcomes, test.name)
		require.Contains(t, problems["example.com/broken@v1.0.0"], test.want, test.name)
		require.Len(t, l.events(), n+1, test.name)
		l.clean()
	}
}

// What the log knows is left as it is, except that the zip of a remote version is taken.
func TestImportOfWhatIsKnown(t *testing.T) {
	t.Parallel()
	l := newImporter(t, "off", "")
	l.fill()
	other := func(m testmod.Module) testmod.Module {
		m.Files = map[string]string{"other.go": "package other\n"}
		return m
	}
	before := len(l.events())
	dir := t.TempDir()
	testmod.Tree(t, dir, held, remote, deprecated, deleted, barred, disputed2)
	outcomes, problems := l.imports(directory(t, dir), true)
	require.Equal(t, []string{
		"example.com/barred@v1.0.0 deleted", "example.com/deleted@v1.0.0 deleted", "example.com/deprecated@v1.0.0 held",
		"example.com/disputed@v1.0.0 present", "example.com/held@v1.0.0 present", "example.com/remote@v1.0.0 held",
	}, outcomes)
	require.Empty(t, problems)
	require.True(t, l.find(remote).Held)
	require.True(t, l.find(deprecated).Held)
	require.False(t, l.find(deleted).Held)
	require.NoFileExists(t, l.blob(deleted))

	// Other bytes: nothing of them gets anywhere, whether the zip is held or not.
	absent := testmod.Module{Path: "example.com/absent", Version: "v1.0.0"}
	l.add(absent)
	dir = t.TempDir()
	testmod.Athens(t, dir, other(held), other(absent), other(deleted))
	outcomes, problems = l.imports(directory(t, dir), true)
	require.Equal(t, []string{"example.com/absent@v1.0.0 conflict", "example.com/deleted@v1.0.0 deleted", "example.com/held@v1.0.0 conflict"}, outcomes)
	want := testmod.Event(t, held, "x").ZipHash
	require.Contains(t, problems["example.com/held@v1.0.0"], "the log has "+want+", the source h1:")
	require.Len(t, l.events(), before+1)
	require.Equal(t, want, l.find(held).ZipHash)
	require.False(t, l.find(held).Conflict)
	require.False(t, l.find(absent).Held)
	l.clean()
}

// A zip of the same files that is not the same bytes is no conflict, and cannot be held.
func TestImportOfAnotherZipOfTheSameFiles(t *testing.T) {
	t.Parallel()
	l := newImporter(t, "off", "")
	l.add(remote)
	dir := t.TempDir()
	testmod.Tree(t, dir, remote)
	name := filepath.Join(dir, "example.com/remote/@v/v1.0.0.zip")
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	b[10] ^= 1 // the time of the first file, where its directory does not look
	require.NoError(t, os.WriteFile(name, b, 0o644))
	outcomes, _ := l.imports(directory(t, dir), false)
	require.Equal(t, all(worker.OutcomePresent, remote), outcomes)
	require.False(t, l.find(remote).Held)
	l.clean()
}

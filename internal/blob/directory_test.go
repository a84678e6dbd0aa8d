package blob

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDirectoryIsCreatedForItsOwner(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there [yet]")
	s := openDir(t, dir)
	require.NoError(t, s.Put(t.Context(), sum("x"), strings.NewReader("x"), 1))
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, path)
		return nil
	})
	require.NoError(t, err)
	f := stage(t, s, "y")
	require.Equal(t, s.TempDir(), filepath.Dir(f.Name()))
	require.True(t, strings.HasPrefix(s.TempDir(), dir+"/"), "staging must be in the same file system")
}

func TestDirectoryMovesAndServesFiles(t *testing.T) {
	t.Parallel()
	s := openDir(t, t.TempDir())
	f := stage(t, s, "moved")
	before, err := f.Stat()
	require.NoError(t, err)
	require.NoError(t, s.Put(t.Context(), sum("moved"), f, 5))
	require.NoFileExists(t, f.Name())

	b, err := s.Open(t.Context(), sum("moved"))
	require.NoError(t, err)
	defer b.Close()
	held, ok := b.Content().(*os.File)
	require.True(t, ok, "sendfile needs the file itself")
	after, err := held.Stat()
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "a staged file is moved, not copied")
	require.Equal(t, before.ModTime(), b.ModTime())

	require.NoError(t, s.Delete(t.Context(), sum("moved")))
	rest, err := io.ReadAll(b)
	require.NoError(t, err, "a reader survives the deletion")
	require.Equal(t, "moved", string(rest))
}

func TestDirectorySurvivesReopening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, openDir(t, dir).Put(t.Context(), sum("x"), strings.NewReader("x"), 1))
	require.Equal(t, "x", read(t, openDir(t, dir), sum("x")))
}

func TestDirectoryUnusable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, path := range []string{file, filepath.Join(file, "below")} {
		_, err := Open(t.Context(), "file://"+path, Options{})
		require.ErrorContains(t, err, "not a directory")
		require.ErrorContains(t, err, path)
	}

	// What a lost mount or a change of permissions does: files can no longer be created.
	lost := filepath.Join(dir, "lost")
	s := openDir(t, lost)
	require.NoError(t, s.Check(t.Context()))
	require.NoError(t, os.RemoveAll(lost))
	require.ErrorContains(t, s.Check(t.Context()), "check the file store")
	require.ErrorContains(t, s.CheckWritable(), "stage a download")
	require.Error(t, s.Put(t.Context(), sum("x"), strings.NewReader("x"), 1))
	// That none can be found does not say that any one of them is gone.
	_, err := s.Open(t.Context(), sum("x"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NotErrorIs(t, err, ErrNotFound)
	_, _, err = s.Stat(t.Context(), sum("x"))
	require.NotErrorIs(t, err, ErrNotFound)
	require.Error(t, s.Delete(t.Context(), sum("x")))
	require.Error(t, s.List(t.Context(), "", func(Entry) error { return nil }))
	_, _, err = s.Space(t.Context())
	require.ErrorContains(t, err, "measure the room of the file store")
	_, err = s.Temp()
	require.ErrorContains(t, err, "stage a download")
	_, err = s.CollectTemp(t.Context(), 0)
	require.Error(t, err)
}

func TestSpace(t *testing.T) {
	t.Parallel()
	s := openDir(t, t.TempDir())
	require.NoError(t, s.CheckWritable())
	require.Empty(t, staged(t, s))
	free, known, err := s.Space(t.Context())
	require.NoError(t, err)
	require.True(t, known)
	require.Positive(t, free)
}

// A collector takes what nobody refers to and is old. What is stored once more must not look old to it.
func TestPutRenewsOldBlob(t *testing.T) {
	t.Parallel()
	s := openDir(t, t.TempDir())
	put := func() time.Time {
		require.NoError(t, s.Put(t.Context(), sum("x"), strings.NewReader("x"), 1))
		_, stored, err := s.Stat(t.Context(), sum("x"))
		require.NoError(t, err)
		return stored
	}
	first := put()
	require.Equal(t, first, put(), "a young one stays as it is")
	key, err := Key(sum("x"))
	require.NoError(t, err)
	old := first.Add(-2 * Young)
	require.NoError(t, os.Chtimes(s.backend.(*measured).backend.(directory).path(key), old, old))
	require.WithinDuration(t, first, put(), time.Minute)
	require.Equal(t, "x", read(t, s, sum("x")))
}

func TestListPrefix(t *testing.T) {
	t.Parallel()
	s := openDir(t, t.TempDir())
	all := map[string][]string{}
	for i := range 64 {
		content := strconv.Itoa(i)
		require.NoError(t, s.Put(t.Context(), sum(content), strings.NewReader(content), int64(len(content))))
		for n := range 3 {
			all[sum(content)[:n]] = append(all[sum(content)[:n]], sum(content))
		}
	}
	for prefix, want := range all {
		slices.Sort(want)
		var got []string
		require.NoError(t, s.List(t.Context(), prefix, func(e Entry) error {
			require.WithinDuration(t, time.Now(), e.Stored, time.Hour)
			got = append(got, e.SHA256)
			return nil
		}))
		require.Equal(t, want, got, "prefix %q", prefix)
	}
	for _, prefix := range []string{"abc", "A", "..", "/", "0/"} {
		require.ErrorContains(t, s.List(t.Context(), prefix, func(Entry) error { return nil }), "prefix", prefix)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ url, want string }{
		"unknown scheme":      {"ftp://user:hunter2@host/x?key=hunter2", `unknown scheme "ftp"`},
		"memory":              {"mem://", `unknown scheme "mem"`},
		"no scheme":           {"/var/lib/olympus", `unknown scheme ""`},
		"relative":            {"file://blobs/here?x=hunter2", "want file:///absolute/path"},
		"no path":             {"file://", "want file:///absolute/path"},
		"not a URL":           {"s3://user:hunter2@bu cket", "malformed URL"},
		"unknown parameter":   {"s3://bucket?secret_access_key=hunter2", "open blob store s3://bucket: "},
		"password in S3":      {"s3://user:hunter2@bucket?nonsense=1", "open blob store s3://bucket: "},
		"parameter for Azure": {"azblob://box?nonsense=hunter2", "open blob store azblob://box: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), tc.url, Options{})
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

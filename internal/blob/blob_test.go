package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"golang.org/x/sync/errgroup"
)

// each runs a test against every kind of store.
func each(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	t.Parallel()
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		test(t, openDir(t, t.TempDir()))
	})
	t.Run("bucket in memory", func(t *testing.T) {
		t.Parallel()
		test(t, &Store{backend: bucket{memblob.OpenBucket(nil)}, scheme: "s3", tempDir: t.TempDir()})
	})
	t.Run("bucket on disk", func(t *testing.T) {
		t.Parallel()
		b, err := fileblob.OpenBucket(t.TempDir(), &fileblob.Options{NoTempDir: true})
		require.NoError(t, err)
		test(t, &Store{backend: bucket{b}, scheme: "s3", tempDir: t.TempDir()})
	})
}

// eachAtomic is each without the CDK's file driver, which shows files that are half written.
func eachAtomic(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	t.Parallel()
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		test(t, openDir(t, t.TempDir()))
	})
	t.Run("bucket in memory", func(t *testing.T) {
		t.Parallel()
		test(t, &Store{backend: bucket{memblob.OpenBucket(nil)}, scheme: "s3", tempDir: t.TempDir()})
	})
}

func openDir(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), "file://"+path, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func sum(content string) string {
	h := sha256.Sum256([]byte(content))
	return hex.EncodeToString(h[:])
}

// stage writes content to a file made by Temp.
func stage(t *testing.T, s *Store, content string) *os.File {
	t.Helper()
	f, err := s.Temp()
	require.NoError(t, err)
	t.Cleanup(func() { Discard(f) })
	_, err = f.WriteString(content)
	require.NoError(t, err)
	return f
}

func read(t *testing.T, s *Store, hash string) string {
	t.Helper()
	b, err := s.Open(t.Context(), hash)
	require.NoError(t, err)
	defer b.Close()
	content, err := io.ReadAll(b)
	require.NoError(t, err)
	require.EqualValues(t, len(content), b.Size())
	return string(content)
}

func sums(t *testing.T, s *Store) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	require.NoError(t, s.List(t.Context(), "", func(e Entry) error {
		found[e.SHA256] = e.Size
		return nil
	}))
	return found
}

func staged(t *testing.T, s *Store) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(s.TempDir())
	require.NoError(t, err)
	return entries
}

func TestPutOpenDelete(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		require.NoError(t, s.Check(ctx))
		a, b := strings.Repeat("a", 70_000), "second"

		_, err := s.Open(ctx, sum(a))
		require.ErrorIs(t, err, ErrNotFound)
		_, _, err = s.Stat(ctx, sum(a))
		require.ErrorIs(t, err, ErrNotFound)
		require.ErrorContains(t, err, sum(a))

		require.NoError(t, s.Put(ctx, sum(a), strings.NewReader(a), int64(len(a))))
		f := stage(t, s, b)
		require.NoError(t, s.Put(ctx, sum(b), f, int64(len(b))))
		Discard(f)
		require.Empty(t, staged(t, s), "staged files must be gone, moved or not")

		require.Equal(t, a, read(t, s, sum(a)))
		require.Equal(t, b, read(t, s, sum(b)))
		size, _, err := s.Stat(ctx, sum(a))
		require.NoError(t, err)
		require.EqualValues(t, len(a), size)
		require.Equal(t, map[string]int64{sum(a): int64(len(a)), sum(b): int64(len(b))}, sums(t, s))

		stop := errors.New("enough")
		calls := 0
		require.ErrorIs(t, s.List(ctx, "", func(Entry) error { calls++; return stop }), stop)
		require.Equal(t, 1, calls)

		require.NoError(t, s.Delete(ctx, sum(a)))
		require.NoError(t, s.Delete(ctx, sum(a)), "deleting what is gone is no error")
		_, err = s.Open(ctx, sum(a))
		require.ErrorIs(t, err, ErrNotFound)
		require.Equal(t, b, read(t, s, sum(b)))
	})
}

func TestPutAgain(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		content := "the right bytes"
		size := int64(len(content))
		require.NoError(t, s.Put(t.Context(), sum(content), stage(t, s, "damaged"), 7))
		require.NoError(t, s.Put(t.Context(), sum(content), stage(t, s, content), size))
		require.Equal(t, content, read(t, s, sum(content)), "a damaged blob is replaced")

		before := stage(t, s, content)
		require.NoError(t, s.Put(t.Context(), sum(content), before, size))
		require.FileExists(t, before.Name(), "nothing to do: the staged file stays the caller's")
		require.Equal(t, content, read(t, s, sum(content)))
	})
}

// failingReader gives some bytes and then fails, or ends.
type failingReader struct {
	*strings.Reader
	err error
}

func (r failingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && r.err != nil {
		err = r.err
	}
	return n, err
}

func TestFailedPutLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		cut := errors.New("connection reset")
		content := strings.Repeat("x", 100_000)
		source := func(f io.ReadSeeker) func() io.ReadSeeker { return func() io.ReadSeeker { return f } }
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		for _, tc := range []struct {
			name string
			ctx  context.Context
			f    func() io.ReadSeeker
			want string
		}{
			{"read fails half way", t.Context(), source(failingReader{strings.NewReader(content[:60_000]), cut}), cut.Error()},
			{"read fails at once", t.Context(), source(failingReader{strings.NewReader(""), cut}), cut.Error()},
			{"source ends early", t.Context(), source(strings.NewReader(content[:60_000])), "got 60000 bytes, want 100000"},
			{"source goes on", t.Context(), source(strings.NewReader(content + "y")), "got 100001 bytes, want 100000"},
			{"staged file is short", t.Context(), func() io.ReadSeeker { return stage(t, s, content[:10]) }, "got 10 bytes, want 100000"},
			{"canceled", canceled, source(strings.NewReader(content)), context.Canceled.Error()},
		} {
			t.Run(tc.name, func(t *testing.T) {
				f := tc.f()
				err := s.Put(tc.ctx, sum(content), f, int64(len(content)))
				require.ErrorContains(t, err, tc.want)
				require.ErrorContains(t, err, sum(content))
				_, _, err = s.Stat(t.Context(), sum(content))
				require.ErrorIs(t, err, ErrNotFound)
				require.Empty(t, sums(t, s))
				if f, ok := f.(*os.File); ok {
					Discard(f)
				}
				require.Empty(t, staged(t, s))
			})
		}
	})
}

func TestConcurrentPutsOfOneBlob(t *testing.T) {
	eachAtomic(t, func(t *testing.T, s *Store) {
		content := strings.Repeat("0123456789abcdef", 20_000)
		size := int64(len(content))
		var g errgroup.Group
		for i := range 16 {
			g.Go(func() error {
				var f io.ReadSeeker = strings.NewReader(content)
				if i%2 == 0 {
					staged, err := s.Temp()
					if err != nil {
						return err
					}
					defer Discard(staged)
					if _, err := staged.WriteString(content); err != nil {
						return err
					}
					f = staged
				}
				if err := s.Put(context.Background(), sum(content), f, size); err != nil {
					return err
				}
				b, err := s.Open(context.Background(), sum(content))
				if err != nil {
					return err
				}
				defer b.Close()
				got, err := io.ReadAll(b)
				if err == nil && string(got) != content {
					err = errors.New("read something else than was put")
				}
				return err
			})
		}
		require.NoError(t, g.Wait())
		require.Equal(t, map[string]int64{sum(content): size}, sums(t, s))
		require.Empty(t, staged(t, s))
	})
}

func TestKeys(t *testing.T) {
	good := strings.Repeat("0123456789abcdef", 4)
	key, err := Key(good)
	require.NoError(t, err)
	require.Equal(t, "zips/01/"+good[2:]+".zip", key)
	back, ok := sumOf(key)
	require.True(t, ok)
	require.Equal(t, good, back)

	for _, key := range []string{
		"", "zips/", "zips/01/.zip", key + "/", "x" + key, strings.Replace(key, ".zip", ".tar", 1),
		strings.Replace(key, "zips/01/", "zips/012", 1), strings.ToUpper(key), strings.Replace(key, "cdef", "../.", 1),
	} {
		_, ok := sumOf(key)
		require.False(t, ok, key)
	}
	each(t, func(t *testing.T, s *Store) {
		for name, hash := range map[string]string{
			"empty":     "",
			"short":     good[1:],
			"long":      good + "0",
			"upper":     strings.ToUpper(good),
			"traversal": "../" + good[3:],
			"slash":     good[:10] + "/" + good[11:],
			"zero byte": good[:63] + "\x00",
			"huge":      strings.Repeat("g", 1<<20),
		} {
			_, openErr := s.Open(t.Context(), hash)
			_, _, statErr := s.Stat(t.Context(), hash)
			for _, err := range []error{
				openErr, statErr, s.Delete(t.Context(), hash), s.Put(t.Context(), hash, strings.NewReader("x"), 1),
			} {
				require.ErrorContains(t, err, "is not 64 lower-case hexadecimal digits", name)
				require.Less(t, len(err.Error()), 500, name)
			}
		}
		require.Empty(t, sums(t, s))
	})
}

func TestCollectTemp(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		abandoned, fresh := stage(t, s, "abandoned"), stage(t, s, "fresh")
		foreign := filepath.Join(s.TempDir(), "somebody-elses")
		require.NoError(t, os.WriteFile(foreign, nil, 0o600))
		old := time.Now().Add(-2 * time.Hour)
		require.NoError(t, os.Chtimes(abandoned.Name(), old, old))
		require.NoError(t, os.Chtimes(foreign, old, old))

		n, err := s.CollectTemp(t.Context(), time.Hour)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.NoFileExists(t, abandoned.Name())
		require.FileExists(t, fresh.Name())
		require.FileExists(t, foreign)
	})
}

// A handler that serves Content must answer ranges right, from either kind of store.
func TestServeContent(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		content := strings.Repeat("0123456789", 1000)
		require.NoError(t, s.Put(t.Context(), sum(content), strings.NewReader(content), int64(len(content))))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := s.Open(r.Context(), sum(content))
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			defer b.Close()
			http.ServeContent(w, r, "", b.ModTime(), b.Content())
		}))
		defer server.Close()
		for header, want := range map[string]string{"": content, "bytes=5-14": "5678901234", "bytes=-3": "789"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			if header != "" {
				request.Header.Set("Range", header)
			}
			response, err := server.Client().Do(request)
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, want, string(body), header)
			require.NotEmpty(t, response.Header.Get("Last-Modified"))
		}
	})
}

func TestListSkipsOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openDir(t, dir)
	require.NoError(t, s.Put(t.Context(), sum("x"), bytes.NewReader([]byte("x")), 1))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "zips", "README"), []byte("hello"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "zips", "ab", "note.zip"), []byte("hello"), 0o600))
	require.Equal(t, map[string]int64{sum("x"): 1}, sums(t, s))
}

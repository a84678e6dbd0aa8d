package federation

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/testmod"
)

// repacked is a zip with the same files in other bytes: it has the same h1 hash.
func repacked(t *testing.T, m testmod.Module) []byte {
	t.Helper()
	original := testmod.Zip(t, m)
	from, err := zip.NewReader(bytes.NewReader(original), int64(len(original)))
	require.NoError(t, err)
	var b bytes.Buffer
	to := zip.NewWriter(&b)
	for _, f := range from.File {
		w, err := to.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Store})
		require.NoError(t, err)
		r, err := f.Open()
		require.NoError(t, err)
		_, err = io.Copy(w, r)
		require.NoError(t, err)
	}
	require.NoError(t, to.Close())
	require.NotEqual(t, original, b.Bytes())
	return b.Bytes()
}

// Whatever a peer sends in place of a zip: the version alone keeps the error and a time to try again, the others are fetched, and no byte
// of it is served or kept. As soon as somebody has the right bytes, they are taken.
func TestHostileZips(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{peer: peer.Options{HeaderTimeout: 300 * time.Millisecond, IdleTimeout: 300 * time.Millisecond}})
	evil := lying(oa, "evil.example.com")
	faults := map[string]func(m testmod.Module) http.HandlerFunc{
		"nothing": func(testmod.Module) http.HandlerFunc { return http.NotFound },
		"500": func(testmod.Module) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
		},
		"wrong bytes": func(m testmod.Module) http.HandlerFunc { return body(make([]byte, len(testmod.Zip(t, m)))) },
		"wrong size":  func(testmod.Module) http.HandlerFunc { return body([]byte("short")) },
		"same h1":     func(m testmod.Module) http.HandlerFunc { return body(repacked(t, m)) },
		"another zip": func(testmod.Module) http.HandlerFunc { return body(testmod.Zip(t, mz)) },
		"elsewhere": func(testmod.Module) http.HandlerFunc {
			return http.RedirectHandler(oa.url+fileOf(my, "zip"), http.StatusFound).ServeHTTP
		},
		"round itself": func(m testmod.Module) http.HandlerFunc {
			return http.RedirectHandler(fileOf(m, "zip"), http.StatusFound).ServeHTTP
		},
		"truncated": func(m testmod.Module) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				b := testmod.Zip(t, m)
				w.Header().Set("Content-Length", fmt.Sprint(len(b)))
				_, _ = w.Write(b[:len(b)/2])
				panic(http.ErrAbortHandler)
			}
		},
		"endless": func(testmod.Module) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := w.Write(make([]byte, 4096)); err != nil {
						return
					}
				}
			}
		},
		"silence":      func(testmod.Module) http.HandlerFunc { return evil.hang(0) },
		"some silence": func(testmod.Module) http.HandlerFunc { return evil.hang(100) },
	}
	var events []protocol.Event
	modules := make(map[string]testmod.Module)
	for name, lie := range faults {
		m := numbered("lie", len(modules))
		modules[name] = m
		evil.tell(fileOf(m, "zip"), lie(m))
		events = append(events, testmod.Event(t, m, evil.name))
	}
	const honest = 20
	for i := range honest {
		m := numbered("honest", i)
		evil.tell(fileOf(m, "zip"), body(testmod.Zip(t, m)))
		events = append(events, testmod.Event(t, m, evil.name))
	}
	oa.hears(events...)

	eventually(t, "the honest ones are held", func() bool { return oa.count("versions WHERE held") == honest })
	for name, m := range modules {
		eventually(t, name+" has its error", func() bool { return oa.version(m.Path, m.Version).FetchError != "" })
		v := oa.version(m.Path, m.Version)
		require.False(t, v.Held, name)
		require.NotNil(t, v.FetchDueAt, name)
		require.NotNil(t, v.FetchErrorAt, name)
		require.Contains(t, v.FetchError, evil.name, name)
		got := oa.ask("GET", fileOf(m, "zip"))
		require.Equal(t, http.StatusBadGateway, got.status, "%s: %s", name, got.body)
		require.Len(t, lines(got.body), 1, name)
		require.Equal(t, m.Info(), oa.mustGet(fileOf(m, "info")), name)
	}
	require.Len(t, oa.blobs(), honest)

	// Another peer has them all, and a client need not wait until they are due again.
	kind := lying(oa, "kind.example.com")
	for _, m := range modules {
		kind.tell(fileOf(m, "zip"), body(testmod.Zip(t, m)))
	}
	for name, m := range modules {
		var got answer
		eventually(t, name+" is served", func() bool { got = oa.ask("GET", fileOf(m, "zip")); return got.status == http.StatusOK })
		require.Equal(t, string(testmod.Zip(t, m)), got.body, name)
		v := oa.version(m.Path, m.Version)
		require.True(t, v.Held, name)
		require.Empty(t, v.FetchError, name)
		require.Nil(t, v.FetchDueAt, name)
	}
	require.Len(t, oa.blobs(), honest+len(modules))
}

// A peer that hangs keeps a few places for downloads, and its own versions waiting. Those of others come in meanwhile, and what waits
// for a place has not failed.
func TestHostilePeerHoldsUpNobody(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{})
	evil, kind := lying(oa, "evil.example.com"), lying(oa, "kind.example.com")
	const n = 20
	var events []protocol.Event
	for i := range n {
		stuck, free := numbered("stuck", i), numbered("free", i)
		evil.tell(fileOf(stuck, "zip"), evil.hang(0))
		kind.tell(fileOf(free, "zip"), body(testmod.Zip(t, free)))
		events = append(events, testmod.Event(t, stuck, evil.name))
	}
	oa.hears(events...)
	eventually(t, "the peer hangs", func() bool { return evil.total() > 0 })
	events = nil
	for i := range n {
		events = append(events, testmod.Event(t, numbered("free", i), kind.name))
	}
	oa.hears(events...)
	eventually(t, "the others are held", func() bool { return oa.count("versions WHERE held") == n })
	require.Zero(t, oa.count("versions WHERE fetch_error <> '' OR fetch_attempts > 1"))
	require.LessOrEqual(t, evil.total(), 8)
}

// Where no peer can give a zip, upstream may, if it is the one that the log records.
func TestHostilePeerUpstreamHelps(t *testing.T) {
	t.Parallel()
	altered := my
	altered.Files = map[string]string{"my.go": "package altered\n"}
	up := testmod.NewUpstream(t, mx, altered)
	oa := start(t, "oa.example.com", options{upstream: up.URL})
	evil := lying(oa, "evil.example.com")
	evil.tell(fileOf(mx, "zip"), body([]byte("not a zip")))
	oa.hears(testmod.Event(t, mx, evil.name), testmod.Event(t, my, evil.name))
	require.Equal(t, string(testmod.Zip(t, mx)), oa.mustGet(fileOf(mx, "zip")))
	require.Equal(t, 1, up.Count(fileOf(mx, "zip")))
	require.Zero(t, up.Count(fileOf(mx, "info")))
	got := oa.ask("GET", fileOf(my, "zip"))
	require.Equal(t, http.StatusBadGateway, got.status, got.body)
	require.Contains(t, got.body, "from upstream")
	require.Equal(t, []string{testmod.Event(t, mx, "x").ZipSHA256}, oa.blobs())
}

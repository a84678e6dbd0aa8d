package federation

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
)

// withUpper is a module whose path and version have escapes.
var withUpper = testmod.Module{Path: "example.com/Upper/m/v2", Version: "v2.0.0-RC1", Files: map[string]string{"m.go": "package m\n"}}

// The headers of every file, for GET and HEAD alike, the second time (from the cache) as the first.
func TestDownloadHeaders(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, mx, withUpper)
	om := start(t, "om.example.com", options{upstream: up.URL})
	const forever = "public, max-age=31536000, immutable"
	zip := string(testmod.Zip(t, mx))
	for _, file := range []struct{ path, contentType, cache, body string }{
		{fileOf(mx, "info"), "application/json", forever, mx.Info()},
		{fileOf(mx, "mod"), "text/plain; charset=utf-8", forever, mx.Mod()},
		{fileOf(mx, "zip"), "application/zip", forever, zip},
		{"/example.com/mx/@v/list", "text/plain; charset=utf-8", "public, max-age=", "v1.0.0\n"},
		{"/example.com/mx/@latest", "application/json", "public, max-age=", mx.Info()},
		{"/example.com/!upper/m/v2/@v/v2.0.0-!r!c1.mod", "text/plain; charset=utf-8", forever, withUpper.Mod()},
	} {
		var tags []string
		for range 3 {
			got := om.ask("GET", file.path)
			require.Equal(t, http.StatusOK, got.status, "%s: %s", file.path, got.body)
			require.Equal(t, file.body, got.body, file.path)
			require.Equal(t, file.contentType, got.header.Get("Content-Type"), file.path)
			require.True(t, strings.HasPrefix(got.header.Get("Cache-Control"), file.cache), got.header.Get("Cache-Control"))
			require.Equal(t, fmt.Sprint(len(file.body)), got.header.Get("Content-Length"), file.path)
			require.Regexp(t, `^"[^"]+"$`, got.header.Get("Etag"), file.path)
			tags = append(tags, got.header.Get("Etag"))

			head := om.ask("HEAD", file.path)
			require.Equal(t, http.StatusOK, head.status, file.path)
			require.Empty(t, head.body)
			for _, name := range []string{"Content-Type", "Content-Length", "Etag"} {
				require.Equal(t, got.header.Get(name), head.header.Get(name), "%s of HEAD %s", name, file.path)
			}
		}
		require.Equal(t, tags[0], tags[1])
		for _, match := range []string{tags[0], `"other", ` + tags[0], "W/" + tags[0], "*"} {
			same := om.ask("GET", file.path, "If-None-Match", match)
			require.Equal(t, http.StatusNotModified, same.status, "%s: %s", file.path, match)
			require.Empty(t, same.body)
			require.Equal(t, tags[0], same.header.Get("Etag"))
		}
		require.Equal(t, http.StatusOK, om.ask("GET", file.path, "If-None-Match", `"other"`).status)
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
			got := om.ask(method, file.path)
			require.Equal(t, http.StatusMethodNotAllowed, got.status, "%s %s", method, file.path)
			require.Equal(t, "GET, HEAD", got.header.Get("Allow"))
		}
	}

	for _, part := range []struct {
		asked  string
		status int
		body   string
	}{
		{"bytes=0-9", 206, zip[:10]}, {"bytes=10-", 206, zip[10:]}, {"bytes=-5", 206, zip[len(zip)-5:]},
		{fmt.Sprintf("bytes=%d-", len(zip)), 416, ""},
	} {
		got := om.ask("GET", fileOf(mx, "zip"), "Range", part.asked)
		require.Equal(t, part.status, got.status, part.asked)
		if part.status == http.StatusPartialContent {
			require.Equal(t, part.body, got.body, part.asked)
		}
	}
	tag := om.ask("HEAD", fileOf(mx, "zip")).header.Get("Etag")
	require.Equal(t, http.StatusPartialContent, om.ask("GET", fileOf(mx, "zip"), "Range", "bytes=0-0", "If-Range", tag).status)
	require.Equal(t, http.StatusOK, om.ask("GET", fileOf(mx, "zip"), "Range", "bytes=0-0", "If-Range", `"other"`).status)
}

// raw sends a request line as it stands, which no client would, and returns the status and the header of the answer.
func (d *deployment) raw(target string) (int, http.Header) {
	d.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	require.NoError(d.t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target)
	require.NoError(d.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(d.t, err)
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header
}

// There is one path for each file. Any other is refused, never redirected, and asks upstream nothing.
func TestDownloadPaths(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, mx, withUpper)
	om := start(t, "om.example.com", options{upstream: up.URL})
	for _, target := range []string{
		"//example.com/mx/@v/list", "/example.com//mx/@v/list", "/example.com/mx//@v/list", "/example.com/mx/@v//list",
		"/./example.com/mx/@v/list", "/example.com/./mx/@v/list", "/example.com/mx/@v/./list", "/example.com/x/../mx/@v/list",
		"/example.com/mx/@v/list/", "/example.com/mx/@v/", "/example.com/mx/@latest/", "/@v/list", "/@latest",
		"/example.com/mx/@v/v1.0.0", "/example.com/mx/@v/v1.0.0.exe", "/example.com/mx/@v/v1.0.0.zip/", "/example.com/mx/@v/.zip",
		"/example.com/mx/@v/v1.zip", "/example.com/mx/@v/v1.0.0+meta.mod", "/example.com/mx/@v/v2.0.0.zip", "/example.com/mx/@v/main.zip",
		"/example.com/Upper/m/v2/@v/list", "/example.com/!Upper/m/v2/@v/list", "/example.com/!!upper/m/v2/@v/list", "/example.com/upper!/@v/list",
		"/example.com/!upper/m/v2/@v/v2.0.0-RC1.mod",
		"/example.com%2Fmx/@v/list", "/example.com/mx%2F@v/list", "/example.com/mx/@v%2Flist",
		"/example.com/mx/@v/a%2Fb.info", "/example.com/mx/@v/..%2F..info", "/example.com/mx%00/@v/list",
		"/example.com/mx/@v/feature/x.info", "/mx/@v/list", "/example.com/.mx/@v/list", "/example.com/con/@v/list",
		"/example.com/" + strings.Repeat("m", 1100) + "/@v/list", "/example.com/mx/@v/" + strings.Repeat("x", 300) + ".info",
		"/..", "/.", "/example.com/..", "/example.com/.", "//", "/nothing/of/ours", "/%2e%2e/x", "/example.com/%2e%2e/mx/@v/list",
	} {
		status, header := om.raw(target)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound}, status, target)
		require.Empty(t, header.Get("Location"), target)
	}
	require.Zero(t, up.Total())
	for _, target := range []string{"/example.com/!upper/m/v2/@v/v2.0.0-!r!c1.mod", "/example.com/%21upper/m/v2/@v/v2.0.0-%21r%21c1.info"} {
		status, _ := om.raw(target) // the go command writes "!" in either way
		require.Equal(t, http.StatusOK, status, target)
	}
}

// What is forbidden to be fetched is answered from what is held or known; a request of a peer is always such a one.
func TestDownloadOnlyWhatIsHere(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, mx, my, mz)
	om := start(t, "om.example.com", options{upstream: up.URL})
	oa := start(t, "oa.example.com", options{upstream: up.URL, lazy: true})
	befriend(om, oa)
	om.mustGet(fileOf(mx, "zip"))
	oa.pull(om)
	asked := up.Total()

	ways := map[string]func(path string) answer{
		"header": func(path string) answer { return oa.ask("GET", path, "Disable-Module-Fetch", "true") },
		"signed": func(path string) answer { return oa.from(om, "GET", path) },
	}
	for name, ask := range ways {
		require.Equal(t, http.StatusNotFound, ask(fileOf(my, "info")).status, "%s: unknown", name)
		require.Equal(t, http.StatusNotFound, ask(fileOf(my, "zip")).status, "%s: unknown", name)
		require.Equal(t, http.StatusNotFound, ask("/example.com/my/@v/main.info").status, "%s: a query", name)
		require.Equal(t, answered{200, mx.Info()}, brief(ask(fileOf(mx, "info"))), "%s: remote", name)
		require.Equal(t, answered{200, mx.Mod()}, brief(ask(fileOf(mx, "mod"))), "%s: remote", name)
		require.Equal(t, http.StatusNotFound, ask(fileOf(mx, "zip")).status, "%s: remote", name)
	}
	require.Equal(t, asked, up.Total())
	require.False(t, oa.held(mx.Path, mx.Version))

	// Lazily: nothing is fetched until a client asks; then it is streamed through and held.
	require.Empty(t, oa.blobs())
	require.Equal(t, string(testmod.Zip(t, mx)), oa.mustGet(fileOf(mx, "zip")))
	require.True(t, oa.held(mx.Path, mx.Version))
	require.Equal(t, om.blobs(), oa.blobs())
	require.Equal(t, asked, up.Total(), "it came from the peer")
	for name, ask := range ways {
		require.Equal(t, answered{200, string(testmod.Zip(t, mx))}, brief(ask(fileOf(mx, "zip"))), "%s: held", name)
	}
}

// Queries are what upstream makes of them; the file of a version is one and the same, however it was asked for.
func TestDownloadQueries(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, mx)
	om := start(t, "om.example.com", options{upstream: up.URL})
	up.Set("/example.com/mx/@v/main.info", testmod.Behaviour{Body: []byte(mx.Info())})
	up.Set("/example.com/mx/@v/dev.info", testmod.Behaviour{Body: []byte(`{"Version":"v1.0.0","Origin":{}}`)})
	up.Set("/example.com/mx/@v/bad.info", testmod.Behaviour{Body: []byte(`{"Version":"v2.0.0"}`)})
	up.Set("/example.com/mx/@v/down.info", testmod.Behaviour{Status: 500})
	for query, want := range map[string]answered{
		"main": {200, mx.Info()}, "latest": {200, mx.Info()}, "dev": {200, `{"Version":"v1.0.0","Origin":{}}`},
	} {
		got := om.ask("GET", "/example.com/mx/@v/"+query+".info")
		require.Equal(t, want, brief(got), query)
		require.Equal(t, "public, max-age=30", got.header.Get("Cache-Control"))
	}
	for query, want := range map[string]int{"bad": 502, "down": 502, "none": 404} {
		require.Equal(t, want, om.ask("GET", "/example.com/mx/@v/"+query+".info").status, query)
	}
	om.mustGet(fileOf(mx, "zip"))
	require.Equal(t, mx.Info(), om.mustGet("/example.com/mx/@v/dev.info"))
	om.hears(said(protocol.KindDelete, mx.Path, mx.Version, "og.example.com"))
	for _, file := range []string{"main.info", "v1.0.0.info", "v1.0.0.mod", "v1.0.0.zip"} {
		got := om.ask("GET", "/example.com/mx/@v/"+file)
		require.Equal(t, http.StatusForbidden, got.status, file)
		require.Contains(t, got.body, "deleted by og.example.com: because")
	}
	eventually(t, "the zip is removed", func() bool { return len(om.blobs()) == 0 })
}

// Clients can be sent to the peer that holds a zip, instead of waiting for it here.
func TestDownloadRedirect(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, mx)
	om := start(t, "om.example.com", options{upstream: up.URL})
	oa := start(t, "oa.example.com", options{redirect: true, lazy: true})
	befriend(om, oa)
	om.mustGet(fileOf(mx, "zip"))
	oa.pull(om)
	got := oa.ask("GET", fileOf(mx, "zip"))
	require.Equal(t, http.StatusFound, got.status, got.body)
	require.Equal(t, om.url+fileOf(mx, "zip"), got.header.Get("Location"))
	require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	require.Equal(t, http.StatusNotFound, oa.from(om, "GET", fileOf(mx, "zip")).status, "peers are sent nowhere")
	require.Equal(t, string(testmod.Zip(t, mx)), oa.mustGet(fileOf(mx, "zip")), "to a client that goes there")
	require.False(t, oa.held(mx.Path, mx.Version))
	require.NoError(t, oa.FetchNow(t.Context(), mx.Path, mx.Version))
	require.Equal(t, answered{200, string(testmod.Zip(t, mx))}, brief(oa.ask("GET", fileOf(mx, "zip"))))
}

// Two deployments that both lack a zip ask each other once each time a client asks, and not for ever.
func TestDownloadNobodyHasIt(t *testing.T) {
	t.Parallel()
	var zips atomic.Int32
	counting := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".zip") && r.Header.Get("Signature") != "" {
				zips.Add(1)
			}
			next.ServeHTTP(w, r)
		})
	}
	oa := start(t, "oa.example.com", options{lazy: true, wrap: counting})
	og := start(t, "og.example.com", options{lazy: true, wrap: counting})
	befriend(oa, og)
	e := testmod.Event(t, mx, "om.example.com")
	oa.hears(e)
	og.hears(e)
	got := oa.ask("GET", fileOf(mx, "zip"))
	require.Equal(t, http.StatusBadGateway, got.status)
	require.Contains(t, got.body, "og.example.com does not hold it")
	require.EqualValues(t, 1, zips.Load())
	// Once one of them has it, the other gets it.
	up := testmod.NewUpstream(t, mx)
	twin := og.another(func(o *options) { o.upstream = up.URL })
	twin.mustGet(fileOf(mx, "zip"))
	require.Equal(t, string(testmod.Zip(t, mx)), oa.mustGet(fileOf(mx, "zip")))
}

package federation

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
)

// What is malformed is refused in one line before anybody is asked; what there is says how long it may be kept.
func TestSumdbPaths(t *testing.T) {
	t.Parallel()
	sums, up := newChecksums(t, one), testmod.NewUpstream(t, one)
	om := start(t, "om.example.com", options{upstream: up.URL, checksums: sums.key + " " + sums.URL, noJobs: true})
	events := make([]protocol.Event, 300)
	for i := range events {
		events[i] = added(fmt.Sprintf("example.com/paths%d", i), "v1.0.0", "oa.example.com", "1", now())
	}
	om.hears(events...)
	long := strings.Repeat("1", 300)
	lookups := []string{
		"", "@", "example.com/m", "example.com/m@", "@v1.0.0", "example.com/m@main", "example.com/m@latest", "example.com/m@v1", "example.com/m@v1.0",
		"example.com/m@v1.0.0+meta", "example.com/m@v2.0.0", "example.com/m/v2@v1.0.0", "example.com/M@v1.0.0", "example.com/m@v1.0.0-RC1", "m@v1.0.0",
		"example.com/!M@v1.0.0", "example.com/m!@v1.0.0", "example.com/m@v1.0.0%0A", "example.com/m@v1.0.0%20", "example.com/m@v1.0.0%20300",
		"example.com/m@v1.0.0@v1.0.0", "example.com/%2521m@v1.0.0", "example.com/%ff@v1.0.0", "example.com/%00@v1.0.0", "example.com/m@v1.0.0-" + long,
		"example.com/" + strings.Repeat(long[:100]+"/", 20) + "m@v1.0.0", "example.com/m@v1.0.0/go.mod", "example.com%2F..%2Fm@v1.0.0",
	}
	tiles := []string{
		"", "8", "8/0", "8/0/0", "8/0/0000", "8/0/000/", "8/0/000.p/0", "8/0/000.p/256", "8/0/000.p", "8/0/000.p/1/1", "8/-1/000", "8/0/-01", "8/x/000",
		"8/data/data/000", "8/entries/000", "0/0/000", "7/0/000", "7/data/000", "9/data/000", "30/0/000", "30/data/000", "31/0/000", "8/8/000", "8/64/000", "8/99999/000",
		"8/0/x036/x028/x797/x018/x963/968", "8/data/x036/x028/x797/x018/x963/968", "8/data/x072/x057/x594/x037/x927/936",
		"8/data/x009/x223/x372/x036/x854/x775/807", "8/data/x018/x446/x744/x073/x709/x551/616", "8/0/001.p/45", "8/0/002.p/1", "8/data/001.p/45", "8/1/000.p/2",
	}
	var bad []string
	for _, database := range []string{"/sumdb/om.example.com/", "/sumdb/sum.example.com/"} {
		for _, lookup := range lookups {
			bad = append(bad, database+"lookup/"+lookup)
		}
		for _, tile := range tiles[:len(tiles)-9] {
			bad = append(bad, database+"tile/"+tile)
		}
		bad = append(bad, database, database+"latest/", database+"Latest", database+"lookup", database+"tile", database+"supported/x")
	}
	for _, tile := range tiles[len(tiles)-9:] {
		bad = append(bad, "/sumdb/om.example.com/tile/"+tile)
	}
	for _, path := range []string{
		"", "0", "0/", "0/0", "0/0000", "/0/000", "0/000/", "0/000.p", "0/000.p/0", "0/000.p/256", "0/000.p/00", "-1/000", "8/000", "64/000", "99999/000", "data/000", "8/0/000",
		"entries", "entries/", "entries/0", "entries/data/000", "entries/entries/000", "entries/000.p/256", "0/entries/000", "x/000", "0/x000/000",
		"0/%30%30%30.p/0", "0/000%0a",
	} {
		bad = append(bad, "/tile/"+path)
	}
	for _, path := range bad {
		got := om.ask("GET", path)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound}, got.status, "%s: %s", path, got.body)
		require.Len(t, lines(got.body), 1, path)
		kind := "text/plain; charset=utf-8" // the go command shows it
		if strings.HasPrefix(path, "/tile/") {
			kind = "application/problem+json"
		}
		require.Equal(t, kind, got.header.Get("Content-Type"), path)
		require.Equal(t, "no-store", got.header.Get("Cache-Control"), path)
	}
	require.Empty(t, sums.asked())
	require.Zero(t, up.Total())
	require.Zero(t, om.count("fills"))

	immutable := "public, max-age=31536000, immutable"
	for path, want := range map[string]string{
		"/checkpoint": "no-store", "/tile/0/000": immutable, "/tile/0/001.p/44": "no-store", "/tile/1/000.p/1": "no-store", "/tile/entries/000": immutable,
		"/tile/entries/001.p/44": "no-store", "/sumdb/om.example.com/latest": "no-store", "/sumdb/om.example.com/supported": "no-store",
		"/sumdb/om.example.com/tile/8/0/000": immutable, "/sumdb/om.example.com/tile/8/0/001.p/44": "no-store",
		"/sumdb/om.example.com/tile/8/data/000": immutable, "/sumdb/om.example.com/lookup/example.com/paths7@v1.0.0": "no-store",
		"/sumdb/sum.example.com/latest": "no-store", "/sumdb/sum.example.com/supported": "no-store", "/sumdb/sum.example.com/tile/8/0/000": immutable,
		"/sumdb/sum.example.com/tile/8/0/001.p/1": "no-store", "/sumdb/sum.example.com/lookup/example.com/before7@v1.0.0": "no-store",
	} {
		for range 2 {
			got := om.ask("GET", path)
			require.Equal(t, http.StatusOK, got.status, "%s: %s", path, got.body)
			require.Equal(t, want, got.header.Get("Cache-Control"), path)
			head := om.ask("HEAD", path)
			require.Equal(t, http.StatusOK, head.status, path)
			require.Empty(t, head.body, path)
			for _, field := range []string{"Content-Type", "Cache-Control"} {
				require.Equal(t, got.header.Get(field), head.header.Get(field), path)
			}
		}
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			got := om.ask(method, path)
			require.Equal(t, http.StatusMethodNotAllowed, got.status, path)
			require.Len(t, lines(got.body), 1, path)
		}
	}
	// By either path it is the same tree.
	require.Equal(t, om.mustGet("/tile/0/000"), om.mustGet("/sumdb/om.example.com/tile/8/0/000"))
	require.Equal(t, strings.Join(om.entries(1, 44), "\n")+"\n", om.mustGet("/sumdb/om.example.com/tile/8/data/001.p/44"))
}

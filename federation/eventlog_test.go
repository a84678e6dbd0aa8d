package federation

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/models"
)

// deletes are n events that need nothing else.
func deletes(n int, prefix, origin string) []protocol.Event {
	events := make([]protocol.Event, n)
	for i := range events {
		events[i] = said(protocol.KindDelete, fmt.Sprintf("example.com/%s%d", prefix, i), "v1.0.0", origin)
	}
	return events
}

// page is a page of the log, read as a peer reads it.
func (d *deployment) page(query string, after int64, limit int) *protocol.Page {
	d.t.Helper()
	got := d.ask("GET", "/eventlog?"+query)
	require.Equal(d.t, http.StatusOK, got.status, "%s: %s", query, got.body)
	page, err := protocol.ReadPage(strings.NewReader(got.body), after, limit)
	require.NoError(d.t, err, query)
	return page
}

func TestEventLog(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{noJobs: true})
	require.Regexp(t, `^{"head":0,"next":0,"checkpoint":"oa.example.com\\n0\\n[^"]+"}\n$`, oa.ask("GET", "/eventlog").body)
	events := deletes(30, "m", "om.example.com")
	oa.hears(events...)

	for _, c := range []struct {
		query       string
		after, last int64
	}{
		{"", 0, 30}, {"after=0", 0, 30}, {"after=7", 7, 30}, {"after=7&limit=5", 7, 12}, {"limit=1", 0, 1}, {"after=28&limit=5", 28, 30},
		{"after=30", 30, 30}, {"after=30&limit=5", 30, 30}, {"after=29&wait=30", 29, 30}, {"limit=1000000", 0, 30},
	} {
		page := oa.page(c.query, c.after, protocol.MaxPageEvents)
		require.Len(t, page.Events, int(c.last-c.after), c.query)
		require.Equal(t, c.last, page.Next, c.query)
		require.EqualValues(t, 30, page.Head, c.query)
		for i, e := range page.Events {
			require.Equal(t, events[c.after+int64(i)], e.Event, c.query)
		}
	}
	for _, query := range []string{
		"after=-1", "after=x", "after=1.5", "after=", "after=+1", "after=0x1", "after=99999999999999999999", "limit=x", "limit=-1", "wait=-1", "wait=soon",
	} {
		got := oa.ask("GET", "/eventlog?"+query)
		require.Equal(t, http.StatusBadRequest, got.status, query)
		require.Contains(t, got.body, strings.Split(query, "=")[0], query)
	}
	beyond := oa.ask("GET", "/eventlog?after=31&wait=30")
	require.Equal(t, http.StatusConflict, beyond.status)
	var head struct{ Head *int64 }
	require.NoError(t, json.Unmarshal([]byte(beyond.body), &head))
	require.EqualValues(t, 30, *head.Head)

	plain := oa.ask("GET", "/eventlog?after=3")
	require.Equal(t, "application/x-ndjson", plain.header.Get("Content-Type"))
	require.Empty(t, plain.header.Get("Content-Encoding"))
	require.Regexp(t, `^{"head":30,"next":30,"checkpoint":"oa.example.com\\n30\\n[^"]+"}$`, lines(plain.body)[27])
	require.Equal(t, plain.body, oa.ask("GET", "/eventlog?after=3", "Accept-Encoding", "br, gzip;q=0").body)
	for _, accept := range []string{"gzip", "br;q=0.5, gzip;q=1.0"} {
		zipped := oa.ask("GET", "/eventlog?after=3", "Accept-Encoding", accept)
		require.Equal(t, "gzip", zipped.header.Get("Content-Encoding"), accept)
		require.Contains(t, zipped.header.Get("Vary"), "Accept-Encoding")
		r, err := gzip.NewReader(strings.NewReader(zipped.body))
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, plain.body, string(text))
	}
	require.Equal(t, http.StatusMethodNotAllowed, oa.ask("POST", "/eventlog").status)
}

// Who waits at the head hears of an event moments after any process has appended it.
func TestEventLogWaits(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{noJobs: true})
	twin := oa.another(nil)
	began := time.Now()
	require.Empty(t, oa.page("wait=1", 0, 10).Events)
	require.GreaterOrEqual(t, time.Since(began), time.Second)

	for i, from := range []*deployment{twin, oa} {
		heard := make(chan *protocol.Page)
		for _, d := range []*deployment{oa, twin} {
			go func() { heard <- d.page(fmt.Sprintf("after=%d&wait=30", i), int64(i), 10) }()
		}
		began = time.Now()
		from.hears(deletes(1, fmt.Sprintf("w%d", i), "om.example.com")...)
		for range 2 {
			page := <-heard
			require.Len(t, page.Events, 1)
			require.EqualValues(t, i+1, page.Head)
		}
		require.Less(t, time.Since(began), 10*time.Second)
	}
}

// A page ends before the event that would make it too large, but one event always fits.
func TestEventLogPageBytes(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{noJobs: true})
	var events []protocol.Event
	add := func(n int, fill string) {
		for range n {
			e := added(fmt.Sprintf("example.com/large%d", len(events)), "v1.0.0", "om.example.com", "x", now())
			e.Mod += "// " + strings.Repeat(fill, protocol.MaxModBytes-len(e.Mod)-10)
			e.ModHash = protocol.ModHash([]byte(e.Mod))
			require.NoError(t, e.Validate())
			events = append(events, e)
		}
	}
	add(4, "x")
	add(1, "\x01") // six bytes each on the wire: a line longer than a page
	add(1, "x")
	oa.hears(events...)
	after := int64(0)
	for _, want := range []int{3, 1, 1, 1} {
		page := oa.page(fmt.Sprintf("after=%d", after), after, 1000)
		require.Len(t, page.Events, want)
		require.EqualValues(t, 6, page.Head)
		for _, e := range page.Events {
			require.True(t, events[e.Position-1].Mod == e.Mod, "the .mod of event %d", e.Position)
		}
		after = page.Next
	}
	require.EqualValues(t, 6, after)
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true, url: "https://om.example.com/olympus"})
	got := om.ask("GET", "/peer")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.JSONEq(t, fmt.Sprintf(`{"name":"om.example.com","url":"https://om.example.com/olympus","key":%q}`, om.signer.VerifierKey()), got.body)

	// Whoever may read modules may read these, a stranger with a signature too. But a peer that is paused may not, nor who pretends.
	stranger := start(t, "og.example.com", options{noJobs: true})
	oa := start(t, "oa.example.com", options{noJobs: true})
	for _, path := range []string{"/peer", "/eventlog?after=0&limit=5"} {
		require.Equal(t, http.StatusOK, oa.from(stranger, "GET", path).status, path)
	}
	oa.knows(stranger)
	for _, path := range []string{"/peer", "/eventlog?after=0&limit=5"} {
		got := oa.ask("GET", path, "Signature", "olympus=:AAAA:", "Signature-Input", `olympus=();tag="olympus"`)
		require.Equal(t, http.StatusUnauthorized, got.status, path)
	}
	require.Equal(t, http.StatusOK, oa.from(stranger, "GET", "/eventlog?after=0&limit=5").status)
	require.NoError(t, models.SetPeerState(oa.DB, stranger.Name, models.PeerPaused))
	for _, path := range []string{"/peer", "/eventlog", "/modules/example.com/m@v1.0.0", "/example.com/m/@v/v1.0.0.zip"} {
		require.Equal(t, http.StatusForbidden, oa.from(stranger, "GET", path).status, path)
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{noJobs: true})
	require.Empty(t, oa.mustGet("/index"))
	when := now()
	oa.hears(
		added("example.com/a", "v1.0.0", "om.example.com", "1", when), added("example.com/b", "v1.0.0", "om.example.com", "1", when),
		added("example.com/c", "v1.0.0", "om.example.com", "1", when), added("example.com/a", "v1.1.0", "om.example.com", "1", when),
		said(protocol.KindDeprecate, "example.com/a", "v1.0.0", "om.example.com"),
	)
	oa.hears(added("example.com/d", "v1.0.0", "om.example.com", "1", when), said(protocol.KindDelete, "example.com/b", "v1.0.0", "om.example.com"),
		added("example.com/c", "v1.0.0", "om.example.com", "2", when.Add(time.Hour)))
	want := []string{"example.com/a@v1.0.0", "example.com/c@v1.0.0", "example.com/a@v1.1.0", "example.com/d@v1.0.0"}

	type line struct{ Path, Version, Timestamp string }
	read := func(query string) (versions, times []string) {
		for _, text := range lines(oa.mustGet("/index" + query)) {
			var l line
			decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
			decoder.DisallowUnknownFields()
			require.NoError(t, decoder.Decode(&l), text)
			versions, times = append(versions, l.Path+"@"+l.Version), append(times, l.Timestamp)
		}
		return versions, times
	}
	versions, times := read("")
	require.Equal(t, want, versions)
	for i := range times {
		stamp, err := time.Parse(time.RFC3339Nano, times[i])
		require.NoError(t, err)
		if i > 0 {
			before, _ := time.Parse(time.RFC3339Nano, times[i-1])
			require.True(t, stamp.After(before), "%s after %s", times[i], times[i-1])
		}
		versions, _ := read("?since=" + times[i])
		require.Equal(t, want[i:], versions, "since is inclusive")
		versions, _ = read("?since=" + stamp.Add(time.Microsecond).Format(time.RFC3339Nano))
		require.Equal(t, want[i+1:], append([]string{}, versions...), "since")
	}
	versions, _ = read("?limit=2")
	require.Equal(t, want[:2], versions)
	versions, _ = read("?limit=2&since=" + times[1])
	require.Equal(t, want[1:3], versions)
	for _, query := range []string{"since=yesterday", "since=1", "limit=x", "limit=-1"} {
		require.Equal(t, http.StatusBadRequest, oa.ask("GET", "/index?"+query).status, query)
	}
}

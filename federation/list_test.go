package federation

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
)

// versionsOf are versions of a module of this name.
func versionsOf(module string, versions ...string) []testmod.Module {
	all := make([]testmod.Module, len(versions))
	for i, v := range versions {
		all[i] = testmod.Module{Path: "example.com/" + module, Version: v}
	}
	return all
}

const older, newer = "v0.0.0-20200101000000-aaaaaaaaaaaa", "v0.0.0-20210101000000-bbbbbbbbbbbb"

// Upstream is asked for a list once, by however many clients and processes. What events say counts at once, at every process.
func TestListOfLogAndUpstream(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, versionsOf("l", "v1.0.0", "v1.1.0", "v1.2.0-rc.1")...)
	om := start(t, "om.example.com", options{upstream: up.URL})
	twin := om.another(nil)
	both := []*deployment{om, twin}
	const list, latest = "/example.com/l/@v/list", "/example.com/l/@latest"
	for _, got := range crowd(20, func(i int) answer { return both[i%2].ask("GET", []string{list, latest}[i/2%2]) }) {
		require.Equal(t, http.StatusOK, got.status, got.body)
	}
	require.Equal(t, 1, up.Count(list), "questions to upstream")
	require.Zero(t, up.Count(latest))

	expect := func(latestVersion string, versions ...string) {
		t.Helper()
		for _, d := range both {
			eventually(t, "the process has heard of the event", func() bool {
				now := d.ask("GET", latest)
				isLatest := latestVersion == "" && now.status == http.StatusNotFound ||
					now.status == http.StatusOK && strings.Contains(now.body, `"`+latestVersion+`"`)
				return isLatest && slices.Equal(versions, lines(d.mustGet(list)))
			})
		}
	}
	change := func(d *deployment, kind protocol.Kind, version string) {
		require.NoError(t, d.Append(true, []protocol.Event{said(kind, "example.com/l", version, om.Name)}, nil))
	}
	expect("v1.1.0", "v1.0.0", "v1.1.0", "v1.2.0-rc.1")
	twin.hears(added("example.com/l", "v1.3.0", "og.example.com", "x", now()), added("example.com/l", newer, "og.example.com", "x", now()))
	expect("v1.3.0", "v1.0.0", "v1.1.0", "v1.2.0-rc.1", "v1.3.0")
	change(om, protocol.KindDeprecate, "v1.3.0")
	expect("v1.1.0", "v1.0.0", "v1.1.0", "v1.2.0-rc.1")
	change(twin, protocol.KindDelete, "v1.1.0") // known to upstream only
	expect("v1.0.0", "v1.0.0", "v1.2.0-rc.1")
	change(om, protocol.KindDelete, "v1.0.0")
	expect("v1.2.0-rc.1", "v1.2.0-rc.1")
	change(twin, protocol.KindDelete, "v1.2.0-rc.1")
	expect(newer)
	change(om, protocol.KindDelete, newer)
	expect("")
	require.Equal(t, 1, up.Count(list))

	// This very process answers by its own change at once, without waiting to hear of it.
	for i := range 20 {
		m := numbered("own", i).Path
		om.hears(added(m, "v1.0.0", "og.example.com", "x", now()))
		require.Equal(t, "v1.0.0\n", om.mustGet("/"+m+"/@v/list"))
		om.hears(said(protocol.KindDeprecate, m, "v1.0.0", "og.example.com"))
		require.Empty(t, om.mustGet("/"+m+"/@v/list"))
	}
}

// A list that has grown old is served while a new one is asked for. It only ever grows, and an upstream that is down changes nothing.
func TestListNeverForgets(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, versionsOf("l", "v1.0.0", "v1.1.0")...)
	om := start(t, "om.example.com", options{upstream: up.URL, listTTL: time.Millisecond})
	const list, latest = "/example.com/l/@v/list", "/example.com/l/@latest"
	require.Equal(t, []string{"v1.0.0", "v1.1.0"}, lines(om.mustGet(list)))
	up.Add(versionsOf("l", "v1.2.0")...)
	eventually(t, "the list is refreshed", func() bool { return len(lines(om.mustGet(list))) == 3 })
	up.Set(list, testmod.Behaviour{Body: []byte("v1.3.0\n")})
	eventually(t, "the list is refreshed", func() bool { return len(lines(om.mustGet(list))) > 3 })
	all := []string{"v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"}
	require.Equal(t, all, lines(om.mustGet(list)))
	for _, b := range []testmod.Behaviour{{Status: 500}, {Status: 404}, {Body: []byte(" ")}, {Sent: 3, Cut: true}, {Hold: make(chan struct{})}} {
		up.Set(list, b)
		asked := up.Count(list)
		eventually(t, "upstream is asked", func() bool {
			require.Equal(t, all, lines(om.mustGet(list)))
			return up.Count(list) > asked
		})
		require.Equal(t, all, lines(om.mustGet(list)))
		require.Equal(t, http.StatusOK, om.ask("GET", "/example.com/l/@v/v1.1.0.info").status)
		require.Equal(t, http.StatusNotFound, om.ask("GET", latest).status, "v1.3.0 is listed, and nobody has it")
		if b.Hold != nil {
			break
		}
	}
}

// What is unknown, what has no tagged versions, and what cannot be found out are three answers.
func TestListKnownOrNot(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, versionsOf("pseudo", older, newer)...)
	om := start(t, "om.example.com", options{upstream: up.URL, lazy: true})
	twin := om.another(nil)

	for range 3 {
		require.Equal(t, answered{200, ""}, brief(om.ask("GET", "/example.com/pseudo/@v/list")))
		got := om.ask("GET", "/example.com/pseudo/@latest")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Contains(t, got.body, newer)
	}
	require.Equal(t, 1, up.Count("/example.com/pseudo/@v/list"))
	eventually(t, "the fill that @latest began has ended", func() bool { return om.held("example.com/pseudo", newer) })

	require.Equal(t, http.StatusNotFound, om.ask("GET", "/example.com/nobody/@v/list").status)
	asked := up.Total()
	for _, d := range []*deployment{om, twin, om} {
		for _, path := range []string{"/example.com/nobody/@v/list", "/example.com/nobody/@latest"} {
			got := d.ask("GET", path)
			require.Equal(t, http.StatusNotFound, got.status)
			require.Contains(t, got.body, "example.com/nobody")
			require.Len(t, lines(got.body), 1)
		}
	}
	require.Equal(t, asked, up.Total())

	// Down, and nothing known: a failure, however often and whoever is asked. With something known, that is served.
	up.Set("/example.com/down/@v/list", testmod.Behaviour{Status: 500, Body: []byte("out of order")})
	for _, d := range []*deployment{om, om, twin, om} {
		for _, path := range []string{"/example.com/down/@v/list", "/example.com/down/@latest"} {
			got := d.ask("GET", path)
			require.Equal(t, http.StatusBadGateway, got.status, "%s: %s", path, got.body)
			require.Contains(t, got.body, "example.com/down")
		}
	}
	om.hears(added("example.com/down", "v1.0.0", "og.example.com", "x", now()))
	require.Equal(t, "v1.0.0\n", om.mustGet("/example.com/down/@v/list"))
	require.Contains(t, om.mustGet("/example.com/down/@latest"), "v1.0.0")

	// A request that forbids fetching asks nobody.
	asked = up.Total()
	om.hears(added("example.com/local", "v1.0.0", "og.example.com", "x", now()))
	for path, want := range map[string]answered{
		"/example.com/local/@v/list":  {200, "v1.0.0\n"},
		"/example.com/pseudo/@v/list": {200, ""},
	} {
		require.Equal(t, want, brief(om.ask("GET", path, "Disable-Module-Fetch", "true")), path)
	}
	require.Equal(t, http.StatusNotFound, om.ask("GET", "/example.com/never/@v/list", "Disable-Module-Fetch", "true").status)
	require.Equal(t, http.StatusNotFound, om.ask("GET", "/example.com/never/@latest", "Disable-Module-Fetch", "true").status)
	require.Equal(t, asked, up.Total())
}

type answered struct {
	status int
	body   string
}

func brief(a answer) answered { return answered{a.status, a.body} }

package federation

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// A remote zip becomes held whatever its first download came to, and that of a deleted version goes.
func TestCrashFetchAndRemove(t *testing.T) {
	t.Parallel()
	om := newNeighbour(t, "om.example.com", mx)
	playCrashes(t,
		crash{"fetch, half of the zip read", func() func() { return fetchHalfRead(t, om, "oa.example.com", restarted) }},
		crash{"fetch, half of the zip read, with another process", func() func() { return fetchHalfRead(t, om, "ob.example.com", another) }},
		crash{"fetch, stored and not recorded", func() func() { return fetchStored(t, om) }},
		crash{"fetch, stored and not recorded, then deleted", func() func() { return fetchStoredThenDeleted(t, om) }},
		crash{"fetch, deleted, then stored and not recorded", func() func() { return fetchDeletedThenStored(t, om) }},
		crash{"delete, at the head of the log", func() func() { return deleteAtHead(t) }},
		crash{"remove, acknowledged and not begun", func() func() { return removeNotBegun(t) }},
		crash{"remove, zip gone and not recorded", func() func() { return removeGone(t) }},
	)
}

func isZip(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".zip") }

func fetchHalfRead(t *testing.T, om *neighbour, name string, who succession) func() {
	s := newSite(t, name)
	zip := om.withhold(s, true, isZip)
	p := s.start()
	p.knows(om.deployment)
	om.pushTo(p)
	awaitFrom(t, "the download", zip.arrived)
	s.awaitStaged(len(testmod.Zip(t, mx)) / 2)
	require.Nil(t, s.blob(mx))
	p = who.kill(p, zip.open)
	return func() {
		eventually(t, "the zip is held", func() bool { return s.held(mx) })
		s.awaitLog(addX)
		p.serves(mx)
		s.sound()
	}
}

// stored brings a process to where it has stored a zip of om's and is to record that.
func stored(t *testing.T, om *neighbour, p *process) *holding {
	t.Helper()
	zip := om.withhold(p.site, false, isZip)
	p.knows(om.deployment)
	om.pushTo(p)
	awaitFrom(t, "the download", zip.arrived)
	row := p.site.holdVersion(mx)
	zip.open()
	row.awaitBlocked("held = true")
	require.NotNil(t, p.site.blob(mx))
	require.False(t, p.site.held(mx))
	return row
}

func fetchStored(t *testing.T, om *neighbour) func() {
	s := newSite(t, "oc.example.com")
	p := s.start()
	row := stored(t, om, p)
	p = another.kill(p, row.release)
	return func() {
		eventually(t, "the zip is held", func() bool { return s.held(mx) })
		s.awaitLog(addX)
		p.serves(mx)
		s.sound()
	}
}

// fetchStoredThenDeleted deletes before the zip has been fetched again: the bytes must not stay because no row says held.
func fetchStoredThenDeleted(t *testing.T, om *neighbour) func() {
	s := newSite(t, "od.example.com")
	p := s.start()
	row := stored(t, om, p)
	p.kill()
	row.release()
	p = p.again()
	p.administrate(http.StatusOK, http.MethodPost, "/modules/example.com/mx@v1.0.0/delete", `{"reason":"taken down"}`)
	return func() {
		eventually(t, "the zip is gone", func() bool { return s.blob(mx) == nil })
		s.deleted(p)
	}
}

// fetchDeletedThenStored stores after the zips of the deleted version have been removed: nobody else knows then that there is one again.
func fetchDeletedThenStored(t *testing.T, om *neighbour) func() {
	s := newSite(t, "oe.example.com")
	zip := om.withhold(s, true, isZip)
	p := s.start()
	p.knows(om.deployment)
	om.pushTo(p)
	awaitFrom(t, "the download", zip.arrived)
	p.administrate(http.StatusOK, http.MethodPost, "/modules/example.com/mx@v1.0.0/delete", `{"reason":"taken down"}`)
	eventually(t, "its zips are removed", func() bool {
		return s.count("SELECT count(*) FROM river_job WHERE kind = 'remove' AND state = 'completed'") == 1
	})
	versions := s.hold("LOCK versions IN EXCLUSIVE MODE")
	zip.open()
	versions.awaitBlocked("held = true")
	require.NotNil(t, s.blob(mx))
	p = restarted.kill(p, versions.release)
	return func() {
		eventually(t, "the zip is gone", func() bool { return s.blob(mx) == nil })
		s.deleted(p)
	}
}

// deleted requires that the version is barred for good, and that its bytes are gone.
func (s *site) deleted(p *process) {
	s.t.Helper()
	s.awaitLog(addX, "delete example.com/mx@v1.0.0")
	s.sound()
	require.Nil(s.t, s.blob(mx))
	for _, ext := range []string{".info", ".mod", ".zip"} {
		status, body, err := p.ask(http.MethodGet, "/example.com/mx/@v/v1.0.0"+ext, "")
		require.NoError(s.t, err)
		require.Equal(s.t, http.StatusForbidden, status, body)
	}
}

// deleteAtHead kills before the administrator is answered: nothing was promised, and asking again does it.
func deleteAtHead(t *testing.T) func() {
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, mx).URL)
	p := s.start()
	p.serves(mx)
	head := s.holdHead()
	answered := make(chan error)
	go func() {
		_, _, err := p.ask(http.MethodPost, "/modules/example.com/mx@v1.0.0/delete", "")
		answered <- err
	}()
	head.awaitBlocked("event_log.*FOR UPDATE")
	p = restarted.kill(p, head.release)
	require.Error(t, awaitFrom(t, "the end of the request", answered))
	require.Equal(t, []string{addX}, s.log())
	p.administrate(http.StatusOK, http.MethodPost, "/modules/example.com/mx@v1.0.0/delete", "")
	return func() {
		s.deleted(p)
		require.Equal(t, 1, s.count("SELECT count(*) FROM audit WHERE action = 'delete'"))
	}
}

// removeNotBegun acknowledges in a process that works no jobs.
func removeNotBegun(t *testing.T) func() {
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, mx).URL)
	p := s.start("OLYMPUS_ROLE=web")
	p.serves(mx)
	p.administrate(http.StatusOK, http.MethodPost, "/modules/example.com/mx@v1.0.0/delete", `{"reason":"taken down"}`)
	p.kill()
	require.NotNil(t, s.blob(mx))
	p = s.start()
	return func() { s.deleted(p) }
}

func removeGone(t *testing.T) func() {
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, mx).URL)
	web := s.start("OLYMPUS_ROLE=web")
	web.serves(mx)
	web.administrate(http.StatusOK, http.MethodPost, "/modules/example.com/mx@v1.0.0/delete", `{"reason":"taken down"}`)
	row := s.holdVersion(mx)
	p := s.startBeside("OLYMPUS_ROLE=worker")
	row.awaitBlocked("held = false")
	require.Nil(t, s.blob(mx))
	require.True(t, s.held(mx))
	restarted.kill(p, row.release)
	return func() {
		s.deleted(web)
		require.False(t, s.held(mx))
	}
}

package federation

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testmod"
)

// The database goes away in the middle of work and comes back: the same process ends what it was at, without anybody's help.
func TestCrashDatabase(t *testing.T) {
	t.Parallel()
	playCrashes(t,
		crash{"fill, at the head of the log", func() func() { return fillWithoutDatabase(t) }},
		crash{"pull, at the end of its job", func() func() { return pullWithoutDatabase(t) }},
	)
}

// unready waits until a process says that it cannot work.
func (p *process) unready() {
	p.site.t.Helper()
	eventually(p.site.t, "the process is not ready", func() bool {
		status, _, err := p.ask(http.MethodGet, "/readyz", "")
		return err == nil && status == http.StatusServiceUnavailable
	})
}

// fillWithoutDatabase can neither append the event nor say that it could not.
func fillWithoutDatabase(t *testing.T) func() {
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, mx).URL)
	p := s.start()
	head := s.holdHead()
	require.Equal(t, mx.Info(), p.get(filePath(mx, download.Info)))
	head.awaitBlocked("event_log.*FOR UPDATE")
	over := s.outage(head)
	eventually(t, "the fill has failed", func() bool { return strings.Contains(p.output.String(), "could not fill a miss") })
	p.unready()
	over()
	return func() {
		s.recordedOnce(mx)
		p.serves(mx)
		s.sound()
	}
}

// pullWithoutDatabase ends a job while nobody can be told that it has ended.
func pullWithoutDatabase(t *testing.T) func() {
	om := newNeighbour(t, "om.example.com", mx)
	s := newSite(t, "oa.example.com", "OLYMPUS_PULL_INTERVAL=1s")
	page := om.withhold(s, false, func(r *http.Request) bool { return r.URL.Path == "/eventlog" })
	p := s.start()
	p.knows(om.deployment)
	<-page.arrived
	over := s.outage(nil)
	page.open()
	eventually(t, "the end of the job is given up", func() bool { return strings.Contains(p.output.String(), "Too many errors; giving up") })
	over()
	return func() {
		s.awaitLog(addX)
		require.EqualValues(t, 1, s.pointer(om.deployment))
		p.serves(mx)
		s.sound()
	}
}

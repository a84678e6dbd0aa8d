package federation

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testmod"
)

// In these the database goes away in the middle of work and comes back: the same process ends what it was at, without anybody's help.

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
	failed := p.output.wait("could not fill a miss")
	over := s.outage(head)
	awaitFrom(t, "the failure of the fill", failed)
	p.unready()
	require.NoError(t, over())
	return func() {
		s.recordedOnce(mx)
		p.serves(mx)
		s.sound()
	}
}

// jobEndLost has a job that has ended, and of which the database says that the process, which lives, is at it.
func jobEndLost(t *testing.T, om *neighbour) func() {
	s := newSite(t, "oh.example.com")
	p := s.start()
	p.knows(om.deployment)
	om.pushTo(p)
	const received = "SELECT count(*) FROM river_job WHERE kind = 'receive' AND state = 'completed' AND attempt = ?"
	eventually(t, "the job has ended", func() bool { return s.count(received, 1) == 1 })
	require.NoError(t, s.db.RawQuery(`
		UPDATE river_job SET state = 'running', finalized_at = NULL, attempted_at = now() - interval '1 minute' WHERE kind = 'receive'`).Exec())
	return func() {
		eventually(t, "the job is taken up", func() bool { return s.count(received, 2) == 1 })
		s.awaitLog(addX, addY, addZ)
		s.sound()
	}
}

// pullWithoutDatabase ends a job while nobody can be told that it has ended, for so long that the process stops trying.
func pullWithoutDatabase(t *testing.T, om *neighbour) func() {
	s := newSite(t, "og.example.com", "OLYMPUS_PULL_INTERVAL=1s")
	page := om.withhold(s, false, func(r *http.Request) bool { return r.URL.Path == "/eventlog" })
	p := s.start()
	p.knows(om.deployment)
	awaitFrom(t, "the page", page.arrived)
	givenUp, back := p.output.wait("Too many errors; giving up"), make(chan error, 1)
	over := s.outage(nil)
	page.open()
	go func() {
		select {
		case <-givenUp:
		case <-p.ended:
		}
		back <- over()
	}()
	return func() {
		require.NoError(t, awaitFrom(t, "the end of the outage", back))
		s.awaitLog(addX, addY, addZ)
		require.EqualValues(t, 3, s.pointer(om.deployment))
		p.serves(mx)
		s.sound()
	}
}

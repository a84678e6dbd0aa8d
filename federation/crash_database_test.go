package federation

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"olympus/config"
	"olympus/internal/download"
	"olympus/internal/testmod"
)

// The database goes away in the middle of work and comes back: the same process ends what it was at, without anybody's help.
func TestCrashDatabase(t *testing.T) {
	t.Parallel()
	playCrashes(t,
		crash{"fill, at the head of the log", fillWithoutDatabase},
		crash{"pull, at the end of its job", pullWithoutDatabase},
	)
}

// outage takes the database away: from everybody, and last from who holds a lock, if anybody does.
func (s *site) outage(h *holding) (over func()) {
	s.t.Helper()
	u, err := url.Parse(s.database)
	require.NoError(s.t, err)
	name := strings.TrimPrefix(u.Path, "/")
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, config.TestDatabaseURL())
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close(ctx) })
	holder := uint32(0)
	if h != nil {
		holder = h.conn.PgConn().PID()
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	require.NoError(s.t, err)
	for _, except := range []uint32{holder, 0} {
		_, err = conn.Exec(ctx, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND pid <> $2", name, except)
		require.NoError(s.t, err)
	}
	return func() {
		s.t.Helper()
		_, err := conn.Exec(ctx, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
		require.NoError(s.t, err)
	}
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
	page := newGate(false, func(r *http.Request) bool { return r.URL.Path == "/eventlog" })
	om := filled(t, page, mx)
	s := newSite(t, "oa.example.com", "OLYMPUS_PULL_INTERVAL=1s")
	p := s.start()
	p.knows(om)
	<-page.arrived
	over := s.outage(nil)
	page.open()
	eventually(t, "the end of the job is given up", func() bool { return strings.Contains(p.output.String(), "Too many errors; giving up") })
	over()
	return func() {
		s.awaitLog(addX)
		require.EqualValues(t, 1, s.pointer(om))
		p.serves(mx)
		s.sound()
	}
}

package federation

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/internal/testmod"
	"olympus/models"
)

// newStandby makes a standby of a cluster, which gets its log over a link, and starts it.
func (c *cluster) newStandby() (*cluster, *link) {
	c.t.Helper()
	s := placeCluster(c.t)
	replication, through := newLink(c.t, c.url)
	u, err := url.Parse(through)
	require.NoError(c.t, err)
	out, err := c.command("pg_basebackup", "-D", filepath.Join(s.dir, "data"), "-R", "-h", u.Hostname(), "-p", u.Port(), "-U", "postgres",
		"-c", "fast", "-X", "stream", "--no-sync").CombinedOutput()
	require.NoError(c.t, err, "%s", out)
	s.start()
	return s, replication
}

// ask runs a statement by hand and returns the one text that it answers.
func (c *cluster) ask(statement string) (answer string) {
	c.t.Helper()
	conn, err := pgx.Connect(context.Background(), c.url)
	require.NoError(c.t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	require.NoError(c.t, conn.QueryRow(context.Background(), statement).Scan(&answer))
	return answer
}

// caughtUp waits until a standby has all of a primary's log.
func (c *cluster) caughtUp(primary *cluster) {
	c.t.Helper()
	end := primary.ask("SELECT pg_current_wal_lsn()::text")
	eventually(c.t, "the standby has caught up", func() bool {
		return c.ask("SELECT (pg_last_wal_replay_lsn() >= '"+end+"'::pg_lsn)::text") == "true"
	})
}

// view is what two deployments must agree on: what became of each version.
func view(t *testing.T, db *pop.Connection) []string {
	t.Helper()
	var rows []struct {
		Line string `db:"line"`
	}
	require.NoError(t, db.RawQuery(`SELECT concat_ws(' ', v.module, v.version, v.deprecated, v.deleted, v.conflict, e.zip_hash) AS line
		FROM versions v LEFT JOIN events e ON e.position = v.add_position ORDER BY 1`).All(&rows))
	lines := make([]string, len(rows))
	for i := range rows {
		lines[i] = rows[i].Line
	}
	return lines
}

// The database fails over to a standby that lacks the last events, which have been answered, signed, and partly pulled by a peer. The
// processes go on without a restart: they serve nothing of what the log does not say any more, begin a new epoch, and get back what the
// peer knows; the peer sees no fraud in it. It makes no difference whether the log has grown again, by other events, before they look.
func TestFailOverToLaggingStandby(t *testing.T) {
	t.Parallel()
	for name, regrown := range map[string]int{"shorter than before": 0, "as long as before": 8, "longer than before": 11} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failOver(t, regrown)
		})
	}
}

func failOver(t *testing.T, regrown int) {
	module := func(n int) testmod.Module { return numbered("failover", n) }
	id := func(n int) string { return module(n).Path + "@" + module(n).Version }
	var modules []testmod.Module
	for i := range 20 {
		modules = append(modules, module(i))
	}
	primary := newCluster(t)
	standby, replication := primary.newStandby()
	way, through := newLink(t, primary.url)
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, modules...).URL, "OLYMPUS_PULL_INTERVAL=1s", "OLYMPUS_LIST_TTL=1h")
	s.database = through
	p := s.start()
	beside := s.startBeside("OLYMPUS_ROLE=web")
	s.db = testdb.Open(t, primary.url)
	var deaf atomic.Bool // to pushes
	oa := start(t, "oa.example.com", options{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if deaf.Load() && r.URL.Path == "/push" {
				http.Error(w, "not now", http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	p.knows(oa)
	pull := func() {
		t.Helper()
		_, err := oa.Pull(t.Context(), s.name, 0)
		require.NoError(t, err)
	}
	delete := func(n int) {
		p.administrate(http.StatusOK, http.MethodPost, "/modules/"+id(n)+"/delete", `{"reason":"test"}`)
	}
	statusOf := func(p *process, n int, ext download.Ext) int {
		status, _, err := p.ask(http.MethodGet, filePath(module(n), ext), "")
		require.NoError(t, err)
		return status
	}
	both := []*process{p, beside}

	// What the standby has.
	for i := range 6 {
		p.serves(module(i))
	}
	pull()
	standby.caughtUp(primary)
	replication.stand()

	// What it lacks, and the peer knows.
	p.serves(module(6))
	p.serves(module(7))
	delete(0)
	p.administrate(http.StatusOK, http.MethodPost, "/modules/"+id(1)+"/deprecate", `{"reason":"test"}`)
	pull()
	known := len(oa.log())
	require.Equal(t, 10, known)

	// What nobody knows but the clients, to whom it was signed.
	deaf.Store(true)
	p.serves(module(8))
	p.serves(module(9))
	delete(2)
	delete(3)
	before := p.get("/checkpoint")
	for _, p := range both { // and keeps in mind
		for _, i := range []int{4, 5, 6, 8} {
			p.serves(module(i))
		}
		require.Equal(t, []int{403, 403}, []int{statusOf(p, 0, download.Mod), statusOf(p, 2, download.Mod)})
	}
	require.Len(t, s.log(), 14)

	primary.kill()
	require.Equal(t, "true", standby.ask("SELECT pg_promote()::text"))
	s.db = testdb.Open(t, standby.url)
	require.Len(t, s.log(), 6, "the standby lags")
	// Another process of the deployment was faster. What it logs bars a version that ours have just served.
	if regrown > 0 {
		regrow := append(deletes(regrown-1, "regrown", s.name), said(protocol.KindDelete, module(4).Path, module(4).Version, s.name))
		require.NoError(t, s.db.Transaction(func(tx *pop.Connection) error {
			_, err := models.Merge(tx, regrow)
			return err
		}))
	}
	way.turn(net.JoinHostPort("127.0.0.1", standby.port))

	// The page of the peer's first pull is the first that is signed: nobody may take the log for that of before because of its length.
	// And nobody asks for anything until the processes follow the log again: they must find out by themselves what they may not answer.
	for _, p := range both {
		eventually(t, "the process is ready", func() bool {
			status, _, err := p.ask(http.MethodGet, "/readyz", "")
			return err == nil && status == http.StatusOK
		})
	}
	eventually(t, "the processes follow the log", func() bool {
		return s.count(`SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT head FROM event_log' AND state = 'idle'`) == len(both)
	})
	want := http.StatusOK
	if regrown > 0 {
		want = http.StatusForbidden
	}
	for range 20 {
		for _, p := range both {
			for _, ext := range allFiles {
				require.Equal(t, want, statusOf(p, 4, ext))
				require.Equal(t, http.StatusOK, statusOf(p, 5, ext))
			}
		}
	}

	// The peer pulls on, and neither of the two has to be told anything.
	deaf.Store(false)
	eventually(t, "the peer takes the new epoch", func() bool {
		_, err := oa.Pull(t.Context(), s.name, 0)
		if err != nil { // no process answers with a signature over another log
			require.NotContains(t, err.Error(), "are not those of the tree")
		}
		om, errFind := models.FindPeer(oa.DB, s.name)
		require.NoError(t, errFind)
		require.Equal(t, models.PeerActive, om.State, om.Evidence)
		return err == nil && om.Epoch == 2
	})
	require.NotEqual(t, before, p.get("/checkpoint"))
	beside.serves(module(15))
	p.serves(module(8)) // lost, and filled anew
	p.serves(module(9))
	p.serves(module(2)) // the delete is lost, and the zip that it took away is fetched again
	beside.serves(module(3))
	eventually(t, "all logs hold the same events", func() bool {
		_, err := oa.Pull(t.Context(), s.name, 0)
		return err == nil && slices.Equal(slices.Sorted(slices.Values(s.log())), slices.Sorted(slices.Values(oa.log())))
	})
	require.GreaterOrEqual(t, len(s.log()), known+regrown+3)
	require.Equal(t, view(t, oa.DB), view(t, s.db))
	for _, p := range both {
		require.Equal(t, http.StatusForbidden, statusOf(p, 0, download.Mod), "deleted, lost, and back from the peer")
		p.serves(module(6))
		p.serves(module(15))
		require.False(t, p.hasEnded())
	}
	om, err := models.FindPeer(oa.DB, s.name)
	require.NoError(t, err)
	require.Equal(t, models.PeerActive, om.State)
	require.EqualValues(t, 2, om.Epoch)
	s.sound()
	out, errs, code := s.run(p.env, "task", "log:verify")
	require.Zero(t, code, out+errs)
}

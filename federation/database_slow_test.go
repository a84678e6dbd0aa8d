package federation

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testdb"
	"olympus/internal/testmod"
)

// soon is the longest that anybody may wait while the database does not answer: above what is promised, for a busy machine.
const soon = 30 * time.Second

// besiegers is how many clients ask at once: many times the connections that a process has.
const besiegers = 250

// missing is a file of a version that nobody has.
const missing = "/example.com/nobody/@v/v1.0.0.mod"

// readers are what clients, peers and operators read. All of it needs the database.
func readers() []string {
	return []string{
		filePath(my, download.Info), filePath(my, download.Zip), "/" + my.Path + "/@v/list", "/" + my.Path + "/@latest",
		missing,
		"/eventlog?after=0", "/index", "/checkpoint", "/tile/0/000.p/2", "/sumdb/om.example.com/lookup/" + my.Path + "@" + my.Version,
		"/sumdb/om.example.com/latest", "/status", "/", "/peers", "/events", "/modules", "/modules/" + my.Path + "@" + my.Version, "/jobs", "/audit",
	}
}

// stuck is a deployment whose database is about to be made to hang.
type stuck struct {
	*site
	p    *process
	link *link
	c    *cluster // nil: the database is one of those that all tests share
}

// newStuck starts a process of a deployment that holds mx and my, of which only mx has been asked for since.
func newStuck(t *testing.T, own bool) *stuck {
	t.Helper()
	s := &stuck{site: newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, mx, my).URL)}
	if own {
		s.c = newCluster(t)
		s.database = s.c.url
	}
	direct := s.database
	s.link, s.database = newLink(t, s.database)
	first := s.start()
	s.db = testdb.Open(t, direct)
	first.serves(mx)
	first.serves(my)
	require.Zero(t, first.terminate())
	s.p = s.start()
	for _, ext := range allFiles {
		eventually(t, "it is kept in mind", func() bool {
			s.p.get(filePath(mx, ext))
			return strings.Contains(s.p.get("/metrics"), fmt.Sprintf(`olympus_download_hits_total{file=%q} 2`, ext))
		})
	}
	return s
}

// by hand connects to the database beside the process, past the link.
func (s *stuck) byHand() *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), s.db.URL())
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// asked is what became of a request.
type asked struct {
	path       string
	status     int
	retryAfter string
	took       time.Duration
	err        error
}

func (s *stuck) ask(path string) asked {
	began := time.Now()
	a := asked{path: path}
	req, err := http.NewRequest(http.MethodGet, s.p.url+path, nil)
	if err != nil {
		return asked{path: path, err: err}
	}
	req.Header.Set("Connection", "close")
	resp, err := patient.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		a.status, a.retryAfter = resp.StatusCode, resp.Header.Get("Retry-After")
	}
	a.took, a.err = time.Since(began), err
	return a
}

// besieged has a besiegers ask for everything at once, and returns how often each path was refused. All are answered soon, and nobody is told
// that something is not there, or that we are broken.
func (s *stuck) besieged() map[string]int {
	s.t.Helper()
	paths := readers()
	refused := make(map[string]int)
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range besiegers {
		all.Go(func() {
			a := s.ask(paths[i%len(paths)])
			assert.NoError(s.t, a.err)
			assert.Less(s.t, a.took, soon, "GET %s: %d", a.path, a.status)
			switch {
			case a.status == http.StatusOK, a.status == http.StatusNotFound && a.path == missing:
			case a.status == http.StatusServiceUnavailable:
				assert.NotEmpty(s.t, a.retryAfter, a.path)
				mu.Lock()
				refused[a.path]++
				mu.Unlock()
			default:
				assert.Fail(s.t, "neither an answer nor a refusal", "GET %s: %d", a.path, a.status)
			}
		})
	}
	all.Wait()
	return refused
}

// goroutines returns how many a process has.
func (s *stuck) goroutines() int {
	s.t.Helper()
	for line := range strings.Lines(s.p.get("/metrics")) {
		if n, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			count, err := strconv.Atoi(strings.TrimSpace(n))
			require.NoError(s.t, err)
			return count
		}
	}
	require.Fail(s.t, "no go_goroutines")
	return 0
}

// healed waits until everything is as if nothing had been.
func (s *stuck) healed(before int) {
	s.t.Helper()
	for _, path := range readers() {
		want := http.StatusOK
		if path == missing {
			want = http.StatusNotFound
		}
		eventually(s.t, path+" is answered", func() bool { return s.ask(path).status == want })
	}
	s.p.serves(mx)
	s.p.serves(my)
	eventually(s.t, "nobody is left waiting", func() bool { return s.goroutines() < before+60 })
	eventually(s.t, "no connection is left over", func() bool {
		return s.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'") <= 60
	})
	require.False(s.t, s.p.hasEnded())
	s.sound()
}

// A table is locked for long, as by a migration that somebody tries by hand. Who needs it is refused soon, however many come; hits do not
// notice; what needs other tables is answered, or refused because no connection was free; and all goes on once the lock is gone.
func TestDatabaseLocked(t *testing.T) {
	t.Parallel()
	s := newStuck(t, false)
	before := s.goroutines()
	hand := s.byHand()
	tx, err := hand.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE versions IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	over := make(chan struct{})
	hits := make(chan int)
	go func() { // all the while
		n := 0
		for {
			select {
			case <-over:
				hits <- n
				return
			case <-time.After(5 * time.Millisecond):
			}
			for _, ext := range allFiles {
				a := s.ask(filePath(mx, ext))
				assert.NoError(t, a.err)
				assert.Equal(t, http.StatusOK, a.status, "a hit")
				assert.Less(t, a.took, soon)
				n++
			}
		}
	}()
	// An append waits for the lock, but not for ever. Nor does one that shares its commit.
	var changes sync.WaitGroup
	for i := range 5 {
		changes.Go(func() {
			began := time.Now()
			status, answer, err := s.p.ask(http.MethodPost, fmt.Sprintf("/modules/example.com/m%d@v1.0.0/deprecate", i), `{"reason":"test"}`)
			assert.NoError(t, err)
			assert.Equal(t, http.StatusServiceUnavailable, status, answer)
			assert.Less(t, time.Since(began), 2*soon)
		})
	}
	refused := s.besieged()
	for path, times := range map[string]int{filePath(my, download.Info): 14, "/" + my.Path + "/@v/list": 14, missing: 13, "/status": 13} {
		require.GreaterOrEqual(t, refused[path], times-1, "%s: %v", path, refused)
	}
	changes.Wait()
	close(over)
	require.Greater(t, awaitFrom(t, "the hits", hits), 30)
	require.Equal(t, http.StatusOK, s.ask("/healthz").status)

	require.NoError(t, tx.Rollback(t.Context()))
	s.healed(before)
}

// Nothing passes between the process and its database, and neither is told: as in a network that drops everything, or when the machine of
// the database stands still. It is the same as if there were no database, and it is found out soon.
func TestDatabaseSilent(t *testing.T) {
	t.Parallel()
	s := newStuck(t, false)
	before := s.goroutines()
	s.link.stand()
	refused := s.besieged()
	for _, path := range readers() {
		if path != "/jobs" && path != "/sumdb/om.example.com/latest" {
			require.NotZero(t, refused[path], path)
		}
	}
	a := s.ask("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Less(t, a.took, soon)
	require.Equal(t, http.StatusOK, s.ask("/healthz").status)
	// Not even hits: nobody knows any more what other processes have deleted.
	var hits sync.WaitGroup
	for _, ext := range allFiles {
		hits.Go(func() { assert.Equal(t, http.StatusServiceUnavailable, s.ask(filePath(mx, ext)).status, ext) })
	}
	hits.Wait()
	s.link.pass()
	s.healed(before)
}

// The backends of all connections stand still. New ones are answered: the process does not hold on to the old ones.
func TestBackendsStandStill(t *testing.T) {
	t.Parallel()
	s := newStuck(t, true)
	before := s.goroutines()
	out, err := exec.Command("ps", "-o", "pid=,args=", "--ppid", strconv.Itoa(s.c.server.Process.Pid)).Output()
	require.NoError(t, err)
	var stopped []int
	for line := range strings.Lines(string(out)) {
		pid, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.Contains(what, "postgres postgres 127.0.0.1") {
			n, err := strconv.Atoi(pid)
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(n, syscall.SIGSTOP))
			stopped = append(stopped, n)
		}
	}
	require.Greater(t, len(stopped), 3)
	s.db = testdb.Open(t, s.c.url)
	s.besieged()
	eventually(t, "the process is ready again by itself", func() bool { return s.ask("/readyz").status == http.StatusOK })
	eventually(t, "hits are hits again", func() bool { return s.ask(filePath(mx, download.Mod)).status == http.StatusOK })
	s.p.serves(my)
	for _, pid := range stopped {
		_ = syscall.Kill(pid, syscall.SIGCONT) // it may be gone
	}
	s.healed(before)
}

// All connections that the database allows are taken, and those of the process are lost.
func TestConnectionsExhausted(t *testing.T) {
	t.Parallel()
	s := newStuck(t, true)
	before := s.goroutines()
	hand := s.byHand()
	var taken []*pgx.Conn
	taking, enough := context.WithCancel(t.Context())
	full := make(chan struct{})
	took := make(chan struct{})
	go func() {
		defer close(took)
		for once := sync.OnceFunc(func() { close(full) }); taking.Err() == nil; {
			conn, err := pgx.Connect(taking, s.c.url)
			if err != nil {
				once() // and whatever comes free is taken too
				continue
			}
			taken = append(taken, conn)
		}
	}()
	awaitFrom(t, "the last connection", full)
	others := `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query <> ''`
	_, err := hand.Exec(t.Context(), others)
	require.NoError(t, err)
	s.p.unready()
	for path, times := range s.besieged() {
		require.NotZero(t, times, path)
	}
	require.Equal(t, http.StatusOK, s.ask("/healthz").status)
	enough()
	<-took
	for _, conn := range taken {
		_ = conn.Close(context.Background())
	}
	s.db = testdb.Open(t, s.c.url)
	s.healed(before)
}

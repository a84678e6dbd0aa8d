package federation

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// slowUpstream knows one module, and takes its time for all others until the test ends.
func slowUpstream(t *testing.T, m testmod.Module) (url string, asked *atomic.Int64) {
	t.Helper()
	known := testmod.NewUpstream(t, m)
	closing := make(chan struct{})
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, ext := range []string{"info", "mod", "zip"} {
			if r.URL.Path == fileOf(m, ext) {
				known.ServeHTTP(w, r)
				return
			}
		}
		asked.Add(1)
		select {
		case <-closing:
		case <-r.Context().Done():
		case <-time.After(200 * time.Millisecond):
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(func() { close(closing); server.CloseClientConnections(); server.Close() })
	return server.URL, asked
}

// What is kept in mind does not wait behind those who ask the database, not even when the log has just grown: all who have to catch up with
// it share one question.
func TestHitTakesNoTurn(t *testing.T) {
	t.Parallel()
	held, locked := numbered("held", 1), numbered("locked", 1)
	oa := start(t, "oa.example.com", options{upstream: testmod.NewUpstream(t, held).URL, lazy: true})
	for _, ext := range []string{"info", "zip"} {
		eventually(t, "it is kept in mind", func() bool {
			oa.mustGet(fileOf(held, ext))
			return strings.Contains(oa.mustGet("/metrics"), fmt.Sprintf("olympus_download_hits_total{file=%q} 1\n", ext))
		})
	}
	oa.hears(added(locked.Path, locked.Version, "og.example.com", "x", now()))

	// The first answer pins a version: whoever asks for this one waits in its turn.
	conn, err := pgx.Connect(t.Context(), oa.DB.URL())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM versions WHERE module = $1 FOR UPDATE", locked.Path)
	require.NoError(t, err)
	const turns = 8
	var all sync.WaitGroup
	defer all.Wait()
	defer func() { _ = tx.Rollback(context.Background()) }()
	for range 2 * turns {
		all.Go(func() { oa.ask("GET", fileOf(locked, "info")) })
	}
	eventually(t, "no turn is left", func() bool {
		return oa.count("pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == turns
	})

	oa.hears(deletes(1, "news", "og.example.com")...)
	awaitHead(oa, 3)
	for _, ext := range []string{"info", "zip"} {
		got := oa.ask("GET", fileOf(held, ext))
		require.Equal(t, http.StatusOK, got.status, got.body)
	}
}

// Misses of unknown versions, ten thousand at once: what is over the bound is told to come again later. What is held is served as
// always, and a peer is heard.
func TestFloodOfMisses(t *testing.T) {
	t.Parallel()
	const misses = 10_000
	held := numbered("held", 1)
	up, asked := slowUpstream(t, held)
	om := start(t, "om.example.com", options{noJobs: true})
	s := newSite(t, "oa.example.com", "OLYMPUS_UPSTREAM="+up, "OLYMPUS_FETCH=lazy")
	p := s.start()
	p.knows(om)
	p.get(fileOf(held, "zip"))
	p.get(fileOf(held, "info"))
	self := s.target(p)
	hits := p.wantHeld(held, 8)

	var statuses sync.Map
	count := func(status int) *atomic.Int64 {
		n, _ := statuses.LoadOrStore(status, new(atomic.Int64))
		return n.(*atomic.Int64)
	}
	flood := &http.Client{Transport: &http.Transport{MaxIdleConns: 1000}, Timeout: 2 * time.Minute}
	defer flood.CloseIdleConnections()
	var all sync.WaitGroup
	paths := []string{"/example.com/unknown/@v/v1.0.%d.info", "/example.com/unknown%d/@v/list", "/example.com/unknown/@v/branch%d.info", "/example.com/u%d/@latest"}
	for i := range misses {
		all.Go(func() {
			resp, err := flood.Get(p.url + fmt.Sprintf(paths[max(0, i%20-16)], i))
			if err != nil {
				count(0).Add(1)
				return
			}
			defer func() { _ = resp.Body.Close() }()
			_, _ = io.Copy(io.Discard, resp.Body)
			count(resp.StatusCode).Add(1)
			if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		})
	}
	eventually(t, "the flood has begun", func() bool { return asked.Load() > 0 })
	news := deletes(1, "news", om.Name)
	began := time.Now()
	// On a busy machine the first attempt may come to nothing; a push is tried again.
	eventually(t, "a push is taken", func() bool { return om.Peers.Push(t.Context(), self, news) == nil })
	eventually(t, "what a peer pushes arrives", func() bool { return s.count("SELECT count(*) FROM events WHERE kind = 'delete'") == 1 })
	t.Logf("what a peer pushed arrived after %s", time.Since(began).Round(time.Millisecond))
	all.Wait()
	hits.done(p)
	p.fitsMemory()
	statuses.Range(func(status, n any) bool { t.Logf("%d: %d", status, n.(*atomic.Int64).Load()); return true })
	require.Positive(t, count(http.StatusServiceUnavailable).Load(), "there is no bound")
	require.EqualValues(t, misses, count(http.StatusServiceUnavailable).Load()+count(http.StatusNotFound).Load()+count(0).Load())
	s.stagesNothing()
}

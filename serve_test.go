package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/config"
	"olympus/internal/signature"
	"olympus/internal/testdb"
	"olympus/internal/testmod"
)

// testSettings are those of a deployment with a database and a store of its own that listens on any port.
func testSettings(t *testing.T, modules ...testmod.Module) *config.Config {
	t.Helper()
	key, _, err := signature.GenerateKey("om.example.com")
	require.NoError(t, err)
	dir := t.TempDir()
	return &config.Config{
		Env: config.Test, Addr: "127.0.0.1", DatabaseURL: testdb.URL(t), Name: "om.example.com", URL: "http://127.0.0.1:1",
		SigningKey: key, DataDir: dir, StorageURL: "file://" + dir, Upstream: testmod.Tree(t, t.TempDir(), modules...), SumDB: "off",
		ListTTL: time.Minute, PullInterval: time.Second, PushAttempts: 1, PushBackoff: time.Second, PageSize: 1000, MaxZip: 1 << 20,
		RemoteZip: config.Stream, Fetch: config.Eager, Role: config.RoleAll,
	}
}

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serving is a server that runs in the process of the test.
type serving struct {
	url  string
	log  *lines
	stop func() error // as the first signal does; returns what serve returned
}

var servingAt = regexp.MustCompile(`level=INFO msg=serving address=(\S+) name=om.example.com url=\S+ version=devel role=(\w+)\n`)

func startServing(t *testing.T, settings *config.Config) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &serving{log: &lines{}}
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, settings, slog.New(slog.NewTextHandler(s.log, nil))) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { require.NoError(t, s.stop()) })
	require.Eventually(t, func() bool {
		found := servingAt.FindStringSubmatch(s.log.String())
		if found != nil {
			s.url = "http://" + found[1]
		}
		return found != nil
	}, 20*time.Second, 5*time.Millisecond, "it does not say that it serves")
	return s
}

func (s *serving) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(s.url + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(content)
}

func count(t *testing.T, db *pop.Connection, query string) int {
	t.Helper()
	var row struct {
		N int `db:"n"`
	}
	require.NoError(t, db.RawQuery(query).First(&row))
	return row.N
}

func TestServe(t *testing.T) {
	t.Parallel()
	settings := testSettings(t, testmod.Module{Path: "example.com/m", Version: "v1.0.0"})
	db := testdb.Open(t, settings.DatabaseURL)
	s := startServing(t, settings)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/example.com/m/@v/v1.0.0.zip", "/example.com/m/@latest"} {
		status, body := s.get(t, path)
		require.Equal(t, http.StatusOK, status, "%s: %.200s", path, body)
	}
	require.Equal(t, 1, count(t, db, "SELECT count(*) AS n FROM processes WHERE role = 'all'"))

	// Somebody waits for news; that must not keep the process from ending.
	waiting, asked := make(chan error, 1), make(chan struct{})
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(asked) }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, s.url+"/eventlog?after=1&wait=30", nil)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{}} // not an idle connection, which the server might be closing
	go func() {
		resp, err := client.Do(req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		waiting <- err
	}()
	<-asked
	go func() { _ = s.stop() }()
	select {
	case err := <-waiting:
		require.Error(t, err, "a page that was cut off must not look whole")
	case <-time.After(15 * time.Second):
		require.Fail(t, "the poll holds up the server")
	}
	require.NoError(t, s.stop())
	_, err = net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.Error(t, err)
	require.Zero(t, count(t, db, "SELECT count(*) AS n FROM processes"), "the process is taken off the list")
	require.NotContains(t, s.log.String(), "level=ERROR")
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		role   string
		status int // of a page
		works  bool
	}{
		{config.RoleAll, http.StatusOK, true},
		{config.RoleWeb, http.StatusOK, false},
		{config.RoleWorker, http.StatusNotFound, true},
	} {
		t.Run(test.role, func(t *testing.T) {
			t.Parallel()
			settings := testSettings(t)
			settings.Role = test.role
			db := testdb.Open(t, settings.DatabaseURL)
			s := startServing(t, settings)
			status, _ := s.get(t, "/healthz")
			require.Equal(t, http.StatusOK, status)
			status, _ = s.get(t, "/eventlog")
			require.Equal(t, test.status, status)
			require.Contains(t, s.log.String(), "role="+test.role)

			// A job that only a process that works jobs takes up.
			require.NoError(t, db.RawQuery(
				`INSERT INTO river_job (kind, queue, args, max_attempts, state) VALUES ('fetch', 'fetch', '{}', 1, 'available')`).Exec())
			done := func() bool {
				return count(t, db, "SELECT count(*) AS n FROM river_job WHERE kind = 'fetch' AND state = 'completed'") == 1
			}
			if test.works {
				require.Eventually(t, done, 15*time.Second, 20*time.Millisecond)
			} else {
				require.Never(t, done, 2*time.Second, 100*time.Millisecond)
			}
			require.NoError(t, s.stop())
			require.Zero(t, count(t, db, "SELECT count(*) AS n FROM processes"))
		})
	}
}

// Several processes may share a database, and start on an empty one at the same time.
func TestServeTogether(t *testing.T) {
	t.Parallel()
	settings := testSettings(t)
	db := testdb.Open(t, settings.DatabaseURL)
	require.NoError(t, db.RawQuery("DROP SCHEMA public CASCADE").Exec())
	require.NoError(t, db.RawQuery("CREATE SCHEMA public").Exec())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			s := startServing(t, settings)
			status, body := s.get(t, "/readyz")
			require.Equal(t, http.StatusOK, status, body)
		})
	}
	wg.Wait()
	require.Equal(t, 3, count(t, db, "SELECT count(*) AS n FROM processes"))
}

func TestServeFailsToStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	for _, test := range []struct {
		name string
		set  func(*config.Config)
		want string
	}{
		{"port taken", func(c *config.Config) {
			c.Port = taken.Addr().(*net.TCPAddr).Port
			c.DatabaseURL = "postgres://127.0.0.1:1/x" // must not matter any more
		}, "address already in use"},
		{"no database server", func(c *config.Config) { c.DatabaseURL = "postgres://127.0.0.1:1/x" }, "cannot reach database 127.0.0.1:1/x"},
		{"no such database", func(c *config.Config) {
			c.DatabaseURL = strings.Replace(c.DatabaseURL, "/olympus_test_", "/nosuch_", 1)
		},
			"cannot reach database"},
		{"no store", func(c *config.Config) { c.StorageURL = "file:///proc/nosuch" }, "open blob store"},
		{"bad key", func(c *config.Config) { c.SigningKey = "x" }, "parse signing key"},
		{"bad upstream", func(c *config.Config) { c.Upstream = "ftp://x" }, "list of proxies"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			settings := testSettings(t)
			db := testdb.Open(t, settings.DatabaseURL)
			test.set(settings)
			log := &lines{}
			err := serve(t.Context(), settings, slog.New(slog.NewTextHandler(log, nil)))
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, oneLine(err), "\n")
			require.Empty(t, log.String())
			require.Zero(t, count(t, db, "SELECT count(*) AS n FROM processes"), "announced, and not there")
		})
	}
}

// What was asked before the server drains is answered in full; what comes after is not taken.
func TestDrain(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "one")
		_ = http.NewResponseController(w).Flush()
		close(asked)
		select {
		case <-answer:
			fmt.Fprintln(w, "two")
		case <-r.Context().Done():
		}
	})
	log := slog.New(slog.DiscardHandler)
	server := newServer(handler, log)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()

	resp, err := http.Get("http://" + listener.Addr().String() + "/example.com/m/@v/v1.0.0.zip")
	require.NoError(t, err)
	defer resp.Body.Close()
	<-asked
	drained := make(chan struct{})
	go func() { drain(context.Background(), server, log); close(drained) }()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond)
	select {
	case <-drained:
		require.Fail(t, "a request was left unanswered")
	default:
	}
	close(answer)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "one\ntwo\n", string(body))
	<-drained
}

// A poll at the end of the log is cut off, also one that has begun to answer: it must not look whole.
func TestDrainEndsPolls(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		asked := make(chan struct{})
		log := slog.New(slog.DiscardHandler)
		server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if begun {
				fmt.Fprintln(w, "one")
				_ = http.NewResponseController(w).Flush()
			}
			close(asked)
			<-r.Context().Done()
		}), log)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		go func() { _ = server.Serve(listener) }()
		failed := make(chan error, 1)
		go func() {
			resp, err := http.Get("http://" + listener.Addr().String() + "/eventlog?wait=30")
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			failed <- err
		}()
		<-asked
		go drain(context.Background(), server, log)
		select {
		case err := <-failed:
			require.Error(t, err, "begun: %t", begun)
		case <-time.After(drainTimeout / 2):
			require.Fail(t, "the poll holds up the server")
		}
	}
}

// A client that sends its header byte by byte, or too much of it, is not waited for.
func TestServerLimits(t *testing.T) {
	t.Parallel()
	server := newServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	require.NotZero(t, server.ReadHeaderTimeout)
	require.NotZero(t, server.ReadTimeout)
	require.NotZero(t, server.IdleTimeout)
	require.Zero(t, server.WriteTimeout, "a large zip on a slow line takes its time")
	server.ReadHeaderTimeout = 50 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	for name, request := range map[string]string{
		"slow header":  "GET / HTTP/1.1\r\nHost: x\r\n",
		"large header": "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		_, _ = io.WriteString(conn, request)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		require.NotContains(t, line, "404", name)
		_ = conn.Close()
	}
}

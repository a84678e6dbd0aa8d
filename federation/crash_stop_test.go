package federation

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testmod"
)

// A process that is told to stop answers what it was asked before, hears nothing new, and leaves nothing for others to find out.
func TestStop(t *testing.T) {
	t.Parallel()
	up, om := testmod.NewUpstream(t, my), newNeighbour(t, "om.example.com", mx)
	s := newSite(t, "oa.example.com", "OLYMPUS_UPSTREAM="+up.URL, "OLYMPUS_PULL_INTERVAL=30s")
	polled, once := make(chan struct{}), sync.Once{}
	om.withhold(s, false, func(r *http.Request) bool {
		if wait := r.FormValue("wait"); wait != "" && wait != "0" {
			once.Do(func() { close(polled) })
		}
		return false
	})
	p := s.start()
	p.knows(om.deployment)
	s.awaitLog(addX)
	awaitFrom(t, "a poll", polled) // from here on a pull waits for news, and would for half a minute

	zip, hold := testmod.Zip(t, my), make(chan struct{})
	up.Set(filePath(my, download.Zip), testmod.Behaviour{Sent: len(zip) / 2, Hold: hold})
	answered := make(chan string)
	go func() {
		_, body, err := p.ask(http.MethodGet, filePath(my, download.Zip), "")
		if err != nil {
			body = err.Error()
		}
		answered <- body
	}()
	s.awaitStaged(len(zip) / 2)
	require.NoError(t, p.command.Process.Signal(syscall.SIGTERM))
	eventually(t, "the process takes no more connections", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(hold)
	require.Equal(t, string(zip), awaitFrom(t, "the answer", answered))
	began := time.Now()
	require.Zero(t, p.awaitEnd(), p.output.String())
	require.Less(t, time.Since(began), 8*time.Second, "it waited for a peer that has no news")
	require.Zero(t, s.count("SELECT count(*) FROM processes"), "it has said that it is gone")
	require.Zero(t, s.count("SELECT count(*) FROM fills"))
	require.Empty(t, s.staged())
	require.NotContains(t, p.output.String(), "level=ERROR")
	require.Equal(t, []string{addX, addY}, s.log())

	p = p.again()
	p.serves(mx)
	p.serves(my)
	s.sound()
	require.Zero(t, p.terminate())
}

// A failure to start is one line that says why, and an exit code that is not 0.
func TestStartFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	taken, err := net.Listen("tcp", net.JoinHostPort(s.address(), processPort))
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	address := taken.Addr().(*net.TCPAddr).IP.String()
	file := filepath.Join(s.data, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, test := range []struct {
		name    string
		setting string
		want    string
	}{
		{"port taken", "", "address already in use"},
		{"no server", "DATABASE_URL=postgres://me:hunter2@127.0.0.1:1/olympus", "127.0.0.1:1/olympus: "},
		{"no such database", "DATABASE_URL=" + s.database + "&dbname=olympus_none", "olympus_none"},
		{"unknown setting", "OLYMPUS_UPSTREM=off", "did you mean OLYMPUS_UPSTREAM?"},
		{"bad duration", "OLYMPUS_PULL_INTERVAL=often", `OLYMPUS_PULL_INTERVAL="often"`},
		{"bad role", "OLYMPUS_ROLE=boss", `OLYMPUS_ROLE="boss": want all, web, worker`},
		{"bad port", "PORT=99999", `PORT="99999"`},
		{"no key in production", "GO_ENV=production", "OLYMPUS_SIGNING_KEY"},
		{"store is a file", "OLYMPUS_STORAGE_URL=file://" + file, file},
		{"upstream is none", "OLYMPUS_UPSTREAM=nonsense", "OLYMPUS_UPSTREAM"},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := []string{test.setting}
			if test.setting != "" {
				settings = append(settings, "ADDR="+s.address())
			}
			_, stderr, code := s.run(s.env(address, settings...))
			require.NotZero(t, code)
			require.Contains(t, stderr, test.want)
			require.NotContains(t, stderr, "hunter2")
			require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
		})
	}
}

// The processes of a deployment share the work: one answers and leaves jobs, another does them and answers nothing.
func TestRoles(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{})
	up := testmod.NewUpstream(t, mx)
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+up.URL, "OLYMPUS_PULL_INTERVAL=1s")
	web := s.start("OLYMPUS_ROLE=web")
	web.knows(oa)
	web.serves(mx)
	require.Equal(t, 1, s.count("SELECT count(*) FROM river_job WHERE kind = 'push' AND state = 'available' AND attempt = 0"))
	require.Empty(t, oa.log())

	hand := s.startBeside("OLYMPUS_ROLE=worker")
	eventually(t, "the worker pushes what the web process filled", func() bool { return len(oa.log()) == 1 })
	oa.another(func(o *options) { o.upstream = testmod.NewUpstream(t, my).URL }).mustGet("/example.com/my/@v/v1.0.0.zip")
	s.awaitLog(addX, addY) // the worker receives what the web process was pushed, or pulls it
	eventually(t, "the worker fetches", func() bool { return s.held(my) })
	web.serves(my)

	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/metrics": 200,
		"/": 404, "/peers": 404, "/events": 404, "/jobs": 404, "/status": 404, "/eventlog": 404, "/peer": 404, "/index": 404,
		"/example.com/mx/@v/list": 404, "/example.com/mx/@latest": 404, filePath(mx, download.Zip): 404, "/modules/example.com/mx@v1.0.0": 404,
	} {
		status, body, err := hand.ask(http.MethodGet, path, "")
		require.NoError(t, err)
		require.Equal(t, want, status, "%s: %s", path, body)
	}
	for _, path := range []string{"/push", "/modules", "/peers/oa.example.com/pause", "/modules/example.com/mx@v1.0.0/delete"} {
		hand.administrate(http.StatusNotFound, http.MethodPost, path, "{}")
	}
	s.sound()
	require.Equal(t, 2, s.count("SELECT count(*) FROM processes"))
	require.Zero(t, hand.terminate())
	require.Zero(t, web.terminate())
}

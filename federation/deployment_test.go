// Package federation tests whole deployments against each other: real Postgres, real HTTP, several deployments in one process, and
// where a process has to die, the built binary. It holds nothing but tests.
package federation

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/actions"
	"olympus/internal/blob"
	"olympus/internal/peer"
	"olympus/internal/signature"
	"olympus/internal/testdb"
	"olympus/internal/tracing"
	"olympus/internal/upstream"
	"olympus/models"
	"olympus/worker"
)

// deployment is one Olympus in the process of the test.
type deployment struct {
	*worker.Deployment
	t      testing.TB
	app    *actions.App
	server *httptest.Server
	url    string
	signer *signature.Signer
	made   options // with what start chose
}

// options change what start makes; the zero value is a deployment without upstream that pulls only on demand.
type options struct {
	upstream  string // syntax of GOPROXY; empty: off
	interval  time.Duration
	attempts  int
	backoff   time.Duration
	lazy      bool
	redirect  bool
	noJobs    bool   // a web process: jobs stay queued
	url       string // what it calls itself; empty: where it listens
	key       string // note signer key; empty: a new one
	oldKey    string // the one before, which signs beside it; may be empty
	database  string
	store     string
	checksums string
	admin     string
	peer      peer.Options
	wrap      func(http.Handler) http.Handler
	listTTL   time.Duration
	collector string       // URL of where traces go; empty: nothing is traced
	log       slog.Handler // nil: the log of the test, from warnings up
}

// start runs a deployment until the test ends.
func start(t testing.TB, name string, o options) *deployment {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if o.database == "" {
		o.database = testdb.URL(t)
	}
	if o.store == "" {
		o.store = t.TempDir()
	}
	if o.upstream == "" {
		o.upstream = "off"
	}
	if o.checksums == "" {
		o.checksums = "off"
	}
	if o.listTTL == 0 {
		o.listTTL = time.Minute
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + listener.Addr().String()
	if o.url == "" {
		o.url = url
	}
	db := testdb.Open(t, o.database)
	store, err := blob.Open(ctx, "file://"+o.store, blob.Options{})
	require.NoError(t, err)
	up, err := upstream.New(upstream.Options{Proxies: o.upstream, ChecksumDB: o.checksums, Cache: worker.ChecksumCache{DB: db}})
	require.NoError(t, err)
	if o.key == "" {
		o.key, _, err = signature.GenerateKey(name)
		require.NoError(t, err)
	}
	signer, err := signature.NewSigner(o.key)
	require.NoError(t, err)
	if o.oldKey != "" {
		require.NoError(t, signer.AndOld(o.oldKey))
	}
	process := worker.NewProcess()
	if o.log == nil {
		o.log = slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})
	}
	log := slog.New(tracing.LogHandler(o.log))
	var tracer *tracing.Tracer
	if o.collector != "" {
		tracer, err = tracing.Open(ctx, tracing.Options{Endpoint: o.collector, Service: "olympus", Deployment: name, Process: process, Delay: 10 * time.Millisecond})
		require.NoError(t, err)
	}
	queue, err := worker.NewQueue(ctx, o.database, process, log)
	require.NoError(t, err)
	role := "all"
	if o.noJobs {
		role = "web"
	}
	d, err := worker.New(&worker.Deployment{
		Options: worker.Options{
			Name: name, Role: role, PullInterval: o.interval, PushAttempts: max(1, o.attempts), PushBackoff: o.backoff,
			PageSize: 1000, MaxZip: 500 << 20, FetchLazy: o.lazy, ListTTL: o.listTTL,
		},
		DB: db, Store: store, Upstream: up, Peers: peer.NewClient(signer, o.peer), Signer: signer, Queue: queue, Log: log,
		Follower: models.NewFollower(), Process: process, Tracer: tracer,
	})
	require.NoError(t, err)
	require.NoError(t, d.Announce(ctx))
	app, err := actions.New(d, actions.Options{
		URL: o.url, Env: "test", AdminToken: o.admin, Redirect: o.redirect, Version: "test",
		DatabasePatience: time.Minute, // a busy machine is none of a test's business
	})
	require.NoError(t, err)
	handler := http.Handler(app)
	if o.wrap != nil {
		handler = o.wrap(handler)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	followed, ticked := make(chan struct{}), make(chan struct{})
	go func() { d.Follower.Run(ctx, db, func(error) {}); close(followed) }()
	if !o.noJobs {
		require.NoError(t, queue.Start(ctx))
	}
	go func() { d.Tick(ctx); close(ticked) }()
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		cancel()
		<-ticked
		<-followed
		require.NoError(t, queue.Stop())
		require.NoError(t, tracer.Close())
		d.Peers.Close()
		_ = store.Close()
	})
	require.Eventually(t, func() bool { _, ok := d.Follower.Head(); return ok }, 10*time.Second, time.Millisecond)
	return &deployment{Deployment: d, t: t, app: app, server: server, url: url, signer: signer, made: o}
}

// another starts a second process of a deployment: its own port and memory, the same name, key, address, database and store.
func (d *deployment) another(change func(*options)) *deployment {
	d.t.Helper()
	o := d.made
	if change != nil {
		change(&o)
	}
	return start(d.t, d.Name, o)
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}

// knows makes other deployments peers of this one.
func (d *deployment) knows(others ...*deployment) {
	d.t.Helper()
	for _, o := range others {
		require.NoError(d.t, models.SavePeer(d.DB, o.Name, o.url, o.signer.VerifierKey()))
	}
}

// befriend makes every deployment a peer of every other.
func befriend(all ...*deployment) {
	for _, a := range all {
		for _, b := range all {
			if a != b {
				a.knows(b)
			}
		}
	}
}

// get returns status and body of a request.
func (d *deployment) get(path string, header ...string) (int, string) {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodGet, d.url+path, nil)
	require.NoError(d.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(d.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	return resp.StatusCode, string(body)
}

// mustGet returns the body of a request that succeeds.
func (d *deployment) mustGet(path string) string {
	d.t.Helper()
	status, body := d.get(path)
	require.Equal(d.t, http.StatusOK, status, "GET %s: %s", path, body)
	return body
}

// log returns "kind module@version" of each event, in the order of the log.
func (d *deployment) log() []string {
	d.t.Helper()
	events, err := models.Events(d.DB, 0, 100_000, 1<<40)
	require.NoError(d.t, err)
	lines := make([]string, len(events))
	for i, e := range events {
		require.EqualValues(d.t, i+1, e.Position)
		lines[i] = string(e.Kind) + " " + e.Module + "@" + e.Version
	}
	return lines
}

// pointer returns the pull pointer for a peer.
func (d *deployment) pointer(other *deployment) int64 {
	d.t.Helper()
	p, err := models.FindPeer(d.DB, other.Name)
	require.NoError(d.t, err)
	return p.PullPosition
}

// pull takes the log of a peer now.
func (d *deployment) pull(other *deployment) worker.Pulled {
	d.t.Helper()
	pulled, err := d.Pull(context.Background(), other.Name, 0)
	require.NoError(d.t, err)
	return pulled
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 40*time.Second, 10*time.Millisecond, what)
}

// held reports whether the zip of a version is in the blob store.
func (d *deployment) held(module, version string) bool {
	v, err := models.FindVersion(d.DB, module, version)
	return err == nil && v.Held
}

package browser

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/actions"
	"olympus/internal/blob"
	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/internal/testdb"
	"olympus/internal/upstream"
	"olympus/models"
	"olympus/worker"
)

// deployment is one Olympus in the process of the test, with its jobs. It pulls and fetches only when told to, so that its pages
// stay as they are while they are looked at.
type deployment struct {
	*worker.Deployment
	t      testing.TB
	url    string
	signer *signature.Signer
}

// start runs a deployment until the test ends, one that is not administered over HTTP. Misses are filled from proxies, in the syntax of
// GOPROXY.
func start(t testing.TB, name, proxies string) *deployment {
	t.Helper()
	return startAdministered(t, name, proxies, "")
}

// startAdministered runs a deployment with a token of its administrators.
func startAdministered(t testing.TB, name, proxies, token string) *deployment {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	database := testdb.URL(t)
	db := testdb.Open(t, database)
	store, err := blob.Open(ctx, "file://"+t.TempDir(), blob.Options{})
	require.NoError(t, err)
	up, err := upstream.New(upstream.Options{Proxies: proxies, ChecksumDB: "off"})
	require.NoError(t, err)
	key, _, err := signature.GenerateKey(name)
	require.NoError(t, err)
	signer, err := signature.NewSigner(key)
	require.NoError(t, err)
	process := worker.NewProcess()
	log := slog.New(slog.DiscardHandler) // half of what goes on here is meant to fail
	queue, err := worker.NewQueue(ctx, database, process, log)
	require.NoError(t, err)
	d, err := worker.New(&worker.Deployment{
		Options: worker.Options{
			Name: name, Role: "all", PushAttempts: 5, PushBackoff: time.Hour, PageSize: 1000, MaxZip: 1 << 20, FetchLazy: true, ListTTL: time.Minute,
		},
		DB: db, Store: store, Upstream: up, Peers: peer.NewClient(signer, peer.Options{HeaderTimeout: 5 * time.Second}), Signer: signer, Queue: queue, Log: log,
		Follower: models.NewFollower(), Process: process,
	})
	require.NoError(t, err)
	require.NoError(t, d.Announce(ctx))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + listener.Addr().String()
	app, err := actions.New(d, actions.Options{URL: url, Env: "test", Version: "v0.0.0-test", AdminToken: token, DatabasePatience: time.Minute})
	require.NoError(t, err)
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: app}}
	followed, ticked := make(chan struct{}), make(chan struct{})
	go func() { d.Follower.Run(ctx, db, func(error) {}); close(followed) }()
	require.NoError(t, queue.Start(ctx))
	go func() { d.Tick(ctx); close(ticked) }()
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections() // the browser keeps some
		server.Close()
		cancel()
		<-ticked
		<-followed
		require.NoError(t, queue.Stop())
		d.Peers.Close()
		_ = store.Close()
	})
	require.Eventually(t, func() bool { _, ok := d.Follower.Head(); return ok }, patience, time.Millisecond)
	return &deployment{Deployment: d, t: t, url: url, signer: signer}
}

// knows makes another deployment a peer.
func (d *deployment) knows(name, url, key string) {
	d.t.Helper()
	require.NoError(d.t, d.AddPeer(context.Background(), "test", name, url, key))
}

// stranger returns the verifier key of a deployment that there is not.
func stranger(t testing.TB, name string) string {
	t.Helper()
	_, key, err := signature.GenerateKey(name)
	require.NoError(t, err)
	return key
}

// get returns the answer to a request that accepts a media type.
func (d *deployment) get(t testing.TB, path, accept string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+path, nil)
	require.NoError(t, err)
	request.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, body
}

// json requires that a path answers with JSON, and returns it.
func (d *deployment) json(t testing.TB, path string) any {
	t.Helper()
	response, body := d.get(t, path, "application/json")
	require.Equal(t, http.StatusOK, response.StatusCode, path)
	require.Equal(t, "application/json", response.Header.Get("Content-Type"), path)
	var value any
	require.NoError(t, json.Unmarshal(body, &value), "%s: %.200s", path, body)
	return value
}

// hears appends events as if another deployment had told of them.
func (d *deployment) hears(events ...protocol.Event) {
	d.t.Helper()
	require.NoError(d.t, d.Append(false, events, nil))
}

// exec changes the database in a way that takes time or misfortune otherwise.
func (d *deployment) exec(statement string, args ...any) {
	d.t.Helper()
	require.NoError(d.t, d.DB.RawQuery(statement, args...).Exec())
}

// count returns what a query counts.
func (d *deployment) count(of string, args ...any) int {
	d.t.Helper()
	var row struct {
		N int `db:"n"`
	}
	require.NoError(d.t, d.DB.RawQuery("SELECT count(*)::int AS n FROM "+of, args...).First(&row))
	return row.N
}

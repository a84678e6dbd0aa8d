package actions_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
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

const token = "a-token-for-tests"

// site is a deployment whose pages are looked at over HTTP. Its jobs stay queued.
type site struct {
	*worker.Deployment
	t      testing.TB
	url    string
	signer *signature.Signer
}

type siteOptions struct {
	name     string // olympus.example.com unless given
	url      string // where the pages say that they are reached, if not where they are
	proxies  string // upstream; off unless given
	token    string // of the administrator
	interval time.Duration
	lazy     bool // zips are fetched when a client asks
}

func newSite(t testing.TB, o siteOptions) *site {
	t.Helper()
	if o.name == "" {
		o.name = "olympus.example.com"
	}
	if o.proxies == "" {
		o.proxies = "off"
	}
	ctx := context.Background()
	database := testdb.URL(t)
	db := testdb.Open(t, database)
	store, err := blob.Open(ctx, "file://"+t.TempDir(), blob.Options{})
	require.NoError(t, err)
	up, err := upstream.New(upstream.Options{Proxies: o.proxies, ChecksumDB: "off"})
	require.NoError(t, err)
	key, _, err := signature.GenerateKey(o.name)
	require.NoError(t, err)
	signer, err := signature.NewSigner(key)
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	process := worker.NewProcess()
	queue, err := worker.NewQueue(ctx, database, process, log)
	require.NoError(t, err)
	d, err := worker.New(&worker.Deployment{
		Options: worker.Options{
			Name: o.name, Role: "web", PullInterval: o.interval, PushAttempts: 5, PageSize: 1000, MaxZip: 1 << 20, FetchLazy: o.lazy,
			ListTTL: time.Minute,
		},
		DB: db, Store: store, Upstream: up, Peers: peer.NewClient(signer, peer.Options{HeaderTimeout: 2 * time.Second}), Signer: signer, Queue: queue, Log: log,
		Follower: models.NewFollower(), Process: process,
	})
	require.NoError(t, err)
	require.NoError(t, d.Announce(ctx))

	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	if o.url == "" {
		o.url = server.URL
	}
	handler, err = actions.New(d, actions.Options{URL: o.url, Env: "test", AdminToken: o.token, Version: "v0.0.0-test", DatabasePatience: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, queue.Stop())
		d.Peers.Close()
		_ = store.Close()
	})
	return &site{Deployment: d, t: t, url: server.URL, signer: signer}
}

// answer is what came back for a request.
type answerOf struct {
	status int
	header http.Header
	body   string
}

// do makes a request; header is names and values.
func (s *site) do(method, path, body string, header ...string) answerOf {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return answerOf{resp.StatusCode, resp.Header, string(got)}
}

// page returns a page as a browser gets it.
func (s *site) page(path string) string {
	s.t.Helper()
	got := s.do(http.MethodGet, path, "", "Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	require.Equal(s.t, "text/html; charset=utf-8", got.header.Get("Content-Type"))
	return got.body
}

// json reads an answer to Accept: application/json.
func (s *site) json(path string, into any) {
	s.t.Helper()
	got := s.do(http.MethodGet, path, "", "Accept", "application/json")
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	require.Equal(s.t, "application/json", got.header.Get("Content-Type"))
	require.NoError(s.t, json.Unmarshal([]byte(got.body), into), got.body)
}

// admin makes a request to administration with the token.
func (s *site) admin(method, path, body string) answerOf {
	s.t.Helper()
	return s.do(method, path, body, "Authorization", "Bearer "+token)
}

// added is an add from elsewhere.
func added(module, version, origin string) protocol.Event {
	mod := "module " + module + "\n"
	return protocol.Event{
		Kind: protocol.KindAdd, Module: module, Version: version, Origin: origin, Time: time.Date(2026, 11, 22, 12, 0, 0, 1000, time.UTC),
		ZipHash: "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", ZipSHA256: strings.Repeat("ab", 32), ZipSize: 1234,
		ModHash: protocol.ModHash([]byte(mod)), Info: `{"Version":"` + version + `"}`, Mod: mod,
	}
}

// log merges events into the log.
func (s *site) log(events ...protocol.Event) {
	s.t.Helper()
	require.NoError(s.t, s.Append(false, events, nil))
}

// exec changes the database in a way that takes time or misfortune otherwise.
func (s *site) exec(statement string, args ...any) {
	s.t.Helper()
	require.NoError(s.t, s.DB.RawQuery(statement, args...).Exec())
}

// otherKey is a verifier key of another deployment.
func otherKey(t testing.TB, name string) string {
	t.Helper()
	_, key, err := signature.GenerateKey(name)
	require.NoError(t, err)
	return key
}

// knows makes another deployment a peer, by a made-up key unless it is given.
func (s *site) knows(name, url string, key ...string) {
	s.t.Helper()
	if key == nil {
		key = []string{otherKey(s.t, name)}
	}
	require.NoError(s.t, s.AddPeer(s.t.Context(), "test", name, url, key[0]))
}

// audited returns the audit trail as lines, newest first.
func (s *site) audited() []string {
	s.t.Helper()
	trail, err := models.AuditTrail(s.DB.WithContext(s.t.Context()), 0, 100)
	require.NoError(s.t, err)
	lines := []string{}
	for _, a := range trail {
		lines = append(lines, strings.TrimSpace(a.Actor+" "+a.Action+" "+a.Subject+" "+a.Detail))
	}
	return lines
}

package grifts

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/internal/testmod"
)

// other is another deployment, as far as tasks speak to one.
type other struct {
	*httptest.Server
	name, key string

	mu     sync.Mutex
	url    string // that it says is its own
	events []protocol.Logged
	broken bool // its pages are cut off
	status int  // of its answer to introductions; 0: it takes none
	state  string
	asked  protocol.Join
	newKey protocol.NewKey
}

func newOther(t *testing.T, name string, events ...protocol.Event) *other {
	t.Helper()
	_, key, err := signature.GenerateKey(name)
	require.NoError(t, err)
	o := &other{name: name, key: key}
	for i, e := range events {
		o.events = append(o.events, protocol.Logged{Position: int64(i + 1), Event: e})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /peer", o.describe)
	mux.HandleFunc("GET /eventlog", o.eventlog)
	mux.HandleFunc("POST /peer/{what}", o.introduced)
	o.Server = httptest.NewServer(mux)
	o.url = o.URL
	t.Cleanup(o.Close)
	return o
}

func (o *other) describe(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]string{"name": o.name, "url": o.url, "key": o.key})
}

func (o *other) eventlog(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var after, limit int
	_ = json.Unmarshal([]byte(r.URL.Query().Get("after")), &after)
	_ = json.Unmarshal([]byte(r.URL.Query().Get("limit")), &limit)
	w.Header().Set("Content-Type", "application/x-ndjson")
	next := min(after+limit, len(o.events))
	var page []byte
	for i := after; i < next; i++ {
		page = protocol.AppendLine(page, &o.events[i])
	}
	if !o.broken {
		page = protocol.AppendTail(page, int64(len(o.events)), int64(next), "")
	}
	_, _ = w.Write(page)
}

func (o *other) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

// news are events of a peer: three adds, the first of which is deprecated.
func news(t *testing.T, origin string) []protocol.Event {
	t.Helper()
	var events []protocol.Event
	for _, version := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		events = append(events, testmod.Event(t, testmod.Module{Path: "example.com/m", Version: version}, origin))
	}
	return append(events, protocol.Event{
		Kind: protocol.KindDeprecate, Module: "example.com/m", Version: "v1.0.0", Origin: origin, Time: events[0].Time, Reason: "too old",
	})
}

func TestAddPeer(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	oa := newOther(t, "oa.example.com")
	list := func() []map[string]any { return parse[[]map[string]any](t, s.must("peers:list", "--json")) }

	// Without a key and without somebody to ask, it is only shown.
	out, _, err := s.run("peers:add", oa.URL)
	require.ErrorContains(t, err, "run again with it: olympus task peers:add "+oa.URL+" "+oa.key)
	for _, part := range []string{oa.name, oa.URL, oa.key, signature.Fingerprint(oa.key)} {
		require.Contains(t, out, part)
	}
	out, _, err = s.run("peers:add", oa.URL, "--json")
	require.Error(t, err)
	require.Equal(t, false, parse[map[string]any](t, out)["added"])

	// With somebody to ask, the answer counts.
	s.terminal = true
	for _, input := range []string{"", "\n", "no\n", "yesterday\n"} {
		s.input = input
		_, _, err = s.run("peers:add", oa.URL)
		require.ErrorContains(t, err, "not added", input)
	}
	s.input = "yes\n"
	_, _, err = s.run("peers:add", oa.URL, "--json")
	require.Error(t, err, "JSON is not for somebody to be asked")
	require.Empty(t, list())
	require.Contains(t, s.must("peers:add", oa.URL), "peer oa.example.com added")
	require.Len(t, list(), 1)
	s.terminal, s.input = false, ""

	// With a key nobody is asked, and again changes nothing.
	added := map[string]any{
		"name": oa.name, "url": oa.URL, "key": oa.key, "fingerprint": signature.Fingerprint(oa.key), "added": true,
	}
	require.Equal(t, added, s.object("peers:add", oa.URL, oa.key))
	require.Equal(t, added, s.object("peers:add", oa.URL+"/", oa.key))

	// A key that is not the deployment's.
	_, strange, err := signature.GenerateKey("oa.example.com")
	require.NoError(t, err)
	_, _, err = s.run("peers:add", oa.URL, strange)
	require.ErrorContains(t, err, oa.key)
	// A deployment that is known by another URL: what is signed for this one it would refuse.
	oa.set(func() { oa.url = "https://oa.example.com" })
	_, _, err = s.run("peers:add", oa.URL, oa.key)
	require.ErrorContains(t, err, "says that its URL is https://oa.example.com")
	require.Equal(t, oa.URL, list()[0]["url"])

	// One that cannot be reached: not without its key.
	og := newOther(t, "og.example.com")
	og.Close()
	_, _, err = s.run("peers:add", og.URL)
	require.ErrorContains(t, err, "ask "+og.URL)
	out, warning, err := s.run("peers:add", og.URL, og.key)
	require.NoError(t, err)
	require.Contains(t, out, "peer og.example.com added")
	require.Contains(t, warning, "og.example.com could not be asked")
	require.Equal(t, 1, strings.Count(warning, "\n"))
	require.Len(t, list(), 2)

	// This deployment itself.
	self := newOther(t, "om.example.com")
	_, _, err = s.run("peers:add", self.URL, self.key)
	require.ErrorContains(t, err, "this deployment itself")
}

func TestPeerStates(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	oa := newOther(t, "oa.example.com", news(t, "oa.example.com")...)
	require.Equal(t, "[]\n", s.must("peers:list", "--json"))
	s.must("peers:add", oa.URL, oa.key)
	for _, step := range []struct{ task, state string }{
		{"peers:pause", "paused"}, {"peers:pause", "paused"}, {"peers:resume", "active"}, {"peers:resume", "active"},
	} {
		require.Equal(t, map[string]any{"name": oa.name, "state": step.state}, s.object(step.task, oa.name))
		listed := parse[[]map[string]any](t, s.must("peers:list", "--json"))
		require.Equal(t, step.state, listed[0]["state"])
		require.Contains(t, s.must("peers:list"), step.state)
	}
	// The keys of GET /peers, all of them.
	listed := parse[[]map[string]any](t, s.must("peers:list", "--json"))[0]
	for _, key := range []string{
		"name", "url", "key", "state", "pull_position", "head", "lag", "last_pull_at", "last_push_sent_at", "last_push_received_at",
		"last_error", "last_error_at", "queued_pushes",
	} {
		require.Contains(t, listed, key)
	}

	require.Contains(t, s.must("peers:remove", oa.name), "removed")
	require.Contains(t, s.must("peers:remove", oa.name), "removed", "again")
	require.Equal(t, "[]\n", s.must("peers:list", "--json"))
	for _, task := range []string{"peers:pause", "peers:resume"} {
		_, _, err := s.run(task, oa.name)
		require.ErrorContains(t, err, "not found")
	}
	_, _, err := s.run("peers:remove", "nobody.example.com")
	require.ErrorContains(t, err, "not found")
}

func TestPull(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	oa := newOther(t, "oa.example.com", news(t, "oa.example.com")...)
	og := newOther(t, "og.example.com", news(t, "oa.example.com")[:2]...)
	require.Equal(t, "[]\n", s.must("sync:pull", "--json"))
	s.must("peers:add", oa.URL, oa.key)
	s.must("peers:add", og.URL, og.key)
	require.Equal(t, "oa.example.com: pulled 4, appended 4, pull pointer at 4\nog.example.com: pulled 2, appended 0, pull pointer at 2\n",
		s.must("sync:pull"))
	require.JSONEq(t, `[{"name":"og.example.com","pulled":0,"appended":0,"pull_position":2}]`, s.must("sync:pull", "og.example.com", "--json"))

	// One that sends a broken page does not keep the other from being asked.
	oa.set(func() { oa.broken, oa.events = true, append(oa.events, oa.events[0]) })
	og.set(func() { og.events = nil })
	out, _, err := s.run("sync:pull", "--json")
	require.ErrorContains(t, err, "pull from oa.example.com")
	require.ErrorContains(t, err, "pull from og.example.com")
	answers := parse[[]pulled](t, out)
	require.Len(t, answers, 2)
	require.NotEmpty(t, answers[0].Error)
	require.EqualValues(t, 4, answers[0].PullPosition)
	_, _, err = s.run("sync:pull", "nobody.example.com")
	require.ErrorContains(t, err, "not found")

	s.must("peers:pause", oa.name)
	_, _, err = s.run("sync:pull", oa.name)
	require.ErrorContains(t, err, "paused")
	s.must("peers:remove", og.name)
	require.Equal(t, "[]\n", s.must("sync:pull", "--json"), "a paused peer is not asked")
}

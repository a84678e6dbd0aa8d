package federation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/internal/testmod"
	"olympus/models"
)

// restless serves the files of an upstream over HTTP, but says another time of a version whenever it is asked: what has been answered
// once can be answered again only from what was kept. It returns its URL.
func restless(t *testing.T, up *testmod.Upstream) string {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		version, isInfo := strings.CutSuffix(path.Base(r.URL.Path), ".info")
		if !isInfo {
			up.ServeHTTP(w, r)
			return
		}
		_, _ = fmt.Fprintf(w, `{"Version":%q,"Time":%q}`, version, time.Unix(1_700_000_000+asked.Add(1), 0).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// load is what clients, a peer and an administrator want of a process at the same time. All ask until they get what they want, and keep
// in mind what they were promised.
type load struct {
	t       *testing.T
	p       *process
	modules []testmod.Module
	next    atomic.Int32 // of modules
	ended   atomic.Bool  // what has been begun goes on
	ctx     context.Context
	phase   atomic.Int64 // odd while there is no database: from when all of it is gone to when it is started

	mu     sync.Mutex
	files  map[string]string // what was answered, by path
	filled []testmod.Module  // those whose files were all answered
	events []string          // "kind module@version" of what was acknowledged
	counts map[string]int    // by phase and who
}

// until repeats what is refused.
func (l *load) until(succeeds func() bool) {
	for !succeeds() && l.pause() {
	}
}

// pause lets some time pass between two requests, for a load is no flood, unless all is over.
func (l *load) pause() bool {
	select {
	case <-time.After(10 * time.Millisecond):
		return true
	case <-l.ctx.Done():
		return false
	}
}

func (l *load) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// count counts somebody who is served, or in a phase without a database refused.
func (l *load) count(who string) {
	l.note(func() { l.counts[fmt.Sprint(l.phase.Load(), " ", who)]++ })
}

// await waits until everybody has been counted so often in this phase.
func (l *load) await(what string, miss, hit, push, change int) {
	l.t.Helper()
	eventually(l.t, what, func() (all bool) {
		n := func(who string) int { return l.counts[fmt.Sprint(l.phase.Load(), " ", who)] }
		l.note(func() { all = n("miss") >= miss && n("hit") >= hit && n("push") >= push && n("change") >= change })
		return all
	})
}

// judge reports whether a request succeeded. Who asks while there is no database is told 503, unless it is by a connection that was open
// when the database died; what those are told may differ, but on none of it does one go elsewhere, or give up.
func (l *load) judge(who string, began int64, status int, answer string) bool {
	switch {
	case status/100 == 2:
		return true
	case status < 500 && status != http.StatusTooManyRequests:
		l.t.Errorf("a %s: %d %s", who, status, answer)
	case status != http.StatusServiceUnavailable && began%2 == 1 && l.phase.Load() == began:
		l.t.Errorf("a %s without a database: %d %s", who, status, answer)
	case began%2 == 1 && l.phase.Load() == began:
		l.count(who)
	}
	return false
}

func (l *load) request(who, method, path string) (body string, ok bool) {
	began := l.phase.Load()
	status, body, err := l.p.ask(method, path, "")
	if err != nil {
		l.t.Errorf("a %s: %s %s: %v", who, method, path, err)
		return "", false
	}
	return body, l.judge(who, began, status, body)
}

// file asks for a file once. What is answered must be right, and the same as ever before.
func (l *load) file(who string, m testmod.Module, ext download.Ext) bool {
	name := filePath(m, ext)
	body, ok := l.request(who, http.MethodGet, name)
	if !ok {
		return false
	}
	l.note(func() {
		want, known := l.files[name]
		switch ext {
		case download.Mod:
			want, known = m.Mod(), true
		case download.Zip:
			want, known = string(testmod.Zip(l.t, m)), true
		}
		if known && body != want {
			l.t.Errorf("a %s: GET %s: %d bytes that are not those of the file", who, name, len(body))
		}
		l.files[name] = body
	})
	return true
}

var allFiles = []download.Ext{download.Info, download.Mod, download.Zip}

// fill has module after module filled, and asks for each file of it until it comes.
func (l *load) fill() {
	for !l.ended.Load() {
		i := int(l.next.Add(1)) - 1
		if i >= len(l.modules) {
			l.t.Error("there are too few modules for so fast a machine")
			return
		}
		for n := range allFiles {
			l.until(func() bool { return l.file("miss", l.modules[i], allFiles[(i+n)%len(allFiles)]) })
		}
		l.note(func() { l.filled = append(l.filled, l.modules[i]) })
		l.count("miss")
	}
}

// read asks for what has been filled.
func (l *load) read() {
	for !l.ended.Load() && l.pause() {
		var some []testmod.Module
		l.note(func() { some = l.filled })
		if len(some) > 0 && l.file("hit", some[rand.IntN(len(some))], allFiles[rand.IntN(len(allFiles))]) {
			l.count("hit")
		}
	}
}

// push pushes the adds in the log of a peer, and other events between them.
func (l *load) push(from *neighbour) {
	adds, err := models.Events(from.DB, 0, 1000, 1<<30)
	assert.NoError(l.t, err)
	to, err := models.FindPeer(from.DB, l.p.site.name)
	assert.NoError(l.t, err)
	for i := 0; !l.ended.Load() && l.pause(); i++ {
		e := said(protocol.KindDeprecate, fmt.Sprintf("example.com/told%d", i), "v1.0.0", from.Name)
		if i%4 == 0 && i/4 < len(adds) {
			e = adds[i/4].Event
		}
		l.until(func() bool {
			began := l.phase.Load()
			err := from.Peers.Push(l.ctx, peer.Target{Name: to.Name, URL: to.URL, Key: to.Key}, []protocol.Event{e})
			if refused, ok := errors.AsType[*peer.StatusError](err); ok {
				return l.judge("push", began, refused.Status, refused.Message)
			}
			return assert.NoError(l.t, err)
		})
		l.note(func() { l.events = append(l.events, string(e.Kind)+" "+e.Module+"@"+e.Version) })
		l.count("push")
	}
}

// administrate deletes and deprecates versions.
func (l *load) administrate() {
	for i := 0; !l.ended.Load() && l.pause(); i++ {
		kind, version := []protocol.Kind{protocol.KindDelete, protocol.KindDeprecate}[i%2], fmt.Sprintf("example.com/changed%d@v1.0.0", i)
		l.until(func() bool {
			_, ok := l.request("change", http.MethodPost, "/modules/"+version+"/"+string(kind))
			return ok
		})
		l.note(func() { l.events = append(l.events, string(kind)+" "+version) })
		l.count("change")
	}
}

// Postgres is killed ten times under load, and started again each time. Nothing that was answered is lost, nobody is told anything
// wrong, and all work goes on by itself in the same process.
func TestPostgresKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	ctx, giveUp := context.WithCancel(t.Context())
	l := &load{t: t, ctx: ctx, files: make(map[string]string), counts: make(map[string]int)}
	for i := range 1500 {
		l.modules = append(l.modules, numbered("killed", i))
	}
	const pushed = 40
	oa := newNeighbour(t, "oa.example.com", l.modules[:pushed]...)
	l.modules = l.modules[pushed:]
	oa.another(func(o *options) { o.noJobs, o.lazy = false, true })
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+restless(t, testmod.NewUpstream(t, l.modules...)),
		"OLYMPUS_PULL_INTERVAL=1s", "OLYMPUS_PUSH_ATTEMPTS=20")
	s.database = c.url
	l.p = s.start()
	s.db = testdb.Open(t, s.database)
	// What was pushed is not to be saved by pulling.
	log := oa.withhold(s, false, func(r *http.Request) bool { return r.URL.Path == "/eventlog" })
	l.p.knows(oa.deployment)

	var all sync.WaitGroup
	defer all.Wait()
	defer giveUp()
	for range 6 {
		all.Go(l.fill)
	}
	all.Go(l.read)
	all.Go(func() { l.push(oa) })
	all.Go(l.administrate)
	for range 10 {
		l.await("everybody is served", 10, 3, 5, 5)
		c.kill()
		l.phase.Add(1)
		l.await("everybody is refused", 6, 3, 2, 2)
		l.p.unready()
		l.phase.Add(1)
		c.start()
	}
	l.await("everybody is served", 10, 3, 5, 5)
	l.ended.Store(true)
	all.Wait()
	t.Logf("served, and refused without a database, in turn: %v", l.counts)
	s.db = testdb.Open(t, s.database) // the connections of before are dead
	eventually(t, "every zip is held", func() bool { return s.count("SELECT count(*) FROM versions WHERE NOT held AND add_position > 0") == 0 })
	s.sound()
	logged := s.log() // without a gap
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(logged))), len(logged), "an event is there twice")
	require.Subset(t, logged, l.events, "what was acknowledged is there")
	require.Zero(t, s.count(`SELECT count(*) FROM events e WHERE kind <> 'add' AND origin = ? AND NOT EXISTS (
		SELECT FROM audit a WHERE a.action = e.kind AND a.subject = e.module || '@' || e.version)`, s.name), "changes without an audit")
	for _, m := range l.filled {
		events, err := models.EventsOf(s.db, m.Path, m.Version)
		require.NoError(t, err)
		require.Len(t, events, 1)
		require.Equal(t, l.files[filePath(m, download.Info)], events[0].Info)
		require.Equal(t, m.Mod(), events[0].Mod)
		require.NotNil(t, s.blob(m))
	}
	// What was to be pushed on has been, and pulling goes on as soon as it can.
	eventually(t, "the pushes are worked", func() bool {
		return oa.count("events WHERE origin = ?", s.name) == s.count("SELECT count(*) FROM events WHERE origin = ?", s.name)
	})
	require.Zero(t, s.pointer(oa.deployment))
	log.open()
	eventually(t, "the peer is pulled", func() bool { return s.pointer(oa.deployment) == int64(len(oa.log())) })
	require.False(t, l.p.hasEnded())
	out, _, code := s.run(l.p.env, "task", "log:verify")
	require.Zero(t, code, out)
	require.Contains(t, out, " 0 problems")
}

package federation

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/testmod"
	"olympus/models"
)

// crash is a point at which a process is killed. at brings a deployment to the point, kills, and sees to a successor; recovered waits
// until what was under way has been taken up, and checks that nothing is lost, doubled or left over.
type crash struct {
	name string
	at   func() (recovered func())
}

// playCrashes brings about all crashes before it looks at how any was got over: what waits for a dead process waits for all at the
// same time.
func playCrashes(t *testing.T, crashes ...crash) {
	t.Helper()
	recovered := make([]func(), len(crashes))
	for i, c := range crashes {
		t.Log("killed:", c.name)
		recovered[i] = c.at()
	}
	for i, c := range crashes {
		t.Log("recovering:", c.name)
		recovered[i]()
	}
}

// succession says who takes up what a process leaves that is killed.
type succession bool

const (
	restarted succession = false // the same, started again
	another   succession = true  // one that ran at the time
)

// kill kills a process, then lets go of what it was held up at, and returns its successor.
func (who succession) kill(p *process, letGo func()) *process {
	p.site.t.Helper()
	if who == another {
		next := p.site.startBeside()
		p.kill()
		letGo()
		return next
	}
	p.kill()
	letGo()
	return p.again()
}

// neighbour is a deployment in the process of the test that the killed ones speak with, and that withholds answers when told to.
type neighbour struct {
	*deployment
	mu    sync.Mutex
	gates []*gate
}

// gate withholds what a neighbour answers to one sort of request of one deployment: it has done what was asked by then.
type gate struct {
	to      string // the deployment that asks
	holds   func(*http.Request) bool
	half    bool // half of the body is sent before
	once    sync.Once
	arrived chan struct{} // closed once something is withheld
	opened  chan struct{}
}

func (g *gate) open() { close(g.opened) }

// newNeighbour starts a neighbour that has filled some modules. It works no jobs: what it pushes, the test pushes.
func newNeighbour(t *testing.T, name string, modules ...testmod.Module) *neighbour {
	t.Helper()
	n := &neighbour{}
	n.deployment = start(t, name, options{upstream: testmod.NewUpstream(t, modules...).URL, noJobs: true, wrap: n.wrap})
	for _, m := range modules {
		_, err := n.Prefetch(t.Context(), m.Path, m.Version)
		require.NoError(t, err)
	}
	return n
}

// withhold makes a gate for what a deployment asks.
func (n *neighbour) withhold(to *site, half bool, holds func(*http.Request) bool) *gate {
	g := &gate{to: to.name, holds: holds, half: half, arrived: make(chan struct{}), opened: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gates = append(n.gates, g)
	return g
}

func (n *neighbour) gateFor(r *http.Request) *gate {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, g := range n.gates {
		if strings.Contains(r.Header.Get("Signature-Input"), g.to+"+") && g.holds(r) {
			return g
		}
	}
	return nil
}

func (n *neighbour) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := n.gateFor(r)
		if g == nil {
			next.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		body := answer.Body.Bytes()
		if g.half {
			w.WriteHeader(answer.Code)
			_, _ = w.Write(body[:len(body)/2])
			w.(http.Flusher).Flush()
			body = body[len(body)/2:]
		}
		g.once.Do(func() { close(g.arrived) })
		select {
		case <-g.opened:
		case <-r.Context().Done():
			return
		}
		if !g.half {
			w.WriteHeader(answer.Code)
		}
		_, _ = w.Write(body)
	})
}

// pushTo pushes the whole log of a neighbour to a process, which acknowledges it.
func (n *neighbour) pushTo(p *process) {
	n.t.Helper()
	logged, err := models.Events(n.DB, 0, 1000, 1<<30)
	require.NoError(n.t, err)
	var events []protocol.Event
	for i := range logged {
		events = append(events, logged[i].Event)
	}
	to, err := models.FindPeer(n.DB, p.site.name)
	require.NoError(n.t, err)
	require.NoError(n.t, n.Peers.Push(context.Background(), peer.Target{Name: to.Name, URL: to.URL, Key: to.Key}, events))
}

// awaitFrom takes what comes out of a channel, or out of its end.
func awaitFrom[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(40 * time.Second):
		require.FailNow(t, "waited in vain for "+what)
	}
	return v
}

// filePath is the path of a file of a module version.
func filePath(m testmod.Module, ext download.Ext) string {
	return download.Request{Module: m.Path, Version: m.Version, Ext: ext}.Path()
}

// serves waits until a process answers the files of a module with the right bytes. No answer before may be 200 and wrong.
func (p *process) serves(m testmod.Module) {
	p.site.t.Helper()
	for ext, want := range map[download.Ext]string{
		download.Info: m.Info(), download.Mod: m.Mod(), download.Zip: string(testmod.Zip(p.site.t, m)),
	} {
		eventually(p.site.t, m.Path+" is served", func() bool {
			status, body, err := p.ask(http.MethodGet, filePath(m, ext), "")
			if err == nil && status == http.StatusOK && body != want {
				p.site.t.Errorf("GET %s: %d bytes that are not those of the file", filePath(m, ext), len(body))
			}
			return err == nil && status == http.StatusOK
		})
	}
}

// awaitLog waits until the log is as wanted, in this order, without anybody asking for anything.
func (s *site) awaitLog(want ...string) {
	s.t.Helper()
	eventually(s.t, "the log becomes "+strings.Join(want, ", "), func() bool { return len(s.log()) >= len(want) })
	require.Equal(s.t, want, s.log())
}

// awaitStaged waits until so many bytes of a download have been written.
func (s *site) awaitStaged(size int) {
	s.t.Helper()
	eventually(s.t, "a part of the zip is there", func() bool {
		for _, name := range s.staged() {
			if info, err := os.Stat(name); err == nil && info.Size() == int64(size) {
				return true
			}
		}
		return false
	})
}

// blob returns the zip that is stored for a module, nil if there is none.
func (s *site) blob(m testmod.Module) []byte {
	s.t.Helper()
	sum := testmod.Event(s.t, m, s.name).ZipSHA256
	content, err := os.ReadFile(filepath.Join(s.data, "blobs", "zips", sum[:2], sum[2:]+".zip"))
	if err != nil {
		require.ErrorIs(s.t, err, os.ErrNotExist)
		return nil
	}
	require.True(s.t, bytes.Equal(testmod.Zip(s.t, m), content), "a blob under the hash of other bytes")
	return content
}

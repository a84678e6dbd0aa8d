package federation

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// Two thousand connections that say or read a byte now and then: what is held is served meanwhile, to new clients too, and those that do
// not get their request out are cut off.
func TestFloodOfSlowConnections(t *testing.T) {
	t.Parallel()
	const connections = 2000
	held := numbered("held", 1)
	up := testmod.NewUpstream(t, held)
	om := start(t, "om.example.com", options{noJobs: true})
	s := newSite(t, "oa.example.com", "OLYMPUS_UPSTREAM="+up.URL)
	p := s.start()
	p.knows(om)
	self := s.target(p)
	p.get(fileOf(held, "zip"))
	p.get(fileOf(held, "info"))
	var open, cut atomic.Int64
	var all sync.WaitGroup
	stop := make(chan struct{})
	request := "GET /eventlog?wait=30 HTTP/1.1\r\nHost: olympus\r\nX-Slow: " + strings.Repeat("x", 1000)
	for i := range connections {
		all.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			open.Add(1)
			if i%2 == 1 {
				// Asks, and does not read what it is told.
				_, _ = fmt.Fprint(c, "GET "+fileOf(held, "zip")+" HTTP/1.1\r\nHost: olympus\r\n\r\n")
				<-stop
				return
			}
			for j := 0; ; j++ {
				if _, err := io.WriteString(c, request[j%len(request):j%len(request)+1]); err != nil {
					cut.Add(1)
					return
				}
				select {
				case <-time.After(time.Second):
				case <-stop:
					return
				}
			}
		})
	}
	eventually(t, "all are connected", func() bool { return open.Load() == connections })
	hits := p.wantHeld(held, 4)
	began := time.Now()
	eventually(t, "a push is taken", func() bool { return om.Peers.Push(t.Context(), self, deletes(1, "news", om.Name)) == nil })
	eventually(t, "what a peer pushes arrives", func() bool { return s.count("SELECT count(*) FROM events WHERE kind = 'delete'") == 1 })
	t.Logf("what a peer pushed arrived after %s", time.Since(began).Round(time.Millisecond))
	eventually(t, "those that do not get their request out are cut off", func() bool { return cut.Load() == connections/2 })
	hits.done(p)
	p.fitsMemory()
	close(stop)
	all.Wait()
}

// More connections wait for news than may, and clients are served.
func TestFloodOfPolls(t *testing.T) {
	t.Parallel()
	held := numbered("held", 1)
	s := newSite(t, "oa.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, held).URL)
	p := s.start()
	p.get(fileOf(held, "zip"))
	p.get(fileOf(held, "info"))
	var refused, held200 atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			status, _, err := p.ask("GET", "/eventlog?after=1&wait=3", "")
			switch {
			case err == nil && status == 429:
				refused.Add(1)
			case err == nil && status == 200:
				held200.Add(1)
			default:
				t.Errorf("%d %v", status, err)
			}
		})
	}
	hits := p.wantHeld(held, 4)
	all.Wait()
	hits.done(p)
	require.Positive(t, refused.Load(), "there is no bound")
	require.GreaterOrEqual(t, held200.Load(), int64(64))
	p.fitsMemory()
}

package federation

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testmod"
)

// balancer sends each request to one of the processes that said that they are ready when they were last asked. Like those that people run
// it sends a request once.
type balancer struct {
	mu    sync.Mutex
	ready map[string]bool
	turn  int
}

// watch asks a process time and again whether it is ready, until ctx ends.
func (b *balancer) watch(ctx context.Context, url string) {
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
		if err != nil {
			return
		}
		resp, err := patient.Do(req)
		ok := err == nil && resp.StatusCode == http.StatusOK
		if err == nil {
			_ = resp.Body.Close()
		}
		b.mu.Lock()
		b.ready[url] = ok
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

func (b *balancer) isReady(url string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready[url]
}

// next is the process that the next request goes to.
func (b *balancer) next() (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var urls []string
	for url, ready := range b.ready {
		if ready {
			urls = append(urls, url)
		}
	}
	if len(urls) == 0 {
		return "", errors.New("no process is ready")
	}
	b.turn++
	return urls[b.turn%len(urls)], nil
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, err := b.next()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			target, _ := url.Parse(to)
			p.SetURL(target)
			p.Out.Host = p.In.Host
		},
		// Without kept connections a request that fails has met a closed port, and not the end of somebody's patience.
		Transport: &http.Transport{DisableKeepAlives: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "balancer: "+to+": "+err.Error(), http.StatusBadGateway)
		},
	}
	proxy.ServeHTTP(w, r)
}

// Every process of a deployment is replaced, one after the other, while clients ask for what is held and what has to be filled. None of
// them notices, and all jobs are done.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	modules := make([]testmod.Module, 400)
	for i := range modules {
		modules[i] = numbered("m", i)
	}
	oa := start(t, "oa.example.com", options{})
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, modules...).URL, "OLYMPUS_DRAIN_DELAY=2s")
	webs := []*process{s.start("OLYMPUS_ROLE=web"), s.startBeside("OLYMPUS_ROLE=web")}
	workers := []*process{s.startBeside("OLYMPUS_ROLE=worker"), s.startBeside("OLYMPUS_ROLE=worker")}
	webs[0].knows(oa)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b := &balancer{ready: make(map[string]bool)}
	for _, p := range webs {
		go b.watch(ctx, p.url)
	}
	eventually(t, "both are ready", func() bool { return b.isReady(webs[0].url) && b.isReady(webs[1].url) })

	var asked atomic.Int64
	var wg sync.WaitGroup
	over := make(chan struct{})
	ask := func(m testmod.Module, ext download.Ext, want string) {
		answer := httptest.NewRecorder()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://balancer"+filePath(m, ext), nil)
		b.ServeHTTP(answer, req)
		if answer.Code != http.StatusOK || answer.Body.String() != want {
			t.Errorf("GET %s: %d, %d bytes: %.200s", filePath(m, ext), answer.Code, answer.Body.Len(), answer.Body.String())
		}
		asked.Add(1)
	}
	for client := range 4 {
		wg.Go(func() {
			for i := client; ; i += 4 {
				select {
				case <-over:
					return
				default:
				}
				m := modules[i%len(modules)] // a miss the first time, a hit later
				ask(m, download.Mod, m.Mod())
				ask(m, download.Zip, string(testmod.Zip(t, m)))
			}
		})
	}
	for i, p := range append(webs, workers...) {
		before := asked.Load()
		require.NoError(t, p.command.Process.Signal(syscall.SIGTERM))
		if i < len(webs) {
			eventually(t, "the balancer leaves it out", func() bool { return !b.isReady(p.url) })
		}
		require.Zero(t, p.awaitEnd(), p.output)
		p = p.again()
		if i < len(webs) {
			eventually(t, "the balancer takes it back", func() bool { return b.isReady(p.url) })
		}
		eventually(t, "clients go on", func() bool { return asked.Load() > before+20 })
	}
	close(over)
	wg.Wait()
	t.Logf("%d requests", asked.Load())
	eventually(t, "the peer has all", func() bool { return len(oa.log()) == len(s.log()) })
	s.sound()
}

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// backend stands for a process behind the proxy.
type backend struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string      // "METHOD URI body"
	hold chan struct{} // the answer to /eventlog waits for it
}

const pageText = "0123456789 0123456789 0123456789\n"

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{hold: make(chan struct{})}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		b.seen = append(b.seen, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		b.mu.Unlock()
		if r.URL.Path == "/eventlog" {
			select {
			case <-b.hold:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("X-Kept", "yes")
		_, _ = io.WriteString(w, strings.Repeat(pageText, 200))
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) address() string { return strings.TrimPrefix(b.URL, "http://") }

func (b *backend) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.seen...)
}

// crossing stands between two peers, oa and og, and a deployment.
type crossing struct {
	t       *testing.T
	proxy   *proxy
	backend *backend
	oa, og  *link
}

func newCrossing(t *testing.T, w weather) *crossing {
	t.Helper()
	c := &crossing{t: t, backend: newBackend(t), oa: newLink("oa", "om", 1, w), og: newLink("og", "om", 1, w)}
	c.proxy = newProxy(map[string]*link{nameOf("oa"): c.oa, nameOf("og"): c.og})
	t.Cleanup(c.proxy.close)
	c.proxy.setAddresses([]string{c.backend.address()})
	return c
}

// send sends a request as a deployment does; nobody signs as the empty one.
func (c *crossing) send(ctx context.Context, sender, method, path, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.proxy.server.URL+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if sender != "" {
		req.Header.Set("Signature-Input", `olympus=("@method" "@target-uri");created=1;keyid="`+nameOf(sender)+`+0123abcd";tag="olympus"`)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// passes requires that a request comes through.
func (c *crossing) passes(sender string) {
	c.t.Helper()
	status, answer, err := c.send(c.t.Context(), sender, http.MethodGet, "/peer", "")
	require.NoError(c.t, err)
	require.Equal(c.t, 200, status)
	require.Equal(c.t, strings.Repeat(pageText, 200), answer)
}

func (c *crossing) begin(k kind) fault {
	f := fault{number: 1, kind: k}
	c.oa.begin(f)
	return f
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 30*time.Second, 5*time.Millisecond, what)
}

// Whatever is done to one peer, clients and the other peer do not notice.
func TestProxyHarmsOneSender(t *testing.T) {
	t.Parallel()
	for _, k := range ofNetwork {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			c := newCrossing(t, weather{})
			c.passes("oa")
			f := c.begin(k)
			c.passes("")
			c.passes("og")
			c.oa.end(f)
			c.passes("oa")
		})
	}
}

func TestProxyPassesWhatWasSigned(t *testing.T) {
	t.Parallel()
	c := newCrossing(t, weather{})
	const path = "/example.com/!faults/m/@v/v1.0.0.info?after=3&x=%2F"
	_, _, err := c.send(t.Context(), "oa", http.MethodPost, path, "the body")
	require.NoError(t, err)
	require.Equal(t, []string{"POST " + path + " the body"}, c.backend.requests())
}

func TestProxyCuts(t *testing.T) {
	t.Parallel()
	t.Run("refusal", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{})
		c.begin(refusal)
		_, _, err := c.send(t.Context(), "oa", http.MethodGet, "/peer", "")
		require.ErrorContains(t, err, "reset by peer")
		require.Empty(t, c.backend.requests())
	})
	t.Run("partition until it is healed", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{})
		f := c.begin(partition)
		failed := make(chan error, 1)
		go func() {
			_, _, err := c.send(context.WithoutCancel(t.Context()), "oa", http.MethodGet, "/peer", "")
			failed <- err
		}()
		eventually(t, "it hangs", func() bool { return c.oa.counted()["hung"] == 1 })
		require.Empty(t, failed)
		c.oa.end(f)
		require.Error(t, <-failed, "what was on its way is lost")
		require.Empty(t, c.backend.requests())
		c.passes("oa")
	})
	t.Run("answers on their way too", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{})
		failed := make(chan error, 1)
		go func() {
			_, _, err := c.send(context.WithoutCancel(t.Context()), "oa", http.MethodGet, "/eventlog", "")
			failed <- err
		}()
		eventually(t, "it waits", func() bool { return len(c.backend.requests()) == 1 })
		f := c.begin(partition)
		close(c.backend.hold)
		eventually(t, "it hangs", func() bool { return c.oa.counted()["hung"] == 1 })
		c.oa.end(f)
		require.Error(t, <-failed)
	})
	t.Run("blackhole for ever", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{})
		f := c.begin(blackhole)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, _, err := c.send(ctx, "oa", http.MethodGet, "/peer", "")
			failed <- err
		}()
		eventually(t, "it hangs", func() bool { return c.oa.counted()["never answered"] == 1 })
		c.oa.end(f)
		c.passes("oa")
		require.Empty(t, failed, "healed, and still not answered")
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
	})
}

func TestProxyCorrupts(t *testing.T) {
	t.Parallel()
	t.Run("resets", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{})
		c.begin(resets)
		status, answer, err := c.send(t.Context(), "oa", http.MethodGet, "/peer", "")
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, 200, status)
		require.Less(t, len(answer), 200*len(pageText))
	})
	t.Run("500", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{})
		c.begin(serverError)
		status, _, err := c.send(t.Context(), "oa", http.MethodGet, "/peer", "")
		require.NoError(t, err)
		require.Equal(t, 500, status)
		require.Empty(t, c.backend.requests())
	})
	t.Run("garbage", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{})
		c.begin(garbage)
		status, answer, err := c.send(t.Context(), "oa", http.MethodGet, "/peer", "")
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.NotContains(t, answer, pageText)
	})
	t.Run("drip until it is over", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{})
		f := c.begin(drip)
		answers := make(chan string, 1)
		go func() {
			_, answer, _ := c.send(context.WithoutCancel(t.Context()), "oa", http.MethodGet, "/peer", "")
			answers <- answer
		}()
		eventually(t, "it drips", func() bool { return c.oa.counted()["dripped"] == 1 })
		require.Empty(t, answers)
		c.oa.end(f)
		require.Equal(t, strings.Repeat(pageText, 200), <-answers)
	})
}

func TestProxyWeather(t *testing.T) {
	t.Parallel()
	push := func(c *crossing) error {
		_, _, err := c.send(c.t.Context(), "oa", http.MethodPost, "/push", "{}")
		return err
	}
	t.Run("lost", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{lost: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // one in five is left hanging
		defer cancel()
		_, _, err := c.send(ctx, "oa", http.MethodPost, "/push", "{}")
		require.Error(t, err)
		require.Empty(t, c.backend.requests())
		require.Equal(t, map[string]int{"pushes lost": 1}, c.oa.counted())
		c.passes("oa") // what is no push
		c.oa.heal()
		require.NoError(t, push(c))
	})
	t.Run("acknowledgement lost", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{unanswered: 1})
		require.Error(t, push(c))
		require.Equal(t, []string{"POST /push {}"}, c.backend.requests())
	})
	t.Run("duplicated", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{duplicated: 1})
		require.NoError(t, push(c))
		eventually(t, "it comes again", func() bool { return len(c.backend.requests()) == 2 })
		require.Equal(t, []string{"POST /push {}", "POST /push {}"}, c.backend.requests())
	})
	t.Run("late, when its sender has gone", func(t *testing.T) {
		t.Parallel()
		c := newCrossing(t, weather{late: 1})
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, _, err := c.send(ctx, "oa", http.MethodPost, "/push", "{}")
			gone <- err
		}()
		eventually(t, "it is on its way", func() bool { return c.oa.counted()["pushes delayed"] == 1 })
		cancel()
		<-gone
		eventually(t, "it arrives", func() bool { return len(c.backend.requests()) == 1 })
	})
}

// A request goes to another process if one takes no connections, and a broken answer is not repaired.
func TestProxySpreads(t *testing.T) {
	t.Parallel()
	c := newCrossing(t, weather{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().String()
	require.NoError(t, l.Close())

	c.proxy.setAddresses([]string{nobody, c.backend.address()})
	for range 4 {
		c.passes("")
	}
	require.Len(t, c.backend.requests(), 4)

	for _, addresses := range [][]string{{nobody}, nil} {
		c.proxy.setAddresses(addresses)
		resp, err := http.Get(c.proxy.server.URL)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusBadGateway, resp.StatusCode)
		require.NotEmpty(t, resp.Header.Get(ours))
	}

	breaking := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(breaking.Close)
	c.proxy.setAddresses([]string{strings.TrimPrefix(breaking.URL, "http://")})
	_, _, err = c.send(t.Context(), "", http.MethodGet, "/", "")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// A process that is about to end says so before it takes no more connections. It gets no requests then, unless nobody is left.
func TestProxyHeedsReadiness(t *testing.T) {
	t.Parallel()
	c := newCrossing(t, weather{})
	var asked, served atomic.Int32
	leaving := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
			asked.Add(1)
			return
		}
		served.Add(1)
		_, _ = io.WriteString(w, strings.Repeat(pageText, 200))
	}))
	t.Cleanup(leaving.Close)
	address := strings.TrimPrefix(leaving.URL, "http://")
	c.proxy.setAddresses([]string{address, c.backend.address()})
	go c.proxy.lookAround()
	eventually(t, "it was asked, and the answer noted", func() bool { return asked.Load() >= 2 })
	for range 4 {
		c.passes("")
	}
	require.Zero(t, served.Load())
	c.proxy.setAddresses([]string{address})
	c.passes("")
	require.EqualValues(t, 1, served.Load())
}

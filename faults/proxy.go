package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// proxy stands where clients and peers reach a deployment, which therefore signs and checks its URL. It spreads the requests over the
// web processes and knows from the signature who sends one, so that it can do harm to one peer's and leave another's alone. What is not
// signed by a peer passes unharmed.
type proxy struct {
	server    *httptest.Server
	links     map[string]*link // by the name of the sender
	transport *http.Transport
	open      context.Context // ends when it is closed
	end       context.CancelFunc

	mu        sync.Mutex
	addresses []string        // host:port of the web processes
	leaving   map[string]bool // those that say that they are not ready
	next      int
}

// ours marks an answer that the proxy itself gave, for want of one.
const ours = "X-Faults-Proxy"

// maxBody is more than any deployment takes.
const maxBody = 16 << 20

var errNobody = errors.New("no process takes connections")

func newProxy(links map[string]*link) *proxy {
	p := &proxy{links: links, leaving: make(map[string]bool), transport: &http.Transport{
		DisableCompression:  true, // what is compressed stays so
		MaxIdleConnsPerHost: 64,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
	}}
	p.open, p.end = context.WithCancel(context.Background())
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of answers that are broken off on purpose
	p.server.Start()
	return p
}

func (p *proxy) close() {
	p.end()
	p.server.CloseClientConnections()
	p.server.Close()
	p.transport.CloseIdleConnections()
}

func (p *proxy) setAddresses(addresses []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addresses = addresses
}

// lookAround asks each process from time to time whether it is ready, as whatever balances a load does, until the proxy is closed. One
// that does not answer at all keeps its share: a connection that is refused shows soon enough, and a process that hangs is what clients are
// to meet.
func (p *proxy) lookAround() {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for pause(p.open, 250*time.Millisecond) {
		p.mu.Lock()
		addresses := p.addresses
		p.mu.Unlock()
		for _, address := range addresses {
			resp, err := client.Get("http://" + address + "/readyz")
			leaving := err == nil && resp.StatusCode != http.StatusOK
			if err == nil {
				_ = resp.Body.Close()
			}
			p.mu.Lock()
			p.leaving[address] = leaving
			p.mu.Unlock()
		}
	}
}

// choose returns the addresses in the order in which they are to be tried: all of those that are ready, then the others.
func (p *proxy) choose() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	var ready, leaving []string
	for i := range p.addresses {
		address := p.addresses[(p.next+i)%len(p.addresses)]
		if p.leaving[address] {
			leaving = append(leaving, address)
		} else {
			ready = append(ready, address)
		}
	}
	return append(ready, leaving...)
}

var keyID = regexp.MustCompile(`keyid="([^"+]+)\+[0-9a-f]{8}"`)

// sender is the way that a request came, nil if no peer has signed it.
func (p *proxy) sender(r *http.Request) *link {
	if m := keyID.FindStringSubmatch(r.Header.Get("Signature-Input")); m != nil {
		return p.links[m[1]]
	}
	return nil
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	l := p.sender(r)
	if l == nil {
		p.pass(r.Context(), w, r, body, nil)
		return
	}
	switch k, changed := l.kind(); {
	case k == partition, k == refusal, k == blackhole:
		l.cut(w, r, k, changed)
	case k == serverError:
		l.count("answered 500")
		http.Error(w, "broken on purpose", http.StatusInternalServerError)
	case k == garbage:
		l.count("answered with garbage")
		nonsense(w, r)
	case r.Method == http.MethodPost && r.URL.Path == "/push":
		p.push(w, r, body, l, k == pushLoss)
	default:
		p.pass(r.Context(), w, r, body, l)
	}
}

// push delivers a push as the weather has it.
func (p *proxy) push(w http.ResponseWriter, r *http.Request, body []byte, l *link, allLost bool) {
	fate := l.fate()
	if fate.lost || allLost {
		l.count("pushes lost")
		if rand.IntN(5) == 0 {
			<-r.Context().Done() // its sender is left to find that out by itself
		}
		panic(http.ErrAbortHandler)
	}
	// From here on it is on its way, and comes whether its sender still waits or not.
	ctx := context.WithoutCancel(r.Context())
	if fate.delay > 0 {
		l.count("pushes delayed")
		pause(ctx, fate.delay)
	}
	if fate.duplicated {
		l.count("pushes duplicated")
		later := time.Duration(rand.IntN(2000)) * time.Millisecond
		defer func() {
			go func() {
				pause(ctx, later)
				if answer, err := p.forward(ctx, r, body); err == nil {
					_ = answer.Body.Close()
				}
			}()
		}()
	}
	if fate.unanswered {
		l.count("acknowledgements lost")
		if answer, err := p.forward(ctx, r, body); err == nil {
			_ = answer.Body.Close()
		}
		panic(http.ErrAbortHandler)
	}
	l.count("pushes delivered")
	p.pass(ctx, w, r, body, l)
}

// forward sends a request to one of the web processes, and to the next one if that takes no connection.
func (p *proxy) forward(ctx context.Context, r *http.Request, body []byte) (*http.Response, error) {
	err := errNobody
	for _, address := range p.choose() {
		out := r.Clone(ctx)
		out.RequestURI = ""
		out.URL.Scheme, out.URL.Host = "http", address
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		if len(body) == 0 {
			out.Body = nil
		}
		var answer *http.Response
		if answer, err = p.transport.RoundTrip(out); err == nil || !errors.Is(err, syscall.ECONNREFUSED) {
			return answer, err
		}
	}
	return nil, err
}

// pass forwards a request, which ends with ctx, and its answer. l is nil for a client's.
func (p *proxy) pass(ctx context.Context, w http.ResponseWriter, r *http.Request, body []byte, l *link) {
	answer, err := p.forward(ctx, r, body)
	if err != nil {
		w.Header().Set(ours, "1")
		http.Error(w, fmt.Sprintf("nobody answers: %v", err), http.StatusBadGateway)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	var k kind
	if l != nil {
		var changed <-chan struct{}
		if k, changed = l.kind(); severed(k) {
			l.cut(w, r, k, changed)
			return
		}
	}
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	p.copy(w, r, answer, l, k)
}

// copy passes the body of an answer on. If it breaks off, here or there, the receiver sees that.
func (p *proxy) copy(w http.ResponseWriter, r *http.Request, answer *http.Response, l *link, k kind) {
	buffer := make([]byte, 32<<10)
	dripped, broken := false, k == resets
	left := 0 // bytes until it breaks off
	if broken {
		left = 1 + rand.IntN(2000)
	}
	for {
		chunk := buffer
		if l != nil {
			if k == drip {
				chunk = buffer[:8]
			}
			if left > 0 {
				chunk = chunk[:min(len(chunk), left)]
			}
		}
		n, err := answer.Body.Read(chunk)
		if l != nil {
			now, changed := l.kind()
			if severed(now) {
				l.cut(w, r, partition, changed) // of an answer that has begun a reset is no different
			}
			k = now
		}
		if n > 0 {
			if _, failed := w.Write(chunk[:n]); failed != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
		if left -= n; left <= 0 && broken {
			l.count("reset in the middle")
			panic(http.ErrAbortHandler)
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			panic(http.ErrAbortHandler)
		case k == drip:
			if !dripped {
				l.count("dripped")
			}
			dripped = true
			if !pause(r.Context(), 400*time.Millisecond) {
				return
			}
		}
	}
}

package testmod

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"olympus/internal/download"
)

// Behaviour is how an upstream answers the requests for one path. The zero value answers as if nothing had been set.
type Behaviour struct {
	// Status is answered instead of 200, and with it Body, or nothing.
	Status int
	// Body is sent in place of the file's bytes.
	Body []byte
	// Sent is how many bytes of the body are sent before Hold and Cut take effect; its whole length is declared.
	Sent int
	// Hold stops the answer until the channel is closed.
	Hold <-chan struct{}
	// Cut closes the connection in the middle of the answer.
	Cut bool
}

// Upstream is an HTTP server of the download protocol over modules in memory. It counts what it is asked.
type Upstream struct {
	// URL is the base URL, as it stands in GOPROXY.
	URL string

	t      testing.TB
	closed chan struct{}

	mu         sync.Mutex
	modules    []Module
	files      map[string][]byte
	behaviours map[string]Behaviour
	counts     map[string]int
	total      int
}

// NewUpstream starts an upstream that lives as long as the test. It knows @latest of every module.
func NewUpstream(t testing.TB, modules ...Module) *Upstream {
	t.Helper()
	u := &Upstream{t: t, closed: make(chan struct{}), behaviours: make(map[string]Behaviour), counts: make(map[string]int)}
	u.Add(modules...)
	server := httptest.NewServer(u)
	u.URL = server.URL
	t.Cleanup(func() {
		close(u.closed) // first, or the server waits for the answers that are held
		server.CloseClientConnections()
		server.Close()
	})
	return u
}

// Add makes more modules known.
func (u *Upstream) Add(modules ...Module) {
	u.t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.modules = append(u.modules, modules...)
	u.files = files(u.t, u.modules)
	known := make(map[string][]string)
	for _, m := range u.modules {
		known[m.Path] = append(known[m.Path], m.Version)
	}
	for module, versions := range known {
		newest := download.Request{Module: module, Version: download.LatestVersion(versions, nil), Ext: download.Info}
		latest := download.Request{Module: module, Ext: download.Latest}
		u.files[latest.Path()] = u.files[newest.Path()]
	}
}

// Set changes the answers for a path, which begins with "/" and has its "!" escapes, from the next request on.
func (u *Upstream) Set(path string, b Behaviour) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.behaviours[path] = b
}

// Count is the number of requests for a path so far.
func (u *Upstream) Count(path string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.counts[path]
}

// Total is the number of requests so far.
func (u *Upstream) Total() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total
}

// ServeHTTP answers a request of the download protocol, and 404 to all others.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.total++
	u.counts[r.URL.Path]++
	body, ok := u.files[r.URL.Path]
	b := u.behaviours[r.URL.Path]
	u.mu.Unlock()

	status := http.StatusOK
	switch {
	case b.Status != 0:
		status, body = b.Status, b.Body
	case b.Body != nil:
		body = b.Body
	case !ok:
		status, body = http.StatusNotFound, []byte("not found: "+r.URL.Path+"\n")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if b.Hold == nil && !b.Cut {
		w.WriteHeader(status)
		w.Write(body)
		return
	}
	sent := min(b.Sent, len(body))
	if sent > 0 {
		w.WriteHeader(status)
		w.Write(body[:sent])
		w.(http.Flusher).Flush()
	}
	if b.Hold != nil {
		select {
		case <-b.Hold:
		case <-u.closed:
		case <-r.Context().Done():
		}
	}
	if b.Cut {
		panic(http.ErrAbortHandler)
	}
	if sent == 0 {
		w.WriteHeader(status)
	}
	w.Write(body[sent:])
}

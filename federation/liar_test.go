package federation

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/signature"
	"olympus/models"
)

// liar is a peer that answers as a test tells it.
type liar struct {
	name    string
	server  *httptest.Server
	closing chan struct{}

	mu    sync.Mutex
	lies  map[string]http.HandlerFunc // by path
	asked map[string]int
	other http.HandlerFunc // for all other paths; nil: 404
}

// lying makes a peer of d that knows nothing but lies.
func lying(d *deployment, name string) *liar {
	d.t.Helper()
	return lyingTo(d.t, d.DB, name)
}

// lyingTo makes a peer of the deployment that has a database.
func lyingTo(t testing.TB, db *pop.Connection, name string) *liar {
	t.Helper()
	l := &liar{name: name, closing: make(chan struct{}), lies: make(map[string]http.HandlerFunc), asked: make(map[string]int)}
	l.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.asked[r.URL.Path]++
		lie := l.lies[r.URL.Path]
		if lie == nil {
			lie = l.other
		}
		l.mu.Unlock()
		if lie == nil {
			lie = http.NotFound
		}
		lie(w, r)
	}))
	t.Cleanup(func() {
		close(l.closing)
		l.server.CloseClientConnections()
		l.server.Close()
	})
	_, key, err := signature.GenerateKey(name)
	require.NoError(t, err)
	require.NoError(t, models.SavePeer(db, name, l.server.URL, key))
	return l
}

func (l *liar) tell(path string, lie http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lies[path] = lie
}

// tellOthers sets what is answered to whatever nothing else was told about.
func (l *liar) tellOthers(lie http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.other = lie
}

// questions is how often it was asked about a version, or for one.
func (l *liar) questions() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for path, asked := range l.asked {
		if strings.HasPrefix(path, "/modules/") || strings.Contains(path, "/@v/") {
			n += asked
		}
	}
	return n
}

// askedFor is how often it was asked for a path.
func (l *liar) askedFor(path string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[path]
}

func (l *liar) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, asked := range l.asked {
		n += asked
	}
	return n
}

func body(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
}

// hang sends a part of an answer and then no more.
func (l *liar) hang(sent int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if sent > 0 {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(make([]byte, sent))
			w.(http.Flusher).Flush()
		}
		select {
		case <-l.closing:
		case <-r.Context().Done():
		}
	}
}

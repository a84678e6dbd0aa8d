package federation

import (
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// link is the way to a database: it can stand still, so that nothing comes through and nobody is told, and it can be turned to another
// database, as an address does that moves in a fail-over.
type link struct {
	t  *testing.T
	mu sync.Mutex
	// passes is closed while bytes pass.
	passes chan struct{}
	stands bool
	to     string
	open   map[net.Conn]bool
}

// newLink makes a link to the database at a URL, and returns the URL of its near end.
func newLink(t *testing.T, database string) (*link, string) {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	l := &link{t: t, passes: make(chan struct{}), to: u.Host, open: make(map[net.Conn]bool)}
	close(l.passes)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = listener.Close()
		l.pass()
		l.turn(u.Host)
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(near)
		}
	}()
	u.Host = listener.Addr().String()
	return l, u.String()
}

func (l *link) carry(near net.Conn) {
	l.mu.Lock()
	to := l.to
	l.open[near] = true
	l.mu.Unlock()
	defer l.close(near)
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	l.mu.Lock()
	l.open[far] = true
	l.mu.Unlock()
	go func() {
		defer l.close(near)
		l.copy(near, far)
	}()
	defer l.close(far)
	l.copy(far, near)
}

func (l *link) copy(to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		l.mu.Lock()
		passes := l.passes
		l.mu.Unlock()
		<-passes
		if _, errWrite := to.Write(b[:n]); err != nil || errWrite != nil {
			return
		}
	}
}

func (l *link) close(c net.Conn) {
	_ = c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// stand lets nothing through any more.
func (l *link) stand() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passes, l.stands = make(chan struct{}), true
}

// pass lets everything through again.
func (l *link) pass() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stands {
		close(l.passes)
		l.stands = false
	}
}

// turn leads to another host and port from now on; who was connected to the last one is cut off.
func (l *link) turn(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = host
	for c := range l.open {
		_ = c.Close()
	}
}

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// impatientLimits let a test of a slow client end soon.
var impatientLimits = connectionLimits{most: 100, grace: 500 * time.Millisecond, rate: 1 << 20, window: 256 << 10}

// serveBounded serves a handler and returns its address.
func serveBounded(t *testing.T, limits connectionLimits, handler http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	bounded := newBoundedListener(l, limits)
	server := &http.Server{Handler: handler, ConnState: bounded.state}
	ended := make(chan struct{})
	go func() { _ = server.Serve(bounded); close(ended) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		<-ended
	})
	return l.Addr().String()
}

// dial connects with a small receive buffer, so that the system takes little from the server that nobody reads.
func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	tcp := c.(*net.TCPConn)
	require.NoError(t, tcp.SetReadBuffer(4096))
	return tcp
}

// drip reads a few bytes now and then until the connection ends, and returns how many came.
func drip(c net.Conn, every time.Duration, n int) (total int, err error) {
	pause := time.NewTicker(every)
	defer pause.Stop()
	b := make([]byte, n)
	for {
		got, err := c.Read(b)
		if total += got; err != nil {
			return total, err
		}
		<-pause.C
	}
}

// large is more than the system keeps of an answer that nobody reads.
const large = 16 << 20

// zipFile is a file that stands for a large zip.
func zipFile(t *testing.T) (name string, sum [sha256.Size]byte) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "large.zip")
	content := bytes.Repeat([]byte("0123456789abcdef"), large/16)
	require.NoError(t, os.WriteFile(name, content, 0o600))
	return name, sha256.Sum256(content)
}

func TestClientThatHardlyReadsIsCutOff(t *testing.T) {
	t.Parallel()
	zip, _ := zipFile(t)
	for name, handler := range map[string]http.HandlerFunc{
		"at once": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, large)) },
		"in small pieces": func(w http.ResponseWriter, _ *http.Request) {
			for range large / 1024 {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		},
		"a file": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, zip) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{})
			address := serveBounded(t, impatientLimits, func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				handler(w, r)
			})
			c := dial(t, address)
			_, err := fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: olympus\r\n\r\n")
			require.NoError(t, err)
			go func() { _, _ = drip(c, 100*time.Millisecond, 1) }()
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("the handler still waits for the client")
			}
		})
	}
}

// A client that is slow, and faster than the minimum, gets all of it, however long that takes.
func TestSlowClientGetsItsZip(t *testing.T) {
	t.Parallel()
	zip, sum := zipFile(t)
	limits := impatientLimits
	address := serveBounded(t, limits, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, zip) })
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: olympus\r\n\r\n")
	require.NoError(t, err)
	start := time.Now()
	resp, err := http.ReadResponse(bufio.NewReaderSize(slowReader{c, time.NewTicker(20 * time.Millisecond)}, 128<<10), nil)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	hash := sha256.New()
	n, err := io.Copy(hash, resp.Body)
	require.NoError(t, err)
	require.EqualValues(t, large, n)
	require.Equal(t, sum[:], hash.Sum(nil))
	require.Greater(t, time.Since(start), 2*limits.grace, "it was not slow")
}

// slowReader reads at each tick only.
type slowReader struct {
	net.Conn
	tick *time.Ticker
}

func (r slowReader) Read(b []byte) (int, error) {
	<-r.tick.C
	return r.Conn.Read(b)
}

// An answer that takes long to come is no fault of the client's, nor is a pause between two requests.
func TestSlowAnswerIsNotCut(t *testing.T) {
	t.Parallel()
	limits := impatientLimits
	limits.grace = 50 * time.Millisecond
	release := make(chan struct{}, 1)
	address := serveBounded(t, limits, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "second")
	})
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	for range 3 {
		wait := time.AfterFunc(400*time.Millisecond, func() { release <- struct{}{} })
		resp, err := (&http.Client{Transport: transport}).Get("http://" + address)
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		wait.Stop()
		require.NoError(t, err)
		require.Equal(t, "first second", string(b))
	}
}

// ask sends a request on a connection.
func ask(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: olympus\r\n\r\n")
	require.NoError(t, err)
}

// answered waits for an answer.
func answered(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}

// While all connections have requests under way, a further one waits for the first that ends.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	limits := impatientLimits
	limits.most = 3
	release := make(chan struct{})
	address := serveBounded(t, limits, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, "ok")
	})
	busy := make([]net.Conn, limits.most)
	for i := range busy {
		busy[i] = dial(t, address)
		ask(t, busy[i])
	}
	further := dial(t, address)
	ask(t, further)
	require.NoError(t, further.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	_, err := further.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	close(release)
	answered(t, further)
	for _, c := range busy {
		answered(t, c)
	}
}

// Connections that only stay open make room for those that want something, the longest idle one first.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	limits := impatientLimits
	limits.most = 3
	address := serveBounded(t, limits, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	var all []net.Conn
	for range 10 {
		c := dial(t, address)
		ask(t, c)
		answered(t, c)
		all = append(all, c)
	}
	require.NoError(t, all[0].SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err := all[0].Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	last := all[len(all)-1]
	ask(t, last)
	answered(t, last)
}

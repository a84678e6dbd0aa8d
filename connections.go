package main

import (
	"container/list"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// connectionLimits bound what clients can hold of a server by doing nothing, or little.
type connectionLimits struct {
	most int // connections at a time; for a further one one without a request is closed, or it waits to be accepted

	// What is written must be read at a minimum rate: of each window of bytes, no longer may be waited for than grace and the time that
	// the bytes take at rate, in bytes per second. Time in which nothing is written does not count.
	grace  time.Duration
	rate   int64
	window int64
}

// servingLimits let a zip of 500 MiB through a line of 16 KiB/s, which takes nine hours, and cut off who has not read for two minutes.
var servingLimits = connectionLimits{most: 4096, grace: time.Minute, rate: 16 << 10, window: 1 << 20}

// boundedListener accepts connections that keep to limits. A time-out for writing a whole answer, as http.Server has, would have to be as
// long as that for the largest zip; this is below the server, so that answers are still sent by the kernel, and hits cost nothing more.
type boundedListener struct {
	net.Listener
	limits connectionLimits
	places chan struct{}
	close  sync.Once
	closed chan struct{}

	mu    sync.Mutex
	full  bool      // Accept waits for a place
	idles list.List // connections between two requests, the one that has been for the longest time first
}

func newBoundedListener(l net.Listener, limits connectionLimits) *boundedListener {
	return &boundedListener{Listener: l, limits: limits, places: make(chan struct{}, limits.most), closed: make(chan struct{})}
}

// Accept waits until there is a place for one more connection.
func (l *boundedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	default:
		l.makeRoom()
		select {
		case l.places <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		l.mu.Lock()
		l.full = false
		l.mu.Unlock()
	}
	accepted, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	tcp, ok := accepted.(*net.TCPConn)
	if !ok {
		<-l.places
		return nil, errors.Join(errors.New("accepted a connection that is not TCP"), accepted.Close())
	}
	return &boundedConn{TCPConn: tcp, limits: &l.limits, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

// makeRoom closes an idle connection, or has the next one closed that becomes idle.
func (l *boundedListener) makeRoom() {
	l.mu.Lock()
	first := l.idles.Front()
	if l.full = first == nil; !l.full {
		l.idles.Remove(first)
		first.Value.(*boundedConn).idle = nil
	}
	l.mu.Unlock()
	if first != nil {
		_ = first.Value.(*boundedConn).Close()
	}
}

// state hears from the server what becomes of a connection.
func (l *boundedListener) state(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*boundedConn)
	if !ok {
		return
	}
	l.mu.Lock()
	if c.idle != nil {
		l.idles.Remove(c.idle)
		c.idle = nil
	}
	surplus := false
	if state == http.StateIdle {
		if surplus, l.full = l.full, false; !surplus {
			c.idle = l.idles.PushBack(c)
		}
	}
	l.mu.Unlock()
	if surplus {
		_ = c.Close()
	}
}

func (l *boundedListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// boundedConn is a connection whose other end must read at a minimum rate. Writes come one after the other.
type boundedConn struct {
	*net.TCPConn
	limits *connectionLimits
	leave  func()
	idle   *list.Element // in the list of the listener, and under its lock

	written  int64         // in this window
	waited   time.Duration // in this window
	deadline time.Time     // that is set
}

// Close ends the connection and gives its place to another.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}

// slack is how much later than it need be a deadline may be: to set one costs more than to look at the clock.
const slack = 15 * time.Second

// begin sets the deadline for n more bytes.
func (c *boundedConn) begin(n int64) (start time.Time, err error) {
	start = time.Now()
	due := start.Add(c.limits.grace - c.waited + time.Duration(float64(c.written+n)/float64(c.limits.rate)*float64(time.Second)))
	if early := c.deadline.Sub(due); early < 0 || early > min(slack, c.limits.grace/4) {
		c.deadline = due.Add(min(slack, c.limits.grace/4))
		err = c.SetWriteDeadline(c.deadline)
	}
	return start, err
}

func (c *boundedConn) end(start time.Time, n int64) {
	c.waited += time.Since(start)
	if c.written += n; c.written >= c.limits.window {
		c.written, c.waited = 0, 0
	}
}

// Write writes in pieces of a window, so that each has its own deadline.
func (c *boundedConn) Write(b []byte) (written int, err error) {
	for {
		piece := b[written:min(len(b), written+int(c.limits.window))]
		start, err := c.begin(int64(len(piece)))
		if err != nil {
			return written, err
		}
		n, err := c.TCPConn.Write(piece)
		c.end(start, int64(n))
		if written += n; err != nil || written == len(b) {
			return written, err
		}
	}
}

// ReadFrom has the kernel send a file, a window at a time.
func (c *boundedConn) ReadFrom(r io.Reader) (read int64, err error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	if _, ok := limited.R.(*os.File); !ok {
		return io.Copy(struct{ io.Writer }{c}, r) // reading may take long, and that is not for the other end to answer for
	}
	for limited.N > 0 {
		if limited.N <= c.limits.window {
			start, err := c.begin(limited.N)
			if err != nil {
				return read, err
			}
			n, err := c.TCPConn.ReadFrom(limited)
			c.end(start, n)
			return read + n, err
		}
		piece := &io.LimitedReader{R: limited.R, N: min(limited.N, c.limits.window)}
		want := piece.N
		start, err := c.begin(want)
		if err != nil {
			return read, err
		}
		n, err := c.TCPConn.ReadFrom(piece)
		c.end(start, n)
		limited.N -= n
		if read += n; err != nil || n < want {
			return read, err
		}
	}
	return read, nil
}

package actions

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"olympus/internal/postgres"
	"olympus/models"
)

const (
	// liveStreams and liveStreamsPerClient bound the pages that this process keeps up to date at a time. A client is an address: behind a
	// proxy all are one. A page that gets no place is as it would be without a script.
	liveStreams          = 256
	liveStreamsPerClient = 64

	// liveLook is how often it is looked, for all streams together, whether peers or jobs have changed; of the log a process is told.
	liveLook = 2 * time.Second
	// livePause is the shortest time between two messages of a stream.
	livePause = time.Second
	// liveHeartbeat is how often something is sent when there is nothing to tell, so that nobody on the way takes the connection for dead.
	liveHeartbeat = 15 * time.Second
)

// What a page can be told of; a page names those that it shows.
const (
	topicLog    = "log"
	topicPeers  = "peers"
	topicJobs   = "jobs"
	topicAlarms = "alarms"
)

// live tells pages that they are out of date: what has changed they read as any reader does. Each stream is one request and has no
// goroutine besides it.
type live struct {
	app *App

	mu      sync.Mutex
	streams map[string]int // by client; under the empty name all

	// look is held by the one stream that asks the database for all.
	look   chan struct{}
	stir   models.Stir
	looked time.Time
}

func newLive(a *App) *live {
	return &live{app: a, streams: make(map[string]int), look: make(chan struct{}, 1)}
}

// enter takes a place for a stream, until the returned function is called.
func (l *live) enter(client string) (leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[""] >= liveStreams || l.streams[client] >= liveStreamsPerClient {
		return nil, &statusError{status: http.StatusServiceUnavailable, message: "too many pages are being kept up to date: come again later"}
	}
	l.streams[""]++
	l.streams[client]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.streams[""]--
		if l.streams[client]--; l.streams[client] == 0 {
			delete(l.streams, client)
		}
	}, nil
}

// clientOf is the address that a request comes from.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// state is what pages show, as texts that change with it, by topic.
func (l *live) state(ctx context.Context) (map[string]string, error) {
	select {
	case l.look <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.look }()
	d := l.app.Deployment
	if time.Since(l.looked) >= liveLook*9/10 { // or another stream has looked just now
		stir, err := models.Stirred(d.DB.WithContext(postgres.Impatient(ctx, l.app.DatabasePatience)))
		if err != nil {
			return nil, err
		}
		l.stir, l.looked = stir, time.Now()
	}
	_, storage := d.StorageFault()
	_, database := d.DatabaseFault()
	return map[string]string{
		topicPeers: l.stir.Peers, topicJobs: l.stir.Jobs, topicAlarms: fmt.Sprint(storage != nil, database != nil),
	}, nil
}

// stream tells a page what has changed since it began to listen, until it goes away or the process stops (text/event-stream). The first
// message has no topic: it says that the page is listened for, and may have missed something while it was loaded.
func (l *live) stream(w http.ResponseWriter, r *http.Request) {
	if l.app.draining.Err() != nil {
		l.app.fail(w, r, &statusError{status: http.StatusServiceUnavailable, message: "this process is about to stop"})
		return
	}
	leave, err := l.enter(clientOf(r))
	if err != nil {
		l.app.fail(w, r, err)
		return
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(l.app.draining, cancel)()
	control := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // some proxies would keep what is small
	say := func(text string) bool {
		// A server's own time for an answer, if it has one, is over long before a stream is. One that knows no deadline has nothing to move.
		_ = control.SetWriteDeadline(time.Now().Add(2 * liveHeartbeat))
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	seen, _ := l.state(ctx) // without the database everything is new once it is back
	if r.Method == http.MethodHead || !say("retry: 5000\ndata:\n\n") {
		return
	}
	l.follow(ctx, seen, say)
}

// follow says what changes, at most one message per livePause, until say reports that nobody listens or ctx ends.
func (l *live) follow(ctx context.Context, seen map[string]string, say func(string) bool) {
	looks, heartbeats := time.NewTicker(liveLook), time.NewTicker(liveHeartbeat)
	defer looks.Stop()
	defer heartbeats.Stop()
	var said time.Time
	var pause <-chan time.Time // until the next message may be sent
	changed := make(map[string]bool)
	follower := l.app.Deployment.Follower
	moved := follower.Changed()
	for {
		select {
		case <-ctx.Done():
			return
		case <-heartbeats.C:
			if !say(":\n\n") {
				return
			}
		case <-moved:
			moved = follower.Changed()
			changed[topicLog] = true
		case <-looks.C:
			now, err := l.state(ctx)
			if err != nil {
				continue // the page says so itself when it is loaded again
			}
			for topic, text := range now {
				if seen[topic] != text {
					changed[topic] = true
				}
			}
			seen = now
		case <-pause:
			pause = nil
		}
		switch {
		case len(changed) == 0 || pause != nil:
		case time.Since(said) < livePause:
			pause = time.After(livePause - time.Since(said))
		default:
			if !say("data: " + topics(changed) + "\n\n") {
				return
			}
			clear(changed)
			said = time.Now()
		}
	}
}

// topics are those that have changed, in the order of the page's.
func topics(changed map[string]bool) string {
	var names []string
	for _, topic := range []string{topicLog, topicPeers, topicJobs, topicAlarms} {
		if changed[topic] {
			names = append(names, topic)
		}
	}
	return strings.Join(names, " ")
}

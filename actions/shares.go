package actions

import (
	"context"
	"net/http"
	"sync"
	"time"

	"olympus/internal/gate"
)

const (
	// pushBytes bounds the bodies of pushes that are being read, all together and of one peer: before a body is read whole nobody knows
	// whether it is the peer's.
	pushBytes        = 32 << 20
	pushBytesPerPeer = 16 << 20

	// polls bound the requests that wait for news at the end of the event log, pages those that are being answered with a page of it or a
	// bundle of entries, each of many megabytes: of one peer, and of all who are none together. A page waits for its turn.
	pollsPerPeer  = 16
	pollsOfOthers = 64
	pagesPerPeer  = 3
	pagesOfOthers = 3
	pagePause     = 20 * time.Second
)

// shares bound what this process has in hand for each peer, and for all others together, whose name is empty: one who asks for too much
// takes nothing from the others.
type shares struct {
	mu    sync.Mutex
	bytes map[string]int64 // of pushes; under the empty name those of all
	polls map[string]int
	pages map[string]chan struct{}
}

func newShares() *shares {
	return &shares{bytes: make(map[string]int64), polls: make(map[string]int), pages: make(map[string]chan struct{})}
}

// push takes room for the body of a push, until the returned function is called.
func (s *shares) push(peer string, size int64) (done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes[peer]+size > pushBytesPerPeer || s.bytes[""]+size > pushBytes {
		return nil, tooMany("too many pushes are being read")
	}
	s.bytes[peer] += size
	s.bytes[""] += size
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bytes[peer] -= size
		s.bytes[""] -= size
	}, nil
}

// poll takes a place to wait for news, until the returned function is called.
func (s *shares) poll(ctx context.Context, reader string) (done func(), err error) {
	gate.EndTurn(ctx)
	most := pollsPerPeer
	if reader == "" {
		most = pollsOfOthers
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.polls[reader] >= most {
		return nil, tooMany("too many requests wait for news")
	}
	s.polls[reader]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.polls[reader]--
	}, nil
}

// page waits for a place to answer with a page, which is kept until the returned function is called.
func (s *shares) page(ctx context.Context, reader string) (done func(), err error) {
	most := pagesPerPeer
	if reader == "" {
		most = pagesOfOthers
	}
	gate.EndTurn(ctx)
	s.mu.Lock()
	places, ok := s.pages[reader]
	if !ok {
		places = make(chan struct{}, most)
		s.pages[reader] = places
	}
	s.mu.Unlock()
	wait := time.NewTimer(pagePause)
	defer wait.Stop()
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-wait.C:
		return nil, tooMany("too many pages are being sent")
	}
}

func tooMany(message string) error {
	return &statusError{status: http.StatusTooManyRequests, message: message + ": come again later"}
}

type readerKey struct{}

// withReader remembers which peer has signed a request.
func withReader(r *http.Request, peer string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), readerKey{}, peer))
}

// readerOf is the name of the peer that has signed a request, empty for everybody else.
func readerOf(ctx context.Context) string {
	name, _ := ctx.Value(readerKey{}).(string)
	return name
}

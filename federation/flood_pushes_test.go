package federation

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
)

// A hundred thousand events, pushed as fast as they are taken, of versions whose zips nobody gives: the queue of the sender is bounded, an
// honest peer is heard, what is held is served, and in the end all of it is recorded once.
func TestFloodOfPushes(t *testing.T) {
	t.Parallel()
	const senders = 16
	pushes := 1000
	if testing.Short() {
		pushes = 200
	}
	held := numbered("held", 1)
	up, _ := slowUpstream(t, held)
	om := start(t, "om.example.com", options{noJobs: true})
	og := start(t, "og.example.com", options{noJobs: true})
	s := newSite(t, "oa.example.com", "OLYMPUS_UPSTREAM="+up)
	p := s.start()
	p.knows(om)
	p.knows(og)
	p.get(fileOf(held, "zip"))
	p.get(fileOf(held, "info"))
	self := s.target(p)
	hits := p.wantHeld(held, 4)

	var next, refused atomic.Int64
	var flooding sync.WaitGroup
	began := time.Now()
	for range senders {
		flooding.Go(func() {
			for n := next.Add(1); n <= int64(pushes); n = next.Add(1) {
				events := make([]protocol.Event, protocol.MaxPushEvents)
				for i := range events {
					events[i] = added(fmt.Sprintf("example.com/flood/m%d", n), fmt.Sprintf("v1.0.%d", i), om.Name, "x", now())
				}
				for t.Context().Err() == nil {
					err := om.Peers.Push(t.Context(), self, events)
					if err == nil {
						break
					}
					var status *peer.StatusError
					if !errors.As(err, &status) || status.Status != http.StatusTooManyRequests && status.Status != http.StatusServiceUnavailable || status.RetryAfter == 0 {
						t.Errorf("push: %v", err)
						return
					}
					refused.Add(1)
					select {
					case <-time.After(50 * time.Millisecond): // no sender of ours is so impatient
					case <-t.Context().Done():
					}
				}
			}
		})
	}
	eventually(t, "the flood has begun", func() bool { return next.Load() > senders })
	for i := range 3 {
		at := time.Now()
		require.Eventually(t, func() bool { return og.Peers.Push(t.Context(), self, deletes(i+1, "honest", og.Name)[i:]) == nil }, time.Minute, 50*time.Millisecond)
		require.Eventually(t, func() bool {
			require.LessOrEqual(t, s.count("SELECT count(*) FROM river_job WHERE kind = 'receive' AND state IN ('available', 'retryable', 'running')"), 2*100)
			require.LessOrEqual(t, len(s.staged()), 64)
			return s.count("SELECT count(*) FROM events WHERE kind = 'delete'") == i+1
		}, 90*time.Second, 50*time.Millisecond, "an honest peer is delayed by more than three ticks")
		t.Logf("what an honest peer pushed arrived after %s", time.Since(at).Round(time.Millisecond))
	}
	flooding.Wait()
	require.Eventually(t, func() bool {
		return s.count("SELECT count(*) FROM events WHERE origin = ?", om.Name) == pushes*protocol.MaxPushEvents
	}, 3*time.Minute, 100*time.Millisecond, "all that was acknowledged is recorded")
	t.Logf("all events were recorded after %s; %d pushes were told to come again", time.Since(began).Round(time.Millisecond), refused.Load())
	hits.done(p)
	p.fitsMemory()
	require.LessOrEqual(t, len(s.staged()), 64)
	require.EqualValues(t, pushes*protocol.MaxPushEvents+4, s.count("SELECT max(position)::int AS count FROM events"))
}

// Bodies of pushes are held in memory only of those who say that they are peers, and only so many of each.
func TestFloodOfBodies(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	og := start(t, "og.example.com", options{noJobs: true})
	s := newSite(t, "oa.example.com")
	p := s.start()
	p.knows(om)
	p.knows(og)
	self := s.target(p)
	skey := om.made.key
	parts := strings.SplitN(skey, "+", 5)

	stop := make(chan struct{})
	statuses := make(chan int, 400)
	var all sync.WaitGroup
	for i := range cap(statuses) {
		all.Go(func() {
			req, err := http.NewRequest(http.MethodPost, p.url+"/push", &hangingBody{left: protocol.MaxPushBytes - 1, stop: stop})
			if err != nil {
				t.Error(err)
				return
			}
			req.ContentLength = protocol.MaxPushBytes
			req.Header.Set("Content-Type", "application/json")
			if i%2 == 0 {
				// The key of a peer is no secret: anybody can claim to be one.
				req.Header.Set("Signature-Input", fmt.Sprintf(`olympus=("@method" "@target-uri" "content-digest");created=%d;expires=%d;nonce="%d";keyid="%s+%s";tag="olympus"`,
					time.Now().Unix(), time.Now().Add(time.Minute).Unix(), i, parts[2], parts[3]))
				req.Header.Set("Signature", "olympus=:AAAA:")
			}
			resp, err := client.Do(req)
			if err != nil {
				statuses <- 0 // cut off before it had sent all
				return
			}
			_ = resp.Body.Close()
			statuses <- resp.StatusCode
		})
	}
	refused := 0
	for refused < cap(statuses)-4 {
		if status := <-statuses; status != 0 {
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable}, status)
		}
		refused++
	}
	require.NoError(t, og.Peers.Push(t.Context(), self, deletes(1, "honest", og.Name)))
	close(stop)
	all.Wait()
	p.fitsMemory()
	require.Equal(t, 0, s.count("SELECT count(*) FROM events WHERE origin = ?", om.Name))
}

// hangingBody is a body that stops before its end.
type hangingBody struct {
	left int
	stop chan struct{}
}

func (b *hangingBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		<-b.stop
		return 0, errors.New("that is all")
	}
	n := min(b.left, len(p))
	b.left -= n
	return n, nil
}

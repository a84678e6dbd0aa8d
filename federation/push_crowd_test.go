package federation

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
)

// A peer that takes requests and never answers has its own pushes wait, and nobody else's.
func TestPushesPassAHangingPeer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	// Its patience is longer than this test: what the hanging peer has, it keeps.
	om := start(t, "om.example.com", options{attempts: 5, peer: peer.Options{HeaderTimeout: 5 * time.Minute}})
	oa := start(t, "oa.example.com", options{lazy: true})
	hanging := start(t, "hanging.example.com", options{wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
	}})
	oa.knows(om)
	om.knows(oa, hanging)
	const n = 60
	for _, e := range deletes(n, "m", om.Name) {
		require.NoError(t, om.Append(true, []protocol.Event{e}, nil))
	}
	eventually(t, "all arrive at OA by push", func() bool { return len(oa.log()) == n })
	require.NotZero(t, om.count("river_job WHERE kind = 'push' AND state NOT IN ('completed', 'cancelled')"), "the other peer did not hang")
}

// Of one sender only so many pushes wait; the next is told to come again, and other senders do not notice.
func TestPushesOfOneSenderAreBounded(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	og := start(t, "og.example.com", options{noJobs: true})
	oa := start(t, "oa.example.com", options{noJobs: true})
	oa.knows(om, og)
	body := func(from *deployment) []byte {
		return protocol.AppendPush(nil, []protocol.Event{said(protocol.KindDelete, "example.com/m", "v1.0.0", from.Name)})
	}
	accepted := 0
	for {
		got := om.envelope(oa, fmt.Sprintf("flood %d", accepted), body(om)).sendTo(oa)
		if got.status != http.StatusAccepted {
			require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
			require.NotEmpty(t, got.header.Get("Retry-After"))
			require.Len(t, lines(got.body), 1)
			break
		}
		accepted++
		require.Less(t, accepted, 1000, "there is no bound")
	}
	_, jobs, nonces := oa.traces()
	require.Equal(t, [2]int{accepted, accepted}, [2]int{jobs, nonces}, "what is refused leaves no row")
	require.Equal(t, http.StatusAccepted, og.envelope(oa, "another", body(og)).sendTo(oa).status)

	// Another process works them off, and then there is room again.
	oa.another(func(o *options) { o.noJobs = false })
	eventually(t, "the flood is worked off", func() bool {
		return om.envelope(oa, time.Now().String(), body(om)).sendTo(oa).status == http.StatusAccepted
	})
}

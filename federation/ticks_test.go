package federation

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/models"
)

// tick is long enough for a pull to wait at a peer: the wait is in whole seconds.
const tick = 2 * time.Second

// pulled counts the pulls that the peers of a deployment begin. Each begins with a request for a page that does not wait for news.
type pulled struct {
	deployment string // whose pulls count
	begun      atomic.Int64
	waits      atomic.Int64 // requests that wait for news
}

func waits(r *http.Request) bool {
	wait := r.URL.Query().Get("wait")
	return r.URL.Path == "/eventlog" && wait != "" && wait != "0"
}

func (p *pulled) count(r *http.Request) {
	if r.URL.Path != "/eventlog" || !strings.Contains(r.Header.Get("Signature-Input"), p.deployment+"+") {
		return
	}
	if waits(r) {
		p.waits.Add(1)
	} else {
		p.begun.Add(1)
	}
}

// A fresh event reaches a peer with its push, and if that is lost, within two ticks, also where nobody can wait for news. Ticks are not
// taken from the clock, but from another peer with the same interval, which suffers from the same load.
func TestFreshWithinTwoTicks(t *testing.T) {
	t.Parallel()
	isPush := func(r *http.Request) bool { return r.URL.Path == "/push" }
	refuse := func(which func(*http.Request) bool) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if which(r) {
					http.Error(w, "not now", http.StatusBadGateway)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	// The signature covers the whole address, so that it cannot be asked without the wait.
	atOnce := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if waits(r) {
				w.Header().Set("Content-Type", "application/x-ndjson")
				after := r.URL.Query().Get("after")
				_, _ = fmt.Fprintf(w, "{\"head\":%s,\"next\":%s}\n", after, after)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	plain := func(next http.Handler) http.Handler { return next }
	for _, test := range []struct {
		name     string
		interval time.Duration
		receiver func(http.Handler) http.Handler // around what the peer answers
		sender   func(http.Handler) http.Handler // around what it is answered
		beside   bool                            // the event comes up in another process than the one that is pulled
		pulls    int64                           // that may begin until the event arrives
		waits    bool                            // the sender sees requests that wait
	}{
		{"with its push", time.Hour, plain, plain, false, 0, false},
		{"with its push from another process", time.Hour, plain, plain, true, 0, false},
		{"waiting for news", tick, refuse(isPush), plain, false, 2, true},
		{"waiting for news of another process", tick, refuse(isPush), plain, true, 2, true},
		{"waits are answered at once", tick, refuse(isPush), atOnce, false, 2, true},
		{"waits are refused", tick, refuse(isPush), refuse(waits), false, 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			of, witness := &pulled{deployment: "oa.example.com"}, &pulled{deployment: "ow.example.com"}
			om := start(t, "om.example.com", options{attempts: 1, wrap: func(next http.Handler) http.Handler {
				next = test.sender(next)
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					of.count(r)
					witness.count(r)
					next.ServeHTTP(w, r)
				})
			}})
			from := om
			if test.beside {
				from = om.another(nil)
			}
			oa := start(t, "oa.example.com", options{interval: test.interval, lazy: true, wrap: test.receiver})
			ow := start(t, "ow.example.com", options{interval: tick, lazy: true, wrap: refuse(isPush)})
			om.knows(oa, ow)
			oa.knows(om)
			ow.knows(om)
			eventually(t, "the first pulls have been made", func() bool {
				return oa.count("peers WHERE last_pull_at IS NOT NULL") == 1 && ow.count("peers WHERE last_pull_at IS NOT NULL") == 1
			})

			// All but the first come up right after a pull that has brought the one before: that is when the next tick is farthest.
			const events = 3
			for i := range events {
				begun, ticks := of.begun.Load(), witness.begun.Load()
				event := said(protocol.KindDelete, fmt.Sprintf("example.com/m%d", i), "v1.0.0", om.Name)
				require.NoError(t, from.Append(true, []protocol.Event{event}, nil))
				eventually(t, "the event arrives", func() bool { head, _ := oa.Follower.Head(); return head == int64(i+1) })
				require.LessOrEqual(t, of.begun.Load()-begun, test.pulls, "pulls")
				// Three beginnings have two whole ticks between them.
				require.LessOrEqual(t, witness.begun.Load()-ticks, int64(3), "ticks")
				require.Equal(t, 1, oa.count("peers WHERE pull_due_at <= now() + make_interval(secs => ?)", test.interval.Seconds()), "a tick too long")
			}
			require.Len(t, oa.log(), events)
			require.Equal(t, test.waits, of.waits.Load() > 0, "whether it waited for news")
		})
	}
}

// How far behind a deployment is gets noted as soon as a process of it ticks, for the plots.
func TestLagIsSampled(t *testing.T) {
	t.Parallel()
	om, oa := start(t, "om.example.com", options{}), start(t, "oa.example.com", options{})
	oa.knows(om)
	oa.another(nil)
	eventually(t, "there is a sample", func() bool { return oa.count("lag_samples WHERE peer = ? AND lag = 0", om.Name) > 0 })
}

// That a paused peer is not pulled from is said to who asks for it, and held against nobody.
func TestPausedPeerIsNotPulled(t *testing.T) {
	t.Parallel()
	om, oa := start(t, "om.example.com", options{}), start(t, "oa.example.com", options{})
	befriend(om, oa)
	om.hears(deletes(3, "m", om.Name)...)
	require.NoError(t, models.SetPeerState(oa.DB, om.Name, models.PeerPaused))
	_, err := oa.Pull(t.Context(), om.Name, 0)
	require.EqualError(t, err, "pull from om.example.com: the peer is paused")
	p, err := models.FindPeer(oa.DB, om.Name)
	require.NoError(t, err)
	require.Empty(t, p.LastError)
	require.NotContains(t, oa.metrics().values, `olympus_pulls_total{peer="om.example.com",result="failed"}`)
	require.NoError(t, models.SetPeerState(oa.DB, om.Name, models.PeerActive))
	oa.pull(om)
	require.Len(t, oa.log(), 3)
}

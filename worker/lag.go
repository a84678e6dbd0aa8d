package worker

import (
	"sync"
	"time"

	"olympus/models"
)

// lags remember since when this process has known of events of peers that the deployment has not taken. What the database tells of a peer
// is only what came with the last page that could be recorded; a page that is refused tells of events too.
type lags struct {
	mu    sync.Mutex
	known map[string]*lag // by peer; only those that are behind
}

type lag struct {
	since time.Time
	head  int64     // the end of the peer's log, as last told
	at    time.Time // when it was told
}

func newLags() *lags { return &lags{known: make(map[string]*lag)} }

// note remembers what a page told of a peer's log that was taken up to a position.
func (l *lags) note(peer string, position, head int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if position >= head {
		delete(l.known, peer)
		return
	}
	now := time.Now()
	if l.known[peer] == nil {
		l.known[peer] = &lag{since: now}
	}
	l.known[peer].head, l.known[peer].at = head, now
}

// Behind is how long this process has known of events of a peer that the deployment has not taken; 0 when it has all. Another process may
// know for longer.
func (d *Deployment) Behind(p *models.Peer) time.Duration {
	d.lags.mu.Lock()
	defer d.lags.mu.Unlock()
	now := time.Now()
	known := d.lags.known[p.Name]
	if known != nil {
		// Another process may have taken what is left; perhaps of a new epoch, whose log is shorter.
		later := p.LastPullAt != nil && p.LastPullAt.After(known.at)
		if p.PullPosition >= known.head || later && p.Lag() == 0 {
			delete(d.lags.known, p.Name)
			known = nil
		}
	}
	if known == nil && p.Lag() > 0 {
		// As the page said that was recorded last, by whichever process.
		known = &lag{since: now, head: p.Head, at: now}
		if p.LastPullAt != nil {
			known.since = *p.LastPullAt
		}
		d.lags.known[p.Name] = known
	}
	if known == nil {
		return 0
	}
	return max(0, now.Sub(known.since))
}

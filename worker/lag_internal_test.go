package worker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/models"
)

// Since when a peer is ahead is known whatever becomes of its pages, and whichever process takes them.
func TestBehind(t *testing.T) {
	t.Parallel()
	before := func(d time.Duration) *time.Time { at := time.Now().Add(-d); return &at }
	note := func(d *Deployment, ago time.Duration, position, head int64) {
		d.lags.note("om", position, head)
		if known := d.lags.known["om"]; known != nil {
			known.since, known.at = time.Now().Add(-ago), time.Now().Add(-ago)
		}
	}
	for name, test := range map[string]struct {
		before func(*Deployment)
		peer   models.Peer
		want   time.Duration
	}{
		"nothing was ever pulled":            {peer: models.Peer{Name: "om"}},
		"all is taken":                       {peer: models.Peer{Name: "om", PullPosition: 7, Head: 7, LastPullAt: before(time.Minute)}},
		"its last page told of more":         {peer: models.Peer{Name: "om", PullPosition: 7, Head: 9, LastPullAt: before(time.Minute)}, want: time.Minute},
		"a page was refused":                 {before: func(d *Deployment) { note(d, time.Hour, 7, 9) }, peer: models.Peer{Name: "om", PullPosition: 7, Head: 7, LastPullAt: before(2 * time.Hour)}, want: time.Hour},
		"a page was refused, then taken":     {before: func(d *Deployment) { note(d, time.Hour, 7, 9); note(d, 0, 9, 9) }, peer: models.Peer{Name: "om", PullPosition: 9, Head: 9, LastPullAt: before(0)}},
		"another process took it":            {before: func(d *Deployment) { note(d, time.Hour, 7, 9) }, peer: models.Peer{Name: "om", PullPosition: 9, Head: 9, LastPullAt: before(time.Minute)}},
		"another took a shorter log":         {before: func(d *Deployment) { note(d, time.Hour, 7, 9) }, peer: models.Peer{Name: "om", PullPosition: 3, Head: 3, LastPullAt: before(time.Minute)}},
		"a page was refused before and more": {before: func(d *Deployment) { note(d, time.Hour, 7, 9); d.lags.note("om", 7, 10) }, peer: models.Peer{Name: "om", PullPosition: 7, Head: 7}, want: time.Hour},
		"of another peer":                    {before: func(d *Deployment) { note(d, time.Hour, 7, 9) }, peer: models.Peer{Name: "og"}},
	} {
		t.Run(name, func(t *testing.T) { // at once: times pass
			d := &Deployment{lags: newLags()}
			if test.before != nil {
				test.before(d)
			}
			require.InDelta(t, test.want.Seconds(), d.Behind(&test.peer).Seconds(), 30)
			require.InDelta(t, test.want.Seconds(), d.Behind(&test.peer).Seconds(), 30, "asked again")
		})
	}
}

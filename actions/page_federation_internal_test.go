package actions

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/models"
)

func TestFederationInWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { t := now.Add(-d); return &t }
	good := models.Peer{Name: "oa.example.com", State: models.PeerActive, Head: 5, PullPosition: 5, LastPullAt: ago(time.Second), LastPushSentAt: ago(time.Hour)}
	with := func(change func(*models.Peer)) models.Peer {
		p := good
		p.Name = "ob.example.com"
		change(&p)
		return p
	}
	for what, c := range map[string]struct {
		peers []models.Peer
		class string
		says  []string
	}{
		"nobody": {nil, "", nil},
		"one":    {[]models.Peer{good}, "good", []string{"The only peer, oa.example.com, is up to date."}},
		"two":    {[]models.Peer{good, good}, "good", []string{"Both peers are up to date."}},
		"three":  {[]models.Peer{good, good, good}, "good", []string{"All 3 peers are up to date."}},
		"behind": {
			[]models.Peer{good, with(func(p *models.Peer) { p.Head, p.BehindSince = 1209, ago(4*time.Minute) })}, "bad",
			[]string{"1 of 2 peers is up to date.", "ob.example.com is 1,204 events behind, for 4 min."},
		},
		"behind, with an error": {
			[]models.Peer{with(func(p *models.Peer) {
				p.Head, p.BehindSince, p.LastError = 6, ago(4*time.Minute), "pull from ob.example.com: no\nroute"
			})}, "bad",
			[]string{"No peer is up to date.", "ob.example.com is 1 event behind, for 4 min: last error pull from ob.example.com: no; route."},
		},
		"not pulled for long": {
			[]models.Peer{with(func(p *models.Peer) { p.LastPullAt = ago(3 * time.Hour) })}, "bad",
			[]string{"No peer is up to date.", "The log of ob.example.com was last pulled 3 h ago."},
		},
		"never pulled": {
			[]models.Peer{with(func(p *models.Peer) { p.LastPullAt = nil })}, "note", []string{"No peer is up to date.", "Nothing was pulled yet from 1 peer."},
		},
		"never pulled, because it fails": {
			[]models.Peer{with(func(p *models.Peer) { p.LastPullAt, p.LastError = nil, "pull from ob.example.com: no" })}, "bad",
			[]string{"No peer is up to date.", "The log of ob.example.com has never been pulled: last error pull from ob.example.com: no."},
		},
		"paused": {
			[]models.Peer{good, with(func(p *models.Peer) { p.State = models.PeerPaused })}, "note", []string{"1 of 2 peers is up to date.", "ob.example.com is paused."},
		},
		"pushes fail": {
			[]models.Peer{with(func(p *models.Peer) { p.LastError, p.LastErrorAt = "push to ob.example.com: no", ago(0) })}, "bad",
			[]string{"No peer is up to date.", "Pushing to ob.example.com fails; its log is pulled all the same: last error push to ob.example.com: no."},
		},
		"pushes failed before the last one that did not": {
			[]models.Peer{with(func(p *models.Peer) { p.LastError, p.LastErrorAt = "push to ob.example.com: no", ago(2*time.Hour) })}, "good",
			[]string{"The only peer, ob.example.com, is up to date."},
		},
	} {
		class, says := federation(c.peers, nil, 30*time.Second, now)
		require.Equal(t, c.class, class, what)
		require.Equal(t, c.says, says, what)
	}
	_, push := ways(&good, 3, 30*time.Second, now)
	require.Equal(t, "push behind, 3 queued", push.Sentence())
}

// What is missing in the samples is missing in the curve.
func TestPlotHasGaps(t *testing.T) {
	t.Parallel()
	p := newPlot([]int64{0, 0, 4, -1, -1, 2, -1, 0}, 4, 80, 23)
	require.Equal(t, "M0 21.5H20V1.5H30M50 11.5H60M70 21.5H80", p.Path)
	require.Equal(t, []gap{{"30", "20"}, {"60", "10"}}, p.Gaps)
	samples := []models.LagSample{{Peer: "a", Step: 1, Lag: 3}, {Peer: "b", Step: 0, Lag: 7}, {Peer: "b", Step: 48, Lag: 9}, {Peer: "c", Step: 3}}
	require.Len(t, samplesOf(samples, "b"), 2)
	require.Empty(t, samplesOf(samples, "bb"))
	require.Nil(t, newSpark(samplesOf(samples, "a")), "one sample is no curve")
	require.Equal(t, "Lag in the last 24 hours: at most 9 events", newSpark(samplesOf(samples, "b")).Title)
	require.Empty(t, newPlots(nil))
}

func TestCatchUp(t *testing.T) {
	t.Parallel()
	peer := &models.Peer{State: models.PeerActive, Head: 1300, PullPosition: 100}
	for want, c := range map[string]struct {
		before int64
		age    time.Duration
	}{
		"1,200 events left; at the pace of the last 10 min about 20 min.":                                            {1800, 10 * time.Minute},
		"1,200 events left; at the pace of the last 10 min about 1 s.":                                               {1 << 40, 10 * time.Minute},
		"1,200 events left; how long that takes is unknown: it was not less in the last 10 min.":                     {1200, 10 * time.Minute},
		"1,200 events left; how long that takes is unknown: there is no sample of the last minutes to compare with.": {0, 0},
	} {
		require.Equal(t, want, catchUpIn(peer, c.before, c.age))
	}
	peer.State = models.PeerPaused
	require.Contains(t, catchUpIn(peer, 1800, 10*time.Minute), "unknown: the peer is paused.")
}

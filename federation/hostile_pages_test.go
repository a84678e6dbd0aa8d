package federation

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/models"
)

// Pages that break the rules are refused whole, the pull pointer stays, and the error stands with the peer until it mends.
func TestHostilePages(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{lazy: true, peer: peer.Options{HeaderTimeout: 300 * time.Millisecond, IdleTimeout: 300 * time.Millisecond}})
	evil := lying(oa, "evil.example.com")
	events := deletes(4, "p", "far.example.com")
	page := func(positions ...int64) string {
		var b []byte
		for i, position := range positions {
			b = protocol.AppendLine(b, &protocol.Logged{Position: position, Event: events[i]})
		}
		return string(b)
	}
	tail := func(head, next int64) string { return string(protocol.AppendTail(nil, head, next, "")) }
	good := page(1, 2, 3) + tail(3, 3)
	for name, lie := range map[string]http.HandlerFunc{
		"no last line":            body([]byte(page(1, 2, 3))),
		"cut in a line":           body([]byte(good[:len(good)/2])),
		"a gap":                   body([]byte(page(1, 3) + tail(3, 3))),
		"out of order":            body([]byte(page(2, 1) + tail(3, 2))),
		"a repetition":            body([]byte(page(1, 1) + tail(3, 1))),
		"not from the pointer":    body([]byte(page(2, 3) + tail(3, 3))),
		"position 0":              body([]byte(page(0, 1) + tail(3, 1))),
		"next that is not there":  body([]byte(page(1, 2) + tail(3, 3))),
		"head behind next":        body([]byte(page(1, 2) + tail(1, 2))),
		"next without events":     body([]byte(tail(3, 3))),
		"more behind it":          body([]byte(good + page(4))),
		"a malformed event":       body([]byte(strings.Replace(good, "example.com/p2", "p2", 1))),
		"an event without origin": body([]byte(strings.Replace(good, `"origin":"far.example.com",`, ``, 1))),
		"nothing":                 body(nil),
		"HTML":                    body([]byte("<html>")),
		"gzip that is none":       gzipped([]byte(good)),
		"an error":                func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"a redirect":              http.RedirectHandler(oa.url+"/eventlog", http.StatusFound).ServeHTTP,
		"a shorter log":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) },
		"silence":                 evil.hang(0),
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
					return
				}
			}
		},
	} {
		evil.tell("/eventlog", lie)
		_, err := oa.Pull(t.Context(), evil.name, 0)
		require.Error(t, err, name)
		p, err := models.FindPeer(oa.DB, evil.name)
		require.NoError(t, err)
		require.Zero(t, p.PullPosition, name)
		require.NotEmpty(t, p.LastError, name)
		require.NotNil(t, p.LastErrorAt, name)
		require.Empty(t, oa.log(), name)
		require.Zero(t, oa.count("versions"), name)
		require.NoError(t, models.RecordPeerError(oa.DB, evil.name, ""))
	}
	require.NoError(t, models.RecordPeerError(oa.DB, evil.name, "something"))
	evil.tell("/eventlog", body([]byte(good)))
	eventually(t, "the peer, which is given little time, answers in time", func() bool {
		pulled, err := oa.Pull(t.Context(), evil.name, 0)
		return err == nil && pulled.PullPosition == 3
	})
	p, err := models.FindPeer(oa.DB, evil.name)
	require.NoError(t, err)
	require.Empty(t, p.LastError)
	require.EqualValues(t, 3, p.Head)
	require.Len(t, oa.log(), 3)
}

func gzipped(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(b)
	}
}

// Of pulls of one peer that run at once, one moves the pointer over a page and the others go on from there: nothing is taken twice.
func TestPullPointerComparesAndSets(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	oa := start(t, "oa.example.com", options{noJobs: true})
	twin := oa.another(nil)
	befriend(om, oa)
	om.hears(deletes(150, "m", om.Name)...)
	oa.PageSize, twin.PageSize = 10, 10

	results := make(chan int, 6)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			pulled, err := []*deployment{oa, twin}[i%2].Pull(t.Context(), om.Name, 0)
			if err != nil {
				t.Errorf("pull: %v", err)
			}
			if pulled.PullPosition != 150 {
				t.Errorf("pulled to %d", pulled.PullPosition)
			}
			results <- pulled.Pulled
		})
	}
	all.Wait()
	close(results)
	total := 0
	for n := range results {
		total += n
	}
	require.Equal(t, 150, total, "a page was taken twice, or left out")
	require.EqualValues(t, 150, oa.pointer(om))
	require.Equal(t, om.log(), oa.log())

	p, err := models.FindPeer(oa.DB, om.Name)
	require.NoError(t, err)
	moved, err := models.MovePullPointer(oa.DB, p, 140, 160, 160)
	require.NoError(t, err)
	require.False(t, moved, "from where it was before")
	require.EqualValues(t, 150, oa.pointer(om))
}

package federation

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
	"olympus/models"
)

// isOpen reports what /metrics says of the circuit of a peer.
func (d *deployment) isOpen(peer string) bool {
	d.t.Helper()
	return strings.Contains(d.mustGet("/metrics"), fmt.Sprintf("olympus_circuit_open{peer=%q} 1\n", peer))
}

// A peer that lets questions hang is asked a few times, and then left alone: the misses after that wait for nobody. It is found again by
// itself when it is back.
func TestHangingPeerIsLeftOut(t *testing.T) {
	t.Parallel()
	const misses = 60
	var modules []testmod.Module
	for i := range misses {
		modules = append(modules, numbered("miss", i))
	}
	oa := start(t, "oa.example.com", options{upstream: testmod.Tree(t, t.TempDir(), modules...)})
	evil := lying(oa, "evil.example.com")
	// Only questions hang: a push that fails would have the peer left out once more, long after they are answered again.
	evil.tell("/push", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	evil.tellOthers(evil.hang(0))
	for _, m := range modules {
		oa.mustGet(fileOf(m, "info"))
	}
	p, err := models.FindPeer(oa.DB, evil.name)
	require.NoError(t, err)
	require.Contains(t, p.LastError, "left out of what others wait for")
	asked := evil.questions()
	require.Positive(t, asked)
	require.Less(t, asked, misses/4, "each miss has waited for it")
	require.True(t, oa.isOpen(evil.name))

	evil.tellOthers(nil)
	i := 0
	eventually(t, "the peer is asked again", func() bool {
		i++
		oa.get(fileOf(numbered("unknown", i), "info"))
		return !oa.isOpen(evil.name)
	})
	before := evil.questions()
	require.Equal(t, http.StatusNotFound, oa.ask("GET", fileOf(numbered("unknown", 0), "info")).status)
	require.Equal(t, before+1, evil.questions())
}

// What a peer answers is no reason to leave it out, as long as it answers.
func TestRefusingPeerIsNotLeftOut(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{})
	evil := lying(oa, "evil.example.com")
	for i, status := range []int{404, 410, 400, 401, 403, 429} {
		evil.tellOthers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		for j := range 5 {
			oa.get(fileOf(numbered(fmt.Sprintf("miss%d", i), j), "info"))
		}
		require.Equal(t, 5*(i+1), evil.questions(), status)
		require.False(t, oa.isOpen(evil.name), status)
	}
}

// A pull that succeeds after others have failed shows that a peer is back. One of many that succeed shows nothing about a peer that lets
// questions hang.
func TestPullsTellThatAPeerIsBack(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{})
	evil := lying(oa, "evil.example.com")
	fails := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	pull := func(works bool) {
		if evil.tell("/eventlog", fails); works {
			evil.tell("/eventlog", body([]byte(`{"head":0,"next":0}`+"\n")))
		}
		_, err := oa.Pull(t.Context(), evil.name, 0)
		require.Equal(t, works, err == nil, "%v", err)
	}
	for n := 0; n < 6 && !oa.isOpen(evil.name); n++ { // more than 3, if what it remembers of our log is asked in between
		pull(false)
	}
	require.True(t, oa.isOpen(evil.name), "pulls that fail count")
	pull(true)
	require.False(t, oa.isOpen(evil.name))

	evil.tellOthers(fails)
	for i := range 3 {
		oa.get(fileOf(numbered("miss", i), "info"))
	}
	require.True(t, oa.isOpen(evil.name))
	pull(true)
	require.True(t, oa.isOpen(evil.name), "pulls went well all the time")
}

// A peer that is down is left out as a source too, and who has the zip besides is asked at once.
func TestDownPeerIsNoSource(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{lazy: true})
	evil, kind := lying(oa, "evil.example.com"), lying(oa, "kind.example.com")
	evil.tellOthers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	const n = 12
	for i := range n {
		m := numbered("remote", i)
		kind.tell(fileOf(m, "zip"), body(testmod.Zip(t, m)))
		oa.hears(testmod.Event(t, m, evil.name))
		require.Equal(t, string(testmod.Zip(t, m)), oa.mustGet(fileOf(m, "zip")))
	}
	require.LessOrEqual(t, evil.questions(), 3)

	alone := numbered("alone", 1)
	oa.hears(testmod.Event(t, alone, evil.name))
	got := oa.ask("GET", fileOf(alone, "zip"))
	require.Equal(t, http.StatusBadGateway, got.status)
	require.Contains(t, got.body, evil.name+" is left out")
	require.Len(t, lines(got.body), 1)
}

// A peer all of whose zips are bad is left out of downloads; a few bad ones, which may be broken there, change nothing for the others.
func TestBadZipsLeaveAPeerOut(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{lazy: true})
	evil := lying(oa, "evil.example.com")
	evil.tellOthers(body(bytes.Repeat([]byte("x"), 100)))
	const some = 10
	for i := range some {
		m := numbered("bad", i)
		oa.hears(testmod.Event(t, m, evil.name))
		require.Equal(t, http.StatusBadGateway, oa.ask("GET", fileOf(m, "zip")).status)
	}
	good := numbered("good", 1)
	evil.tell(fileOf(good, "zip"), body(testmod.Zip(t, good)))
	oa.hears(testmod.Event(t, good, evil.name))
	require.Equal(t, string(testmod.Zip(t, good)), oa.mustGet(fileOf(good, "zip")))
	before := evil.questions()
	for i := range 40 {
		m := numbered("worse", i)
		oa.hears(testmod.Event(t, m, evil.name))
		require.Equal(t, http.StatusBadGateway, oa.ask("GET", fileOf(m, "zip")).status)
	}
	require.Less(t, evil.questions()-before, 30)
	require.True(t, oa.isOpen(evil.name))
	p, err := models.FindPeer(oa.DB, evil.name)
	require.NoError(t, err)
	require.Contains(t, p.LastError, "left out of downloads")
}

// Whoever comes back while a crowd waits is asked by one, and by the others only once it has answered.
func TestReturningPeerIsNotOverrun(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{})
	evil := lying(oa, "evil.example.com")
	var mu sync.Mutex
	var atOnce, most, answered int
	evil.tellOthers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	for i := range 3 {
		oa.get(fileOf(numbered("miss", i), "info"))
	}
	require.True(t, oa.isOpen(evil.name))
	release := make(chan struct{})
	evil.tellOthers(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		atOnce++
		first := answered == 0
		if first {
			most = max(most, atOnce)
		}
		mu.Unlock()
		if first {
			<-release
		}
		mu.Lock()
		atOnce--
		answered++
		mu.Unlock()
		http.NotFound(w, r)
	})
	count := func() int { mu.Lock(); defer mu.Unlock(); return atOnce }
	i := 0
	eventually(t, "somebody tries", func() bool {
		i++
		m := numbered("crowd", i)
		oa.Fill(m.Path, m.Version)
		return count() > 0
	})
	for range 50 {
		i++
		m := numbered("crowd", i)
		oa.Fill(m.Path, m.Version)
	}
	last := numbered("crowd", i)
	_, _, err := oa.Fill(last.Path, last.Version).Files(t.Context())
	require.Error(t, err, "it waits for nobody")
	close(release)
	eventually(t, "the peer is taken back", func() bool { return !oa.isOpen(evil.name) })
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 1, most)
}

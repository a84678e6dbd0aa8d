package federation

import (
	"net/http"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// Everything at once: two origins fill 500 modules, many of them the same, and push them to OA, whose two processes work the pushes and
// meanwhile pull both logs, several times over. In the end OA has each version once: one event, one blob.
func TestFloodOfPushesAndPulls(t *testing.T) {
	t.Parallel()
	const n, share = 500, 300 // modules, and how many of them each origin fills
	modules := make([]testmod.Module, n)
	for i := range modules {
		modules[i] = numbered("flood", i)
	}
	up := testmod.Tree(t, t.TempDir(), modules...)
	om := start(t, "om.example.com", options{upstream: up, attempts: 5})
	og := start(t, "og.example.com", options{upstream: up, attempts: 5})
	// A miss asks peers first. Here both origins are to fill all by themselves.
	tellsNothing := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/modules/") {
				http.Error(w, "not now", http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	oa := start(t, "oa.example.com", options{wrap: tellsNothing})
	oa2 := oa.another(nil)
	oa.knows(om, og)
	om.knows(oa)
	og.knows(oa)

	var filling, pulling sync.WaitGroup
	for _, d := range []*deployment{oa, oa2} {
		for _, from := range []*deployment{om, og, om, og} {
			pulling.Go(func() {
				for next := int64(1); next < share; next += share / 20 {
					awaitHead(from, next)
					// A tick would pull again.
					inTheEnd(t, "pull", func() error { _, err := d.Pull(t.Context(), from.Name, 0); return err })
				}
			})
		}
	}
	for d, filled := range map[*deployment][]testmod.Module{om: modules[:share], og: modules[n-share:]} {
		for worker := range 8 {
			filling.Go(func() {
				for i := worker; i < share; i += 8 {
					// A client would ask again.
					inTheEnd(t, "fill "+filled[i].Path, func() error { return d.Fill(filled[i].Path, filled[i].Version).Wait(t.Context()) })
				}
			})
		}
	}
	filling.Wait()
	pulling.Wait()
	oa.pull(om)
	oa.pull(og)

	eventually(t, "every zip is held and every job done", func() bool {
		return oa.count("versions WHERE held") == n &&
			oa.count("river_job WHERE kind = 'receive' AND state NOT IN ('completed')") == 0 &&
			om.count("river_job WHERE kind = 'push' AND state NOT IN ('completed')") == 0 &&
			og.count("river_job WHERE kind = 'push' AND state NOT IN ('completed')") == 0
	})
	require.Positive(t, oa.count("river_job WHERE kind = 'receive'"), "nothing came by push")
	log := oa.log() // without a gap
	require.Len(t, log, n)
	want := make([]string, n)
	sums := make([]string, n)
	for i, m := range modules {
		want[i] = "add " + m.Path + "@" + m.Version
		sums[i] = testmod.Event(t, m, "x").ZipSHA256
	}
	require.ElementsMatch(t, want, log)
	sort.Strings(sums)
	require.Equal(t, sums, oa.blobs())
	for _, d := range []*deployment{om, og} {
		require.Len(t, d.log(), share)
		require.Equal(t, share, d.count("events WHERE origin = ?", d.Name))
	}
	require.EqualValues(t, share, oa.pointer(om))
	require.EqualValues(t, share, oa.pointer(og))
	require.Zero(t, oa.count("versions WHERE conflict OR deleted OR deprecated OR fetch_due_at IS NOT NULL"))
}

// inTheEnd does what may fail a few times on a busy machine, where a peer or the database answers too late.
func inTheEnd(t testing.TB, what string, do func() error) {
	for tries := 1; ; tries++ {
		err := do()
		if err == nil {
			return
		}
		if tries == 5 {
			t.Errorf("%s: %v", what, err)
			return
		}
	}
}

// awaitHead returns when the log of a deployment has come to a position.
func awaitHead(d *deployment, position int64) {
	for {
		changed := d.Follower.Changed()
		if head, _ := d.Follower.Head(); head >= position {
			return
		}
		select {
		case <-changed:
		case <-d.t.Context().Done():
			return
		}
	}
}

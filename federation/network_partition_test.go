package federation

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/testmod"
)

// line is the way to a deployment. While it is cut, whatever comes is reset, or waits for an answer that never comes.
type line struct {
	cut, hangs atomic.Bool
	ended      <-chan struct{} // closed at the end of the test: a server does not notice that who has sent a body went away
}

func (l *line) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only peers are cut off: the clients of a deployment are on its side.
		if !l.cut.Load() || r.Header.Get("Signature-Input") == "" {
			next.ServeHTTP(w, r)
			return
		}
		if l.hangs.Load() {
			select {
			case <-r.Context().Done():
			case <-l.ended:
			}
		}
		panic(http.ErrAbortHandler)
	})
}

// view is all that a deployment knows of versions: state, and whether the zip is held.
func (d *deployment) view(modules ...testmod.Module) map[string]string {
	d.t.Helper()
	view := make(map[string]string)
	for _, m := range modules {
		v := d.version(m.Path, m.Version)
		view[m.Path] = v.State()
		if v.Held {
			view[m.Path] += ", held"
		}
	}
	return view
}

// Both sides of a partition fill, deprecate and delete, also the same versions. Once it is healed all views are equal, nothing that was
// deleted is back, and nothing is lost, whichever way was cut and however.
func TestPartition(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]struct{ toOM, toOA, hang bool }{
		"both ways":         {true, true, false},
		"one way":           {true, false, false},
		"the other way":     {false, true, false},
		"hanging both ways": {true, true, true},
		"hanging one way":   {false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := []testmod.Module{numbered("deleted", 0), numbered("deprecated", 1), numbered("both", 2)}
			ofOM, ofOA := []testmod.Module{numbered("om", 0), numbered("om", 1)}, []testmod.Module{numbered("oa", 0), numbered("oa", 1)}
			common, gone := numbered("common", 0), numbered("gone", 0)
			all := slices.Concat(old, ofOM, ofOA, []testmod.Module{common, gone})
			up := testmod.Tree(t, t.TempDir(), all...)
			ctx, cancel := context.WithCancel(context.Background())
			toOM, toOA := line{ended: ctx.Done()}, line{ended: ctx.Done()}
			impatient := peer.Options{HeaderTimeout: time.Second, IdleTimeout: time.Second}
			om := start(t, "om.example.com", options{upstream: up, interval: 500 * time.Millisecond, attempts: 2, backoff: 50 * time.Millisecond, wrap: toOM.wrap, peer: impatient})
			oa := start(t, "oa.example.com", options{upstream: up, interval: 500 * time.Millisecond, attempts: 2, backoff: 50 * time.Millisecond, wrap: toOA.wrap, peer: impatient})
			t.Cleanup(cancel) // before the servers are closed
			befriend(om, oa)
			for _, m := range old {
				om.mustGet(fileOf(m, "zip"))
			}
			eventually(t, "all is replicated", func() bool { return oa.count("versions WHERE held") == len(old) })

			for l, isCut := range map[*line]bool{&toOM: cut.toOM, &toOA: cut.toOA} {
				l.hangs.Store(cut.hang)
				l.cut.Store(isCut)
			}
			change := func(changed bool, err error) {
				require.NoError(t, err)
				require.True(t, changed)
			}
			for _, m := range ofOM {
				om.mustGet(fileOf(m, "zip"))
			}
			for _, m := range ofOA {
				oa.mustGet(fileOf(m, "zip"))
			}
			om.mustGet(fileOf(common, "zip"))
			oa.mustGet(fileOf(common, "zip"))
			oa.mustGet(fileOf(gone, "zip"))
			change(om.Delete("test", gone.Path, gone.Version, "unseen, and gone"))
			change(om.Delete("test", old[0].Path, old[0].Version, "taken down"))
			change(oa.Deprecate("test", old[1].Path, old[1].Version, "use another"))
			change(om.Deprecate("test", old[2].Path, old[2].Version, "use another"))
			change(oa.Delete("test", old[2].Path, old[2].Version, "taken down"))
			eventually(t, "whoever cannot be reached has its error", func() bool {
				return (!cut.toOA || om.count("peers WHERE last_error <> ''") == 1) && (!cut.toOM || oa.count("peers WHERE last_error <> ''") == 1)
			})

			toOM.cut.Store(false)
			toOA.cut.Store(false)
			want := map[string]string{old[0].Path: "deleted", old[1].Path: "deprecated, held", old[2].Path: "deleted", gone.Path: "deleted"}
			for _, m := range slices.Concat(ofOM, ofOA, []testmod.Module{common}) {
				want[m.Path] = "live, held"
			}
			sorted := func(d *deployment) []string { log := d.log(); slices.Sort(log); return log }
			eventually(t, "both hold the same events", func() bool { return slices.Equal(sorted(om), sorted(oa)) })
			for _, d := range []*deployment{om, oa} {
				eventually(t, d.Name+" holds what there is", func() bool {
					return maps.Equal(want, d.view(all...)) && len(d.blobs()) == len(all)-3
				})
				require.Equal(t, http.StatusForbidden, d.ask("GET", fileOf(gone, "info")).status)
				require.Equal(t, http.StatusForbidden, d.ask("GET", fileOf(old[0], "zip")).status)
				require.Len(t, d.log(), len(all)+5)
				require.Zero(t, d.count("versions WHERE conflict"))
			}
		})
	}
}

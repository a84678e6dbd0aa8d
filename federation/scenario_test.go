package federation

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/testmod"
)

var (
	mx = testmod.Module{Path: "example.com/mx", Version: "v1.0.0", Files: map[string]string{"mx.go": "package mx\n"}}
	my = testmod.Module{Path: "example.com/my", Version: "v1.0.0", Files: map[string]string{"my.go": "package my\n"}}
	mz = testmod.Module{Path: "example.com/mz", Version: "v1.0.0", Files: map[string]string{"mz.go": "package mz\n"}}
)

const (
	addX = "add example.com/mx@v1.0.0"
	addY = "add example.com/my@v1.0.0"
	addZ = "add example.com/mz@v1.0.0"
)

// hangable makes a handler that swallows pushes while told to: a time-out at the sender, not a refusal.
func hangable(hang *atomic.Bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if hang.Load() && r.URL.Path == "/push" {
				_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the sender has gone
				<-r.Context().Done()
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// The scenario that the design promises, entry for entry: a push is lost, a later one arrives, and pulling repairs it.
func TestScenarioTwoDeployments(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, mx, my, mz)
	var hang atomic.Bool
	om := start(t, "om.example.com", options{upstream: up.URL, attempts: 1, peer: peer.Options{HeaderTimeout: 2 * time.Second}})
	oa := start(t, "oa.example.com", options{wrap: hangable(&hang)})

	// T0, T1
	om.mustGet("/example.com/mx/@v/v1.0.0.zip")
	befriend(om, oa)
	pulled := oa.pull(om)
	require.Equal(t, 1, pulled.Pulled)
	require.Equal(t, []string{addX}, oa.log())
	require.Equal(t, []string{addX}, om.log())
	require.EqualValues(t, 1, oa.pointer(om))

	// T2, T3: the push of MyV1 times out and is dropped.
	hang.Store(true)
	om.mustGet("/example.com/my/@v/v1.0.0.zip")
	require.Equal(t, []string{addX, addY}, om.log())
	eventually(t, "the push is given up", func() bool {
		n, err := om.DB.RawQuery("SELECT 1 FROM river_job WHERE kind = 'push' AND state = 'discarded'").ExecWithCount()
		return err == nil && n == 1
	})
	require.Equal(t, []string{addX}, oa.log())

	// T4, T5: the push of MzV1 arrives; the pull pointer does not move.
	hang.Store(false)
	om.mustGet("/example.com/mz/@v/v1.0.0.zip")
	eventually(t, "the push of MzV1 arrives", func() bool { return len(oa.log()) == 2 })
	require.Equal(t, []string{addX, addZ}, oa.log())
	require.EqualValues(t, 1, oa.pointer(om))

	// T6, T7: the pull starts at the old pointer, gets both, and deduplication leaves MyV1.
	pulled = oa.pull(om)
	require.Equal(t, 2, pulled.Pulled)
	require.Equal(t, 1, pulled.Appended)
	require.EqualValues(t, 3, pulled.PullPosition)
	require.Equal(t, []string{addX, addZ, addY}, oa.log())
	require.Equal(t, []string{addX, addY, addZ}, om.log())

	for _, m := range []testmod.Module{mx, my, mz} {
		eventually(t, m.Path+" is held", func() bool { return oa.held(m.Path, m.Version) })
		require.Equal(t, om.mustGet("/"+m.Path+"/@v/v1.0.0.zip"), oa.mustGet("/"+m.Path+"/@v/v1.0.0.zip"))
		require.Equal(t, 1, up.Count("/"+m.Path+"/@v/v1.0.0.zip"), "one upstream fetch in the whole federation")
	}
}

// With a third deployment: what it pulls from OA originated at OM, is not pushed on by anybody, and its zips come from either.
func TestScenarioThreeDeployments(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, mx, my, mz)
	var hang atomic.Bool
	om := start(t, "om.example.com", options{upstream: up.URL, attempts: 1, peer: peer.Options{HeaderTimeout: 2 * time.Second}})
	oa := start(t, "oa.example.com", options{wrap: hangable(&hang)})
	og := start(t, "og.example.com", options{})

	om.mustGet("/example.com/mx/@v/v1.0.0.zip")
	om.knows(oa)
	oa.knows(om, og)
	og.knows(oa)
	oa.pull(om)
	hang.Store(true)
	om.mustGet("/example.com/my/@v/v1.0.0.zip")
	eventually(t, "the push is given up", func() bool {
		n, err := om.DB.RawQuery("SELECT 1 FROM river_job WHERE kind = 'push' AND state = 'discarded'").ExecWithCount()
		return err == nil && n == 1
	})
	hang.Store(false)
	om.mustGet("/example.com/mz/@v/v1.0.0.zip")
	eventually(t, "the push of MzV1 arrives", func() bool { return len(oa.log()) == 2 })

	// OG hears nothing by push: a receiver does not push on. It takes OA's log as it stands, in OA's order.
	og.pull(oa)
	require.Equal(t, []string{addX, addZ}, og.log())
	oa.pull(om)
	og.pull(oa)
	require.Equal(t, []string{addX, addZ, addY}, oa.log())
	require.Equal(t, []string{addX, addZ, addY}, og.log())
	require.Equal(t, []string{addX, addY, addZ}, om.log())
	n, err := oa.DB.RawQuery("SELECT 1 FROM river_job WHERE kind = 'push'").ExecWithCount()
	require.NoError(t, err)
	require.Zero(t, n, "OA pushed on what it received")

	// OG does not know OM at all: the zips come through OA.
	for _, m := range []testmod.Module{mx, my, mz} {
		eventually(t, m.Path+" is held", func() bool { return og.held(m.Path, m.Version) })
		require.Equal(t, om.mustGet("/"+m.Path+"/@v/v1.0.0.zip"), og.mustGet("/"+m.Path+"/@v/v1.0.0.zip"))
	}
}

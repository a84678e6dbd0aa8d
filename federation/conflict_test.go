package federation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
)

// Two upstreams have different bytes for one version.
var (
	bytesA = testmod.Module{Path: "example.com/c", Version: "v1.0.0", Files: map[string]string{"c.go": "package c // a\n"}, Time: time.Unix(1e9, 0)}
	bytesB = testmod.Module{Path: "example.com/c", Version: "v1.0.0", Files: map[string]string{"c.go": "package c // b\n"}, Time: time.Unix(2e9, 0)}
)

// at is the add of a module that originated somewhere at a time.
func at(t *testing.T, m testmod.Module, origin string, when time.Time) protocol.Event {
	e := testmod.Event(t, m, origin)
	e.Time = when
	return e
}

// Each of three deployments has its own bytes, or none. All events come to all of them in the end; what was held or served stays.
func TestConflictKeepsWhatWasServed(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, bytesA).URL})
	og := start(t, "og.example.com", options{upstream: testmod.NewUpstream(t, bytesB).URL})
	oa := start(t, "oa.example.com", options{lazy: true})
	om.mustGet(fileOf(bytesA, "zip"))
	og.mustGet(fileOf(bytesB, "zip"))
	befriend(om, og, oa)

	// OA serves the .info of the later add before it hears of the earlier one.
	oa.pull(og)
	require.Equal(t, bytesB.Info(), oa.mustGet(fileOf(bytesA, "info")))
	oa.pull(om)
	om.pull(og)
	og.pull(om)
	for _, d := range []*deployment{om, og, oa} {
		require.Len(t, d.log(), 2)
		require.True(t, d.version(bytesA.Path, bytesA.Version).Conflict, "%s does not flag the conflict", d.Name)
	}
	for d, m := range map[*deployment]testmod.Module{om: bytesA, og: bytesB, oa: bytesB} {
		require.Equal(t, m.Info(), d.mustGet(fileOf(bytesA, "info")), d.Name)
		require.Equal(t, m.Mod(), d.mustGet(fileOf(bytesA, "mod")), d.Name)
		require.Equal(t, string(testmod.Zip(t, m)), d.mustGet(fileOf(bytesA, "zip")), "the zip of %s", d.Name)
		require.Equal(t, []string{testmod.Event(t, m, "x").ZipSHA256}, d.blobs(), d.Name)
	}
}

// With nothing held or served, the earliest add is served; the smaller hash decides between two of one time.
func TestConflictEarliestWins(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{lazy: true})
	when := now()
	small, large := at(t, bytesA, "om.example.com", when), at(t, bytesB, "og.example.com", when)
	if small.ZipHash > large.ZipHash {
		small, large = large, small
	}
	earlier := added(bytesA.Path, bytesA.Version, "om.example.com", "earlier", when.Add(-time.Microsecond))
	for _, step := range []struct {
		heard, served protocol.Event
	}{{large, large}, {small, small}, {earlier, earlier}} {
		oa.hears(step.heard)
		require.Equal(t, step.served.ZipSHA256, oa.version(bytesA.Path, bytesA.Version).ZipSHA256)
	}
	require.Equal(t, earlier.Info, oa.mustGet(fileOf(bytesA, "info")))
	oa.hears(added(bytesA.Path, bytesA.Version, "om.example.com", "too late to matter", when.Add(-time.Hour)))
	require.Equal(t, earlier.Info, oa.mustGet(fileOf(bytesA, "info")))
}

// An add whose bytes nobody has does not keep the version from being held: of what can be had, the earliest is. Then it is for good.
func TestConflictHoldsWhatCanBeHad(t *testing.T) {
	t.Parallel()
	og := start(t, "og.example.com", options{upstream: testmod.NewUpstream(t, bytesB).URL})
	og.mustGet(fileOf(bytesB, "zip"))
	oa := start(t, "oa.example.com", options{lazy: true})
	befriend(oa, og)
	lost := added(bytesA.Path, bytesA.Version, "om.example.com", "lost", now().Add(-time.Hour))
	oa.hears(lost)
	oa.pull(og)
	require.Equal(t, lost.ZipSHA256, oa.version(bytesA.Path, bytesA.Version).ZipSHA256)
	require.Equal(t, string(testmod.Zip(t, bytesB)), oa.mustGet(fileOf(bytesA, "zip")))
	require.Equal(t, bytesB.Info(), oa.mustGet(fileOf(bytesA, "info")))
	oa.hears(added(bytesA.Path, bytesA.Version, "om.example.com", "earliest", now().Add(-2*time.Hour)))
	require.Equal(t, string(testmod.Zip(t, bytesB)), oa.mustGet(fileOf(bytesA, "zip")))
	require.Equal(t, bytesB.Info(), oa.mustGet(fileOf(bytesA, "info")))
}

// Whichever way a client asked, what it was told of a version does not change.
func TestConflictEveryAnswerPins(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t)
	oa := start(t, "oa.example.com", options{lazy: true, upstream: up.URL})
	for name, asked := range map[string]string{
		"info": "/@v/v1.0.0.info", "mod": "/@v/v1.0.0.mod", "latest": "/@latest", "branch": "/@v/main.info",
	} {
		t.Run(name, func(t *testing.T) {
			module := "example.com/pins/" + name
			up.Set("/"+module+"/@v/main.info", testmod.Behaviour{Status: 200, Body: []byte(`{"Version":"v1.0.0"}`)})
			first := added(module, "v1.0.0", "om.example.com", "first", now())
			oa.hears(first)
			told := oa.mustGet("/" + module + asked)
			if name != "mod" {
				require.Equal(t, first.Info, told)
			}
			oa.hears(added(module, "v1.0.0", "og.example.com", "earlier", now().Add(-time.Hour)))
			require.Equal(t, first.Info, oa.mustGet("/"+module+"/@v/v1.0.0.info"))
			require.Equal(t, first.ZipSHA256, oa.version(module, "v1.0.0").ZipSHA256)
		})
	}
}

// The same holds for a miss that a peer can answer, while the zips of both adds are sought.
func TestConflictMissAnsweredByPeerPins(t *testing.T) {
	t.Parallel()
	og := start(t, "og.example.com", options{upstream: testmod.NewUpstream(t, bytesB).URL})
	og.mustGet(fileOf(bytesB, "zip"))
	og.hears(added(bytesA.Path, bytesA.Version, "om.example.com", "lost", now().Add(-time.Hour)))
	oa := start(t, "oa.example.com", options{lazy: true})
	befriend(oa, og)
	told := oa.mustGet(fileOf(bytesA, "info"))
	eventually(t, "the zip is held or cannot be had", func() bool {
		v := oa.version(bytesA.Path, bytesA.Version)
		return v.Held || v.FetchError != ""
	})
	require.Equal(t, told, oa.mustGet(fileOf(bytesA, "info")))
}

package federation

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/testmod"
)

// explains returns the lives of a version as a deployment tells them over HTTP, by deployment, and that of its own.
func (d *deployment) explains(m testmod.Module) (own peer.Life, all map[string]peer.Life) {
	d.t.Helper()
	status, body := d.get("/explain/"+m.Path+"@"+m.Version, "Accept", "application/json")
	require.Equal(d.t, http.StatusOK, status, body)
	var e peer.Explanation
	require.NoError(d.t, json.Unmarshal([]byte(body), &e))
	require.Equal(d.t, [2]string{m.Path, m.Version}, [2]string{e.Module, e.Version})
	all = make(map[string]peer.Life)
	for _, l := range e.Deployments {
		all[l.Deployment] = l
	}
	require.Equal(d.t, d.Name, e.Deployments[0].Deployment)
	return e.Deployments[0], all
}

// steps are what a life tells, a line each, and require that they are in the order of time.
func steps(t testing.TB, l peer.Life) []string {
	t.Helper()
	var told []string
	for i, s := range l.Steps {
		told = append(told, s.What+": "+s.Says)
		require.False(t, i > 0 && s.At.Before(l.Steps[i-1].At), "%v", l.Steps)
	}
	return told
}

// recounts waits until a deployment tells of all the steps of a version, whatever the order of those that happen at once.
func (d *deployment) recounts(m testmod.Module, want ...string) {
	d.t.Helper()
	var told []string
	eventually(d.t, d.Name+" tells all", func() bool {
		own, _ := d.explains(m)
		told = steps(d.t, own)
		return len(told) >= len(want)
	})
	require.ElementsMatch(d.t, want, told)
}

// The life of a version is told at every deployment: who asked, where it came from, who was told, how it arrived, and when it was served.
func TestExplain(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, mx)
	om, oa, og := start(t, "om.example.com", options{upstream: up.URL}), start(t, "oa.example.com", options{}), start(t, "og.example.com", options{})
	befriend(om, oa)
	og.knows(om, oa) // which do not know it
	om.mustGet(fileOf(mx, "zip"))
	eventually(t, "the push brings it", func() bool { return oa.held(mx.Path, mx.Version) })

	og.pull(om)
	eventually(t, "the pull brings it", func() bool { return og.held(mx.Path, mx.Version) })
	og.mustGet(fileOf(mx, "info"))
	size := strconv.Itoa(len(testmod.Zip(t, mx)))
	stored := func(from string) string {
		return "held: its zip of " + size + " bytes was checked and stored; it came from " + from
	}
	const first = "served: a client was given one of its files for the first time"
	om.recounts(mx,
		"asked: asked for, and not known: the fill began", stored("upstream, "+up.URL),
		"add: logged at position 1; it originated here", "push: oa.example.com took the push of the add, at attempt 1", first)
	oa.recounts(mx, "add: logged at position 1; pushed by om.example.com, originated at om.example.com", stored("om.example.com"))
	own, _ := og.explains(mx)
	from := om.Name
	if strings.Contains(strings.Join(steps(t, own), "\n"), stored(oa.Name)) {
		from = oa.Name // which had it as well
	}
	og.recounts(mx, "add: logged at position 1; pulled from om.example.com, originated at om.example.com", stored(from), first)

	own, all := oa.explains(mx)
	require.Equal(t, "live", own.State)
	require.True(t, own.Held)
	require.Empty(t, own.Reason)
	require.Len(t, all, 2, "og.example.com is no peer of it")
	require.True(t, all[om.Name].Held)
	require.Len(t, all[om.Name].Steps, 5)

	changed, err := om.Delete("task", mx.Path, mx.Version, "it is bad")
	require.NoError(t, err)
	require.True(t, changed)
	own, _ = om.explains(mx)
	require.Equal(t, "deleted", own.State)
	require.False(t, own.Held)
	require.Equal(t, "It was deleted by om.example.com and is barred for good: it is bad.", own.Reason)
	require.Contains(t, steps(t, own), "delete: logged at position 2; it originated here; reason: it is bad")
	require.Contains(t, steps(t, own), "administrator: delete, asked for here by task")
	status, page := om.get("/explain/"+mx.Path+"@"+mx.Version, "Accept", "text/html")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "barred for good: it is bad.")
	require.Contains(t, page, "At oa.example.com")
}

// A version that is missing has a reason, and what brings it.
func TestExplainMissing(t *testing.T) {
	t.Parallel()
	om, oa := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, mx, my).URL}), start(t, "oa.example.com", options{})
	oa.knows(om)
	om.mustGet(fileOf(mx, "zip"))
	oa.pull(om)
	om.mustGet(fileOf(my, "zip"))
	reason := func(d *deployment, m testmod.Module, askUpstream bool) string {
		lives, err := d.ExplainEverywhere(t.Context(), m.Path, m.Version, askUpstream)
		require.NoError(t, err)
		require.Equal(t, peer.StateUnknown, lives[0].State)
		require.Empty(t, lives[0].Steps)
		return lives[0].Reason
	}
	const nothing = "No event of the log speaks of it. "
	require.Equal(t, nothing+"om.example.com has it at position 2, and its log has been taken up to position 1: the next pull brings it.",
		reason(oa, my, true))
	require.Equal(t, nothing+"No peer that answers knows it. Upstream is asked when a client asks for it, or by olympus task explain.",
		reason(oa, mz, false))
	require.Contains(t, reason(oa, mz, true), nothing+"No peer that answers knows it. Upstream: ")
	require.Contains(t, reason(oa, mz, true), "asking upstream is off")
	require.Equal(t, 2, om.count("events"), "nothing is filled by asking")

	other := start(t, "og.example.com", options{upstream: testmod.NewUpstream(t, mz).URL})
	require.Equal(t, nothing+"No peer that answers knows it. Upstream has it: ask for it, or run olympus task modules:add "+mz.Path+"@v1.0.0.",
		reason(other, mz, true))
	require.Zero(t, other.count("events"))

	// Passed, and not there: a row was lost by hand.
	require.NoError(t, oa.DB.RawQuery("UPDATE peers SET pull_position = 2, head = 2").Exec())
	require.Equal(t, nothing+"om.example.com has it at position 2, which the pull pointer has passed: run olympus task log:replay om.example.com 1.",
		reason(oa, my, false))

	om.server.CloseClientConnections()
	om.server.Close()
	require.Contains(t, reason(oa, mz, false), "1 peer did not tell. ")
	_, all := oa.explains(mz)
	require.NotEmpty(t, all[om.Name].Error)
	require.Empty(t, all[om.Name].State)
}

// Why a zip is not here, in a sentence.
func TestExplainRemote(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{})
	oa.knows(start(t, "om.example.com", options{}))
	oa.hears(testmod.Event(t, mx, "om.example.com"))
	eventually(t, "it says why", func() bool {
		own, _ := oa.explains(mx)
		return strings.Contains(own.Reason, "Its zip could not be fetched in ") && strings.Contains(own.Reason, "asking upstream is off")
	})
	own, _ := oa.explains(mx)
	require.Equal(t, "live", own.State)
	require.Contains(t, strings.Join(steps(t, own), "\n"), "failed: its zip could not be fetched, at attempt ")
	require.Contains(t, own.Reason, "; from upstream: ", "what each peer and upstream said is told apart")
	require.Contains(t, steps(t, own), "add: logged at position 1; originated at om.example.com")

	lazy := start(t, "og.example.com", options{lazy: true})
	lazy.hears(testmod.Event(t, mx, "om.example.com"), said(protocol.KindDeprecate, my.Path, my.Version, "om.example.com"))
	own, _ = lazy.explains(mx)
	require.Equal(t, "Its zip is fetched when a client asks for it: OLYMPUS_FETCH is lazy.", own.Reason)
	own, _ = lazy.explains(my)
	require.Equal(t, "deprecated", own.State)
	require.Equal(t, "Only a deprecation of it is known, and nobody has added it.", own.Reason)
}

// A push that was given up is told of, and one that waits.
func TestExplainPushes(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, mx, my).URL})
	evil := lying(om, "evil.example.com")
	evil.tell("/push", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	om.mustGet(fileOf(mx, "zip"))
	eventually(t, "the push is given up", func() bool {
		own, _ := om.explains(mx)
		return strings.Contains(strings.Join(steps(t, own), "\n"),
			"push: the push of the add to evil.example.com was given up after 1 attempt, its next pull brings it: push to evil.example.com: POST ")
	})
	waiting := start(t, "oa.example.com", options{upstream: testmod.NewUpstream(t, mx).URL, noJobs: true})
	lying(waiting, "evil.example.com")
	waiting.mustGet(fileOf(mx, "zip"))
	own, _ := waiting.explains(mx)
	require.Contains(t, steps(t, own), "push: the push of the add to evil.example.com is queued")
}

// A peer that asks is told of this deployment alone, and what peers say is of bounded length.
func TestExplainToPeers(t *testing.T) {
	t.Parallel()
	om, oa := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, mx).URL}), start(t, "oa.example.com", options{})
	befriend(om, oa)
	evil := lying(om, "evil.example.com")
	path := "/explain/" + mx.Path + "@" + mx.Version
	evil.tell(path, body([]byte(`{"module":"`+mx.Path+`","version":"v1.0.0","deployments":[{"deployment":"evil.example.com","state":"live","held":true,"position":1,`+
		`"reason":"`+strings.Repeat("a\\n", 1000)+`","steps":[`+strings.Repeat(`{"at":"2026-11-23T00:00:00Z","what":"<b>","says":"<script>"},`, 600)+
		`{"at":"2026-11-23T00:00:00Z","what":"x","says":"y"}]}]}`)))
	om.mustGet(fileOf(mx, "zip"))

	life, err := oa.Peers.Explain(t.Context(), om.target(), mx.Path, mx.Version)
	require.NoError(t, err)
	require.Equal(t, om.Name, life.Deployment)
	require.Zero(t, evil.askedFor(path), "nobody asks on")

	_, all := om.explains(mx)
	require.Equal(t, 1, evil.askedFor(path))
	told := all[evil.name]
	require.Len(t, told.Steps, 500)
	require.Less(t, len(told.Reason), 400)
	require.NotContains(t, told.Reason, "\n")
	_, page := om.get(path, "Accept", "text/html")
	require.Contains(t, page, "&lt;script&gt;")
	require.NotContains(t, page, "<script>")
}

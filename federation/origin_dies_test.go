package federation

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
	"olympus/models"
)

// An origin that dies for good takes with it only what nobody else holds: that is reported, and fetched as soon as anybody turns up who does.
func TestOriginDies(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, mx, my)
	om := start(t, "om.example.com", options{upstream: up.URL, noJobs: true})
	oa := start(t, "oa.example.com", options{lazy: true, noJobs: true})
	late := start(t, "late.example.com", options{lazy: true, noJobs: true})
	og := start(t, "og.example.com", options{})
	befriend(om, oa, late)
	for _, m := range []testmod.Module{mx, my} {
		om.mustGet(fileOf(m, "zip"))
	}
	oa.pull(om)
	oa.mustGet(fileOf(mx, "zip"))
	late.pull(om)
	late.mustGet(fileOf(my, "zip"))
	om.server.CloseClientConnections()
	om.server.Close()

	og.knows(oa, om)
	oa.knows(og)
	og.pull(oa)
	eventually(t, "what a survivor holds is held", func() bool { return og.held(mx.Path, mx.Version) })
	eventually(t, "what nobody holds is reported", func() bool {
		v := og.version(my.Path, my.Version)
		return !v.Held && v.FetchError != "" && v.FetchAttempts > 1
	})
	require.Equal(t, my.Mod(), og.mustGet(fileOf(my, "mod")))
	status, _ := og.get(fileOf(my, "zip"))
	require.GreaterOrEqual(t, status, http.StatusInternalServerError, "known to be somewhere: not 404")
	counts, err := models.CountVersions(og.DB)
	require.NoError(t, err)
	require.EqualValues(t, 1, counts.Failed)

	og.knows(late)
	late.knows(og)
	eventually(t, "the other survivor has turned up", func() bool { return og.held(my.Path, my.Version) })
	require.Equal(t, string(testmod.Zip(t, my)), og.mustGet(fileOf(my, "zip")))
}

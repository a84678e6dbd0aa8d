package federation

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
)

// A replay that rights a wrong row is noticed by every process at once, although the head stands where it stood: none goes on serving
// what it remembers.
func TestReplayReachesWhatOthersRemember(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{upstream: testmod.NewUpstream(t, mx).URL, noJobs: true})
	twin := om.another(nil)
	om.mustGet(fileOf(mx, "zip"))
	om.hears(said(protocol.KindDelete, mx.Path, mx.Version, om.Name))
	require.NoError(t, om.DB.RawQuery("UPDATE versions SET deleted = false").Exec())
	for _, d := range []*deployment{om, twin} {
		d.mustGet(fileOf(mx, "info"))
		d.mustGet(fileOf(mx, "info"))
	}
	_, err := om.Replay(t.Context())
	require.NoError(t, err)
	for _, d := range []*deployment{om, twin} {
		eventually(t, "the tombstone is seen", func() bool { return d.ask("GET", fileOf(mx, "info")).status == http.StatusForbidden })
	}
}

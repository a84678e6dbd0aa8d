package federation

import (
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testmod"
)

// A version that is deleted while it is being filled is refused to those who wait for it, as a deleted one, whatever the fill has come to.
func TestDeletedWhileFilled(t *testing.T) {
	t.Parallel()
	for _, ext := range []download.Ext{download.Info, download.Zip} {
		t.Run(string(ext), func(t *testing.T) {
			t.Parallel()
			up, hold := testmod.NewUpstream(t, mx), make(chan struct{})
			om := start(t, "om.example.com", options{upstream: up.URL, admin: adminToken})
			up.Set(filePath(mx, ext), testmod.Behaviour{Hold: hold})
			asked := make(chan answer)
			go func() { asked <- om.ask(http.MethodGet, filePath(mx, download.Zip)) }()
			eventually(t, "upstream is asked", func() bool { return up.Count(filePath(mx, ext)) == 1 })
			req, err := http.NewRequest(http.MethodPost, om.url+"/modules/"+mx.Path+"@"+mx.Version+"/delete", nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+adminToken)
			require.Equal(t, http.StatusOK, om.send(req).status)
			eventually(t, "the fill is given up", func() bool { return om.count("fills") == 0 })
			close(hold)
			got := awaitFrom(t, "the answer", asked)
			require.Equal(t, http.StatusForbidden, got.status, got.body)
			require.Empty(t, om.blobs())
			if ext == download.Zip {
				require.Equal(t, 2, om.count("river_job WHERE kind = 'remove'"), "one for the delete, and one for the zip that came after it")
			}
		})
	}
}

// A zip that a fill has stored whose process died before its event goes, too, when the version is deleted meanwhile: as soon as some
// deployment tells which bytes it has. When the delete came nobody here knew that.
func TestZipOfADeadFillIsRemoved(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{})
	event := testmod.Event(t, mx, "om.example.com")
	staged, err := oa.Store.Temp()
	require.NoError(t, err)
	_, err = staged.Write(testmod.Zip(t, mx))
	require.NoError(t, err)
	require.NoError(t, oa.Store.Put(t.Context(), event.ZipSHA256, staged, event.ZipSize))
	require.NoError(t, staged.Close())
	_ = os.Remove(staged.Name())

	changed, err := oa.Delete("task", mx.Path, mx.Version, "bad")
	require.NoError(t, err)
	require.True(t, changed)
	eventually(t, "what is known of it is removed", func() bool { return oa.count("river_job WHERE kind = 'remove' AND state = 'completed'") == 1 })
	require.Equal(t, []string{event.ZipSHA256}, oa.blobs())
	oa.hears(event)
	eventually(t, "its zip is gone", func() bool { return len(oa.blobs()) == 0 })
}

package federation

import (
	"net/http"
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

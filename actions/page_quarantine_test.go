package actions_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A quarantined peer is shown with the evidence wherever peers are shown, and only accepting its history ends it.
func TestQuarantinedPeer(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{token: token})
	const name = "om.example.com"
	s.knows(name, "https://om.example.com", otherKey(t, name))
	s.exec(`UPDATE peers SET state = 'quarantined', evidence_before = 'om.example.com 40 <b>', evidence_after = 'om.example.com 35'`)

	page := s.page("/peers/" + name)
	require.Contains(t, page, "om.example.com 40 &lt;b&gt;")
	require.Contains(t, page, "om.example.com 35")
	require.Contains(t, page, "olympus task peers:accept "+name)
	require.Contains(t, s.page("/"), "two histories")
	require.Contains(t, s.page("/peers"), "quarantined")
	var one struct {
		State    string
		Evidence []string
	}
	s.json("/peers/"+name, &one)
	require.Equal(t, "quarantined", one.State)
	require.Equal(t, []string{"om.example.com 40 <b>", "om.example.com 35"}, one.Evidence)
	metrics := s.do(http.MethodGet, "/metrics", "")
	require.True(t, strings.Contains(metrics.body, "\nolympus_peers_quarantined 1\n"))

	for _, action := range []string{"pause", "resume"} {
		require.Equal(t, http.StatusBadRequest, s.admin(http.MethodPost, "/peers/"+name+"/"+action, "").status, action)
	}
	require.Equal(t, http.StatusConflict, s.admin(http.MethodPost, "/peers/"+name+"/pull", "").status)
	require.Equal(t, http.StatusOK, s.admin(http.MethodPost, "/peers/"+name+"/accept", "").status)
	require.Equal(t, http.StatusConflict, s.admin(http.MethodPost, "/peers/"+name+"/accept", "").status, "it is not quarantined any more")
	var after struct {
		State    string
		Evidence []string
	}
	s.json("/peers/"+name, &after)
	require.Equal(t, "active", after.State)
	require.Empty(t, after.Evidence)
	require.Contains(t, strings.Join(s.audited(), "\n"), "accept peer")
}

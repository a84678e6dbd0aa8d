package federation

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// doctor runs the task and returns what it prints, and its exit code.
func (s *site) doctor(p *process) (string, int) {
	s.t.Helper()
	out, _, code := s.run(p.env, "task", "doctor")
	return out, code
}

// The doctor says what is in order, and of what is not what to do.
func TestDoctor(t *testing.T) {
	t.Parallel()
	om, oa := newSite(t, "om.example.com"), newSite(t, "oa.example.com")
	p, q := om.start(), oa.start()
	omKey, oaKey := om.target(p).Key, oa.target(q).Key
	add := func(at *process, name, url, key string) {
		at.administrate(http.StatusCreated, http.MethodPut, "/peers/"+name, fmt.Sprintf(`{"url":%q,"key":%q}`, url, key))
	}
	out, code := om.doctor(p)
	require.Zero(t, code, out)
	require.NotContains(t, out, "WRONG")
	require.Contains(t, out, "ok     own address: "+p.url+" answers as om.example.com\n")
	require.Contains(t, out, "ok     peers: none")

	add(p, oa.name, q.url, oaKey)
	out, code = om.doctor(p)
	require.Equal(t, 1, code)
	require.Contains(t, out, "WRONG  peer oa.example.com: it does not have this deployment as a peer\n       its operator runs: olympus task peers:add "+p.url+" "+omKey)

	add(q, om.name, "http://127.0.0.1:1", omKey)
	out, code = om.doctor(p)
	require.Equal(t, 1, code)
	require.Contains(t, out, "WRONG  peer oa.example.com: it cannot reach this deployment: ")
	q.administrate(http.StatusOK, http.MethodPut, "/peers/om.example.com", fmt.Sprintf(`{"url":%q,"key":%q}`, p.url, omKey))
	out, code = om.doctor(p)
	require.Zero(t, code, out)
	require.Contains(t, out, "ok     peer oa.example.com: reached, and reaches this deployment; 0 events behind\n")
	require.Contains(t, out, "ok     clock of oa.example.com: agrees with the one here\n")

	q.administrate(http.StatusOK, http.MethodPost, "/peers/om.example.com/pause", "")
	out, _ = om.doctor(p)
	require.Contains(t, out, "WRONG  peer oa.example.com: GET "+q.url+"/peer/greeting: 403 Forbidden")
	require.Zero(t, q.terminate())
	out, code = om.doctor(p)
	require.Equal(t, 1, code)
	require.Contains(t, out, "WRONG  peer oa.example.com: GET "+q.url+"/peer: dial tcp")

	require.Zero(t, p.terminate())
	out, code = om.doctor(p)
	require.Equal(t, 1, code)
	require.Contains(t, out, "WRONG  own address: GET "+p.url+"/peer: dial tcp")
}

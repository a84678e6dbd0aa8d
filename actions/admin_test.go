package actions_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/internal/testmod"
	"olympus/models"
	"olympus/worker"
)

// everyChange are the requests of administration, with a body that each would take.
var everyChange = []struct{ method, path, body string }{
	{http.MethodPut, "/peers/om.example.com", `{"url":"https://om.example.com","key":"k"}`},
	{http.MethodDelete, "/peers/om.example.com", ""},
	{http.MethodPost, "/peers/om.example.com/pull", ""},
	{http.MethodPost, "/peers/om.example.com/pause", ""},
	{http.MethodPost, "/peers/om.example.com/resume", ""},
	{http.MethodPost, "/peers/om.example.com/approve", `{"key":"k"}`},
	{http.MethodPost, "/modules", `{"module":"example.com/m","version":"v1.0.0"}`},
	{http.MethodPost, "/modules/example.com/m@v1.0.0/deprecate", `{"reason":"r"}`},
	{http.MethodPost, "/modules/example.com/m@v1.0.0/delete", `{"reason":"r"}`},
}

func TestAdministrationNeedsTheToken(t *testing.T) {
	t.Parallel()
	off, on := newSite(t, siteOptions{}), newSite(t, siteOptions{token: token})
	off.knows("om.example.com", "http://127.0.0.1:1")
	on.knows("om.example.com", "http://127.0.0.1:1")
	for _, c := range everyChange {
		for _, header := range [][]string{nil, {"Authorization", "Bearer "}, {"Authorization", "Bearer " + token}} {
			requireProblem(t, off.do(c.method, c.path, c.body, header...), 403, "OLYMPUS_ADMIN_TOKEN")
		}
		for name, authorization := range map[string]string{
			"none": "", "wrong": "Bearer wrong", "longer": "Bearer " + token + "x", "shorter": "Bearer " + token[1:],
			"other scheme": "Basic " + token, "no scheme": token, "empty": "Bearer ",
		} {
			got := on.do(c.method, c.path, c.body, "Authorization", authorization)
			requireProblem(t, got, 401, "token")
			require.Equal(t, `Bearer realm="olympus"`, got.header.Get("WWW-Authenticate"), name)
		}
		got := on.do(c.method, c.path+"?_method=GET", c.body, "Authorization", "bearer "+token)
		require.NotContains(t, []int{401, 403}, got.status, "%s %s: %s", c.method, c.path, got.body)
	}
	require.Equal(t, []string{"test add peer om.example.com"}, trimmed(off.audited()))
}

// trimmed are lines of an audit trail without their details.
func trimmed(lines []string) []string {
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line)[:4], " ")
	}
	return lines
}

func TestMethodsAreNotOverridden(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{token: token})
	s.knows("om.example.com", "https://om.example.com")
	requireProblem(t, s.admin(http.MethodPost, "/peers/om.example.com?_method=DELETE", ""), 405, "POST /peers/om.example.com")
	got := s.do(http.MethodPost, "/peers/om.example.com", "_method=DELETE",
		"Authorization", "Bearer "+token, "Content-Type", "application/x-www-form-urlencoded")
	requireProblem(t, got, 405, "POST /peers/om.example.com")
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/peers/om.example.com", "").status)
}

func TestPutPeer(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{token: token})
	key, next := otherKey(t, "om.example.com/eu"), otherKey(t, "om.example.com/eu")
	const path = "/peers/om.example.com/eu"
	body := `{"url":"HTTPS://OM.example.com:443/","key":"` + key + `"}`

	got := s.admin(http.MethodPut, path, body)
	require.Equal(t, http.StatusCreated, got.status, got.body)
	require.Contains(t, got.body, `"url":"https://om.example.com"`)
	require.Contains(t, got.body, `"state":"active"`)
	// A form is what curl calls a body unless told otherwise.
	got = s.do(http.MethodPut, path, body, "Authorization", "Bearer "+token, "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Len(t, s.audited(), 1, "nothing changed")

	s.exec(`UPDATE peers SET pull_position = 9, head = 9`)
	require.Equal(t, http.StatusOK, s.admin(http.MethodPut, path, `{"url":"https://new.example.com","key":"`+key+`"}`).status)
	p, err := models.FindPeer(s.DB, "om.example.com/eu")
	require.NoError(t, err)
	require.EqualValues(t, 9, p.PullPosition, "the same log at another address")
	require.Equal(t, http.StatusOK, s.admin(http.MethodPut, path, `{"url":"https://new.example.com","key":"`+next+`"}`).status)
	p, err = models.FindPeer(s.DB, "om.example.com/eu")
	require.NoError(t, err)
	require.Zero(t, p.PullPosition, "another log")
	require.Equal(t, []string{
		"http add peer om.example.com/eu https://new.example.com " + next,
		"http add peer om.example.com/eu https://new.example.com " + key,
		"http add peer om.example.com/eu https://om.example.com " + key,
	}, s.audited())
}

func TestPutPeerRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{token: token})
	other := newSite(t, siteOptions{name: "oa.example.com"})
	key := otherKey(t, "om.example.com")
	own := s.signer.VerifierKey()
	const url = `"url":"https://om.example.com"`
	for body, want := range map[string]struct {
		status int
		says   string
	}{
		"":                               {400, `"url" is missing`},
		`{}`:                             {400, `"url" is missing`},
		`{` + url + `,"key":""}`:         {400, `"key" is missing`},
		`{"url":"` + other.url + `"}`:    {400, other.signer.VerifierKey()},
		`{"url":"http://127.0.0.1:1"}`:   {400, "could not be asked"},
		`{` + url + `,"key":"nonsense"}`: {400, "invalid key"},
		`{` + url + `,"key":"` + otherKey(t, "og.example.com") + `"}`:       {400, "the key of og.example.com"},
		`{` + url + `,"key":"` + own + `"}`:                                 {400, "this deployment itself"},
		`{"url":"om.example.com","key":"` + key + `"}`:                      {400, "http://"},
		`{"url":"https://u:secret@om.example.com","key":"` + key + `"}`:     {400, "user"},
		`{` + url + `,"key":"` + key + `","state":"active"}`:                {400, `"state" is unknown`},
		`{` + url + `,` + url + `,"key":"` + key + `"}`:                     {400, `"url" is there twice`},
		`{` + url + `,"Key":"` + key + `"}`:                                 {400, `"Key" is unknown`},
		`{` + url + `,"key":7}`:                                             {400, `"key" is not a string`},
		`[]`:                                                                {400, "not a JSON object"},
		`{` + url:                                                           {400, "not JSON"},
		`{` + url + `,"key":"` + key + `"} {}`:                              {400, "not JSON"},
		`{"url":"` + strings.Repeat("x", 64<<10) + `","key":"` + key + `"}`: {413, "65536 bytes"},
	} {
		got := s.admin(http.MethodPut, "/peers/om.example.com", body)
		requireProblem(t, got, want.status, want.says)
		require.NotContains(t, got.body, "secret")
	}
	requireProblem(t, s.admin(http.MethodPut, "/peers/a+b", `{`+url+`,"key":"`+key+`"}`), 400, "name")
	requireProblem(t, s.admin(http.MethodPut, "/peers/"+s.Name, `{`+url+`,"key":"`+otherKey(t, s.Name)+`"}`), 400, "this deployment itself")
	require.Empty(t, s.audited())
	peers, err := models.Peers(s.DB)
	require.NoError(t, err)
	require.Empty(t, peers)
}

func TestPauseResumeRemove(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{token: token})
	key := otherKey(t, "om.example.com/eu")
	s.knows("om.example.com/eu", "https://om.example.com", key)
	const path = "/peers/om.example.com/eu"
	for _, step := range []struct {
		method, path string
		status       int
		says         string
	}{
		{http.MethodPost, path + "/pause", 200, `"state":"paused"`},
		{http.MethodPost, path + "/pause", 200, `"state":"paused"`},
		{http.MethodPost, path + "/pull", 409, "paused"},
		{http.MethodPost, path + "/resume", 200, `"state":"active"`},
		{http.MethodPost, path + "/resume/", 200, `"state":"active"`},
		{http.MethodDelete, path, 204, ""},
		{http.MethodDelete, path, 404, "om.example.com/eu"},
		{http.MethodPost, path + "/resume", 404, "om.example.com/eu"},
		{http.MethodPost, path + "/pull", 404, "om.example.com/eu"},
		{http.MethodPost, "/peers/x.example.com/pause", 404, "x.example.com"},
	} {
		got := s.admin(step.method, step.path, "")
		require.Equal(t, step.status, got.status, "%s %s: %s", step.method, step.path, got.body)
		require.Contains(t, got.body, step.says)
	}
	require.Equal(t, http.StatusNotFound, s.do(http.MethodGet, path, "").status)
	back := s.admin(http.MethodPut, path, `{"url":"https://om.example.com","key":"`+key+`"}`)
	require.Equal(t, http.StatusCreated, back.status, back.body)
	require.Equal(t, []string{
		"http add peer om.example.com/eu https://om.example.com " + key, "http remove peer om.example.com/eu",
		"http resume peer om.example.com/eu", "http pause peer om.example.com/eu", "test add peer om.example.com/eu https://om.example.com " + key,
	}, s.audited(), "what changed nothing is not in it")
	require.ErrorIs(t, s.SetPeerState(t.Context(), "test", "om.example.com/eu", "gone"), worker.ErrInvalid)
}

func TestPull(t *testing.T) {
	t.Parallel()
	oa, om := newSite(t, siteOptions{name: "oa.example.com", token: token}), newSite(t, siteOptions{name: "om.example.com"})
	om.knows(oa.Name, oa.url, oa.signer.VerifierKey())
	oa.knows(om.Name, om.url, om.signer.VerifierKey())
	x, y := added("example.com/x", "v1.0.0", om.Name), added("example.com/y", "v1.0.0", om.Name)
	om.log(x, y)
	oa.log(x)
	got := oa.admin(http.MethodPost, "/peers/om.example.com/pull", "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.JSONEq(t, `{"pulled":2,"appended":1,"pull_position":2}`, got.body)
	require.JSONEq(t, `{"pulled":0,"appended":0,"pull_position":2}`, oa.admin(http.MethodPost, "/peers/om.example.com/pull", "").body)
}

func TestPullSaysWhyItFailed(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("<html>not a log</html>\n"))
	}))
	t.Cleanup(broken.Close)
	s := newSite(t, siteOptions{token: token})
	s.knows("om.example.com", "http://127.0.0.1:1")
	requireProblem(t, s.admin(http.MethodPost, "/peers/om.example.com/pull", ""), 502, "connection refused")
	s.knows("og.example.com", broken.URL)
	requireProblem(t, s.admin(http.MethodPost, "/peers/og.example.com/pull", ""), 502, "pull from og.example.com")
	require.Contains(t, s.page("/"), "The last exchange with og.example.com failed")
}

func TestPrefetch(t *testing.T) {
	t.Parallel()
	tree := testmod.Tree(t, t.TempDir(), testmod.Module{Path: "example.com/M", Version: "v1.0.0"}, testmod.Module{Path: "example.com/M", Version: "v1.1.0"})
	s := newSite(t, siteOptions{token: token, proxies: tree})
	for _, want := range []string{"v1.0.0", "v1.0.0"} {
		got := s.admin(http.MethodPost, "/modules", `{"module":"example.com/M","version":"v1.0.0"}`)
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.JSONEq(t, `{"module":"example.com/M","version":"`+want+`","state":"live","held":true}`, got.body)
	}
	got := s.admin(http.MethodPost, "/modules", `{"module":"example.com/M","version":"latest"}`)
	require.JSONEq(t, `{"module":"example.com/M","version":"v1.1.0","state":"live","held":true}`, got.body)
	require.Contains(t, s.audited(), "http prefetch example.com/M@v1.1.0")

	s.log(protocol.Event{Kind: protocol.KindDelete, Module: "example.com/M", Version: "v1.0.0", Origin: "om.example.com", Time: time.Now().UTC().Truncate(time.Microsecond)})
	for body, want := range map[string]struct {
		status int
		says   string
	}{
		`{"module":"example.com/M","version":"v1.0.0"}`:                                 {403, "deleted"},
		`{"module":"example.com/M","version":"v1.9.0"}`:                                 {404, "v1.9.0"},
		`{"module":"example.com/none","version":"latest"}`:                              {404, "example.com/none"},
		`{"module":"example.com/M"}`:                                                    {400, `"version" is missing`},
		`{"version":"v1.0.0"}`:                                                          {400, `"module" is missing`},
		`{"module":"nonsense","version":"v1.0.0"}`:                                      {400, "nonsense"},
		`{"module":"example.com/M","version":"a/../b"}`:                                 {400, "a/../b"},
		`{"module":"example.com/M","version":"v1","force":1}`:                           {400, `"force" is unknown`},
		`{"module":"example.com/` + strings.Repeat("x", 1100) + `","version":"v1.0.0"}`: {400, "1024"},
	} {
		requireProblem(t, s.admin(http.MethodPost, "/modules", body), want.status, want.says)
	}
}

// A version that was unknown a moment ago is asked for again when an administrator wants it.
func TestPrefetchAsksAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSite(t, siteOptions{token: token, proxies: testmod.Tree(t, dir, testmod.Module{Path: "example.com/m", Version: "v1.0.0"})})
	const body = `{"module":"example.com/m","version":"v1.1.0"}`
	requireProblem(t, s.admin(http.MethodPost, "/modules", body), 404, "v1.1.0")
	testmod.Tree(t, dir, testmod.Module{Path: "example.com/m", Version: "v1.1.0"})
	require.Equal(t, http.StatusOK, s.admin(http.MethodPost, "/modules", body).status)
}

func TestDeprecateAndDelete(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{token: token})
	s.log(added("example.com/Big", "v1.0.0", "om.example.com"))
	const path = "/modules/example.com/!big@v1.0.0"
	for _, step := range []struct{ action, body, want string }{
		{"/deprecate", `{"reason":"use v1.1.0"}`, `{"module":"example.com/Big","version":"v1.0.0","state":"deprecated","changed":true}`},
		{"/deprecate", `{"reason":"use v1.1.0"}`, `{"module":"example.com/Big","version":"v1.0.0","state":"deprecated","changed":false}`},
		{"/delete", ``, `{"module":"example.com/Big","version":"v1.0.0","state":"deleted","changed":true}`},
		{"/delete/", `{"reason":"again"}`, `{"module":"example.com/Big","version":"v1.0.0","state":"deleted","changed":false}`},
	} {
		got := s.admin(http.MethodPost, path+step.action, step.body)
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.JSONEq(t, step.want, got.body)
	}
	got := s.admin(http.MethodPost, "/modules/example.com/unknown@v1.0.0/delete", `{"reason":"before anybody has it"}`)
	require.JSONEq(t, `{"module":"example.com/unknown","version":"v1.0.0","state":"deleted","changed":true}`, got.body)
	require.Equal(t, []string{
		"http delete example.com/unknown@v1.0.0 before anybody has it", "http delete example.com/Big@v1.0.0", "http deprecate example.com/Big@v1.0.0 use v1.1.0",
	}, s.audited())

	for path, want := range map[string]string{
		"/modules/example.com/m@v1/delete":          "canonical",
		"/modules/example.com/m@v2.0.0/deprecate":   "v0 or v1",
		"/modules/nonsense@v1.0.0/delete":           "nonsense",
		"/modules/example.com/m@v1.0.0/x@v1/delete": "",
	} {
		requireProblem(t, s.admin(http.MethodPost, path, `{"reason":"r"}`), 400, want)
	}
	requireProblem(t, s.admin(http.MethodPost, "/modules/example.com/m/delete", `{"reason":"r"}`), 404, "module@version")
	for body, want := range map[string]string{
		`{"reason":"` + strings.Repeat("x", 1025) + `"}`: "reason",
		`{"reason":"a\u0000b"}`:                          "reason",
		`{"why":"r"}`:                                    `"why" is unknown`,
		`"r"`:                                            "not a JSON object",
	} {
		requireProblem(t, s.admin(http.MethodPost, "/modules/example.com/m@v1.0.0/delete", body), 400, want)
	}
	require.Len(t, s.audited(), 3)
}

func TestFingerprintsAreShownToCompare(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	key := otherKey(t, "om.example.com")
	s.knows("om.example.com", "https://om.example.com", key)
	require.Contains(t, s.page("/"), signature.Fingerprint(s.signer.VerifierKey()))
	require.Contains(t, s.page("/peers/om.example.com"), signature.Fingerprint(key))
}

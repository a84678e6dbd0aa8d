package actions_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/models"
)

// browserOf is a browser at a site: it keeps cookies and sends forms.
type browserOf struct {
	*site
	cookies map[string]string
}

func (b *browserOf) send(method, path, body string, header ...string) answerOf {
	b.t.Helper()
	var jar []string
	for name, value := range b.cookies {
		jar = append(jar, name+"="+value)
	}
	header = append([]string{"Accept", "text/html,*/*;q=0.8", "Cookie", strings.Join(jar, "; ")}, header...)
	got := b.do(method, path, body, header...)
	for _, line := range got.header.Values("Set-Cookie") {
		cookie, err := http.ParseSetCookie(line)
		require.NoError(b.t, err)
		require.True(b.t, cookie.HttpOnly)
		require.Equal(b.t, http.SameSiteStrictMode, cookie.SameSite)
		b.cookies[cookie.Name] = cookie.Value
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		}
	}
	return got
}

func (b *browserOf) form(path string, fields url.Values, header ...string) answerOf {
	b.t.Helper()
	return b.send(http.MethodPost, path, fields.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", b.url}, header...)...)
}

// signIn signs in and returns the token of the forms.
func (b *browserOf) signIn() string {
	b.t.Helper()
	got := b.form("/signin", url.Values{"token": {token}, "back": {"/peers/om.example.com"}})
	require.Equal(b.t, http.StatusSeeOther, got.status, got.body)
	require.Equal(b.t, "/peers/om.example.com", got.header.Get("Location"))
	page := b.send(http.MethodGet, "/peers/om.example.com", "")
	require.Equal(b.t, "no-store", page.header.Get("Cache-Control"))
	found := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(page.body)
	require.NotNil(b.t, found, "%v %s", b.cookies, page.body)
	return found[1]
}

func newBrowser(t *testing.T, o siteOptions) *browserOf {
	o.token = token
	s := newSite(t, o)
	s.knows("om.example.com", "https://om.example.com")
	return &browserOf{site: s, cookies: map[string]string{}}
}

func (b *browserOf) state() string {
	b.t.Helper()
	p, err := models.FindPeer(b.DB, "om.example.com")
	require.NoError(b.t, err)
	return p.State
}

func TestAdministrationInTheBrowser(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, siteOptions{})
	require.NotContains(t, b.page("/peers/om.example.com"), "<form class=\"act\"")
	require.Contains(t, b.page("/peers"), `href="/signin?back=%2Fpeers"`)

	got := b.form("/peers/om.example.com/pause", url.Values{"back": {"/peers"}})
	require.Equal(t, http.StatusSeeOther, got.status, "sign in first")
	require.Equal(t, "/signin?back=%2Fpeers", got.header.Get("Location"))
	got = b.form("/signin", url.Values{"token": {token + "x"}})
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, "That is not the administrator&#39;s token.")
	require.Empty(t, b.cookies)

	form := b.signIn()
	got = b.form("/peers/om.example.com/pause", url.Values{"form": {form}, "back": {"/peers/om.example.com"}})
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Equal(t, models.PeerPaused, b.state())
	require.Contains(t, b.send(http.MethodGet, got.header.Get("Location"), "").body, "The peer is paused.")
	require.NotContains(t, b.send(http.MethodGet, got.header.Get("Location"), "").body, "The peer is paused.", "said once")

	got = b.form("/peers/om.example.com/remove", url.Values{"form": {form}})
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.body, "say that you are sure")
	require.Equal(t, models.PeerPaused, b.state())
	got = b.form("/peers/om.example.com/remove", url.Values{"form": {form}, "sure": {"yes"}, "back": {"/peers"}})
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Equal(t, models.PeerRemoved, b.state())

	got = b.form("/modules/example.com/m@v1.0.0/delete", url.Values{"form": {form}, "sure": {"yes"}, "reason": {hostile}, "back": {"/modules/example.com/m@v1.0.0"}})
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Contains(t, b.page("/modules/example.com/m@v1.0.0"), hostileEscaped)
	require.Equal(t, []string{
		"browser delete example.com/m@v1.0.0 <script>alert(1)</script>", "browser remove peer om.example.com",
		"browser pause peer om.example.com", "test add peer om.example.com",
	}, trimmed(b.audited()))

	require.Equal(t, http.StatusSeeOther, b.form("/signout", url.Values{}).status)
	require.Empty(t, b.session())
	require.Equal(t, http.StatusSeeOther, b.form("/peers/om.example.com/resume", url.Values{"form": {form}}).status)
	require.Equal(t, models.PeerRemoved, b.state())
}

// session is the name of the cookie that a browser is signed in with, empty if it is not.
func (b *browserOf) session() string {
	for name := range b.cookies {
		if strings.HasPrefix(name, "olympus_session_") {
			return name
		}
	}
	return ""
}

// What another site makes a browser send changes nothing, and neither does a cookie that is not ours or not of now.
func TestForgedForms(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, siteOptions{})
	form := b.signIn()
	session := b.session()
	own := b.cookies[session]
	other := newBrowser(t, siteOptions{name: "oa.example.com"})
	foreign := other.signIn()
	require.NotEqual(t, session, other.session(), "side by side on one host they would overwrite each other's")
	for name, c := range map[string]struct {
		cookie, form, origin, site string
		status                     int
	}{
		"no token":                {own, "", b.url, "same-origin", 403},
		"another session's token": {own, foreign, b.url, "same-origin", 403},
		"from another site":       {own, form, "https://evil.example.com", "cross-site", 403},
		"from a sibling":          {own, form, b.url, "same-site", 403},
		"an old browser":          {own, form, "https://evil.example.com", "", 403},
		"no origin":               {own, form, "null", "", 403},
		"another deployment's":    {other.cookies[other.session()], form, b.url, "same-origin", 303},
		"cut":                     {own[:len(own)-2], form, b.url, "same-origin", 303},
		"changed":                 {"B" + own[1:], form, b.url, "same-origin", 303},
		"empty":                   {"", form, b.url, "same-origin", 303},
		"no signature":            {strings.Split(own, ".")[0] + ".", form, b.url, "same-origin", 303},
	} {
		b.cookies[session] = c.cookie
		header := []string{"Origin", c.origin}
		if c.site != "" {
			header = append(header, "Sec-Fetch-Site", c.site)
		}
		got := b.form("/peers/om.example.com/pause", url.Values{"form": {c.form}}, header...)
		require.Equal(t, c.status, got.status, "%s: %s", name, got.body)
		require.Equal(t, models.PeerActive, b.state(), name)
	}
	b.cookies[session] = own
	// A cookie is no bearer token: JSON, and methods that no form has, need that.
	for _, r := range [][3]string{{"POST", "/peers/om.example.com/pause", ""}, {"DELETE", "/peers/om.example.com", ""}} {
		got := b.send(r[0], r[1], r[2], "Content-Type", "application/json")
		require.Equal(t, http.StatusUnauthorized, got.status, r)
	}
	require.Equal(t, http.StatusForbidden, b.form("/signin", url.Values{"token": {token}}, "Origin", "https://evil.example.com").status)
	require.Equal(t, models.PeerActive, b.state())
	for _, back := range []string{"https://evil.example.com/", "//evil.example.com/", "/\\evil.example.com", "javascript:alert(1)", "evil", "/x\r\nX: y"} {
		got := b.form("/signin", url.Values{"token": {token}, "back": {back}})
		require.Equal(t, "/", got.header.Get("Location"), back)
	}
	got := b.form("/peers/om.example.com/pause", url.Values{"form": {form}, "reason": {"a", "b"}})
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.body, `field \"reason\" is there twice`)
}

func TestSignInWithoutAToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	b := &browserOf{site: s, cookies: map[string]string{}}
	require.Contains(t, b.send(http.MethodGet, "/signin", "").body, "Administration over HTTP is off")
	require.NotContains(t, s.page("/"), "Sign in")
	require.Equal(t, http.StatusForbidden, b.form("/signin", url.Values{"token": {""}}).status)
	require.Equal(t, http.StatusForbidden, b.form("/peers/om.example.com/pause", url.Values{}).status)
	require.Empty(t, b.cookies)
}

func TestSessionBehindTLSAndAPath(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{token: token, url: "https://example.com/go/olympus"})
	b := &browserOf{site: s, cookies: map[string]string{}}
	got := b.form("/signin", url.Values{"token": {token}, "back": {"/go/olympus/peers"}}, "Origin", "https://example.com")
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Equal(t, "/go/olympus/peers", got.header.Get("Location"))
	cookie, err := http.ParseSetCookie(got.header.Get("Set-Cookie"))
	require.NoError(t, err)
	require.True(t, cookie.Secure)
	require.Equal(t, "/go/olympus/", cookie.Path)
	require.Equal(t, 12*60*60, cookie.MaxAge)
}

func TestJobsOfAdministrators(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, siteOptions{})
	form := b.signIn()
	_, err := b.Delete("task", "example.com/m", "v1.0.0", "")
	require.NoError(t, err)
	var job models.Job
	require.NoError(t, b.DB.RawQuery(`SELECT id FROM river_job WHERE kind = 'push'`).First(&job))
	b.exec(`UPDATE river_job SET state = 'retryable', attempt = 1, scheduled_at = now() + interval '1 hour' WHERE kind = 'push'`)
	path := regexp.MustCompile(`action="(/jobs/\d+)/retry"`).FindStringSubmatch(b.send(http.MethodGet, "/jobs", "").body)[1]

	state := func() (state string) {
		jobs, err := models.LatestJobs(b.DB, 0, 10)
		require.NoError(t, err)
		for i := range jobs {
			if jobs[i].ID == job.ID {
				state = jobs[i].State
			}
		}
		return state
	}
	require.Equal(t, http.StatusSeeOther, b.form(path+"/retry", url.Values{"form": {form}, "back": {"/jobs"}}).status)
	require.Equal(t, "available", state())
	require.Equal(t, http.StatusBadRequest, b.form(path+"/discard", url.Values{"form": {form}}).status, "without a reason")
	require.Equal(t, 200, b.admin(http.MethodPost, path+"/discard", `{"reason":"gone for good"}`).status)
	require.Equal(t, "cancelled", state())
	requireProblem(t, b.admin(http.MethodPost, path+"/discard", `{"reason":"again"}`), 409, "is cancelled")
	require.Equal(t, 200, b.admin(http.MethodPost, path+"/retry", "").status)
	b.exec(`UPDATE river_job SET state = 'completed', finalized_at = now() WHERE kind = 'push'`)
	requireProblem(t, b.admin(http.MethodPost, path+"/retry", ""), 409, "is completed")
	for _, unknown := range []string{"/jobs/999999999/retry", "/jobs/x/retry", "/jobs/-1/retry"} {
		requireProblem(t, b.admin(http.MethodPost, unknown, ""), 404, "job")
	}
	require.Contains(t, strings.Join(b.audited(), "\n"), "http discard job push "+strings.TrimPrefix(path, "/jobs/")+" gone for good")
}

// A zip that is not here can be fetched from its page at once; why it cannot is said there and then.
func TestFetchInTheBrowser(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, siteOptions{})
	b.log(added("example.com/Upper", "v1.0.0", "om.example.com"))
	const page, form = "/modules/example.com/%21upper@v1.0.0", `action="/modules"`
	require.NotContains(t, b.page(page), form)
	require.Contains(t, b.page(page), "olympus task modules:add example.com/Upper@v1.0.0")
	values := url.Values{"form": {b.signIn()}, "back": {page}, "module": {"example.com/Upper"}, "version": {"v1.0.0"}}
	body := b.send(http.MethodGet, page, "").body
	require.Contains(t, body, form)
	require.Contains(t, body, `name="module" value="example.com/Upper"`)
	require.Contains(t, body, `name="version" value="v1.0.0"`)
	got := b.form("/modules", values)
	require.Equal(t, http.StatusBadGateway, got.status, got.body)
	require.Contains(t, got.body, "fetch example.com/Upper@v1.0.0: ")

	held, err := models.MarkHeld(b.DB, "example.com/Upper", "v1.0.0", 1, "om.example.com")
	require.NoError(t, err)
	require.True(t, held)
	require.NotContains(t, b.send(http.MethodGet, page, "").body, form)
	got = b.form("/modules", values)
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Equal(t, page, got.header.Get("Location"))
	require.Contains(t, b.send(http.MethodGet, page, "").body, "The version is held here.")
	require.Contains(t, strings.Join(b.audited(), "\n"), "browser prefetch example.com/Upper@v1.0.0")
}

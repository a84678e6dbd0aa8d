package browser

import (
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"olympus/models"
)

// An administrator signs in, does with buttons what the tasks do, and signs out; without a mouse where that is not a matter of course.
func TestAdministration(t *testing.T) {
	t.Parallel()
	const token, peerPage, versionPage = "let-me-administrate", "/peers/" + dead, "/modules/" + upper
	d := startAdministered(t, "oa.example.com", "off", token)
	d.knows(dead, nobodyThere(t), stranger(t, dead))
	d.hears(added(upper, dead, ""), added(remote, d.Name, ""))
	_, err := d.Deprecate("test", "example.com/remote", "v1.0.0", hostile)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return d.count("river_job WHERE state = 'retryable' AND kind = 'push'") == 1 }, patience, 5*time.Millisecond)

	b := newTab(t, d)
	b.visit(peerPage)
	require.NotContains(t, b.text(), "Pull now")
	b.follow("Sign in", click(".who a"))
	b.inspect("/signin")
	enter := func(text string) chromedp.Action[chromedp.Void] {
		b.do("type the token", chromedp.Focus(chromedp.CSS("#token")), chromedp.KeyEvent(text))
		return chromedp.KeyEvent(kb.Enter)
	}
	b.expectMissing(true)
	require.EqualValues(t, http.StatusForbidden, b.load("a wrong token", enter("wrong")))
	b.expectMissing(false)
	require.Contains(t, b.text(), "That is not the administrator's token.")
	b.inspect("/signin, refused")
	b.follow("the token", enter(token))
	require.Equal(t, peerPage, evaluate[string](b, "location.pathname"), "back to where it began")
	b.inspect(peerPage + ", signed in")
	b.walk(peerPage)

	b.follow("Pause", click("form[action$='/pause'] button"))
	require.Contains(t, b.text(), "The peer is paused.")
	b.inspect(peerPage + ", paused")
	p, err := models.FindPeer(d.DB, dead)
	require.NoError(t, err)
	require.Equal(t, models.PeerPaused, p.State)

	b.visit(versionPage)
	b.inspect(versionPage + ", signed in")
	b.do("forget to say why", click("form[action$='/delete'] button"))
	require.Equal(t, "reason", evaluate[string](b, "document.activeElement.name"), "the browser asks for it")
	b.do("say why", chromedp.KeyEvent(hostile))
	b.do("be sure", click("form[action$='/delete'] [name=sure]"))
	b.follow("Delete", click("form[action$='/delete'] button"))
	require.Contains(t, b.text(), "The version is deleted")
	require.Contains(t, b.text(), hostile)

	b.visit("/jobs")
	b.inspect("/jobs, signed in")
	b.follow("Retry now", click("form[action$='/retry'] button"))
	require.Contains(t, b.text(), "The job is tried again now.")
	require.Eventually(t, func() bool { return d.count("river_job WHERE attempt = 2") == 1 }, patience, 5*time.Millisecond)
	b.visit("/audit")
	require.Contains(t, b.text(), "in a browser")

	b.follow("Sign out", click(".who button"))
	b.visit(peerPage)
	require.NotContains(t, b.text(), "Resume now")
	require.Zero(t, evaluate[int](b, "document.querySelectorAll('form.act').length"))
}

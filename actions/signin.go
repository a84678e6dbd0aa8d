package actions

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"

	"github.com/gobuffalo/buffalo"
)

// readerView is what every page knows of who reads it.
type readerView struct {
	On     bool // administration over HTTP is on
	Admin  bool
	Token  string // of the forms
	Here   string // the address of the page, to come back to
	Notice string
}

// setReader tells the templates who reads.
func (p *pages) setReader(c buffalo.Context) {
	r := c.Request()
	view := readerView{On: p.AdminToken != "", Here: p.here(r), Notice: p.sessions.told(c.Response(), r)}
	if own, ok := p.sessions.of(r); ok {
		view.Admin, view.Token = true, p.sessions.formToken(own)
		c.Response().Header().Set("Cache-Control", "no-store")
	}
	c.Set("reader", view)
}

// here is the address of the page that a request is for. Buffalo has added a slash to its path.
func (p *pages) here(r *http.Request) string {
	address := p.link() + strings.Trim(r.URL.EscapedPath(), "/")
	if r.URL.RawQuery != "" {
		address += "?" + r.URL.RawQuery
	}
	return p.localPage(address)
}

type signInView struct{ Action, Back, Error string }

// showSignIn shows the form to sign in with.
func (p *pages) showSignIn(c buffalo.Context) error {
	back := p.localPage(c.Request().URL.Query().Get("back"))
	return p.html(c, http.StatusOK, "signin", "Sign in", signInView{Action: p.link("signin"), Back: back})
}

// toSignIn sends a browser that is not signed in any more to where it can do so.
func (p *pages) toSignIn(c buffalo.Context, f *form) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.Redirect(http.StatusSeeOther, "%s", p.link("signin")+"?back="+url.QueryEscape(p.localPage(f.back)))
}

// signIn begins a session for the bearer of the administrator's token.
func (p *pages) signIn(c buffalo.Context) error {
	r := c.Request()
	f := formOf(r.Context())
	switch {
	case p.AdminToken == "":
		return forbidden("administration over HTTP is off: set OLYMPUS_ADMIN_TOKEN")
	case f == nil:
		return badRequest("this is for the form of a page; programs send Authorization: Bearer … with each request")
	case p.fromOtherSite(r):
		return forbidden("this form comes from another site")
	}
	var body struct {
		Token string `json:"token"`
	}
	if err := readBody(c, &body); err != nil {
		return err
	}
	got, want := sha256.Sum256([]byte(body.Token)), sha256.Sum256([]byte(p.AdminToken))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		setErrorHeaders(c.Response(), http.StatusForbidden)
		return p.html(c, http.StatusForbidden, "signin", "Sign in", signInView{Action: p.link("signin"), Back: p.localPage(f.back), Error: "That is not the administrator's token."})
	}
	p.sessions.begin(c.Response())
	return p.goOn(c, f, "")
}

// signOut ends the session of a browser.
func (p *pages) signOut(c buffalo.Context) error {
	f := formOf(c.Request().Context())
	if f == nil || p.fromOtherSite(c.Request()) {
		return forbidden("this is for the form of a page")
	}
	p.sessions.end(c.Response())
	return p.goOn(c, f, "")
}

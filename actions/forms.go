package actions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/gobuffalo/buffalo"
)

// form is what a page's form has sent. The routes of administration take its fields as they take those of a JSON object; what is about the
// form itself is here.
type form struct {
	token string // that it was made for this session
	back  string // the page to go on to
	sure  bool   // the reader has confirmed what cannot be undone
}

type formKey struct{}

// formOf returns the form of a request, nil if it is none.
func formOf(ctx context.Context) *form {
	f, _ := ctx.Value(formKey{}).(*form)
	return f
}

// isForm reports whether a browser has sent a form. Others call a body a form that is none, and do not ask for a page.
func isForm(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/x-www-form-urlencoded" && r.Method == http.MethodPost &&
		r.Header.Get("Authorization") == "" && strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/html")
}

// takeForm makes the body of a form the JSON object that the actions read, and keeps what is about the form.
func takeForm(r *http.Request) (*http.Request, error) {
	body, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &statusError{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the form has more than %d bytes", tooLarge.Limit)}
	}
	if err != nil {
		return nil, badRequest("the form could not be read: %v", err)
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badRequest("the form could not be read: %v", err)
	}
	f := &form{token: values.Get("form"), back: values.Get("back"), sure: values.Get("sure") == "yes"}
	fields := make(map[string]string, len(values))
	for name, all := range values {
		if len(all) > 1 {
			return nil, badRequest("field %q is there twice", name)
		}
		if name != "form" && name != "back" && name != "sure" {
			fields[name] = strings.TrimSpace(all[0])
		}
	}
	object, err := json.Marshal(fields)
	if err != nil {
		return nil, badRequest("the form could not be read: %v", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(object))
	return r.WithContext(context.WithValue(r.Context(), formKey{}, f)), nil
}

// fromOtherSite reports whether a browser says that another site has made it send a request. One that says nothing is old, or is none.
func (p *pages) fromOtherSite(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin"
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	own, err := url.Parse(p.URL)
	if err != nil {
		return true
	}
	// Whoever comes by another name, such as that of a tunnel, says so in Host as well.
	for _, same := range []string{own.Scheme + "://" + own.Host, "http://" + r.Host, "https://" + r.Host} {
		if strings.EqualFold(origin, same) {
			return false
		}
	}
	return true
}

// goOn answers a form with the page to go on to, which says what was done.
func (p *pages) goOn(c buffalo.Context, f *form, notice string) error {
	if notice != "" {
		p.sessions.tell(c.Response(), notice)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.Redirect(http.StatusSeeOther, "%s", p.localPage(f.back))
}

// localPage is an address below this deployment's, or that of the overview: a form never leads anywhere else.
func (p *pages) localPage(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(address, p.link()) || strings.HasPrefix(address, "//") ||
		strings.ContainsAny(address, "\\\r\n") {
		return p.link()
	}
	return address
}

// noticeOf says what a form has led to.
func noticeOf(r *http.Request, value any) string {
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch of, what := path[:strings.LastIndexByte(path, '/')+1], path[strings.LastIndexByte(path, '/')+1:]; {
	case what == "pull":
		if pulled, ok := value.(map[string]int64); ok {
			return fmt.Sprintf("Pulled %s, %s of them new.", some(pulled["pulled"], "event"), counted(pulled["appended"]))
		}
	case what == "modules":
		return "The version is held here."
	case strings.HasPrefix(of, "/peers/"):
		return map[string]string{
			"pause": "The peer is paused.", "resume": "The peer is active again.", "accept": "Its new history is accepted.",
			"approve": "The peer is approved: both now push and pull.", "rekey": "Its new key is taken.",
			"remove": "The peer is removed.",
		}[what]
	case strings.HasPrefix(of, "/modules/"):
		return map[string]string{"deprecate": "The version is deprecated, here and soon on every peer.", "delete": "The version is deleted, here and soon on every peer."}[what]
	case strings.HasPrefix(of, "/jobs/"):
		return map[string]string{"retry": "The job is tried again now.", "discard": "The job is given up."}[what]
	}
	return ""
}

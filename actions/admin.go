package actions

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gobuffalo/buffalo"
)

// How changes are named in the audit trail.
const (
	actorHTTP    = "http"
	actorBrowser = "browser"
)

func actorOf(c buffalo.Context) string {
	if formOf(c.Request().Context()) != nil {
		return actorBrowser
	}
	return actorHTTP
}

// authorize lets only the bearer of the administrator's token pass (RFC 6750), and the forms of a browser that has signed in with it. Without
// a token nobody passes.
func (p *pages) authorize(next buffalo.Handler) buffalo.Handler {
	want := sha256.Sum256([]byte(p.AdminToken))
	return func(c buffalo.Context) error {
		if p.AdminToken == "" {
			return forbidden("administration over HTTP is off: set OLYMPUS_ADMIN_TOKEN")
		}
		if f := formOf(c.Request().Context()); f != nil {
			if err := p.authorizeForm(c.Request(), f); err != nil {
				return err
			}
			return next(c)
		}
		scheme, token, _ := strings.Cut(c.Request().Header.Get("Authorization"), " ")
		// Equal lengths and constant time, so that an answer's delay tells nothing of the token.
		got := sha256.Sum256([]byte(strings.TrimSpace(token)))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			return unauthorized("%s %s needs the administrator's token: Authorization: Bearer …",
				c.Request().Method, strings.TrimSuffix(c.Request().URL.Path, "/"))
		}
		return next(c)
	}
}

// authorizeForm lets the forms pass that were given to the session that sends them.
func (p *pages) authorizeForm(r *http.Request, f *form) error {
	own, ok := p.sessions.of(r)
	if !ok {
		return unauthorized("sign in first")
	}
	if p.fromOtherSite(r) || !p.sessions.owns(own, f.token) {
		return forbidden("this form was not made for you, or is too old: go back, reload the page and try again")
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	if !f.sure && (strings.HasSuffix(path, "/delete") || strings.HasSuffix(path, "/remove")) {
		return badRequest("say that you are sure: this cannot be undone")
	}
	return nil
}

// readBody reads a JSON object strictly: a misspelt or repeated field is an error that names it, never a default. An empty body leaves
// the defaults.
func readBody(c buffalo.Context, into any) error {
	body, err := io.ReadAll(c.Request().Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &statusError{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the body has more than %d bytes", tooLarge.Limit)}
	}
	if err != nil {
		return badRequest("the body could not be read: %v", err)
	}
	if len(body) == 0 {
		return nil
	}
	if jsontext.Value(body).Kind() != jsontext.KindBeginObject {
		return badRequest("the body is not a JSON object")
	}
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
		return badRequest("%s", bodyFault(err))
	}
	return nil
}

// bodyFault says what is wrong with a body, and with which field.
func bodyFault(err error) string {
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		field := syntactic.JSONPointer.LastToken()
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			return fmt.Sprintf("field %q is there twice", field)
		case field != "":
			return fmt.Sprintf("field %q: the body is not JSON: %v", field, syntactic.Err)
		}
		return fmt.Sprintf("the body is not JSON: %v", syntactic.Err)
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		field := semantic.JSONPointer.LastToken()
		if errors.Is(err, json.ErrUnknownName) {
			return fmt.Sprintf("field %q is unknown here", field)
		}
		return fmt.Sprintf("field %q is not a %s", field, semantic.GoType)
	}
	return err.Error()
}

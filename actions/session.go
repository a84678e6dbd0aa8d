package actions

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

const (
	sessionCookie = "olympus_session_"
	noticeCookie  = "olympus_notice_"
	// sessionLife is how long a browser stays signed in.
	sessionLife = 12 * time.Hour
	// sessionBytes are eight of the time at which it ends, in seconds since 1970, and sixteen that tell sessions apart.
	sessionBytes = 24
)

// sessionSigner makes the sessions of administrators who sign in with a browser. Nothing of them is stored: the cookie says until when it
// counts, signed with a key that is made of the administrator's token. So every process of a deployment accepts it, and a change of the
// token ends all of them.
type sessionSigner struct {
	key             []byte // nil: administration over HTTP is off
	path            string
	secure          bool   // the browser must send the cookie over TLS only
	session, notice string // names of the cookies
}

func newSessionSigner(token, deployment, url string) *sessionSigner {
	// A browser keeps cookies by host, whatever the port: deployments side by side on one host would sign each other's administrators out.
	of := sha256.Sum256([]byte(url))
	suffix := hex.EncodeToString(of[:4])
	s := &sessionSigner{
		path: basePath(url) + "/", secure: strings.HasPrefix(url, "https://"), session: sessionCookie + suffix, notice: noticeCookie + suffix,
	}
	if token != "" {
		s.key = mac([]byte(token), "session of "+deployment)
	}
	return s
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// session is what a request's cookie says; the empty one is nobody's.
type session struct{ id string }

// begin signs a browser in.
func (s *sessionSigner) begin(w http.ResponseWriter) {
	id := make([]byte, sessionBytes)
	binary.BigEndian.PutUint64(id, uint64(time.Now().Add(sessionLife).Unix()))
	_, _ = rand.Read(id[8:])
	text := base64.RawURLEncoding.EncodeToString(id)
	s.set(w, s.session, text+"."+base64.RawURLEncoding.EncodeToString(mac(s.key, "cookie "+text)), int(sessionLife/time.Second))
}

// end signs a browser out.
func (s *sessionSigner) end(w http.ResponseWriter) { s.set(w, s.session, "", -1) }

func (s *sessionSigner) set(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: s.path, MaxAge: maxAge, Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// of returns the session of a request, and whether it is one that counts.
func (s *sessionSigner) of(r *http.Request) (session, bool) {
	cookie, err := r.Cookie(s.session)
	if err != nil || s.key == nil {
		return session{}, false
	}
	id, signature, _ := strings.Cut(cookie.Value, ".")
	got, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || subtle.ConstantTimeCompare(got, mac(s.key, "cookie "+id)) != 1 {
		return session{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(raw) != sessionBytes || int64(binary.BigEndian.Uint64(raw)) < time.Now().Unix() {
		return session{}, false
	}
	return session{id}, true
}

// formToken is what the forms of a session carry: another site can have a browser send a form, but does not know it.
func (s *sessionSigner) formToken(own session) string {
	return base64.RawURLEncoding.EncodeToString(mac(s.key, "form "+own.id))
}

// owns reports whether a form is one that a session was given.
func (s *sessionSigner) owns(own session, token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.formToken(own))) == 1
}

// tell leaves a notice for the next page.
func (s *sessionSigner) tell(w http.ResponseWriter, notice string) {
	text := base64.RawURLEncoding.EncodeToString([]byte(notice))
	s.set(w, s.notice, text+"."+base64.RawURLEncoding.EncodeToString(mac(s.key, "notice "+text)), 60)
}

// told takes the notice that was left, if there is one.
func (s *sessionSigner) told(w http.ResponseWriter, r *http.Request) string {
	cookie, err := r.Cookie(s.notice)
	if err != nil || s.key == nil {
		return ""
	}
	s.set(w, s.notice, "", -1)
	text, signature, _ := strings.Cut(cookie.Value, ".")
	got, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || subtle.ConstantTimeCompare(got, mac(s.key, "notice "+text)) != 1 {
		return ""
	}
	notice, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	return string(notice)
}
